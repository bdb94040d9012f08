"""Another peer: does its app answer, and is our cluster link to it up?

The app answers and the link is down: degraded. The app says nothing, or nothing sensible: down. An app
that says it is not ready is alive, so the look settles nothing: whether it does its work, the ledger
knows by its reports. What it says of itself is foreign text like any other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import HttpTarget, PeerTarget
from watchtower.core.text import clean
from watchtower.probes.kinds import http
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds
from watchtower.probes.tools import Tools

NO_ANSWER: Final = "app does not answer: "
"""Stands before every reason why a peer's app could not be asked."""


async def probe(target: PeerTarget, tools: Tools, look: Look) -> Finding:
    """Ask `/readyz` and look at the link."""
    url = f"{target.url.rstrip('/')}/readyz"
    answer = await http.fetch(HttpTarget(url=url, follow_redirects=0), tools, look)
    kept: dict[str, float | str] = {"status": float(answer.status), "ip": look.ip}
    if answer.status != 200:
        return Finding(text="", kept=kept, failure=_unready(answer))
    if not tools.link_up(target.peer):
        text = f"cluster link to {target.peer} is down"
        return Finding(text=text, kept=kept, failure=Shortfall(Opinion.DEGRADED, Kind.UNREACHABLE, text))
    facts = {"status": answer.status, "ip": look.ip, **look.times()}
    return Finding(text=f"ready in {milliseconds(look.elapsed_s())}", facts=facts, kept=kept)


def _unready(answer: http.Answer) -> Shortfall:
    """What an answer other than 200 means; only a health document (status, output) speaks for the app."""
    try:
        said = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        said = None
    if answer.status != 503 or not isinstance(said, dict) or said.get("status") != "fail":
        return Shortfall(Opinion.DOWN, Kind.STATUS, f"app answers HTTP {answer.status}")
    reason = said.get("output")
    shown = clean(reason) if isinstance(reason, str) and reason else "no reason given"
    return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, clean(f"app is not ready: {shown}"))
