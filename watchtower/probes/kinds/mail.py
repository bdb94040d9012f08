"""A mail server's greeting, SMTP or IMAP: in the clear, over TLS at once, or followed by STARTTLS.

Good when it greets as its protocol wants and, where TLS is asked for, shows a certificate that is
trusted. Nobody logs in and no mail is sent.
"""

from __future__ import annotations

import ssl
from typing import Final

from watchtower.core.targets import ImapTarget, SmtpTarget
from watchtower.core.text import clean
from watchtower.probes.kinds import tls
from watchtower.probes.look import Finding, Look, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.certificates import pems_of
from watchtower.probes.wires.greetings import Greet, greet_imap, greet_smtp
from watchtower.probes.wires.wire import SHOWN_MAX, quoted

_GREET: Final[dict[str, Greet]] = {"smtp": greet_smtp, "imap": greet_imap}
_LEAVE: Final = {"smtp": "QUIT", "imap": "z LOGOUT"}


async def probe(target: SmtpTarget | ImapTarget, tools: Tools, look: Look) -> Finding:
    """Hear the greeting, and shake hands when that is asked for."""
    protocol = "smtp" if isinstance(target, SmtpTarget) else "imap"
    name = target.server_name or target.host
    starttls = protocol if target.starttls and not target.tls else ""
    pems = pems_of(target)
    door = tls.Door(host=target.host, port=target.port, name=name, starttls=starttls, pems=pems)
    try:
        over_tls = target.tls or target.starttls
        wire, banner = await tls.reach(door, tools, look, over_tls=over_tls, verify=target.verify)
    except ssl.SSLCertVerificationError as error:
        return await tls.distrusted(error, door, tools, look)
    try:
        banner = banner or await _GREET[protocol](wire)
        wire.take_leave(_LEAVE[protocol])
    finally:
        wire.hang_up()
    return _finding(banner, tools, look)


def _finding(banner: str, tools: Tools, look: Look) -> Finding:
    said, facts, kept = tls.seen(tools, look) if look.ssl_object else ("", {}, {})
    over = f", {kept['tls.version']}" if kept else ""
    return Finding(
        text=f"{quoted(banner)} in {milliseconds(look.elapsed_s())}{over}{said}",
        facts={"ip": look.ip, **look.times(), "banner": banner, **facts},
        kept={"ip": look.ip, "banner": clean(banner, SHOWN_MAX), **kept},
    )
