"""delivery/witness.py: what an attempt's exchanges add up to, and what Retry-After means."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests
import urllib3.connection
import urllib3.exceptions

from watchtower.core.model import Outcome
from watchtower.delivery import witness
from watchtower.delivery.witness import Exchange, Fenced, Recorder
from watchtower.errors import DeliveryError

GONE = Exchange(has_left=True, error="the connection was reset")
ANSWERED = Exchange(has_left=True, status=200)
CUT = Exchange(has_left=True, status=200, error="the connection broke off")


def recorded(*exchanges: Exchange) -> Recorder:
    """A recorder that saw these exchanges."""
    recorder = Recorder(lambda: True)
    recorder.exchanges.extend(exchanges)
    return recorder


@pytest.mark.parametrize(
    ("exchanges", "outcome", "is_permanent"),
    [
        ((), Outcome.NOT_SENT, False),
        ((Exchange(error="connection refused"),), Outcome.NOT_SENT, False),
        ((GONE,), Outcome.AMBIGUOUS, False),
        ((CUT,), Outcome.AMBIGUOUS, False),
        ((Exchange(has_left=True, status=500),), Outcome.REJECTED, False),
        ((Exchange(has_left=True, status=500, error="cut"),), Outcome.REJECTED, False),
        ((Exchange(has_left=True, status=404),), Outcome.REJECTED, True),
        ((Exchange(has_left=True, status=429),), Outcome.REJECTED, False),
        ((Exchange(has_left=True, status=408),), Outcome.REJECTED, False),
        ((Exchange(has_left=True, status=425),), Outcome.REJECTED, False),
        ((ANSWERED, Exchange(has_left=True, status=404)), Outcome.REJECTED, True),
        ((GONE, Exchange(has_left=True, status=404)), Outcome.AMBIGUOUS, False),
        ((ANSWERED, Exchange(is_fenced=True)), Outcome.NOT_SENT, False),
    ],
)
def test_exchanges_that_the_plugin_called_a_failure(
    exchanges: tuple[Exchange, ...], outcome: Outcome, is_permanent: bool
) -> None:
    """The last exchange decides, except that a lost answer anywhere makes the attempt ambiguous."""
    ending = recorded(*exchanges).ending(is_accepted=False)
    assert (ending.outcome, ending.is_permanent) == (outcome, is_permanent)


def test_abandoning_before_the_first_byte_closes_the_fence_for_good() -> None:
    """A thread that gets its connection later must not send after its attempt was given up."""
    recorder = recorded()
    assert recorder.abandon().outcome is Outcome.NOT_SENT
    with pytest.raises(Fenced):
        recorder.pass_fence(None)


def test_abandoning_after_the_first_byte_is_ambiguous_and_ends_the_connection() -> None:
    """The hanging thread's socket is shut down, so that the thread ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        recorder = recorded()
        recorder.pass_fence(ours)
        assert recorder.abandon().outcome is Outcome.AMBIGUOUS
        assert theirs.recv(1) == b""


def test_a_fence_that_refuses_raises_and_marks_the_exchange() -> None:
    """Nothing may be written after a refusal, and the ending says that it was the fence."""
    recorder = Recorder(lambda: False)
    with pytest.raises(Fenced):
        recorder.pass_fence(None)
    ending = recorder.ending(is_accepted=False)
    assert (ending.outcome, ending.is_fenced) == (Outcome.NOT_SENT, True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("7", 7.0),
        ("0", 1.0),
        ("99999999999", 900.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2025 00:00:00 GMT", 1.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("7.5", 0.0),
        ("²", 0.0),
        ("9" * 5_000, 900.0),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str, seconds: float) -> None:
    """RFC 9110 section 10.2.3, held between 1 second and 15 minutes; nonsense is no wish."""
    assert witness.retry_after_s(value, 1_767_225_600.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "https://token@x"), "connection refused"),
        (ssl.SSLCertVerificationError("https://token@x"), "the certificate is not trusted"),
        (socket.gaierror("token"), "the name does not resolve"),
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionResetError())),
            "was reset",
        ),
        (RuntimeError("token"), "RuntimeError"),
    ],
)
def test_causes_are_told_in_fixed_words(error: Exception, words: str) -> None:
    """Exception texts hold URLs, so none of their text is used."""
    assert words in witness.phrase(error)
    assert "token" not in witness.phrase(error)


def test_a_library_without_its_hook_point_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade that moves a hook point stops watchtower at start, with the library named."""
    monkeypatch.delattr(urllib3.connection.HTTPConnection, "request")
    monkeypatch.setattr(witness, "_is_installed", False)
    with pytest.raises(DeliveryError, match=r"urllib3 .* has no HTTPConnection.request"):
        witness.install()
