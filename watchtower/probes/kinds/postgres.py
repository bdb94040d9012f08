"""A login to PostgreSQL and one query: good when the server lets us in and answers without an error.

The role is asked for only when a condition judges it. The words are wires/postgres.py's.
"""

from __future__ import annotations

from typing import Any

from watchtower.core.targets import PostgresTarget
from watchtower.probes.kinds.login import Answer, inside, is_judged
from watchtower.probes.look import Finding, Look
from watchtower.probes.tools import Tools
from watchtower.probes.wires import postgres as postgres_wire
from watchtower.probes.wires.wire import Wire


async def probe(target: PostgresTarget, tools: Tools, look: Look) -> Finding:
    """Log in, ask, and leave in order."""

    async def talk(wire: Wire, _greeting: str) -> Answer:
        wire.begin("login")
        version = await postgres_wire.log_in(wire, target.user, target.password, target.database)
        wire.begin("query")
        rows = await postgres_wire.ask(wire, target.query.reveal())
        facts: dict[str, Any] = {**rows.facts()}
        if is_judged(look, "role"):
            recovery = await postgres_wire.ask(wire, "select pg_is_in_recovery()")
            facts["role"] = "standby" if recovery.value == "t" else "primary"
        return Answer(text=str(rows), server=f"PostgreSQL {version}".rstrip(), facts=facts)

    return await inside(target, tools, look, talk, goodbye=postgres_wire.GOODBYE, starttls="postgres")
