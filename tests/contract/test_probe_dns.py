"""DNS looks at a real server over UDP and TCP: each way not to answer is told apart."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import dns.rcode
import pytest
from support.looking import condition, look
from support.targets import DnsServer, closed_port

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import DnsTarget
from watchtower.probes.wires.questions import host_and_port

ZONE: dict[str, list[str] | dns.rcode.Rcode | None] = {
    "www.example": ["A 192.0.2.10", "A 192.0.2.11", 'TXT "v=1 " "two"', "MX 10 mail.example."],
    "alias.example": ["CNAME www.example.", "A 192.0.2.10"],
    "sick.example": dns.rcode.SERVFAIL,
    "lame.example": dns.rcode.REFUSED,
    "silent.example": None,
}


def see(name: str, kind: str = "A", *, truncate: bool = False, **fields: Any) -> tuple[Result, list[str]]:
    """One look at the zone, and what was asked of its server."""

    async def run() -> tuple[Result, list[str]]:
        async with DnsServer(ZONE, truncate=truncate) as server:
            target = DnsTarget(name=name, type=kind, servers=(server.address,))
            return await look(target, **{"timeout_s": 1.0, **fields}), server.asked

    return asyncio.run(run())


def test_an_answer_is_up() -> None:
    """NOERROR with answers is good; the text shows them, the facts hold server and TTL."""
    result, asked = see("www.example")
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK)
    assert re.fullmatch(r"2 answers: 192\.0\.2\.10, 192\.0\.2\.11 in \d+ ms", result.text)
    assert result.facts == {"dns.rcode": "NOERROR", "ip": "127.0.0.1", "ttl": 60.0, "answers": 2.0}
    assert asked == ["udp www.example. A"]


@pytest.mark.parametrize(
    ("name", "kind", "op", "value"),
    [
        ("www.example", "A", "==", ("192.0.2.11", "192.0.2.10")),
        ("www.example", "A", "contains", "192.0.2.10"),
        ("www.example", "TXT", "contains", "v=1 two"),
        ("www.example", "MX", "contains", "10 mail.example"),
        ("alias.example", "A", "contains", "192.0.2.10"),
    ],
)
def test_answers_can_be_expected(name: str, kind: str, op: str, value: str | tuple[str, ...]) -> None:
    """Answers are compared as people write them: no quotes, no final dot, through an alias."""
    wanted = condition("answers as wanted", "answers", op, value)
    assert see(name, kind, expect=(wanted,))[0].opinion is Opinion.UP
    unwanted = condition("answers contains 192.0.2.99", "answers", "contains", "192.0.2.99")
    assert see(name, kind, expect=(unwanted,))[0].kind is Kind.CONDITION


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("nobody.example", "A", r"name does not exist \(NXDOMAIN\)"),
        ("www.example", "AAAA", "the name exists, but has no AAAA record"),
        ("sick.example", "A", "SERVFAIL from 127.0.0.1"),
        ("lame.example", "A", "REFUSED from 127.0.0.1"),
    ],
)
def test_each_no_has_its_name(name: str, kind: str, text: str) -> None:
    """NXDOMAIN, no data, SERVFAIL and a lame server are four different things, all of kind dns."""
    result, _ = see(name, kind)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.DNS)
    assert re.fullmatch(text, result.text)


def test_a_no_can_be_expected() -> None:
    """`dns.rcode == NXDOMAIN` makes a missing name good."""
    gone = condition("dns.rcode == NXDOMAIN", "dns.rcode", "==", "NXDOMAIN")
    assert see("nobody.example", expect=(gone,))[0].opinion is Opinion.UP
    assert see("www.example", expect=(gone,))[0].opinion is Opinion.DOWN


def test_silence_is_a_timeout_after_a_second_try() -> None:
    """A lost datagram is no outage: a silent server is asked twice before the deadline."""
    result, asked = see("silent.example", timeout_s=0.6)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT)
    assert re.fullmatch(r"timeout after 0\.[56] s, no answer from 127\.0\.0\.1", result.text)
    assert asked == ["udp silent.example. A"] * 2
    assert result.duration_ms < 1500


def test_nobody_listens() -> None:
    """A closed port is refused at once, not a timeout."""
    target = DnsTarget(name="www.example", servers=(f"127.0.0.1:{closed_port()}",))
    result = asyncio.run(look(target, timeout_s=3.0))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.REFUSED)
    assert result.duration_ms < 1000


def test_a_truncated_answer_is_fetched_over_tcp() -> None:
    """An answer that did not fit into a datagram is asked for again over TCP."""
    result, asked = see("www.example", truncate=True)
    assert result.opinion is Opinion.UP
    assert asked == ["udp www.example. A", "tcp www.example. A"]


def test_the_next_server_answers_for_a_sick_one() -> None:
    """Of several servers the first sound answer counts, whatever the ones before it said."""

    async def run() -> Result:
        async with DnsServer({"www.example": dns.rcode.SERVFAIL}) as sick, DnsServer(ZONE) as sound:
            refused = f"127.0.0.1:{closed_port()}"
            target = DnsTarget(name="www.example", servers=(refused, sick.address, sound.address))
            return await look(target)

    assert asyncio.run(run()).opinion is Opinion.UP


def test_a_sick_answer_says_more_than_silence() -> None:
    """When one server fails and the other is silent, the one that spoke is quoted."""

    async def run() -> Result:
        async with DnsServer(ZONE) as server, DnsServer({"sick.example": None}) as silent:
            target = DnsTarget(name="sick.example", servers=(server.address, silent.address))
            return await look(target, timeout_s=0.6)

    assert asyncio.run(run()).text == "SERVFAIL from 127.0.0.1"


def test_nonsense_is_not_dns() -> None:
    """A server that sends what is no DNS is told as such."""

    class Babbler(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # a datagram transport is what UDP gets
            self._transport = transport

        def datagram_received(self, _data: bytes, addr: tuple[str, int]) -> None:
            self._transport.sendto(b"no DNS", addr)

    async def run() -> Result:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Babbler, local_addr=("127.0.0.1", 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            return await look(DnsTarget(name="www.example", servers=(f"127.0.0.1:{port}",)))
        finally:
            transport.close()

    result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL)
    assert result.text.startswith("the answer of 127.0.0.1 is no DNS")


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("ns.example:53", ("ns.example", 53)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_servers_are_read_in_every_form(server: str, wanted: tuple[str, int]) -> None:
    """A server may be named with and without port, by name, IPv4 or IPv6."""
    assert host_and_port(server) == wanted
