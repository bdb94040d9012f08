"""A TCP connect: good when some address of the host accepts within the deadline.

Nothing is sent and nothing is read; the connection is closed at once.
"""

from __future__ import annotations

from watchtower.core.targets import TcpTarget
from watchtower.probes.look import Finding, Look, milliseconds
from watchtower.probes.tools import Tools


async def probe(target: TcpTarget, tools: Tools, look: Look) -> Finding:
    """Connect and hang up."""
    connected = await tools.connect(target.host, target.port, look)
    connected.close()
    return Finding(
        text=f"connected in {milliseconds(look.elapsed_s())}",
        facts={"ip": look.ip, **look.times()},
        kept={"ip": look.ip},
    )
