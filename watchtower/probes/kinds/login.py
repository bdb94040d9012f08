"""What the kinds that log in have in common: the way to the server, what is told of it, and secrets kept.

A kind brings its dialogue; here it gets a connection, over TLS where that is asked for. Whatever the server
says that holds the password is told without it. Decides nothing about logins or answers.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from watchtower.core.targets import LoginTarget
from watchtower.core.text import HIDDEN, clean
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.kinds import tls
from watchtower.probes.look import Finding, Look, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.certificates import pems_of
from watchtower.probes.wires.wire import SHOWN_MAX, Wire

_KEPT: Final = ("rows", "role", "messages", "consumers")


class Answer(Struct, frozen=True, kw_only=True):
    """What a dialogue ended with: `text` for people, who answered, and what conditions may judge."""

    text: str
    server: str
    facts: Mapping[str, Any] = {}


Talk = Callable[[Wire, str], Awaitable[Answer]]
"""Logs in and asks over a connection; is given what was greeted with before TLS began ("" when nothing)."""


async def inside(
    target: LoginTarget, tools: Tools, look: Look, talk: Talk, *, goodbye: bytes = b"", starttls: str = ""
) -> Finding:
    """Connect, shake hands where TLS is asked for, tell what `talk` heard, and say goodbye.

    `starttls` names what the protocol says before TLS begins, "" when TLS begins at once.
    """
    name = target.server_name or target.host
    pems = pems_of(target)
    door = tls.Door(host=target.host, port=target.port, name=name, starttls=starttls, pems=pems)
    try:
        wire, greeting = await tls.reach(door, tools, look, over_tls=target.tls, verify=target.verify)
    except ssl.SSLCertVerificationError as error:
        return await tls.distrusted(error, door, tools, look)
    try:
        answer = await talk(wire, greeting)
        wire.part(goodbye)
    except RefusalError as error:
        # Whoever refused us still gets a goodbye: servers log those who leave without.
        wire.part(goodbye)
        raise RefusalError(_without_password(str(error), target)) from None
    except ProtocolError as error:
        raise type(error)(_without_password(str(error), target)) from None
    finally:
        wire.hang_up()
    return _finding(answer, target, tools, look)


def is_judged(look: Look, *fields: str) -> bool:
    """True when a condition is about one of `fields`: what nobody judges is not looked up."""
    return any(clause.field in fields for condition in look.judged for clause in condition.clauses)


def _finding(answer: Answer, target: LoginTarget, tools: Tools, look: Look) -> Finding:
    said, seen, kept = tls.seen(tools, look) if look.ssl_object else ("", {}, {})
    over = f", {kept['tls.version']}" if kept else ""
    told = {name: answer.facts[name] for name in _KEPT if name in answer.facts}
    server = clean(_without_password(answer.server, target), SHOWN_MAX)
    # The value of a query may be anybody's data: what no condition judges is not repeated anywhere.
    if is_judged(look, "value") and "value" in answer.facts:
        told["value"] = clean(_without_password(str(answer.facts["value"]), target), SHOWN_MAX)
    return Finding(
        text=f"{answer.text} in {milliseconds(look.elapsed_s())}, {server}{over}{said}",
        facts={"ip": look.ip, **look.times(), **answer.facts, **seen},
        kept={"ip": look.ip, "server": server, **told, **kept},
    )


def _without_password(text: str, target: LoginTarget) -> str:
    password = target.password.reveal() if target.password else ""
    return text.replace(password, HIDDEN) if password else text
