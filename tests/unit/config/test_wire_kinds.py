"""Addresses and keys of smtp, imap, ssh and icmp services, and `send` and `starttls` of tcp and tls."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.config.loader import load, service_from_url
from watchtower.config.problems import Wrong
from watchtower.config.wire_targets import SEND_BYTES_MAX, read_send
from watchtower.core.model import EVIDENCE_TEXT_MAX
from watchtower.core.targets import (
    IcmpTarget,
    ImapTarget,
    SmtpTarget,
    SshTarget,
    Target,
    TcpTarget,
    TlsTarget,
)
from watchtower.errors import ConfigError
from watchtower.probes.wires.echoes import PERMISSION


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("smtp://mail.example.com", SmtpTarget(host="mail.example.com", port=25)),
        ("smtp://mail.example.com:587", SmtpTarget(host="mail.example.com", port=587)),
        ("SMTPS://mail.example.com", SmtpTarget(host="mail.example.com", port=465, tls=True)),
        ("imap://[2001:db8::1]", ImapTarget(host="2001:db8::1", port=143)),
        ("imaps://mail.example.com", ImapTarget(host="mail.example.com", port=993, tls=True)),
        ("ssh://bastion", SshTarget(host="bastion", port=22)),
        ("icmp://192.0.2.1", IcmpTarget(host="192.0.2.1")),
        ("icmp://[::1]", IcmpTarget(host="::1")),
    ],
)
def test_a_url_becomes_a_target(url: str, target: Target) -> None:
    """Each scheme has its usual port."""
    service = service_from_url(url)
    assert service.target == target
    assert service.kind == type(target).__name__.removesuffix("Target").lower()


def test_keys_of_a_file_arrive_in_the_targets(tmp_path: Path) -> None:
    """What a service says of its own ends up where the probe reads it."""
    config = tmp_path / "w.yaml"
    config.write_text(r"""
services:
  cache: {url: tcp://cache:6379, send: 'PING\r\n', expect: banner == +PONG}
  mail: {url: smtp://mail, starttls: true, server_name: mx.example.com, verify: false}
  box: {url: imap://mail, starttls: true}
  cert: {url: tls://files:21, starttls: ftp}
  gate: {url: icmp://gate, size: 1000, warn: [lost == 0, time < 20ms]}
""")
    services = load(config, peer=None, environ={}).services
    cache = services["cache"].target
    assert isinstance(cache, TcpTarget)
    assert cache.send is not None
    assert cache.send.reveal() == "PING\r\n"
    assert "PING" not in repr(cache)
    assert services["mail"].target == SmtpTarget(
        host="mail", port=25, starttls=True, server_name="mx.example.com", verify=False
    )
    assert services["box"].target == ImapTarget(host="mail", port=143, starttls=True)
    assert services["cert"].target == TlsTarget(host="files", port=21, starttls="ftp")
    assert services["gate"].target == IcmpTarget(host="gate", size=1000)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (r"PING\r\n", b"PING\r\n"),
        (r"\x00\xfF\t\\n", b"\x00\xff\t\\n"),
        (r"\0", b"\0"),
        ("ä", "ä".encode()),
    ],
)
def test_what_is_sent_is_bytes(written: str, sent: bytes) -> None:
    """Escapes are single bytes, other text is UTF-8."""
    assert read_send(written).reveal().encode("latin-1") == sent


@pytest.mark.parametrize("written", ["", "\\", r"\x1", r"\xzz", r"\q", "x" * (SEND_BYTES_MAX + 1)])
def test_what_cannot_be_sent_is_refused(written: str) -> None:
    """Nothing, half an escape, an unknown one, and too much."""
    with pytest.raises(Wrong) as caught:
        read_send(written)
    assert "hunter2" not in f"{caught.value.what}{caught.value.fix}"


def test_options_beside_a_url_are_read_as_in_a_file() -> None:
    """One look without a file takes every key, and refuses what the file would."""
    assert service_from_url("smtp://mail", options={"starttls": "true"}).target == SmtpTarget(
        host="mail", port=25, starttls=True
    )
    with pytest.raises(ConfigError, match="did you mean `starttls`"):
        service_from_url("smtp://mail", options={"startls": "true"})


def test_the_missing_permission_fits_into_evidence() -> None:
    """The setting to change must not be cut off."""
    assert len(f"this peer may not ping: {PERMISSION}") <= EVIDENCE_TEXT_MAX
