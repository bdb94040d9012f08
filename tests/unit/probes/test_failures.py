"""What an exception means: a kind to group by, a line for people, and whose fault it is."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from support.core_support import instant

from watchtower.core.model import Instant, Kind, Opinion
from watchtower.probes.failures import ProtocolError, failure
from watchtower.probes.look import Look


class StillClock:
    """A clock that always shows the same moment."""

    def now(self) -> Instant:
        """That moment."""
        return instant(100.0)


def look(phase: str = "connect", address: str = "192.0.2.1:80") -> Look:
    """A look of ten seconds that stands in `phase`."""
    made = Look(StillClock(), 110.0)
    made.enter(phase)
    made.address = address
    return made


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Kind.REFUSED, "connection refused by 192.0.2.1:80"),
        (ConnectionResetError(errno.ECONNRESET, "x"), Kind.RESET, "connection reset while connecting"),
        (BrokenPipeError(errno.EPIPE, "x"), Kind.RESET, "connection reset while connecting"),
        (TimeoutError(), Kind.TIMEOUT, "timeout after 10.0 s while connecting"),
        (OSError(errno.ETIMEDOUT, "x"), Kind.TIMEOUT, "timeout after 10.0 s while connecting"),
        (OSError(errno.ENETUNREACH, "x"), Kind.UNREACHABLE, "network is unreachable"),
        (OSError(errno.EHOSTUNREACH, "x"), Kind.UNREACHABLE, "no route to host"),
        (OSError(errno.EACCES, "x"), Kind.UNREACHABLE, "connecting is not permitted here"),
        (OSError("something new"), Kind.UNREACHABLE, "something new"),
        (
            OSError("Multiple exceptions: [Errno 101] unreachable, [Errno 111] refused"),
            Kind.REFUSED,
            "connection refused by 192.0.2.1:80",
        ),
        (socket.gaierror(socket.EAI_NONAME, "x"), Kind.DNS, "name does not exist (NXDOMAIN)"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), Kind.DNS, "no answer from DNS"),
        (socket.gaierror(socket.EAI_FAMILY, "odd"), Kind.DNS, "name not resolved: odd"),
        (
            ssl.SSLError(1, "[SSL] wrong version number"),
            Kind.TLS,
            "TLS failed: what answers does not speak TLS (WRONG_VERSION_NUMBER)",
        ),
        (ssl.SSLError(1, "[SSL] tlsv9 alert odd (_ssl.c:1)"), Kind.TLS, "TLS failed: TLSV9_ALERT_ODD"),
        (ssl.SSLError(1, "something else"), Kind.TLS, "TLS failed: something else"),
        (ProtocolError("a\x00b\nc http://u:p@h/"), Kind.PROTOCOL, "ab c http://***@h/"),
        (UnicodeError("label too long"), Kind.DNS, "not a name that DNS could know"),
        (EOFError(), Kind.RESET, "connection closed while connecting"),
    ],
)
def test_each_error_has_a_kind_and_a_line(error: Exception, kind: Kind, text: str) -> None:
    """All of these are the service's trouble as far as anybody can tell: down."""
    found = failure(error, look())
    assert (found.opinion, found.kind, found.text) == (Opinion.DOWN, kind, text)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL]
)
def test_what_this_machine_lacks_is_its_own_fault(number: int) -> None:
    """Descriptors, buffers, memory, ports: unknown, with a text that names this peer."""
    for error in (OSError(number, "x"), OSError(f"Multiple exceptions: [Errno {number}] a, b")):
        found = failure(error, look())
        assert (found.opinion, found.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
        assert found.text.startswith("this peer")


def test_a_timeout_of_our_own_making_is_inconclusive() -> None:
    """When this peer held the look up, the deadline says nothing about the service."""
    held_up = look("resolve")
    held_up.own_fault = "all 32 resolver threads of this peer are busy"
    assert failure(TimeoutError(), held_up).opinion is Opinion.UNKNOWN
