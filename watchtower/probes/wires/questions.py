"""One question to one DNS server: over UDP from a socket of its own, over TCP when the answer is truncated.

dnspython writes every question and reads every answer; here is only the way between. Each question has a new
number and a new port, and only what answers that very question counts: whatever else comes meanwhile may be
late or forged, and is passed over until the time is up. The same bytes are read once.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from functools import lru_cache
from typing import Final

import dns.asyncquery
import dns.message
import dns.query
import dns.rcode
import dns.rdata
from msgspec import Struct

from watchtower.core.text import clean
from watchtower.probes.failures import ProtocolError
from watchtower.probes.wires.dial import readable
from watchtower.probes.wires.resolver import AddressInfo

PAYLOAD_BYTES: Final = 1_232
"""The EDNS buffer size that passes everywhere without fragments (DNS flag day 2020)."""
ANSWERS_MAX: Final = 64
_NUMBER_BYTES: Final = 2
_HEADER_BYTES: Final = 12
_DATAGRAM_BYTES_MAX: Final = 65_535
_QUESTIONS_MAX: Final = 4_096
_REMEMBERED_MAX: Final = 1_024
_REMEMBERED_BYTES_MAX: Final = 4_096


class Question(Struct, frozen=True, kw_only=True):
    """What is asked, as text and as it is sent; its number, 0, is drawn anew each time."""

    name: str
    kind: str
    message: dns.message.QueryMessage
    wire: bytes


class Answer(Struct, frozen=True, kw_only=True):
    """What was answered. `ttl` is the smallest of the chain's, 0 without records."""

    rcode: str
    records: tuple[str, ...] = ()
    ttl: float = 0.0
    is_truncated: bool = False


def host_and_port(server: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare v6 address; the port is 53 when none is named."""
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]") or (":" in host and not host.startswith("[")):
        return server.strip("[]"), 53
    return host.strip("[]"), int(port)


@lru_cache(_QUESTIONS_MAX)
def question(name: str, kind: str) -> Question:
    """The question for records of `kind`. Raises DNSException and UnicodeError for what cannot be asked."""
    message = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD_BYTES, id=0)
    return Question(name=name, kind=kind, message=message, wire=message.to_wire())


async def ask(asked: Question, server: AddressInfo, within_s: float) -> Answer:
    """What `server` answers. Raises OSError, of which TimeoutError is one, DNSException and ProtocolError."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    answer = await _over_udp(asked, server, within_s)
    if not answer.is_truncated:
        return answer
    host, port = server[4][:2]
    again = dns.message.make_query(asked.name, asked.kind, use_edns=0, payload=PAYLOAD_BYTES)
    return _told(await dns.asyncquery.tcp(again, str(host), max(until_s - loop.time(), 0.0), int(port)))


async def _over_udp(asked: Question, server: AddressInfo, within_s: float) -> Answer:
    number = secrets.token_bytes(_NUMBER_BYTES)
    with socket.socket(server[0], socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        # Connected: the kernel drops what others send, and says when nobody listens there.
        asking.connect(server[4])
        asking.send(number + asked.wire[_NUMBER_BYTES:])
        return await _answered(asking, number, asked, within_s)


async def _answered(asking: socket.socket, number: bytes, asked: Question, within_s: float) -> Answer:
    answer, passed_over = None, -1
    try:
        async with asyncio.timeout(within_s):
            while answer is None:
                passed_over += 1
                answer = _taken(await _received(asking), number, asked)
    except TimeoutError:
        if passed_over > 0:
            raise dns.query.BadResponse from None
        raise
    return answer


async def _received(asking: socket.socket) -> bytes:
    while True:
        await readable(asking)
        try:
            return asking.recv(_DATAGRAM_BYTES_MAX)
        except BlockingIOError:  # a broken datagram woke us
            continue


def _taken(datagram: bytes, number: bytes, asked: Question) -> Answer | None:
    """The answer in `datagram`; None for one to another question. Raises DNSException for what is no DNS."""
    if len(datagram) >= _HEADER_BYTES and not datagram.startswith(number):
        return None
    read = _remembered if len(datagram) <= _REMEMBERED_BYTES_MAX else _read
    return read(datagram[_NUMBER_BYTES:], asked.name, asked.kind)


def _read(rest: bytes, name: str, kind: str) -> Answer | None:
    """The same for a datagram without its number."""
    message = question(name, kind).message
    try:
        found = dns.message.from_wire(bytes(_NUMBER_BYTES) + rest, raise_on_truncation=True)
    except dns.message.Truncated as truncated:
        is_ours = message.is_response(truncated.message())  # type: ignore[no-untyped-call] # of dnspython
        return Answer(rcode="", is_truncated=True) if is_ours else None
    return _told(found) if message.is_response(found) else None


# Most servers answer with the same bytes as at the look before; the same bytes always say the same.
_remembered: Final = lru_cache(_REMEMBERED_MAX)(_read)


def _told(response: dns.message.Message) -> Answer:
    rcode = dns.rcode.to_text(response.rcode())
    if not isinstance(response, dns.message.QueryMessage):
        raise ProtocolError("the answer is to another kind of question")
    chain = response.resolve_chaining() if rcode == "NOERROR" else None
    if chain is None or chain.answer is None:
        return Answer(rcode=rcode)
    records = tuple(_shown(rdata) for rdata in list(chain.answer)[:ANSWERS_MAX])
    return Answer(rcode=rcode, records=records, ttl=float(chain.minimum_ttl))


def _shown(rdata: dns.rdata.Rdata) -> str:
    """An answer as people write it: no quotes around text, no dot at the end of a name."""
    strings = getattr(rdata, "strings", None)
    text = b"".join(strings).decode(errors="replace") if strings else rdata.to_text().rstrip(".")
    return clean(text)
