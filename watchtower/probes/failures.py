"""What a failed look means: an exception of socket, TLS, DNS or HTTP becomes a kind and a line.

Decides which errors are this peer's own fault (no descriptors, no free resolver thread): those lead
to unknown, never to down. Errors that are not listed in FAILURES are bugs and pass through.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import Final

from msgspec.structs import replace

from watchtower.core.model import Kind, Opinion
from watchtower.core.text import clean
from watchtower.probes.look import DOING, Look, Shortfall

_TLS: Final = {
    "WRONG_VERSION_NUMBER": "what answers does not speak TLS",
    "RECORD_LAYER_FAILURE": "what answers does not speak TLS",
    "HTTP_REQUEST": "what answers does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "closed in the middle of the handshake",
    "UNSUPPORTED_PROTOCOL": "the server only speaks an outdated version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server accepts no version that we speak",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refuses, as it does without a common cipher",
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know the name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of ours",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the server speaks none of the protocols that we offer",
    "DH_KEY_TOO_SMALL": "the server's key exchange is too weak",
}
"""OpenSSL's reasons as people read them; OpenSSL's own word follows in parentheses."""


_UNNAMED: Final = re.compile(r"\[SSL\] (.+?)(?: \(|$)")
"""Reasons that Python's ssl has no name for are only in the text."""


class ProtocolError(Exception):
    """The service answered, but not in the protocol it was asked in. The text is for people."""


class RefusalError(ProtocolError):
    """The service speaks its protocol, and says that it will not serve. The text is for people."""


class BrokenOffError(ProtocolError):
    """The service began to answer and hung up. The text is for people."""


class OwnFaultError(Exception):
    """This peer itself could not look. The text is for people."""


FAILURES: Final = (
    OSError,
    ssl.SSLError,
    ProtocolError,
    OwnFaultError,
    UnicodeError,
    EOFError,
)
"""Everything a look may raise for reasons of its target; TimeoutError is an OSError."""

_OWN_FAULTS: Final = {
    errno.EMFILE: "this peer has no free file descriptor",
    errno.ENFILE: "this peer's machine has no free file descriptor",
    errno.ENOBUFS: "this peer's machine has no socket buffers left",
    errno.ENOMEM: "this peer's machine has no memory left",
    errno.EADDRNOTAVAIL: "this peer has no free local port",
}
_UNREACHABLE: Final = {
    errno.ENETUNREACH: "network is unreachable",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETDOWN: "network is down",
    errno.EHOSTDOWN: "host is down",
    errno.EACCES: "connecting is not permitted here",
    errno.EPERM: "connecting is not permitted here",
}
_SAID: Final = {BrokenOffError: Kind.RESET, RefusalError: Kind.STATUS}
_DNS: Final = {
    socket.EAI_NONAME: "name does not exist (NXDOMAIN)",
    getattr(socket, "EAI_NODATA", -5): "name has no address",
    socket.EAI_AGAIN: "no answer from DNS",
    socket.EAI_FAIL: "DNS server failed",
}


def failure(error: BaseException, look: Look) -> Shortfall:
    """The Shortfall that `error` (one of FAILURES) means for the look it ended."""
    match error:
        case TimeoutError():
            found = timed_out(look)
        case socket.gaierror():
            text = _DNS.get(error.errno or 0) or f"name not resolved: {error.strerror or error}"
            found = _down(Kind.DNS, text)
        case ssl.SSLError():
            found = _down(Kind.TLS, _tls(error))
        case OSError():
            found = _from_errno(error, look)
        case OwnFaultError():
            found = Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, clean(str(error)))
        case ProtocolError():
            found = _down(_SAID.get(type(error), Kind.PROTOCOL), str(error))
        case UnicodeError():
            found = _down(Kind.DNS, "not a name that DNS could know")
        case EOFError():
            found = _reset(look, "connection closed")
        case _:
            found = _down(Kind.PROTOCOL, f"{type(error).__name__}: {error}")
    return _of_proxy(found) if look.by_proxy and look.phase in ("resolve", "connect") else found


def _of_proxy(found: Shortfall) -> Shortfall:
    """The same where nobody knows yet whether it is the proxy's trouble or that of what stands behind it."""
    if found.opinion is not Opinion.DOWN or found.kind is Kind.PROTOCOL:
        return found
    return replace(found, text=clean(f"through the proxy: {found.text}"))


def _tls(error: ssl.SSLError) -> str:
    unnamed = _UNNAMED.match(error.strerror or "")
    reason = getattr(error, "reason", "") or (unnamed[1].upper().replace(" ", "_") if unnamed else "")
    known = _TLS.get(reason)
    return f"TLS failed: {known} ({reason})" if known else f"TLS failed: {reason or error.strerror or error}"


def timed_out(look: Look) -> Shortfall:
    """The deadline passed: says in which phase, or whose fault it was when it was ours."""
    if look.own_fault:
        return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, look.own_fault)
    doing = DOING.get(look.phase)
    return _down(Kind.TIMEOUT, f"timeout after {look.budget_s:.1f} s" + (f" while {doing}" if doing else ""))


def _from_errno(error: OSError, look: Look) -> Shortfall:
    number = error.errno or _errno_in(str(error))
    if number in _OWN_FAULTS:
        look.own_fault = _OWN_FAULTS[number]
        return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, _OWN_FAULTS[number])
    if isinstance(error, ConnectionRefusedError) or number == errno.ECONNREFUSED:
        return _down(Kind.REFUSED, f"connection refused{_by(look)}")
    if isinstance(error, ConnectionError) or number in (errno.ECONNRESET, errno.EPIPE):
        return _reset(look)
    if number in _UNREACHABLE:
        return _down(Kind.UNREACHABLE, _UNREACHABLE[number])
    if number == errno.ETIMEDOUT:
        return timed_out(look)
    return _down(Kind.UNREACHABLE, error.strerror or str(error) or type(error).__name__)


def _errno_in(text: str) -> int:
    """The number that several addresses' errors hide in their common text; refused counts most."""
    numbers = (errno.ECONNREFUSED, *_OWN_FAULTS, *_UNREACHABLE)
    return next((number for number in numbers if f"[Errno {number}]" in text), 0)


def _reset(look: Look, what: str = "connection reset") -> Shortfall:
    doing = DOING.get(look.phase)
    return _down(Kind.RESET, what + (f" while {doing}" if doing else ""))


def _by(look: Look) -> str:
    return f" by {look.address}" if look.address else ""


def _down(kind: Kind, text: str) -> Shortfall:
    return Shortfall(Opinion.DOWN, kind, clean(text))
