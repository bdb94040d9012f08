"""Reads what gRPC and WebSocket services have of their own: addresses, and the first message.

Addresses become targets here; what is said on the wire is the probes' business.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from watchtower.config.problems import Wrong
from watchtower.config.targets import checked_host, parse_http_url, split_url
from watchtower.core.secret import Secret
from watchtower.core.targets import GrpcTarget, WsTarget

SERVICE_NAME_MAX: Final = 200
MESSAGE_MAX: Final = 4_096


def parse_grpc_target(text: str) -> GrpcTarget:
    """Target of `grpc://host:port[/service]` or `grpcs://host[:443][/service]`. Raises Wrong."""
    parts = split_url(text)
    over_tls = parts.scheme == "grpcs"
    if parts.username is not None or parts.query or parts.fragment:
        what = "only a host, a port and a service belong here"
        raise Wrong(what, f"write it like {parts.scheme}://host:port/my.package.Service")
    if parts.port is None and not over_tls:
        raise Wrong("the port is missing", "write it like grpc://host:port")
    service = unquote(parts.path.removeprefix("/"))
    if len(service) > SERVICE_NAME_MAX or not service.isprintable():
        raise Wrong("this is no name of a service", "write it like grpc://host:port/my.package.Service")
    return GrpcTarget(host=checked_host(parts), port=parts.port or 443, service=service, tls=over_tls)


def parse_ws_target(text: str) -> WsTarget:
    """Target of a ws:// or wss:// URL; user info becomes an Authorization header. Raises Wrong."""
    url, credentials = parse_http_url("http" + text[len("ws") :])
    headers = (("Authorization", credentials),) if credentials is not None else ()
    return WsTarget(url="ws" + url[len("http") :], headers=headers)


def read_message(text: str) -> Secret:
    """The text message that is sent after the handshake. Raises Wrong."""
    if not text:
        raise Wrong("there is nothing to send", 'write it like send: \'{"type": "ping"}\'')
    if len(text.encode()) > MESSAGE_MAX:
        raise Wrong("too long", "at most 4 KiB")
    return Secret(text)
