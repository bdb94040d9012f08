"""Real targets for probes, on loopback and free ports, that answer well or badly on purpose.

Everything lives in the test's own event loop and ends with its `async with`. What they do is all they
decide: no expectation stands here. Certificates come from an Authority made for one test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A TCP (or TLS) server whose every connection is handled by `handler`; port 0 picks a free one."""

    def __init__(
        self,
        handler: Handler,
        context: ssl.SSLContext | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._handler = handler
        self._host = host
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *about: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def settled(self) -> None:
        """Until every handler has ended, after the client hung up; a second at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the probe hung up, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The address of `path` here."""
        scheme = "https" if self._context else "http"
        return f"{scheme}://{host}:{self.port}{path}"


class HttpServer(Listener):
    """Answers by path; `heads` holds the head of every request, as it came."""

    def __init__(self, answers: dict[str, bytes | Handler], context: ssl.SSLContext | None = None) -> None:
        super().__init__(self._answer, context)
        self.answers = answers
        self.heads: list[str] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        answer = self.answers[head.split(" ")[1]]
        if not isinstance(answer, bytes):
            await answer(reader, writer)
            return
        writer.write(answer)
        await writer.drain()
        await reader.read()  # the probe hangs up


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer. Header names are written with underscores."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{named}\r\n".encode() + body


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side hangs up."""
    await reader.read()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection: RST instead of FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close in order, without a word."""
    writer.close()


def say(words: bytes, then: Handler = hang) -> Handler:
    """Say `words`, then go on as `then`."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        await then(reader, writer)

    return handler


def after_words(then: Handler) -> Handler:
    """Hear the first words of the client, then go on as `then`."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        await then(reader, writer)

    return handler


def endless(words: bytes, pause_s: float = 0.0) -> Handler:
    """Say `words` again and again, as fast as they are taken, or with a pause: a flood or a drip."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(words)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)  # noqa: TID251 - this server is slow on purpose

    return handler


def closed_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose listener accepts nothing and whose queue is full: further connects get no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]


class Authority:
    """A certificate authority of one test; `ca_file` is what a client would trust."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        built = begun(self._name, self._name, self._key, now - timedelta(days=365), now + timedelta(days=365))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = built.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.ca_file = folder / "authority.pem"
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str, **fields: Any) -> ssl.SSLContext:
        """A server's context with the certificate that `pem` makes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem(*names, **fields))
        return context

    def pem(
        self,
        *names: str,
        begins_days: float = -1,
        ends_days: float = 30,
        self_signed: bool = False,
        common_name_only: bool = False,
    ) -> Path:
        """The file of a certificate for `names` and its key, valid between the given days from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        issuer, issuer_key = (subject, key) if self_signed else (self._name, self._key)
        begins, ends = now + timedelta(days=begins_days), now + timedelta(days=ends_days)
        built = begun(subject, issuer, key, begins, ends)
        if not common_name_only:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            built = built.add_extension(alternatives, critical=False)
        certificate = built.sign(issuer_key, hashes.SHA256())
        pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file = self._folder / f"{certificate.serial_number}.pem"
        file.write_bytes(
            certificate.public_bytes(pem) + key.private_bytes(pem, private, serialization.NoEncryption())
        )
        return file


def begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """A certificate that lacks only its extensions and its signature."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class DnsServer(asyncio.DatagramProtocol):
    """Answers over UDP and TCP on one port, by what `records` holds for a name.

    A list is a list of `TYPE data` lines; an Rcode is said; None is silence. With `truncate` every
    answer over UDP is empty and marked as truncated. `asked` tells each question: `udp www.example. A`.
    """

    def __init__(
        self, records: dict[str, list[str] | dns.rcode.Rcode | None], *, truncate: bool = False
    ) -> None:
        self._records = records
        self._truncate = truncate
        self.asked: list[str] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._listener = Listener(self._over_tcp)
        await self._listener.__aenter__()
        self.port = self._listener.port
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *about: object) -> None:
        self._udp.close()
        await self._listener.__aexit__()

    @property
    def address(self) -> str:
        """`host:port`, as a service names its servers."""
        return f"127.0.0.1:{self.port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question over UDP."""
        answer = self._answer(data, "udp")
        if answer is not None and self._truncate:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        if answer is not None:
            self._udp.sendto(answer.to_wire(), addr)

    async def _over_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = self._answer(await reader.readexactly(length), "tcp")
        if answer is not None:
            wire = answer.to_wire()
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
        await reader.read()

    def _answer(self, wire: bytes, carrier: str) -> dns.message.Message | None:
        query = dns.message.from_wire(wire)
        name, kind = query.question[0].name.to_text(), query.question[0].rdtype
        self.asked.append(f"{carrier} {name} {kind.name}")
        known = self._records.get(name.rstrip("."), dns.rcode.NXDOMAIN)
        if known is None:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if isinstance(known, dns.rcode.Rcode):
            answer.set_rcode(known)
            return answer
        for line in known:
            of_kind, _, data = line.partition(" ")
            if of_kind in (kind.name, "CNAME"):
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", of_kind, data))
                name = data if of_kind == "CNAME" else name
        return answer
