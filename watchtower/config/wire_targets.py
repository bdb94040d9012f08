"""Reads what the kinds that speak on a bare connection have of their own: mail, SSH, ICMP, `send`.

Addresses become targets here; what is said on the wire is the probes' business.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower.config.problems import Wrong
from watchtower.config.targets import checked_host, host_and_port, split_url
from watchtower.core.secret import Secret
from watchtower.core.targets import IcmpTarget, ImapTarget, SmtpTarget, SshTarget

STARTTLS: Final = ("smtp", "imap", "pop3", "ftp", "postgres", "mysql")
"""Protocols that a tls service may speak before its handshake."""
SEND_BYTES_MAX: Final = 4_096
_ESCAPES: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)


def parse_smtp_target(text: str) -> SmtpTarget:
    """Target of `smtp://host[:25]` or `smtps://host[:465]`. Raises Wrong."""
    over_tls = text.lower().startswith("smtps:")
    host, port = host_and_port(text, 465 if over_tls else 25)
    return SmtpTarget(host=host, port=port, tls=over_tls)


def parse_imap_target(text: str) -> ImapTarget:
    """Target of `imap://host[:143]` or `imaps://host[:993]`. Raises Wrong."""
    over_tls = text.lower().startswith("imaps:")
    host, port = host_and_port(text, 993 if over_tls else 143)
    return ImapTarget(host=host, port=port, tls=over_tls)


def parse_ssh_target(text: str) -> SshTarget:
    """Target of `ssh://host[:22]`. Raises Wrong."""
    host, port = host_and_port(text, 22)
    return SshTarget(host=host, port=port)


def parse_icmp_target(text: str) -> IcmpTarget:
    """Target of `icmp://host`. Raises Wrong."""
    if split_url(text).port is not None:
        raise Wrong("ICMP has no ports", "write it like icmp://host")
    host_and_port(text, 1)
    return IcmpTarget(host=checked_host(split_url(text)))


def read_send(text: str) -> Secret:
    r"""What is sent after a TCP connect, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` in it. Raises Wrong."""
    if not text:
        raise Wrong("there is nothing to send", "write it like send: 'PING\\r\\n'")

    def meant(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] not in _ESCAPES:
            what = "this backslash means nothing"
            raise Wrong(what, r"known are \r \n \t \0 \xHH, and \\ for a backslash")
        return _ESCAPES[match[2]]

    # One character for each byte: the probe sends it as Latin-1, so \xHH is that very byte.
    said = _ESCAPE.sub(meant, text.encode().decode("latin-1"))
    if len(said) > SEND_BYTES_MAX:
        raise Wrong("too long", "at most 4 KiB")
    return Secret(said)
