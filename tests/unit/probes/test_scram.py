"""SCRAM-SHA-256: the example of RFC 7677, servers that cheat, and passwords beyond ASCII."""

from __future__ import annotations

import pytest

from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.scram import ROUNDS_MAX, Exchange, prepared

NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def exchange() -> Exchange:
    """The RFC's login; PostgreSQL names the user elsewhere, so that its name is empty here."""
    made = Exchange("pencil", NONCE)
    made._bare = f"n=user,r={NONCE}"
    return made


def test_the_example_of_the_rfc() -> None:
    """RFC 7677, section 3."""
    login = exchange()
    assert Exchange("pencil", NONCE).first() == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
    proof = login.proof(CHALLENGE)
    assert proof == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    login.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "last", [b"", b"v=", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95H4=", b"v=%%", b"e=x"]
)
def test_a_server_without_the_password_is_found_out(last: bytes) -> None:
    """It cannot sign what was said."""
    login = exchange()
    login.proof(CHALLENGE)
    with pytest.raises(ProtocolError, match="cannot prove"):
        login.check(last)
    with pytest.raises(ProtocolError, match="cannot prove"):
        exchange().check(last)


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"\xff\xfe",
        b"r=other,s=AAAA,i=4096",
        f"r={NONCE},s=AAAA,i=4096".encode(),
        f"r={NONCE}x,s=****,i=4096".encode(),
        f"r={NONCE}x,s=AAAA,i=many".encode(),
        f"r={NONCE}x,s=AAAA".encode(),
        f"r={NONCE}x,s={'A' * 4096},i=1".encode(),
    ],
)
def test_nonsense_is_refused(challenge: bytes) -> None:
    """A challenge that is none, not for us, or larger than any."""
    with pytest.raises(ProtocolError):
        exchange().proof(challenge)


@pytest.mark.parametrize("rounds", ["0", "-1", str(ROUNDS_MAX + 1), "9" * 400])
def test_rounds_have_a_limit(rounds: str) -> None:
    """A server does not say how long this process works for it."""
    with pytest.raises(RefusalError, match="rounds of SCRAM"):
        exchange().proof(f"r={NONCE}x,s=AAAA,i={rounds}".encode())


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("plain", "plain"),
        ("I\u00adX", "IX"),
        ("\u2168", "IX"),
        ("\u00aa", "a"),
        ("a\u00a0ß", "a ß"),
        ("ü\u0007", "ü\u0007"),
    ],
)
def test_passwords_are_prepared(password: str, said: str) -> None:
    """RFC 4013, section 3; what it forbids is sent as it is, as libpq does."""
    assert prepared(password) == said.encode()
