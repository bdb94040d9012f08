"""Single values: durations, URLs, secrets, one-shot services, detection times.

Each table row is one way that people write or miswrite the value.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchtower.config.loader import service_from_url
from watchtower.config.problems import Wrong
from watchtower.config.strength import check_secret
from watchtower.config.targets import parse_channel_url, parse_server
from watchtower.config.units import duration_text, parse_duration
from watchtower.config.worst_case import OVERHEAD_S, detection_s, refusal_s
from watchtower.core.secret import Secret
from watchtower.core.settings import Confirm, Service
from watchtower.core.targets import DnsTarget, HeartbeatTarget, HttpTarget, TcpTarget, TlsTarget
from watchtower.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("800ms", 0.8),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        ("21d", 1_814_400),
        ("1h30m", 5400),
        ("1.5s", 1.5),
    ],
)
def test_durations_carry_units(text: str, seconds: float) -> None:
    """Every unit of the format, alone and together."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["30", "", "s", "-5s", "1e3s", "5 s", "5S", "23:00", "1y", "٣s", "99999999999s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """No bare numbers, signs, blanks or guesses."""
    with pytest.raises(Wrong):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_durations_read_back(milliseconds: int) -> None:
    """What duration_text writes, parse_duration reads."""
    text = duration_text(milliseconds / 1000)
    if len(text) < 10:
        assert parse_duration(text) == pytest.approx(milliseconds / 1000)


def test_random_secrets_are_strong_enough() -> None:
    """What generators make of 128 bits or more passes, every time."""
    for _ in range(500):
        check_secret(secrets.token_hex(16))
        check_secret(secrets.token_urlsafe(24))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "a" * 64,
        "0123456789abcdef" * 4,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "correct horse battery staple correct horse",
        "14d491fde5a040bd61465c677b463f",
        "changeme14d491fde5a040bd61465c677b463f7a",
        "12345678901234567890123456789012",
    ],
)
def test_weak_secrets_are_refused(secret: str) -> None:
    """Short ones, repeats, runs of the alphabet, words; the text names the command that makes a good one."""
    with pytest.raises(Wrong) as caught:
        check_secret(secret)
    assert "watchtower init" in caught.value.fix
    assert not secret or secret not in caught.value.what


@pytest.mark.parametrize(
    "option", ["retry=3", "RETRY=0", "re%74ry=1", "a=b;wait=5", "x=1&optional=yes", "overflow=split"]
)
def test_channel_options_that_break_delivery_are_refused(option: str) -> None:
    """In whatever spelling apprise would understand them."""
    with pytest.raises(Wrong):
        parse_channel_url(f"slack://a/b/c?{option}")


@pytest.mark.parametrize("url", ["json://h?+retry=3", "json://h?overflow=truncate", "mailto://u:p@h?to=a@b"])
def test_other_channel_options_pass(url: str) -> None:
    """Custom headers (+name) and harmless options are for apprise to judge."""
    assert parse_channel_url(url)[1] == Secret(url)


@pytest.mark.parametrize("url", ["", "slack", "://x", "slack://", "slack:/x", "sl ack://x", "slack://a\nb"])
def test_what_is_no_channel_url_is_refused(url: str) -> None:
    """A scheme and something behind it, on one line."""
    with pytest.raises(Wrong):
        parse_channel_url(url)


@pytest.mark.parametrize(
    ("text", "server"),
    [("8.8.8.8", "8.8.8.8"), ("8.8.8.8:54", "8.8.8.8:54"), ("8.8.8.8:53", "8.8.8.8"), ("::1", "::1"),
     ("[::1]:54", "[::1]:54"), ("ns1.example.com", "ns1.example.com")],
)  # fmt: skip
def test_dns_servers(text: str, server: str) -> None:
    """Host or address, with a port when it is another than 53."""
    assert parse_server(text) == server


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://shop.example.com/healthz", HttpTarget(url="https://shop.example.com/healthz")),
        ("HTTP://127.0.0.1:8080", HttpTarget(url="http://127.0.0.1:8080")),
        ("tcp://db:5432", TcpTarget(host="db", port=5432)),
        ("tls://[::1]:8443", TlsTarget(host="::1", port=8443)),
        ("dns:www.example.com", DnsTarget(name="www.example.com")),
        ("dns:///www.example.com", DnsTarget(name="www.example.com")),
        (
            "dns://8.8.8.8/www.example.com?type=AAAA",
            DnsTarget(name="www.example.com", type="AAAA", servers=("8.8.8.8",)),
        ),
        ("dns://[::1]:5353/example.com", DnsTarget(name="example.com", servers=("[::1]:5353",))),
    ],
)
def test_a_url_is_a_service_for_one_look(url: str, target: object) -> None:
    """Without a file, with defaults for everything else."""
    service = service_from_url(url)
    assert service.target == target
    assert (service.name, service.interval_s, service.timeout_s) == ("probe", 30.0, 10.0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("htps://shop.example.com", "did you mean `https`"),
        ("shop.example.com", "starts with its scheme"),
        ("route53://u:hunter2@h/db", "not part of this release"),
        ("https://u:hunter2@h:99999/", "no such port"),
        ("https://u:hunter2@h:port/", "no URL"),
        ("https://u:p@hunter2/x@h/", "an @ behind the host"),
        ("wss://u:p@h#hunter2@h/", "an @ behind the host"),
        ("mysql://u:12/hunter2@h", "an @ behind the host"),
        ("Heartbeat:1h", "a heartbeat has no URL"),
        ("https://h /?token=hunter2", "blanks"),
        ("dns://authoritative/example.com", "not part of this release"),
        ("dns:exa mple", "no DNS name"),
        ("tcp://u:hunter2@h:1", "only a host and a port"),
    ],
)
def test_a_bad_url_says_what_is_wrong(url: str, expected: str) -> None:
    """One line, with advice, without what is secret in the URL."""
    with pytest.raises(ConfigError, match=expected) as caught:
        service_from_url(url)
    assert "hunter2" not in str(caught.value)


PROBED = Service(
    name="x",
    target=TcpTarget(host="h", port=1),
    voters=("a", "b", "c"),
    interval_s=30,
    timeout_s=10,
    jitter=0.1,
    confirm=Confirm(failures=2, recheck_s=1),
)


@pytest.mark.parametrize(
    ("change", "voters", "everybody", "hangs_s", "refuses_s"),
    [
        # The gap and the jitter, a second without an answer, then as many looks as it takes.
        ({}, "abc", "", 10 + 3 + 1 + 20 + 1, 10 + 3 + 1),
        ({}, "abc", "abc", 35, 14),
        ({"timeout_s": 0.4}, "abc", "", 10 + 3 + 0.4 + 0.8 + 1, 10 + 3 + 1),
        # A lone peer has nobody to wait for.
        ({}, "a", "", 30 + 3 + 20 + 1, 30 + 3 + 1),
        # The second peer comes to its own look before the first has waited that long.
        ({"interval_s": 1.5, "jitter": 0.0}, "abc", "", 0.5 + 0.5 + 20 + 1, 0.5 + 1),
        ({"interval_s": 10, "jitter": 0.0}, "abcde", "", 2 + 1 + 20 + 1, 2 + 1),
        # The turn of the one that does not look is waited through.
        ({"jitter": 0.0}, "ab", "abc", 20 + 1 + 20 + 1, 20 + 1),
        ({"jitter": 0.0}, "a", "abc", 30 + 20 + 1, 30 + 1),
        ({"jitter": 0.0}, "abd", "abcde", 12 + 1 + 20 + 1, 12 + 1),
        # A look that was early and one that is late: half the interval at most.
        ({"jitter": 0.9}, "abc", "", 10 + 15 + 1 + 20 + 1, 10 + 15 + 1),
        ({"confirm": Confirm(failures=1)}, "abc", "", 10 + 3 + 1 + 10, 10 + 3),
    ],
)
def test_detection_time_of_a_probed_service(
    change: dict[str, Any], voters: str, everybody: str, hangs_s: float, refuses_s: float
) -> None:
    """Waiting for a look, the first failure, then as many looks as it takes, and the deciding."""
    service = replace(PROBED, **change)
    assert detection_s(service, voters, everybody) == pytest.approx(hangs_s + OVERHEAD_S)
    assert refusal_s(service, voters, everybody) == pytest.approx(refuses_s + OVERHEAD_S)


def test_detection_time_of_a_heartbeat() -> None:
    """A beat is missed after period and grace, whoever looks."""
    service = Service(name="x", target=HeartbeatTarget(period_s=60, grace_s=30), voters=("a",))
    assert detection_s(service, service.voters) == 90 + OVERHEAD_S
    assert refusal_s(service, service.voters) == 90 + OVERHEAD_S
