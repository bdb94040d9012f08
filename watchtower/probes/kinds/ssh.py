"""An SSH server's version line. Nobody logs in and no keys are exchanged.

We say our own version line before we hang up, so that the server's log tells of a client that left
rather than of a scan.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.targets import SshTarget
from watchtower.core.text import clean
from watchtower.probes.look import Finding, Look, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.greetings import greet_ssh
from watchtower.probes.wires.wire import SHOWN_MAX, Wire, quoted

_OUR_VERSION: Final = "SSH-2.0-watchtower"


async def probe(target: SshTarget, tools: Tools, look: Look) -> Finding:
    """Hear the version line, say ours, and hang up."""
    wire = Wire(await tools.connect(target.host, target.port, look), look)
    try:
        banner = await greet_ssh(wire)
        wire.take_leave(_OUR_VERSION)
    finally:
        wire.hang_up()
    return Finding(
        text=f"{quoted(banner)} in {milliseconds(look.elapsed_s())}",
        facts={"ip": look.ip, **look.times(), "banner": banner},
        kept={"ip": look.ip, "banner": clean(banner, SHOWN_MAX)},
    )
