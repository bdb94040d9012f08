"""ICMP echoes (ping): good when one comes back within the deadline.

One echo a second, to each of the host's addresses in turn, until the first answer; what got lost before
it is counted in `lost`. Without the permission to ping the look settles nothing, and says what to set.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import IcmpTarget
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds, shown_address
from watchtower.probes.tools import Tools
from watchtower.probes.wires.echoes import PERMISSION, Answer, Flight, NotPermittedError
from watchtower.probes.wires.resolver import AddressInfo

EVERY_S: Final = 1.0


async def probe(target: IcmpTarget, tools: Tools, look: Look) -> Finding:
    """Ping until the first answer."""
    addresses = await tools.resolver.lookup(target.host, 0)
    look.enter("first_byte")
    try:
        with tools.echoes.flight(target.size) as flight:
            answer = await _first_answer(flight, addresses, look)
    except NotPermittedError:
        text = f"this peer may not ping: {PERMISSION}"
        return Finding(text=text, failure=Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, text))
    lost = answer.sent - 1
    times = {**look.times(), "time": answer.round_trip_s}
    return Finding(
        text=f"answer from {answer.ip} in {_span(answer.round_trip_s)}" + (f", {lost} lost" if lost else ""),
        facts={"ip": answer.ip, "lost": float(lost), **times},
        kept={"ip": answer.ip, "lost": float(lost)},
    )


async def _first_answer(flight: Flight, addresses: list[AddressInfo], look: Look) -> Answer:
    """Asks one address after the other; one that cannot be reached is asked no more. Raises OSError."""
    turn = 0
    while True:
        asked = addresses[turn % len(addresses)]
        look.address = shown_address(asked[4])
        try:
            flight.send(asked[0], asked[4])
            answer = await flight.answer(EVERY_S)
        except OSError:
            if len(addresses) == 1:
                raise
            addresses = [address for address in addresses if address is not asked]
            continue
        if answer is not None:
            look.address = shown_address((answer.ip, 0))
            return answer
        turn += 1


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else milliseconds(seconds)
