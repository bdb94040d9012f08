"""DNS answers made to harm whoever reads them, over UDP and over TCP: bounded, told apart, never believed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from support.looking import look, look_at_all
from support.memory import traced
from support.targets import Handler, Listener, endless, hang, hang_up, reset, say

from watchtower.core.model import EVIDENCE_TEXT_MAX, Kind, Opinion, Result
from watchtower.core.targets import DnsTarget, Target

Reply = Callable[[dns.message.Message], bytes]
NAME = "www.example"
TIMEOUT_S = 1.5


class Udp(asyncio.DatagramProtocol):
    """Sends whatever `reply` makes of a question."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # a datagram transport is what UDP gets
        """Keep the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question."""
        self._transport.sendto(self._reply(dns.message.from_wire(data)), addr)


@contextlib.asynccontextmanager
async def udp(reply: Reply, port: int = 0) -> AsyncIterator[int]:
    """The port of a server that replies so."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Udp(reply), local_addr=("127.0.0.1", port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def asked(port: int, kind: str = "A") -> DnsTarget:
    """The question of every test here."""
    return DnsTarget(name=NAME, type=kind, servers=(f"127.0.0.1:{port}",))


def see_all(replies: Mapping[str, Reply]) -> dict[str, Result]:
    """What looks see of all these servers at the same time."""

    async def run() -> dict[str, Result]:
        async with contextlib.AsyncExitStack() as stack:
            targets: dict[str, Target] = {}
            for name, reply in replies.items():
                targets[name] = asked(await stack.enter_async_context(udp(reply)))
            return await look_at_all(targets, TIMEOUT_S)

    return asyncio.run(run())


def header(question: dns.message.Message, answers: int, flags: int = 0x8180) -> bytes:
    """The head of an answer, and the question again."""
    head = struct.pack("!HHHHHH", question.id, flags, 1, answers, 0, 0)
    return head + b"\x03www\x07example\x00\x00\x01\x00\x01"


def record(data: bytes, *, owner: bytes = b"\xc0\x0c", kind: int = 1, length: int | None = None) -> bytes:
    """A record, whose length may be a lie."""
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data) if length is None else length) + data


MALFORMED: dict[str, Reply] = {
    "one byte": lambda _: b"\x00",
    "half a head": lambda question: header(question, 1)[:11],
    "a name that points at itself": lambda question: header(question, 1) + record(b"1234", owner=b"\xc0\x1d"),
    "names in a ring": lambda question: header(question, 1) + record(b"1234", owner=b"\x01a\xc0\x1d"),
    "a name beyond the end": lambda question: header(question, 1) + record(b"1234", owner=b"\xff\xff"),
    "a label without end": lambda question: header(question, 1) + b"\x3f" + b"x" * 20,
    "a name of 400 bytes": lambda question: (
        header(question, 1) + record(b"1234", owner=b"\x3fx" + b"x" * 400)
    ),
    "records that are not there": lambda question: header(question, 65_535),
    "a record longer than the rest": lambda question: header(question, 1) + record(b"1234", length=65_535),
    "an address of three bytes": lambda question: header(question, 1) + record(b"123"),
    "more after the end": lambda question: header(question, 1) + record(b"1234") + b"x" * 100,
}


def test_malformed_answers_are_no_answers() -> None:
    """Whatever breaks the rules of DNS is told as no DNS at the deadline, never as an answer."""
    for name, result in see_all(MALFORMED).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL), (name, result.text)
        assert result.text.startswith("the answer of 127.0.0.1 is no DNS"), name
        assert result.duration_ms < 2000, name


def answer(question: dns.message.Message, *records: str, rcode: int = 0) -> dns.message.Message:
    """A sound answer of these records, `name ttl type data`."""
    made = dns.message.make_response(question)
    made.flags |= dns.flags.RA
    made.set_rcode(dns.rcode.Rcode(rcode))
    for line in records:
        name, ttl, kind, data = line.split(" ", 3)
        made.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return made


ODD: dict[str, tuple[Reply, Kind, str]] = {
    "aliases in a ring": (
        lambda question: answer(question, f"{NAME}. 1 CNAME b.", f"b. 1 CNAME {NAME}.").to_wire(),
        Kind.PROTOCOL,
        "the answer of 127.0.0.1 is no DNS",
    ),
    "an answer to another name": (
        lambda question: answer(question, "evil.example. 1 A 192.0.2.66").to_wire(),
        Kind.DNS,
        "the name exists, but has no A record",
    ),
    "an unknown code": (
        lambda question: answer(question, rcode=15).to_wire(),
        Kind.DNS,
        "15 from 127.0.0.1",
    ),
    "an extended code": (
        lambda question: answer(question, rcode=4000).to_wire(),
        Kind.DNS,
        "4000 from 127.0.0.1",
    ),
    "an update": (
        lambda question: header(question, 0, flags=0xA980),
        Kind.PROTOCOL,
        "the answer",
    ),
}


def test_sound_but_odd_answers() -> None:
    """Rings end, records of other names do not count, codes without a name are numbers."""
    found = see_all({name: reply for name, (reply, _, _) in ODD.items()})
    for name, (_, kind, text) in ODD.items():
        assert (found[name].opinion, found[name].kind) == (Opinion.DOWN, kind), (name, found[name].text)
        assert found[name].text.startswith(text), (name, found[name].text)


def test_what_an_answer_says_is_hostile() -> None:
    """Text with control characters and credentials is cleaned and cut, before it is shown or kept."""
    words = '"\\027[31m <!channel> \\000\\010 http://ann:s3cret@db/ ' + "x" * 150 + '"'

    async def run() -> Result:
        async with udp(lambda question: answer(question, f"{NAME}. 9 TXT {words}").to_wire()) as port:
            return await look(asked(port, "TXT"))

    result = asyncio.run(run())
    assert result.opinion is Opinion.UP
    assert result.text.isprintable()
    assert len(result.text) <= EVIDENCE_TEXT_MAX
    assert "s3cret" not in result.text


def test_a_very_big_answer_is_bounded() -> None:
    """A datagram of thousands of records costs little, and only the first of them are kept."""
    many = [f"{NAME}. 1 A 10.0.{number // 250}.{number % 250}" for number in range(3_000)]
    wire = answer(dns.message.make_query(NAME, "A"), *many).to_wire(max_size=65_000)
    with traced() as taken:
        found = see_all({"big": lambda question: struct.pack("!H", question.id) + wire[2:]})
    assert found["big"].opinion is Opinion.UP, found["big"].text
    assert found["big"].facts["answers"] == 64
    assert taken.peak_bytes < 10_000_000


def test_an_answer_from_elsewhere_does_not_count() -> None:
    """Whoever knows number and port of a question, but is not the server, is not heard."""

    async def run() -> Result:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))

            class Watched(Udp):
                def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                    forged = answer(dns.message.from_wire(data), f"{NAME}. 9 A 192.0.2.66").to_wire()
                    stranger.sendto(forged, addr)
                    super().datagram_received(data, addr)

            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: Watched(lambda question: answer(question, f"{NAME}. 9 A 192.0.2.1").to_wire()),
                local_addr=("127.0.0.1", 0),
            )
            try:
                return await look(asked(transport.get_extra_info("sockname")[1]))
            finally:
                transport.close()

    assert asyncio.run(run()).text.partition(" in ")[0] == "1 answer: 192.0.2.1"


def framed(wire: bytes) -> bytes:
    """A message as it goes over TCP."""
    return struct.pack("!H", len(wire)) + wire


def other_number(number: int) -> bytes:
    """An answer over TCP to a question that was not asked."""
    question = dns.message.make_query(NAME, "A", id=number)
    return framed(answer(question, f"{NAME}. 9 A 192.0.2.66").to_wire())


@pytest.mark.parametrize(
    ("handler", "kinds"),
    [
        (None, (Kind.REFUSED,)),
        (hang, (Kind.TIMEOUT,)),
        (reset, (Kind.RESET,)),
        (hang_up, (Kind.RESET,)),
        (say(b"\x00"), (Kind.TIMEOUT,)),
        (say(b"\x00\x00", hang_up), (Kind.PROTOCOL, Kind.RESET)),
        (say(b"\x00\x20half", hang_up), (Kind.RESET,)),
        (say(b"\xff\xffhalf"), (Kind.TIMEOUT,)),
        (endless((b"\x00\x10" + b"x" * 16) * 5_000), (Kind.PROTOCOL,)),
        (endless(b"\xff", 0.02), (Kind.TIMEOUT,)),
        (endless(b"\xff" * 65_536), (Kind.PROTOCOL,)),
        (say(other_number(7)), (Kind.PROTOCOL,)),
    ],
    ids=[
        "refused", "silent", "reset", "hung up", "one byte", "no bytes", "cut", "less than said", "nonsense",
        "drip", "flood", "another number",
    ],
)  # fmt: skip
def test_what_tcp_may_bring_after_a_truncated_answer(
    handler: Handler | None, kinds: tuple[Kind, ...]
) -> None:
    """The fetch over TCP has limits and outcomes of its own."""

    def truncated(question: dns.message.Message) -> bytes:
        made = dns.message.make_response(question)
        made.flags |= dns.flags.TC
        return made.to_wire()

    async def run() -> Result:
        async with contextlib.AsyncExitStack() as stack:
            port = 0
            if handler is not None:
                port = (await stack.enter_async_context(Listener(handler))).port
            return await look(asked(await stack.enter_async_context(udp(truncated, port))), timeout_s=0.5)

    result = asyncio.run(run())
    assert (result.opinion, result.kind in kinds) == (Opinion.DOWN, True), result
    assert result.duration_ms < 1500
