"""A service's own PEM files: read once for all looks, again after a while, and told when they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.history_support import SetClock
from support.targets import Authority

from watchtower.probes.failures import OwnFaultError
from watchtower.probes.tools import PEMS_KEPT_S, Tools
from watchtower.probes.wires.certificates import Pems


@pytest.fixture
def clock() -> SetClock:
    """The clock of the tools."""
    return SetClock()


@pytest.fixture
def tools(clock: SetClock) -> Iterator[Tools]:
    """Tools that nobody looks with."""
    made = Tools(clock, "a", lambda _peer: False)
    yield made
    asyncio.run(made.close())


def test_files_are_read_again_after_a_while(tools: Tools, clock: SetClock, tmp_path: Path) -> None:
    """A certificate is renewed in place; looks in between share what was read."""
    pems = Pems(ca=str(Authority(tmp_path, "First").ca_file))
    first = tools.trust(verify=True, pems=pems)
    (shown,) = first.get_ca_certs()
    assert shown["subject"] == ((("commonName", "First"),),)
    Authority(tmp_path, "Second")
    clock.pass_s(PEMS_KEPT_S)
    assert tools.trust(verify=True, pems=pems) is first
    clock.pass_s(1)
    (shown,) = tools.trust(verify=True, pems=pems).get_ca_certs()
    assert shown["subject"] == ((("commonName", "Second"),),)


def test_services_without_files_share_what_is_read_at_the_start(tools: Tools) -> None:
    """One context for each setting."""
    assert tools.trust(verify=True) is tools.trust(verify=True, pems=Pems())
    assert tools.trust(verify=True) is not tools.trust(verify=False)


@pytest.mark.parametrize(
    "words", [None, "", "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_cannot_be_used_is_this_peers_trouble(
    tools: Tools, tmp_path: Path, words: str | None
) -> None:
    """Not there, empty, nonsense: nothing is known of the service then."""
    file = tmp_path / "ca.pem"
    if words is not None:
        file.write_text(words)
    for pems in (Pems(ca=str(file)), Pems(cert=str(file))):
        with pytest.raises(OwnFaultError, match="a PEM file of this service cannot be used here"):
            tools.trust(verify=True, pems=pems)
