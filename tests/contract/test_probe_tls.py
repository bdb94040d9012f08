"""TLS looks, alone and inside HTTPS, at real handshakes: why a certificate is distrusted, and which one."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.chains import below_intermediate, weak_key
from support.looking import condition, look
from support.targets import Authority, HttpServer, Listener, closed_port, hang, hang_up, http, reset, say

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.settings import Service
from watchtower.core.targets import HttpTarget, TlsTarget
from watchtower.probes.prober import Prober

DAY_S = 86_400


def see(context: ssl.SSLContext, *, kind: str = "tls", host: str = "localhost", **fields: Any) -> Result:
    """One look at a server with this context, as `tls` or as `https`."""

    async def run() -> Result:
        async with HttpServer({"/": http(200)}, context) as server:
            verify = bool(fields.pop("verify", True))
            if kind == "https":
                return await look(HttpTarget(url=server.url(host=host), verify=verify), **fields)
            target = TlsTarget(
                host=host, port=server.port, verify=verify, server_name=str(fields.pop("name", ""))
            )
            return await look(target, **fields)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_a_trusted_certificate_is_up(authority: Authority, kind: str) -> None:
    """A certificate for this name from a known authority is good, and its end and issuer are kept."""
    result = see(authority.context("localhost", ends_days=30.5), kind=kind)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK)
    assert {"resolve", "connect", "tls"} <= set(result.phases_ms)
    ends = float(result.facts["cert.expires_at"])
    assert abs(ends - result.at_wall - 30.5 * DAY_S) < 60
    assert result.facts["cert.issuer"] == "CN=Test Authority"
    if kind == "tls":
        assert re.fullmatch(r"TLSv1\.3 in \d+ ms, certificate valid for 3[01] days", result.text)


@pytest.mark.parametrize("kind", ["tls", "https"])
@pytest.mark.parametrize(
    ("names", "validity", "text"),
    [
        (
            ("localhost",),
            {"begins_days": -9, "ends_days": -3},
            r"certificate expired 3 days ago, on 20\d\d-.* UTC",
        ),
        (("localhost",), {"begins_days": 2}, r"certificate is not valid yet, only from 20\d\d-.* UTC"),
        (("a.example", "b.example"), {}, r"certificate is not for localhost but for a\.example, b\.example"),
        (("localhost",), {"self_signed": True}, r"certificate is self-signed \(for localhost\)"),
    ],
    ids=["expired", "not yet", "wrong host", "self-signed"],
)
def test_a_bad_certificate_is_named(
    authority: Authority, kind: str, names: tuple[str, ...], validity: dict[str, Any], text: str
) -> None:
    """Every reason to distrust has its own words, with what a second look saw of the certificate."""
    result = see(authority.context(*names, **validity), kind=kind)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TLS)
    assert re.fullmatch(text, result.text), result.text
    assert "cert.expires_at" in result.facts


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_an_unknown_issuer_is_named(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A certificate of an authority that this peer does not trust tells which authority that is."""
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other", "Other").ca_file))
    result = see(authority.context("localhost"), kind=kind)
    assert result.kind is Kind.TLS
    assert result.text == (
        "certificate has an unknown issuer: CN=Test Authority (not trusted here, no intermediate was sent)"
    )


@pytest.mark.parametrize(
    ("middle", "text", "chain"),
    [
        ({"is_sent": True}, None, None),
        (
            {"is_sent": False},
            r"certificate has an unknown issuer: CN=Middle \(not trusted here, no intermediate was sent\)",
            "CN=localhost",
        ),
        (
            {"ends_days": -2},
            r"the authority CN=Middle above the certificate expired on 20\d\d-.* UTC",
            "CN=localhost < CN=Middle",
        ),
        (
            {"begins_days": 3},
            r"the authority CN=Middle above the certificate is valid only from 20\d\d-.* UTC",
            "CN=localhost < CN=Middle",
        ),
    ],
    ids=["complete", "missing", "expired", "not yet"],
)
def test_the_intermediate_is_named(
    authority: Authority, tmp_path: Path, middle: dict[str, Any], text: str | None, chain: str | None
) -> None:
    """A fault of the chain above the certificate names that authority, and shows what was sent."""
    for kind in ("tls", "https"):
        result = see(below_intermediate(authority, tmp_path, **middle), kind=kind)
        if text is None:
            assert result.opinion is Opinion.UP, result.text
            continue
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TLS)
        assert re.fullmatch(text, result.text), result.text
        assert result.facts["cert.chain"] == chain


def test_a_chain_to_an_authority_that_is_not_trusted(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an intermediate the end of the chain is named."""
    context = below_intermediate(authority, tmp_path)
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other", "Other").ca_file))
    assert see(context).text == "certificate leads to CN=Middle, whose issuer CN=Test Authority is unknown"


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_a_weak_key_is_named(authority: Authority, tmp_path: Path, kind: str) -> None:
    """An RSA key of 1024 bits is told with its size."""
    result = see(weak_key(authority, tmp_path), kind=kind)
    assert (result.kind, result.text) == (Kind.TLS, "certificate's key is too weak: RSA 1024 bits")
    assert result.facts["cert.names"] == "localhost"


def test_garbage_instead_of_tls(authority: Authority) -> None:
    """A server in the clear, random bytes, and a close in the middle are no verdict on a certificate."""

    async def run() -> list[Result]:
        results = []
        for handler in (say(b"220 hello\r\n"), say(bytes(range(256)) * 200), say(b"\x16\x03\x03", hang_up)):
            async with Listener(handler) as server:
                results.append(await look(TlsTarget(host="127.0.0.1", port=server.port), timeout_s=2.0))
        return results

    plain, random, cut = asyncio.run(run())
    assert plain.text == "TLS failed: what answers does not speak TLS (WRONG_VERSION_NUMBER)"
    assert (random.kind, random.text[:10]) == (Kind.TLS, "TLS failed")
    assert cut.kind in (Kind.TLS, Kind.RESET)
    assert "handshake" in cut.text
    assert max(result.duration_ms for result in (plain, random, cut)) < 1500


def test_a_hostile_name_in_a_certificate_is_cleaned(authority: Authority) -> None:
    """A certificate's own words come out without control characters."""
    context = authority.context("x\x1b[31m\u202eevil", self_signed=True, common_name_only=True)
    text = see(context).text
    assert text == "certificate is self-signed (for x[31mevil)"


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_verify_off_accepts_and_still_reads(authority: Authority, kind: str) -> None:
    """With `verify: false` an expired certificate is accepted, and its end can still be judged."""
    expired = authority.context("a.example", begins_days=-9, ends_days=-3)
    assert see(expired, kind=kind, verify=False).opinion is Opinion.UP
    valid = condition("cert.expires > 0s", "cert.expires", ">", 0.0)
    judged = see(expired, kind=kind, verify=False, expect=(valid,))
    assert (judged.opinion, judged.kind) == (Opinion.DOWN, Kind.CONDITION)


def test_a_certificate_that_ends_soon_warns(authority: Authority) -> None:
    """`cert.expires` counts the seconds that are left."""
    soon = condition("cert.expires > 21d", "cert.expires", ">", 21.0 * DAY_S)
    assert see(authority.context("localhost", ends_days=20), warn=(soon,)).opinion is Opinion.DEGRADED
    assert see(authority.context("localhost", ends_days=22), warn=(soon,)).opinion is Opinion.UP


def test_server_name_is_asked_for_and_checked(authority: Authority) -> None:
    """The name in SNI picks the certificate, and it is the name that is checked."""
    asked: list[str | None] = []
    default, shop = authority.context("localhost"), authority.context("shop.example")

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        asked.append(name)
        if name == "shop.example":
            connection.context = shop

    default.sni_callback = choose
    assert see(default, host="127.0.0.1", name="shop.example").opinion is Opinion.UP
    assert asked == ["shop.example"]


def test_a_wrong_server_name_is_told_by_that_name(authority: Authority) -> None:
    """When the certificate is not for the configured `server_name`, that is the name in the text."""
    text = see(authority.context("localhost"), host="localhost", name="shop.example").text
    assert text == "certificate is not for shop.example but for localhost"


def test_an_address_is_checked_as_an_address(authority: Authority) -> None:
    """A certificate for 127.0.0.1 is good for https://127.0.0.1, one for localhost is not."""
    assert see(authority.context("127.0.0.1"), kind="https", host="127.0.0.1").opinion is Opinion.UP
    wrong = see(authority.context("localhost"), kind="https", host="127.0.0.1")
    assert wrong.text == "certificate is not for 127.0.0.1 but for localhost"


def test_a_handshake_that_hangs_or_breaks(authority: Authority) -> None:
    """Silence, a reset and a refusal during the handshake are told apart."""

    async def run() -> list[Result]:
        results = []
        for handler in (hang, reset):
            async with Listener(handler) as server:
                target = TlsTarget(host="127.0.0.1", port=server.port)
                results.append(await look(target, timeout_s=0.4))
        results.append(await look(TlsTarget(host="127.0.0.1", port=closed_port())))
        return results

    silent, broken, refused = asyncio.run(run())
    assert (silent.kind, silent.text) == (Kind.TIMEOUT, "timeout after 0.4 s while in the TLS handshake")
    assert (broken.kind, broken.text) == (Kind.RESET, "connection reset while in the TLS handshake")
    assert refused.kind is Kind.REFUSED


def test_the_second_look_stays_within_the_deadline(authority: Authority) -> None:
    """A server that answers the second look with silence costs time, but never the deadline."""
    looks = 0
    bad = authority.context("a.example")

    async def run() -> Result:
        async with Listener(hang) as silent, HttpServer({"/": http(200)}, bad) as server:

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal looks
                looks += 1
                port = server.port if looks == 1 else silent.port
                inner = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_pump(reader, inner[1]), _pump(inner[0], writer))

            async with Listener(relay) as front:
                return await look(TlsTarget(host="localhost", port=front.port), timeout_s=1.0)

    result = asyncio.run(run())
    assert looks == 2
    assert (result.kind, result.text) == (Kind.TLS, "certificate is not for localhost")
    assert result.duration_ms < 1000


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    finally:
        writer.close()


def test_only_the_web_is_offered_http(authority: Authority) -> None:
    """Strict mail servers refuse whoever offers HTTP (ALPN); one prober looks at both, turn by turn."""
    offered: list[str | None] = []
    all_noted = asyncio.Event()

    async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        offered.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        if len(offered) == 3:
            all_noted.set()
        await say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", hang_up)(_reader, writer)

    async def run() -> None:
        context = authority.context("localhost")
        context.set_alpn_protocols(["http/1.1"])
        prober = Prober(SystemClock(), "a", lambda _: True)
        async with Listener(note, context) as server:
            port = server.port
            tls, https = TlsTarget(host="localhost", port=port), HttpTarget(url=f"https://localhost:{port}/")
            for target in (tls, https, tls):
                service = Service(name="web", target=target, voters=("a",))
                result = await prober.probe(service, SystemClock().now().boot + 5)
                assert result.opinion is Opinion.UP, result.text
            await asyncio.wait_for(all_noted.wait(), 5)
        await prober.close()

    asyncio.run(run())
    assert offered == [None, "http/1.1", None]
