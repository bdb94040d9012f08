"""The shape of gRPC and WebSocket services, as services.py has it for the others.

What their addresses may say is rpc_targets.py.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec.structs import replace
from pydantic import Field

from watchtower.config import rpc_targets, targets
from watchtower.config.extras import needing
from watchtower.config.problems import Wrong
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    Clash,
    HeaderValue,
    PacedModel,
    judging,
    read_by,
)
from watchtower.config.trusting import TrustingModel
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import GrpcTarget, WsTarget

GrpcLines = Annotated[tuple[Annotated[Condition, judging("grpc")], ...], SEVERAL, LINES_MAX]
WsLines = Annotated[tuple[Annotated[Condition, judging("ws")], ...], SEVERAL, LINES_MAX]


class GrpcModel(TrustingModel, PacedModel):
    """A grpc:// or grpcs:// service."""

    url: Annotated[GrpcTarget, read_by(needing("grpc", rpc_targets.parse_grpc_target))]
    server_name: Annotated[str, read_by(targets.parse_dns_name)] = ""
    expect: GrpcLines = ()
    warn: GrpcLines = ()

    how_to_speak_tls: ClassVar[str] = "write grpcs://"

    def speaks_tls(self) -> bool:
        """By the URL."""
        return self.url.tls

    def target(self) -> GrpcTarget:
        """The address, and how its certificate is judged."""
        return replace(self.trusting(self.url), server_name=self.server_name)


class WsModel(TrustingModel, PacedModel):
    """A ws:// or wss:// service."""

    url: Annotated[WsTarget, read_by(rpc_targets.parse_ws_target)]
    headers: Annotated[dict[str, HeaderValue], Field(max_length=50)] = {}
    send: Annotated[Secret, read_by(rpc_targets.read_message)] | None = None
    expect: WsLines = ()
    warn: WsLines = ()

    how_to_speak_tls: ClassVar[str] = "write wss://"

    def speaks_tls(self) -> bool:
        """By the URL."""
        return self.url.url.startswith("wss:")

    def clashes(self) -> list[Clash]:
        """Keys that do not go together, or with what the URL says."""
        named = [name for name in self.headers if self.url.headers and name.lower() == "authorization"]
        what = "the user info in the URL and this header both set Authorization"
        twice = [(("headers", name), Wrong(what, "keep one of the two")) for name in named]
        return [*twice, *super().clashes()]

    def target(self) -> WsTarget:
        """The URL, how the handshake asks, and what is said after it."""
        return replace(
            self.trusting(self.url),
            headers=(*self.url.headers, *sorted(self.headers.items())),
            send=self.send,
        )
