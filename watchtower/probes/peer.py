"""Another peer: does its app answer, and is our cluster link to it up?

The app answers and the link is down: degraded. The app says that it is not ready, or says nothing:
down. What it says of itself is foreign text like any other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchtower.core.model import Kind, Opinion
from watchtower.core.settings import HttpTarget, PeerTarget
from watchtower.core.text import clean
from watchtower.probes import http
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds
from watchtower.probes.tools import Tools

NO_ANSWER: Final = "app does not answer: "
"""Stands before every reason why a peer's app could not be asked."""
_SAYS_SO: Final = ("leaving", "starting")


async def probe(target: PeerTarget, tools: Tools, look: Look) -> Finding:
    """Ask `/readyz` and look at the link."""
    url = f"{target.url.rstrip('/')}/readyz"
    answer = await http.fetch(HttpTarget(url=url, follow_redirects=0), tools, look)
    kept: dict[str, float | str] = {"status": float(answer.status), "ip": look.ip}
    if answer.status != 200:
        text = _unready(answer)
        return Finding(text=text, kept=kept, failure=Shortfall(Opinion.DOWN, Kind.STATUS, text))
    if not tools.link_up(target.peer):
        text = f"cluster link to {target.peer} is down"
        return Finding(text=text, kept=kept, failure=Shortfall(Opinion.DEGRADED, Kind.UNREACHABLE, text))
    facts = {"status": answer.status, "ip": look.ip, **look.times()}
    return Finding(text=f"ready in {milliseconds(look.elapsed_s())}", facts=facts, kept=kept)


def _unready(answer: http.Answer) -> str:
    """Why the app is not ready, in its own words when it has some."""
    try:
        said = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return f"app answers HTTP {answer.status}"
    reason = said.get("reason") or said.get("output") or f"HTTP {answer.status}"
    reason = clean(reason if isinstance(reason, str) else f"HTTP {answer.status}")
    return reason if said.get("status") in _SAYS_SO else clean(f"app is not ready: {reason}")
