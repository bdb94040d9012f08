"""A login to Redis and one command: good when it answers without an error.

Without user and password nobody logs in. The role is asked for only when a condition judges it. The words are
wires/redis.py's.
"""

from __future__ import annotations

import shlex
from typing import Any, Final

from watchtower.core.targets import RedisTarget
from watchtower.probes.kinds.login import Answer, inside, is_judged
from watchtower.probes.look import Finding, Look
from watchtower.probes.tools import Tools
from watchtower.probes.wires import redis as redis_wire
from watchtower.probes.wires.wire import Wire

_ROLES: Final = {"master": "primary", "slave": "replica"}


async def probe(target: RedisTarget, tools: Tools, look: Look) -> Finding:
    """Log in where that is asked for, ask, and hang up."""

    async def talk(wire: Wire, _greeting: str) -> Answer:
        await _log_in(wire, target)
        wire.begin("query")
        reply = await redis_wire.ask(wire, *shlex.split(target.query.reveal()))
        facts: dict[str, Any] = {**reply.facts()}
        if is_judged(look, "role"):
            role = (await redis_wire.ask(wire, "ROLE")).value or ""
            facts["role"] = _ROLES.get(role, role)
        text = "PONG" if reply.value == "PONG" else "an answer"
        return Answer(text=text, server="Redis", facts=facts)

    return await inside(target, tools, look, talk)


async def _log_in(wire: Wire, target: RedisTarget) -> None:
    wire.begin("login")
    if target.password is not None:
        who = (target.user,) if target.user else ()
        await redis_wire.ask(wire, "AUTH", *who, target.password.reveal(), otherwise="login refused")
    if target.database:
        await redis_wire.ask(wire, "SELECT", str(target.database), otherwise="no such database")
