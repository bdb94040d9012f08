"""A TCP connect: good when some address of the host accepts within the deadline.

With `send`, or a condition on `banner`, what comes back is read as well: until whole lines are there
that meet every condition on them, the other side closes or falls silent, or BANNER_BYTES_MAX are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from watchtower.core.conditions import Condition
from watchtower.core.targets import TcpTarget
from watchtower.core.text import clean
from watchtower.probes.judging import unmet
from watchtower.probes.look import Finding, Look, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.wire import SHOWN_MAX, Wire, quoted

BANNER_BYTES_MAX: Final = 4_096
SILENCE_S: Final = 0.5
"""Something has come, and nothing more for this long: that was the answer."""
_SPARE_S: Final = 0.1


async def probe(target: TcpTarget, tools: Tools, look: Look) -> Finding:
    """Connect, say and hear what is wanted, and hang up."""
    awaited = [line for line in look.judged if any(clause.field == "banner" for clause in line.clauses)]
    wire = Wire(await tools.connect(target.host, target.port, look), look)
    try:
        if target.send is None and not awaited:
            return _finding(f"connected in {milliseconds(look.elapsed_s())}", look, None)
        if target.send is not None:
            await wire.send(target.send.reveal().encode("latin-1"))
        banner = await _banner(wire, look, awaited)
    finally:
        wire.hang_up()
    return _finding(f"{quoted(banner)} in {milliseconds(look.elapsed_s())}", look, banner)


async def _banner(wire: Wire, look: Look, awaited: Sequence[Condition]) -> str:
    heard = await wire.more()
    if not heard:
        raise EOFError
    while len(heard) < BANNER_BYTES_MAX and not _is_enough(heard, awaited):
        try:
            async with asyncio.timeout(min(SILENCE_S, max(look.left_s() - _SPARE_S, 0))):
                more = await wire.more()
        except TimeoutError:
            break
        if not more:
            break
        heard = more
    return _text(heard)


def _is_enough(heard: bytes, awaited: Sequence[Condition]) -> bool:
    facts = {"banner": _text(heard)}
    return heard.endswith(b"\n") and not unmet(awaited, facts)


def _text(heard: bytes) -> str:
    return heard[:BANNER_BYTES_MAX].decode("utf-8", "replace").rstrip("\r\n")


def _finding(text: str, look: Look, banner: str | None) -> Finding:
    facts = {"ip": look.ip, **look.times()}
    if banner is None:
        return Finding(text=text, facts=facts, kept={"ip": look.ip})
    kept = {"ip": look.ip, "banner": clean(banner, SHOWN_MAX)}
    return Finding(text=text, facts={**facts, "banner": banner}, kept=kept)
