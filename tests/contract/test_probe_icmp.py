"""Pings: over loopback, in network namespaces with links that are cut, with each permission and without."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.cluster_support import wait_for
from support.core_support import service
from support.looking import condition, look
from support.networks import Networks

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import IcmpTarget
from watchtower.probes.prober import Prober
from watchtower.probes.wires.echoes import _packet

ROOT = Path(__file__).parents[2]
HAS_IPV6 = Path("/proc/net/if_inet6").exists()
WITHOUT_RAW = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
"""Root, but without CAP_NET_RAW: only the unprivileged kind of socket is left."""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_answers(host: str) -> None:
    """Both families answer, and the round trip is the field `time`."""
    if host == "::1" and not HAS_IPV6:
        pytest.skip("the kernel has no IPv6")
    soon = condition("time < 200ms", "time", "<", 0.2)
    none = condition("lost == 0", "lost", "==", 0.0)
    result = asyncio.run(look(IcmpTarget(host=host, size=1400), expect=(soon, none)))
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert result.text.startswith("answer from ")
    assert result.facts["lost"] == 0
    assert result.facts["ip"] in ("127.0.0.1", "::1")


def test_a_thousand_at_once_share_one_socket() -> None:
    """Many looks at the same time get their own answers, over one socket for each family."""

    async def run() -> tuple[list[Result], int]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        try:
            looks = [
                prober.probe(
                    service("web", IcmpTarget(host=f"127.0.{n % 4}.{n % 250 + 1}")), clock.now().boot + 10
                )
                for n in range(1000)
            ]
            results = await asyncio.gather(*looks)
            return results, sum(len(door._waiting) for door in prober._tools.echoes._doors.values())
        finally:
            await prober.close()

    results, still_waiting = asyncio.run(run())
    for n, result in enumerate(results):
        assert (result.opinion, result.facts["ip"]) == (Opinion.UP, f"127.0.{n % 4}.{n % 250 + 1}"), (
            result.text
        )
    assert still_waiting == 0


def test_forged_answers_do_not_count() -> None:
    """Answers with the wrong data or sender, cut ones and garbage are passed over, and break nothing."""

    async def run() -> tuple[Result, Result]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        try:
            first = await prober.probe(service("web", IcmpTarget(host="127.0.0.1")), clock.now().boot + 2)
            (door,) = prober._tools.echoes._doors.values()
            with prober._tools.echoes.flight(56) as flight:
                flight.send(socket.AF_INET, ("192.0.2.77", 0))
                (sequence,) = door._waiting
                right = flight.token + bytes(48)
                for packet, sender in (
                    (b"", "192.0.2.77"),
                    (b"\x00" * 7, "192.0.2.77"),
                    (_packet(0, door._ident, sequence, bytes(56)), "192.0.2.77"),
                    (_packet(0, door._ident, sequence, right), "192.0.2.78"),
                    (_packet(0, door._ident, sequence ^ 1, right), "192.0.2.77"),
                    (_packet(8, door._ident, sequence, right), "192.0.2.77"),
                    (_packet(3, 0, 0, b"\xff"), "192.0.2.77"),
                    (_packet(3, 0, 0, b"\x45" + bytes(19)), "192.0.2.77"),
                ):
                    door._take(packet, sender, clock.now().boot)
                assert await flight.answer(0.05) is None
                door._take(_packet(0, door._ident, sequence, right), "192.0.2.77", clock.now().boot)
                answer = await flight.answer(0.05)
                assert answer is not None
                assert answer.ip == "192.0.2.77"
            second = await prober.probe(service("web", IcmpTarget(host="127.0.0.1")), clock.now().boot + 2)
        finally:
            await prober.close()
        return first, second

    first, second = asyncio.run(run())
    assert (first.opinion, second.opinion) == (Opinion.UP, Opinion.UP)


def test_a_name_that_does_not_exist() -> None:
    """DNS trouble is told as such."""
    result = asyncio.run(look(IcmpTarget(host="nobody.invalid")))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.DNS)


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    """Two namespaces; `open` lets everybody ping."""
    with Networks(("open", "shut")) as made:
        for name, groups in (("open", "0 2147483647"), ("shut", "1 0")):
            words = ["sh", "-c", f"echo {groups} > /proc/sys/net/ipv4/ping_group_range"]
            subprocess.run([*made.prefix()[name], *words], check=True)
        for name in ("open", "shut"):
            wait_for(partial(carries, made, name), 30, f"the link of {name}")
        yield made


def carries(networks: Networks, name: str) -> bool:
    """Whether the link of a namespace carries packets; a new bridge takes its time on a busy machine."""
    return probe(networks, name, f"icmp://{networks.gateway}", raw=True)[0] == 0


def probe(
    networks: Networks, name: str, url: str, *, raw: bool, timeout: float = 10.0
) -> tuple[int, dict[str, Any]]:
    """`watchtower probe` inside a namespace: its exit code and document."""
    words = [*networks.prefix()[name], *(() if raw else WITHOUT_RAW), sys.executable, "-m", "watchtower"]
    words += ["probe", url, "--json", "--timeout", str(timeout)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("raw", [False, True], ids=["unprivileged", "raw"])
def test_each_kind_of_socket(networks: Networks, raw: bool) -> None:
    """Either permission is enough: a neighbour answers, a silent one does not, a net without way is told."""
    name = "shut" if raw else "open"
    code, found = probe(networks, name, f"icmp://{networks.gateway}", raw=raw)
    assert (code, found["opinion"]) == (0, "up"), found
    code, found = probe(networks, name, "icmp://203.0.113.9", raw=raw)
    assert (code, found["reason"], found["text"]) == (2, "unreachable", "network is unreachable")
    if HAS_IPV6:
        code, found = probe(networks, name, "icmp://[::1]", raw=raw)
        assert (code, found["opinion"]) == (0, "up"), found
    other = "open" if raw else "shut"
    networks.cut(name, other)
    try:
        code, found = probe(networks, name, f"icmp://{networks.address[other]}", raw=raw, timeout=0.8)
    finally:
        networks.mend()
    assert (code, found["reason"]) == (2, "timeout"), found
    assert found["text"] == "timeout after 0.8 s while waiting for the answer"


def test_one_lost_echo_is_counted(networks: Networks) -> None:
    """An echo that vanishes is followed by another a second later, and the look is up with `lost`."""
    url = f"icmp://{networks.address['shut']}"
    networks.cut("open", "shut")
    try:
        before = echoes_out(networks, "open")
        words = [*networks.prefix()["open"], *WITHOUT_RAW, sys.executable, "-m", "watchtower"]
        words += ["probe", url, "--json", "--timeout", "20", "--warn", "lost == 0"]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as looking:
            wait_for(lambda: echoes_out(networks, "open") > before, 15, "an echo")
            networks.mend()
            printed, _ = looking.communicate(timeout=30)
    finally:
        networks.mend()
    found = json.loads(printed)
    assert (looking.returncode, found["opinion"]) == (1, "degraded"), found
    assert found["facts"]["lost"] >= 1
    assert re.fullmatch(r"lost == 0: was [1-9]", found["text"])


def echoes_out(networks: Networks, name: str) -> int:
    """How many echo requests have left a namespace, as its kernel counts them."""
    words = [*networks.prefix()[name], "cat", "/proc/net/snmp"]
    counts = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    names, values = [line.split() for line in counts.splitlines() if line.startswith("Icmp:")]
    return int(values[names.index("OutEchos")])


@pytest.mark.parametrize("raw", [False, True], ids=["unprivileged", "raw"])
def test_a_neighbour_that_nobody_finds(networks: Networks, raw: bool) -> None:
    """When nobody in the net has the address, the kernel says so after a while, and that is the outcome."""
    name = "shut" if raw else "open"
    url = f"icmp://{networks.gateway.rpartition('.')[0]}.200"
    began = time.monotonic()
    ask_again_after_ms(networks, name, 100)
    try:
        code, found = probe(networks, name, url, raw=raw, timeout=9.0)
    finally:
        ask_again_after_ms(networks, name, 1000)
    assert (code, found["reason"], found["text"]) == (2, "unreachable", "no route to host"), found
    assert time.monotonic() - began < 8


def ask_again_after_ms(networks: Networks, name: str, pause_ms: int) -> None:
    """How soon the kernel asks again who has an address; after the third time it gives up."""
    words = f"echo {pause_ms} > /proc/sys/net/ipv4/neigh/eth0/retrans_time_ms"
    subprocess.run([*networks.prefix()[name], "sh", "-ec", words], check=True)


def test_without_permission_nothing_is_down(networks: Networks) -> None:
    """A look is unknown and names the settings; `check` and `run` refuse the file with the same words."""
    code, found = probe(networks, "shut", "icmp://127.0.0.1", raw=False)
    assert (code, found["opinion"], found["reason"]) == (3, "unknown", "inconclusive")
    for words in ("net.ipv4.ping_group_range='0 2147483647'", "AmbientCapabilities=CAP_NET_RAW"):
        assert words in found["text"]


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_missing_permission_is_a_mistake_of_the_setup(
    networks: Networks, verb: str, tmp_path: Path
) -> None:
    """`check` and `run` refuse, name the services and say what to set."""
    config = tmp_path / "w.yaml"
    config.write_text("services:\n  gate: icmp://127.0.0.1\n  web: tcp://127.0.0.1:1\n")
    words = [*networks.prefix()["shut"], *WITHOUT_RAW, sys.executable, "-m", "watchtower", verb]
    done = subprocess.run(
        [*words, "--config", str(config)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1, done.stdout
    assert "services.gate: icmp:// needs the permission to ping" in done.stderr
    assert "sysctl -w net.ipv4.ping_group_range='0 2147483647'" in done.stderr
    assert "AmbientCapabilities=CAP_NET_RAW" in done.stderr
    assert "services.web" not in done.stderr
