"""gRPC servers for looks: grpcio's own, and single HTTP/2 answers written frame by frame.

What they say is all they decide; no expectation stands here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import hpack
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame
from support.targets import Handler, hang, say

OK_HEAD = ((":status", "200"), ("content-type", "application/grpc"))
SERVING = b"\0\0\0\0\x02\x08\x01"


@contextlib.contextmanager
def grpc_server(
    statuses: Mapping[str, str] | None = None, servicer: Any = None, pem: Path | None = None
) -> Iterator[int]:
    """The port of a grpcio server whose health service knows `statuses`, or is `servicer`, or is not there.

    With `pem`, a file of a certificate and its key, it speaks TLS.
    """
    server = grpc.server(ThreadPoolExecutor(2))
    if servicer is None and statuses is not None:
        servicer = health.HealthServicer()
        for name, status in statuses.items():
            servicer.set(name, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    if servicer is not None:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if pem is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        both = pem.read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(both, both)]))
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait(5)


class Aborting(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # grpc ships no types
    """A health service that ends every call with `code` and `details`; `left_s` and `who` are of the last."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code = code
        self._details = details
        self.left_s = 0.0
        self.who = ""

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the call
        """End the call."""
        self.left_s = context.time_remaining()
        self.who = dict(context.invocation_metadata())["user-agent"]
        context.abort(self._code, self._details)


class Hanging(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # grpc ships no types
    """A health service that answers nobody before `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the call
        """Wait."""
        self.go_on.wait(20)
        return health_pb2.HealthCheckResponse()


def frames(*said: Frame) -> bytes:
    """Frames as they go over the wire."""
    return b"".join(frame.serialize() for frame in said)


def settings(**fields: Any) -> SettingsFrame:
    """What a server says first."""
    return SettingsFrame(0, **fields)


def head(*headers: tuple[str, str], ends: bool = False) -> HeadersFrame:
    """Headers or trailers of our call. Nothing is put into the dynamic table, so each stands alone."""
    flags = ["END_HEADERS", "END_STREAM"] if ends else ["END_HEADERS"]
    coded = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*header) for header in headers])
    return HeadersFrame(1, coded, flags=flags)


def data(body: bytes, *, ends: bool = False) -> DataFrame:
    """A piece of the body."""
    return DataFrame(1, body, flags=["END_STREAM"] if ends else [])


def asked(then: Handler) -> Handler:
    """Hears the empty request before it goes on as `then`: a close with something unread would be a reset."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(65_536)
        while not heard.endswith(bytes(5)) and (more := await reader.read(65_536)):
            heard += more
        await then(reader, writer)

    return handler


def answering(*said: Frame, then: Handler = hang) -> Handler:
    """Says SETTINGS and then those frames, whatever it is asked, and goes on as `then`."""
    return say(frames(settings(), *said), then)
