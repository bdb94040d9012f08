"""The shape of gRPC and WebSocket services, as services.py has it for the others.

What their addresses may say is rpc_targets.py.
"""

from __future__ import annotations

from typing import Annotated

from msgspec.structs import replace
from pydantic import Field

from watchtower.config import rpc_targets, targets
from watchtower.config.extras import needing
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    Flag,
    HeaderValue,
    PacedModel,
    ServiceModel,
    judging,
    read_by,
)
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import GrpcTarget, WsTarget

GrpcLines = Annotated[tuple[Annotated[Condition, judging("grpc")], ...], SEVERAL, LINES_MAX]
WsLines = Annotated[tuple[Annotated[Condition, judging("ws")], ...], SEVERAL, LINES_MAX]


class GrpcModel(ServiceModel, PacedModel):
    """A grpc:// or grpcs:// service."""

    url: Annotated[GrpcTarget, read_by(needing("grpc", rpc_targets.parse_grpc_target))]
    server_name: Annotated[str, read_by(targets.parse_dns_name)] = ""
    verify: Flag = True
    expect: GrpcLines = ()
    warn: GrpcLines = ()

    def target(self) -> GrpcTarget:
        """The address, and how its certificate is judged."""
        return replace(self.url, server_name=self.server_name, verify=self.verify)


class WsModel(ServiceModel, PacedModel):
    """A ws:// or wss:// service."""

    url: Annotated[WsTarget, read_by(rpc_targets.parse_ws_target)]
    headers: Annotated[dict[str, HeaderValue], Field(max_length=50)] = {}
    send: Annotated[Secret, read_by(rpc_targets.read_message)] | None = None
    verify: Flag = True
    expect: WsLines = ()
    warn: WsLines = ()

    def target(self) -> WsTarget:
        """The URL, how the handshake asks, and what is said after it."""
        return replace(
            self.url,
            headers=(*self.url.headers, *sorted(self.headers.items())),
            send=self.send,
            verify=self.verify,
        )
