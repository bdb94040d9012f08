"""What can be looked at, a struct for each kind: the address, and how to look there.

A service holds one of them; the loader makes them from the file, the probe of that kind reads them.
Defaults of the file format and limits are the loader's.
"""

from __future__ import annotations

from msgspec import Struct

from watchtower.core.secret import Secret


class HttpTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """GET (or another method) on an http:// or https:// URL."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, Secret], ...] = ()
    body: str = ""
    follow_redirects: int = 5
    verify: bool = True


class TcpTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="tcp"):
    """A TCP connect."""

    host: str
    port: int


class TlsTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="tls"):
    """A TLS handshake and the certificate that was shown."""

    host: str
    port: int
    server_name: str = ""
    verify: bool = True


class DnsTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="dns"):
    """One DNS question. `servers` are `host[:port]`; empty means the system's resolvers."""

    name: str
    type: str = "A"
    servers: tuple[str, ...] = ()


class HeartbeatTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """A signal FROM a service, expected every `period_s`, missing after `grace_s` more."""

    period_s: float
    grace_s: float


class PeerTarget(Struct, frozen=True, kw_only=True, tag_field="kind", tag="peer"):
    """Another peer: its HTTP readiness and our cluster link to it."""

    peer: str
    url: str


Target = HttpTarget | TcpTarget | TlsTarget | DnsTarget | HeartbeatTarget | PeerTarget
