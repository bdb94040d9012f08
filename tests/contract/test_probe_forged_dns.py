"""DNS answers that are no answers to our question, late or forged: none of them may decide a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dns.message
import dns.rrset
import pytest
from support.looking import look

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import DnsTarget

Reply = Callable[[dns.message.Message], list[bytes]]


class Server(asyncio.DatagramProtocol):
    """Sends whatever `reply` makes of a question; `asked` holds number and port of each."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.asked: list[tuple[int, int]] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # a datagram transport is what UDP gets
        """Keep the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question."""
        question = dns.message.from_wire(data)
        self.asked.append((question.id, addr[1]))
        for datagram in self._reply(question):
            self._transport.sendto(datagram, addr)


def see(reply: Reply, timeout_s: float = 1.0, looks: int = 1) -> tuple[Result, Server]:
    """The last of so many looks at a server that replies like that."""

    async def run() -> tuple[Result, Server]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            lambda: Server(reply), local_addr=("127.0.0.1", 0)
        )
        try:
            port = transport.get_extra_info("sockname")[1]
            for _ in range(looks):
                target = DnsTarget(name="www.example", servers=(f"127.0.0.1:{port}",))
                result = await look(target, timeout_s=timeout_s)
            return result, server
        finally:
            transport.close()

    return asyncio.run(run())


def answer(question: dns.message.Message, address: str, name: str = "", number: int = 0) -> bytes:
    """An answer with this address, to this question or to another one."""
    if name:
        question = dns.message.make_query(name, "A", id=question.id)
    made = dns.message.make_response(question)
    made.id = (question.id + number) % 65_536
    owner = question.question[0].name
    made.answer.append(dns.rrset.from_text(owner, 60, "IN", "A", address))
    return made.to_wire()


@pytest.mark.parametrize(
    "forge",
    [
        lambda question: answer(question, "192.0.2.66", number=1),
        lambda question: answer(question, "192.0.2.66", name="www.example.net"),
        lambda question: question.to_wire(),
    ],
    ids=["another number", "another name", "the question itself"],
)
def test_what_answers_no_question_of_ours_is_passed_over(
    forge: Callable[[dns.message.Message], bytes],
) -> None:
    """A late or forged datagram before the true answer changes nothing; alone it is told as no answer."""
    result, _ = see(lambda question: [forge(question), answer(question, "192.0.2.1")])
    assert (result.opinion, result.text.partition(" in ")[0]) == (Opinion.UP, "1 answer: 192.0.2.1")
    result, server = see(lambda question: [forge(question)], timeout_s=0.6)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL)
    assert result.text == "the answer of 127.0.0.1 is no DNS (BadResponse)"
    assert len(server.asked) == 2, "a lost answer is asked for again"
    assert result.duration_ms < 1500


def test_a_flood_of_forged_answers_ends_with_the_deadline() -> None:
    """However many come, the look ends in time."""
    result, _ = see(lambda question: [answer(question, "192.0.2.66", number=7)] * 500, timeout_s=0.6)
    assert result.kind is Kind.PROTOCOL
    assert result.duration_ms < 1500


def test_every_question_has_a_number_and_a_port_of_its_own() -> None:
    """Nobody who has seen one question can answer the next."""
    _, server = see(lambda question: [answer(question, "192.0.2.1")], looks=20)
    numbers, ports = ({one[i] for one in server.asked} for i in (0, 1))
    assert len(server.asked) == 20
    assert min(len(numbers), len(ports)) > 15


def test_an_answer_that_changes_is_read_anew() -> None:
    """The same bytes are read once, others are read: nothing of an answer is kept beyond its bytes."""
    addresses = iter(("192.0.2.1", "192.0.2.1", "192.0.2.2"))
    result, _ = see(lambda question: [answer(question, next(addresses))], looks=3)
    assert result.text.partition(" in ")[0] == "1 answer: 192.0.2.2"
