"""What this process lacks, noticed by real looks: descriptors, and a resolver that answers."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.core_support import service
from support.targets import closed_port

from watchtower.clock import SystemClock
from watchtower.core.model import Opinion, Result
from watchtower.core.targets import HttpTarget, TcpTarget
from watchtower.probes.prober import Prober


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    """No descriptor more than this process holds already."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def looks(*targets: HttpTarget | TcpTarget) -> tuple[list[Result], str]:
    """A look at each by one prober, and what that lacks afterwards."""

    async def run() -> tuple[list[Result], str]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: False)
        try:
            found = [
                await prober.probe(service(f"s{number}", target, timeout_s=1.0), clock.now().boot + 1.0)
                for number, target in enumerate(targets)
            ]
            return found, prober.means.reason(clock.now().boot)
        finally:
            await prober.close()

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_look_without_a_descriptor_is_noted(kind: str) -> None:
    """It is unknown whoever was to be looked at, and speaks against this peer."""
    port = closed_port()

    async def run() -> tuple[Result, str]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: False)
        target: Any = TcpTarget(host="127.0.0.1", port=port)
        if kind == "http":
            target = HttpTarget(url=f"http://127.0.0.1:{port}/")
        try:
            # The first look opens what all looks share.
            await prober.probe(service("web", target), clock.now().boot + 1.0)
            assert prober.means.reason(clock.now().boot) == ""
            with few_descriptors():
                found = await prober.probe(service("web", target), clock.now().boot + 1.0)
            return found, prober.means.reason(clock.now().boot)
        finally:
            await prober.close()

    found, reason = asyncio.run(run())
    assert found.opinion is Opinion.UNKNOWN
    assert reason == "this peer has no free file descriptor"


def test_a_resolver_that_answers_for_nobody_is_told_from_a_name_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One silent name is its own trouble, two are the resolver's; any answer clears it, even "none such"."""
    errors = {
        "silent.example": socket.gaierror(socket.EAI_AGAIN, "try again"),
        "dumb.example": socket.gaierror(socket.EAI_FAIL, "failed"),
        "missing.example": socket.gaierror(socket.EAI_NONAME, "no such name"),
    }

    def ask(host: str, *rest: Any) -> Any:
        raise errors[host]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    silent, dumb, missing = (HttpTarget(url=f"http://{name}/") for name in errors)
    found, reason = looks(silent, silent)
    assert {one.opinion for one in found} == {Opinion.DOWN}
    assert reason == ""
    assert looks(silent, dumb)[1] == "its resolver answers for no name"
    assert looks(silent, dumb, missing)[1] == ""
