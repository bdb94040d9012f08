"""The shape of each kind of service: a model of its own, so that a key of another kind is an error.

Keys that every probed service has come from schema.py; what addresses may say is targets.py.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from msgspec.structs import replace
from pydantic import BeforeValidator, Field

from watchtower.config import readers, targets, wire_targets
from watchtower.config.problems import Wrong
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    Clash,
    Flag,
    PacedModel,
    Server,
    ServiceModel,
    judging,
    list_of_one,
    read_by,
)
from watchtower.config.trusting import TrustingModel
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import (
    DnsTarget,
    HeartbeatTarget,
    IcmpTarget,
    ImapTarget,
    MailTarget,
    SmtpTarget,
    SshTarget,
    TcpTarget,
    TlsTarget,
)

TcpLines = Annotated[tuple[Annotated[Condition, judging("tcp")], ...], SEVERAL, LINES_MAX]
TlsLines = Annotated[tuple[Annotated[Condition, judging("tls")], ...], SEVERAL, LINES_MAX]
DnsLines = Annotated[tuple[Annotated[Condition, judging("dns")], ...], SEVERAL, LINES_MAX]

M = TypeVar("M", bound=MailTarget)


class TcpModel(ServiceModel, PacedModel):
    """A tcp:// service."""

    url: Annotated[TcpTarget, read_by(targets.parse_tcp_target)]
    send: Annotated[Secret, read_by(wire_targets.read_send)] | None = None
    expect: TcpLines = ()
    warn: TcpLines = ()

    def target(self) -> TcpTarget:
        """The address, and what is said there."""
        return replace(self.url, send=self.send)


class TlsModel(TrustingModel, PacedModel):
    """A tls:// service."""

    url: Annotated[TlsTarget, read_by(targets.parse_tls_target)]
    expect: TlsLines = ()
    warn: TlsLines = ()
    server_name: Annotated[str, read_by(targets.parse_dns_name)] = ""
    starttls: Annotated[str, read_by(readers.one_of(*wire_targets.STARTTLS))] = ""

    def target(self) -> TlsTarget:
        """The address, and how its certificate is judged."""
        return replace(self.trusting(self.url), server_name=self.server_name, starttls=self.starttls)


class DnsModel(ServiceModel, PacedModel):
    """A DNS question, written as `dns: name`."""

    dns: Annotated[str, read_by(targets.parse_dns_name)]
    type: Annotated[str, read_by(targets.parse_record_type)] = "A"
    servers: Annotated[tuple[Server, ...], BeforeValidator(list_of_one), Field(max_length=10)] = ()
    expect: DnsLines = ()
    warn: DnsLines = ()

    def target(self) -> DnsTarget:
        """The question and who is asked."""
        return DnsTarget(name=self.dns, type=self.type, servers=self.servers)


class DnsUrlModel(ServiceModel, PacedModel):
    """A DNS question, written as a dns: URL."""

    url: Annotated[DnsTarget, read_by(targets.parse_dns_target)]
    expect: DnsLines = ()
    warn: DnsLines = ()

    def target(self) -> DnsTarget:
        """The question and who is asked, as the URL says."""
        return self.url


class HeartbeatModel(ServiceModel):
    """A signal from a service."""

    heartbeat: Annotated[HeartbeatTarget, read_by(readers.read_rhythm)]
    grace: Annotated[float, read_by(readers.duration_between(0, 366 * 86_400))] = 300.0
    tz: Annotated[str, read_by(readers.read_timezone)] = "UTC"

    def clashes(self) -> list[Clash]:
        """A time zone belongs to a schedule."""
        if "tz" not in self.model_fields_set or self.heartbeat.cron:
            return []
        what = "a period is the same in every time zone"
        return [(("tz",), Wrong(what, "remove it, or write a schedule like 15 3 * * *"))]

    def target(self) -> HeartbeatTarget:
        """When signals are expected."""
        return replace(self.heartbeat, grace_s=self.grace, timezone=self.tz)


SmtpLines = Annotated[tuple[Annotated[Condition, judging("smtp")], ...], SEVERAL, LINES_MAX]
ImapLines = Annotated[tuple[Annotated[Condition, judging("imap")], ...], SEVERAL, LINES_MAX]
SshLines = Annotated[tuple[Annotated[Condition, judging("ssh")], ...], SEVERAL, LINES_MAX]
IcmpLines = Annotated[tuple[Annotated[Condition, judging("icmp")], ...], SEVERAL, LINES_MAX]


class MailModel(TrustingModel, PacedModel):
    """What smtp and imap services have in common."""

    starttls: Flag = False
    server_name: Annotated[str, read_by(targets.parse_dns_name)] = ""

    how_to_speak_tls: ClassVar[str] = "set `starttls: true`, or write smtps:// or imaps://"

    @property
    def _url(self) -> MailTarget:
        url: MailTarget = getattr(self, "url")  # noqa: B009 - each kind has one of its own
        return url

    def speaks_tls(self) -> bool:
        """By the URL, or after the greeting."""
        return self._url.tls or self.starttls

    def clashes(self) -> list[Clash]:
        """Keys that do not go together, or with what the URL says."""
        if not (self.starttls and self._url.tls):
            return super().clashes()
        what = "smtps:// and imaps:// speak TLS from the first byte on, there is nothing to start"
        twice = Wrong(what, "remove it, or write smtp:// or imap://")
        return [(("starttls",), twice), *super().clashes()]

    def mail(self, url: M) -> M:
        """The target of the URL with what the keys say."""
        return replace(self.trusting(url), starttls=self.starttls, server_name=self.server_name)


class SmtpModel(MailModel):
    """An smtp:// or smtps:// service."""

    url: Annotated[SmtpTarget, read_by(wire_targets.parse_smtp_target)]
    expect: SmtpLines = ()
    warn: SmtpLines = ()

    def target(self) -> SmtpTarget:
        """The address, and how TLS is spoken there."""
        return self.mail(self.url)


class ImapModel(MailModel):
    """An imap:// or imaps:// service."""

    url: Annotated[ImapTarget, read_by(wire_targets.parse_imap_target)]
    expect: ImapLines = ()
    warn: ImapLines = ()

    def target(self) -> ImapTarget:
        """The address, and how TLS is spoken there."""
        return self.mail(self.url)


class SshModel(ServiceModel, PacedModel):
    """An ssh:// service."""

    url: Annotated[SshTarget, read_by(wire_targets.parse_ssh_target)]
    expect: SshLines = ()
    warn: SshLines = ()

    def target(self) -> SshTarget:
        """The address."""
        return self.url


class IcmpModel(ServiceModel, PacedModel):
    """An icmp:// service."""

    url: Annotated[IcmpTarget, read_by(wire_targets.parse_icmp_target)]
    size: Annotated[int, read_by(readers.count_between(16, 1400))] = 56
    expect: IcmpLines = ()
    warn: IcmpLines = ()

    def target(self) -> IcmpTarget:
        """Who is pinged, and with how much."""
        return replace(self.url, size=self.size)
