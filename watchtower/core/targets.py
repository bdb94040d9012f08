"""What can be looked at, a struct for each kind: the address, and how to look there.

A service holds one of them; the loader makes them from the file, the probe of that kind reads them.
Defaults of the file format and limits are the loader's.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from watchtower.core.secret import Secret


class OAuth2(Struct, frozen=True, kw_only=True):
    """Client credentials (RFC 6749, 4.4): who asks `token_url` for a token, and for what."""

    token_url: str
    client_id: str
    client_secret: Secret
    scope: str = ""


class Trusting(Struct, frozen=True, kw_only=True):
    """What may be said over TLS: whether the certificate must be valid, and paths of PEM files.

    `ca` are the authorities to trust instead of the system's, `cert` and `key` who we are.
    """

    verify: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""


class HttpTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """GET (or another method) on an http:// or https:// URL.

    `address` is connected to instead of the URL's host, at the URL's port when its own is 0; `ip` is `4`,
    `6` or "" for either; `resolver` a DNS server `host[:port]`.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, Secret], ...] = ()
    body: str = ""
    follow_redirects: int = 5
    connection: str = "fresh"
    oauth2: OAuth2 | None = None
    proxy: Secret | None = None
    address: tuple[str, int] = ("", 0)
    ip: str = ""
    resolver: str = ""
    http_version: str = "1.1"


class TcpTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="tcp"):
    """A TCP connect; something may be said, and what comes back may be judged."""

    host: str
    port: int
    send: Secret | None = None


class TlsTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="tls"):
    """A TLS handshake and the certificate that was shown, at once or after `starttls` of a protocol."""

    host: str
    port: int
    server_name: str = ""
    starttls: str = ""


class DnsTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="dns"):
    """One DNS question. `servers` are `host[:port]`; empty means the system's resolvers."""

    name: str
    type: str = "A"
    servers: tuple[str, ...] = ()


class HeartbeatTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """A signal FROM a service, every `period_s` or at the times of `cron`; missing after `grace_s` more.

    A run that began may take `grace_s`. `cron` is "" where the period counts.
    """

    grace_s: float
    period_s: float = 0.0
    cron: str = ""
    timezone: str = "UTC"


class PeerTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="peer"):
    """Another peer: its HTTP readiness and our cluster link to it."""

    peer: str
    url: str


class MailTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="mail"):
    """The greeting of a mail server: in the clear, over TLS at once (`tls`), or followed by STARTTLS."""

    host: str
    port: int
    tls: bool = False
    starttls: bool = False
    server_name: str = ""


class SmtpTarget(MailTarget, frozen=True, kw_only=True, tag="smtp"):
    """The greeting of an SMTP server."""


class ImapTarget(MailTarget, frozen=True, kw_only=True, tag="imap"):
    """The greeting of an IMAP server."""


class SshTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ssh"):
    """The version line of an SSH server."""

    host: str
    port: int


class IcmpTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="icmp"):
    """ICMP echoes, one a second until the first answer; `size` bytes of data in each."""

    host: str
    size: int = 56


GRPC_STATUSES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
"""What a gRPC health service says, by number."""
# fmt: off
GRPC_CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)
# fmt: on
"""How a gRPC call may end, by number."""


class GrpcTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="grpc"):
    """A call of grpc.health.v1.Health/Check; an empty `service` asks for the server as a whole."""

    host: str
    port: int
    service: str = ""
    tls: bool = False
    server_name: str = ""


class WsTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="ws"):
    """A WebSocket handshake on a ws:// or wss:// URL; a text message may be sent after it."""

    url: str
    headers: tuple[tuple[str, Secret], ...] = ()
    send: Secret | None = None


class LoginTarget(Trusting, frozen=True, kw_only=True, tag_field="kind", tag="login"):
    """Who logs in where, and whether over TLS: what the kinds that log in have in common."""

    host: str
    port: int
    user: str = ""
    password: Secret | None = None
    tls: bool = False
    server_name: str = ""


class PostgresTarget(LoginTarget, frozen=True, kw_only=True, tag="postgres"):
    """A login to PostgreSQL and a query there; `query` is secret because it may have been put in."""

    database: str
    query: Secret = Secret("select 1")


class ExecTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="exec"):
    """A program of this machine by its whole path, without a shell; `env` joins a bare environment.

    `hidden` are parts of its arguments that must not be repeated when the program says them.
    """

    program: str
    arguments: tuple[Secret, ...] = ()
    env: tuple[tuple[str, Secret], ...] = ()
    hidden: tuple[Secret, ...] = ()


class MysqlTarget(LoginTarget, frozen=True, kw_only=True, tag="mysql"):
    """A login to MySQL or MariaDB and a query there."""

    database: str = ""
    query: Secret = Secret("select 1")


class RedisTarget(LoginTarget, frozen=True, kw_only=True, tag="redis"):
    """A command to Redis, after a login where there is a password."""

    database: int = 0
    query: Secret = Secret("PING")


class AmqpTarget(LoginTarget, frozen=True, kw_only=True, tag="amqp"):
    """A login to a virtual host of an AMQP 0-9-1 broker, and a look at a queue when one is named."""

    vhost: str = "/"
    queue: str = ""
    publish: bool = False


Target = (
    HttpTarget
    | TcpTarget
    | TlsTarget
    | DnsTarget
    | HeartbeatTarget
    | PeerTarget
    | SmtpTarget
    | ImapTarget
    | SshTarget
    | IcmpTarget
    | GrpcTarget
    | WsTarget
    | PostgresTarget
    | ExecTarget
    | MysqlTarget
    | RedisTarget
    | AmqpTarget
)
