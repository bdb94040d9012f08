"""HTTP looks by the way that a service asks for: whom they trust, as whom, through what, and to where."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.core_support import service
from support.http2 import answer_http2
from support.looking import condition, look
from support.proxies import Proxy
from support.targets import Authority, DnsServer, HttpServer, Listener, closed_port, full_backlog, hang, http

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget, OAuth2
from watchtower.probes.curl.pems import sent_certificate
from watchtower.probes.kinds import http as http_probe
from watchtower.probes.prober import Prober

SAYS_HI = condition("body contains hi", "body", "contains", "hi")


def see(
    context: ssl.SSLContext | None = None, *, host: str = "localhost", answer: bytes = b"", **way: Any
) -> Result:
    """One look at a server, by `way`."""

    async def run() -> Result:
        async with HttpServer({"/": answer or http(200, b"hi")}, context) as server:
            return await look(HttpTarget(url=server.url(host=host), **way))

    return asyncio.run(run())


def client_certificate(authority: Authority, folder: Path, name: str) -> str:
    """A PEM file with a certificate of `authority` and its key."""
    before = set(folder.glob("*.pem"))
    authority.context(name)
    return str((set(folder.glob("*.pem")) - before).pop())


def wants_certificate(authority: Authority) -> ssl.SSLContext:
    """A server's context that admits only clients of `authority`."""
    context = authority.context("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    return context


def test_an_authority_of_its_own(tmp_path: Path) -> None:
    """`ca` is trusted in place of the system's authorities, and only by the service that names it."""
    authority = Authority(tmp_path)
    trusting = see(authority.context("localhost"), ca=str(authority.ca_file))
    assert (trusting.opinion, trusting.facts["cert.issuer"]) == (Opinion.UP, "CN=Test Authority")
    assert see(authority.context("localhost")).kind is Kind.TLS


def test_an_authority_is_read_once(tmp_path: Path) -> None:
    """A bundle is not parsed anew for every look, not even when two take turns: a change counts later."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    authorities = [Authority(folder) for folder in folders]

    async def run() -> list[Opinion]:
        prober = Prober(SystemClock(), "a", lambda _: True)
        opinions = []
        servers = [HttpServer({"/": http(200)}, one.context("localhost")) for one in authorities]
        async with servers[0], servers[1]:
            for _ in range(2):
                for server, authority in zip(servers, authorities, strict=True):
                    target = HttpTarget(url=server.url(host="localhost"), ca=str(authority.ca_file))
                    result = await prober.probe(service("web", target), SystemClock().now().boot + 5)
                    opinions.append(result.opinion)
                for authority in authorities:
                    authority.ca_file.write_text("nonsense")
        await prober.close()
        return opinions

    assert asyncio.run(run()) == [Opinion.UP] * 4


def test_our_own_missing_files_say_nothing_about_the_service(authority: Authority, tmp_path: Path) -> None:
    """Authorities or a certificate that this peer cannot read make the look unknown, not down."""
    context = authority.context("localhost")
    for key in ("ca", "cert"):
        way: dict[str, Any] = {key: str(tmp_path / "no.pem")}
        result = see(context, **way)
        assert (result.opinion, result.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE), result.text
        assert result.text.startswith("this peer cannot ")


def test_mutual_tls(authority: Authority, tmp_path: Path) -> None:
    """With `cert` the service lets us in; without it says that it wants one, or hangs up."""
    pem = client_certificate(authority, tmp_path, "watchtower")
    assert see(wants_certificate(authority), cert=pem).opinion is Opinion.UP
    shut_out = see(wants_certificate(authority))
    assert shut_out.opinion is Opinion.DOWN
    assert shut_out.kind in (Kind.TLS, Kind.RESET), shut_out.text


def test_a_certificate_stays_with_its_origin(authority: Authority, tmp_path: Path) -> None:
    """A redirect to another origin is followed without our certificate."""
    pem = client_certificate(authority, tmp_path, "watchtower")
    shown: list[bool] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(bool(writer.get_extra_info("ssl_object").getpeercert()))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(200))
        await writer.drain()

    def asking() -> ssl.SSLContext:
        context = wants_certificate(authority)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def run() -> Result:
        async with Listener(note, asking()) as other:
            there = http(302, Location=other.url(host="localhost"))
            async with HttpServer({"/": there}, asking()) as first:
                return await look(HttpTarget(url=first.url(host="localhost"), cert=pem))

    assert asyncio.run(run()).opinion is Opinion.UP
    assert shown == [False]


def test_the_second_look_finds_the_certificate(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A libcurl that drops what it does not accept is asked again, without checks, and tells it then."""
    sent, calls = sent_certificate, []

    def forgetful(easy: Any) -> Any:
        calls.append(easy)
        return sent(easy) if len(calls) > 1 else None

    monkeypatch.setattr(http_probe, "sent_certificate", forgetful)
    result = see(authority.context("a.example"))
    assert result.text == "certificate is not for localhost but for a.example"
    assert len(calls) == 2


def test_another_address_under_the_same_name(authority: Authority) -> None:
    """`address` is connected to; Host, SNI and the certificate stay those of the URL."""
    heads: list[str] = []

    async def run() -> Result:
        async with HttpServer({"/": http(200)}, authority.context("shop.example")) as server:
            url = f"https://shop.example:{server.port}/"
            result = await look(HttpTarget(url=url, address=("127.0.0.1", 0)))
            moved = await look(HttpTarget(url="https://shop.example/", address=("localhost", server.port)))
            assert moved.opinion is Opinion.UP, moved.text
            heads.extend(server.heads)
            return result

    result = asyncio.run(run())
    assert (result.opinion, result.facts["ip"]) == (Opinion.UP, "127.0.0.1")
    assert "Host: shop.example:" in heads[0]
    assert "Host: shop.example\r\n" in heads[1]


def test_a_resolver_of_its_own() -> None:
    """`resolver` is asked for the name, and each of its ways to fail has the words of DNS."""

    async def run() -> list[Result]:
        records = {"shop.example": ["A 127.0.0.1"], "txt.example": ["TXT hi"], "mute.example": None}
        async with DnsServer(dict(records)) as dns, HttpServer({"/": http(200)}) as server:
            return [
                await look(
                    HttpTarget(url=server.url(host=f"{name}.example"), resolver=dns.address), timeout_s=1.0
                )
                for name in ("shop", "txt", "none", "mute")
            ]

    shop, txt, none, mute = asyncio.run(run())
    assert (shop.opinion, shop.facts["ip"]) == (Opinion.UP, "127.0.0.1"), shop.text
    assert "resolve" in shop.phases_ms
    assert (txt.kind, txt.text) == (Kind.DNS, "name has no address")
    assert (none.kind, none.text) == (Kind.DNS, "name does not exist (NXDOMAIN)")
    assert mute.kind in (Kind.DNS, Kind.TIMEOUT)
    assert mute.opinion is Opinion.DOWN


def test_names_are_asked_anew() -> None:
    """An address that has moved in DNS is the one that the next look goes to."""

    async def run() -> list[object]:
        records: dict[str, Any] = {"shop.example": ["A 127.0.0.1"]}
        prober, seen = Prober(SystemClock(), "a", lambda _: True), list[object]()
        here = Listener(_hello)
        async with DnsServer(records) as dns, here, Listener(_hello, host="127.0.0.2", port=here.port):
            watched = service("web", HttpTarget(url=here.url(host="shop.example"), resolver=dns.address))
            for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
                records["shop.example"] = [f"A {address}"]
                result = await prober.probe(watched, SystemClock().now().boot + 5)
                seen.append(result.facts["ip"])
        await prober.close()
        return seen

    assert asyncio.run(run()) == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]


def test_one_family_of_addresses() -> None:
    """`ip` chooses among a name's addresses; none of that family is a failure of DNS."""

    async def run() -> list[Result]:
        records = {"shop.example": ["A 127.0.0.1"]}
        async with DnsServer(dict(records)) as dns, HttpServer({"/": http(200)}) as server:
            url = server.url(host="shop.example")
            return [await look(HttpTarget(url=url, resolver=dns.address, ip=ip)) for ip in ("4", "6")]

    four, six = asyncio.run(run())
    assert four.opinion is Opinion.UP
    assert (six.kind, six.text) == (Kind.DNS, "name has no address")


def test_the_next_address_is_tried() -> None:
    """Of several addresses a silent one is passed over soon, long before the deadline."""

    async def run() -> Result:
        with full_backlog() as port:
            other = Listener(_hello, host="127.0.0.2", port=port)
            async with other, DnsServer({"shop.example": ["A 127.0.0.1", "A 127.0.0.2"]}) as dns:
                return await look(HttpTarget(url=f"http://shop.example:{port}/", resolver=dns.address))

    result = asyncio.run(run())
    assert (result.opinion, result.facts["ip"]) == (Opinion.UP, "127.0.0.2"), result.text
    assert result.duration_ms < 2_000


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(http(200, b"hi"))
    await writer.drain()


@pytest.mark.parametrize("over_tls", [False, True])
def test_through_a_proxy(authority: Authority, *, over_tls: bool) -> None:
    """The proxy is told the name and resolves it; its credentials go to it and to nobody else."""

    async def run() -> tuple[Result, str, str]:
        context = authority.context("shop.example") if over_tls else None
        async with Proxy() as proxy, HttpServer({"/": http(200, b"hi")}, context) as server:
            target = HttpTarget(
                url=server.url(host="shop.example"),
                proxy=Secret(f"http://ann:hunter2@127.0.0.1:{proxy.port}"),
            )
            result = await look(target, expect=(SAYS_HI,))
            return result, proxy.heads[0], server.heads[0]

    result, asked_proxy, asked_server = asyncio.run(run())
    assert result.opinion is Opinion.UP, result.text
    assert "Proxy-Authorization: Basic" in asked_proxy
    assert asked_proxy.startswith("CONNECT shop.example:" if over_tls else "GET http://shop.example:")
    assert "Proxy-Authorization" not in asked_server


def test_the_proxy_is_told_apart() -> None:
    """A proxy that refuses or is not reached is named as such; its password is in no text."""

    async def run() -> list[Result]:
        async with Proxy(status=403) as proxy:
            with full_backlog() as full:
                places = [f"127.0.0.1:{port}" for port in (proxy.port, closed_port(), full)]
                targets = [
                    HttpTarget(url="https://shop.example/", proxy=Secret(f"http://ann:hunter2@{place}"))
                    for place in (*places, "no-such-proxy.invalid:1")
                ]
                return [await look(target, timeout_s=0.5) for target in targets]

    refused, absent, silent, unnamed = asyncio.run(run())
    assert refused.text.startswith("the proxy refuses: ")
    assert "403" in refused.text
    assert absent.kind is Kind.REFUSED
    assert absent.text.startswith("through the proxy: connection refused by 127.0.0.1:")
    assert unnamed.kind is Kind.DNS
    assert unnamed.text.startswith("through the proxy: ")
    assert silent.text == "through the proxy: timeout after 0.5 s while connecting"
    assert "hunter2" not in f"{refused}{absent}{unnamed}{silent}"


def test_a_proxy_of_the_environment_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks go where the configuration says."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert see(host="127.0.0.1").opinion is Opinion.UP


def test_a_version_that_is_not_spoken(authority: Authority) -> None:
    """A service that is to speak HTTP/2 and does not is down, and is told what it speaks."""
    result = see(authority.context("localhost"), http_version="2")
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL)
    assert result.text == "speaks HTTP/1.1, not HTTP/2"


@pytest.mark.parametrize("over_tls", [False, True])
def test_http_2(authority: Authority, *, over_tls: bool) -> None:
    """HTTP/2 is spoken over TLS, and in the clear to who is known to speak it."""
    context = authority.context("localhost") if over_tls else None
    if context is not None:
        context.set_alpn_protocols(["h2"])

    async def run() -> Result:
        async with Listener(answer_http2, context) as server:
            return await look(
                HttpTarget(url=server.url(host="localhost"), http_version="2"), expect=(SAYS_HI,)
            )

    result = asyncio.run(run())
    assert (result.opinion, result.facts["http.version"]) == (Opinion.UP, "2"), result.text


def test_nobody_answers_http_3() -> None:
    """HTTP/3 goes to the port over UDP, and nobody there is a refusal as over TCP."""
    port = closed_port()
    result = asyncio.run(look(HttpTarget(url=f"https://127.0.0.1:{port}/", http_version="3"), timeout_s=2.0))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.REFUSED), result.text
    assert result.text == f"connection refused by 127.0.0.1:{port}"


def test_one_in_ten_connects_anew() -> None:
    """With `reuse` looks share a connection, and every tenth makes one of its own all the same."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(http(200))
            await writer.drain()

    async def run() -> list[Result]:
        prober = Prober(SystemClock(), "a", lambda _: True)
        async with Listener(serve) as server:
            watched = service("web", HttpTarget(url=server.url(), connection="reuse"))
            results = [await prober.probe(watched, SystemClock().now().boot + 5) for _ in range(20)]
        await prober.close()
        return results

    results = asyncio.run(run())
    assert {result.opinion for result in results} == {Opinion.UP}
    assert connections == 2
    assert [("connect" in result.phases_ms) for result in results] == ([True] + [False] * 9) * 2


def with_token(
    answers: list[bytes], looks: int = 1, status: int = 200
) -> tuple[list[Result], list[str], list[str]]:
    """Looks at a service that wants a token, with what the service and the token endpoint were asked."""

    async def run() -> tuple[list[Result], list[str], list[str]]:
        prober = Prober(SystemClock(), "a", lambda _: True)
        async with HttpServer({"/token": answers[0]}) as issuer, HttpServer({"/": http(status)}) as server:
            oauth2 = OAuth2(
                token_url=issuer.url("/token"), client_id="me", client_secret=Secret("hunter2"), scope="a b"
            )
            watched = service("web", HttpTarget(url=server.url(), oauth2=oauth2))
            results = []
            for at in range(looks):
                issuer.answers["/token"] = answers[min(at, len(answers) - 1)]
                results.append(await prober.probe(watched, SystemClock().now().boot + 5))
        await prober.close()
        return results, server.heads, issuer.heads

    return asyncio.run(run())


def grant(token: str, **more: Any) -> bytes:
    """A token endpoint's answer."""
    return http(200, json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode())


def test_a_token_is_fetched_once_and_kept() -> None:
    """The client's secret goes to the token endpoint, the token to the service, for as long as it lives."""
    results, asked, issued = with_token([grant("t0k3n", expires_in=3600)], looks=3)
    assert {result.opinion for result in results} == {Opinion.UP}, results[0].text
    assert len(issued) == 1
    assert "Authorization: Basic " in issued[0]
    assert issued[0].startswith("POST /token ")
    assert all("Authorization: Bearer t0k3n\r\n" in head for head in asked)
    assert len(asked) == 3


def test_a_token_comes_by_the_way_of_its_service() -> None:
    """Who reaches a service through a proxy fetches the token through it as well."""

    async def run() -> tuple[Result, list[str]]:
        async with Proxy() as proxy, HttpServer({"/": http(200), "/token": grant("t0k3n")}) as server:
            oauth2 = OAuth2(
                token_url=server.url("/token", host="id.example"),
                client_id="me",
                client_secret=Secret("hunter2"),
            )
            way = Secret(f"http://127.0.0.1:{proxy.port}")
            target = HttpTarget(url=server.url(host="shop.example"), oauth2=oauth2, proxy=way)
            return await look(target), [head.split(" ")[1].split(":")[1] for head in proxy.heads]

    result, asked = asyncio.run(run())
    assert result.opinion is Opinion.UP, result.text
    assert asked == ["//id.example", "//shop.example"]


def test_a_token_that_expires_is_renewed() -> None:
    """A token that lives no longer than a look is asked for again."""
    _, asked, issued = with_token([grant("one", expires_in=0.01), grant("two")], looks=1)
    assert len(issued) == 1
    _, asked, issued = with_token([grant("one"), grant("two")], looks=3, status=401)
    assert len(issued) == 3
    assert "Bearer one" in asked[0]
    assert "Bearer two" in asked[1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            http(401, b'{"error": "invalid_client", "error_description": "hunter2"}'),
            "HTTP 401 (invalid_client)",
        ),
        (http(500, b"hunter2"), "HTTP 500"),
        (http(200, b'{"token_type": "Bearer"}'), "the answer holds no token"),
        (http(200, b'{"access_token": "a\\r\\nX-Evil: 1"}'), "the answer holds no token that could be sent"),
        (http(200, b"hunter2"), "the answer holds no token"),
        (http(302, b"", Location="/elsewhere"), "HTTP 302"),
    ],
)
def test_without_a_token_nobody_was_asked(answer: bytes, why: str) -> None:
    """What the token endpoint did is told as such; the service is unknown, and the secret in no text."""
    (result,), asked, _ = with_token([answer])
    assert (result.opinion, result.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
    assert result.text.startswith("no token from http://127.0.0.1:")
    assert result.text.endswith(f"/token: {why}")
    assert asked == []
    assert "hunter2" not in repr(result)


def test_a_silent_token_endpoint_is_not_the_service() -> None:
    """However many looks wait for the same token: all say whose silence it was."""

    async def run() -> list[Result]:
        prober = Prober(SystemClock(), "a", lambda _: True)
        async with Listener(hang) as issuer, HttpServer({"/": http(200)}) as server:
            oauth2 = OAuth2(token_url=issuer.url("/token"), client_id="me", client_secret=Secret("hunter2"))
            watched = service("web", HttpTarget(url=server.url(), oauth2=oauth2), timeout_s=0.5)
            deadline = SystemClock().now().boot + 0.5
            results = await asyncio.gather(*(prober.probe(watched, deadline) for _ in range(5)))
        await prober.close()
        return results

    for result in asyncio.run(run()):
        assert (result.opinion, result.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE), result.text
        assert result.text.startswith("no token from http://127.0.0.1:")


def test_the_hops_are_told() -> None:
    """Where redirects led is part of the evidence, without user info and within its limit."""

    async def run() -> Result:
        first_hop = "/b?X-Amz-Signature=hunter2&state=hunter2"
        async with HttpServer({first_hop: http(302, Location="/c"), "/c": http(200)}) as server:
            there = f"http://ann:hunter2@127.0.0.1:{server.port}{first_hop}"
            async with HttpServer({"/": http(301, Location=there)}) as first:
                result = await look(HttpTarget(url=first.url()))
                assert "Authorization" not in server.heads[0]
                return result

    result = asyncio.run(run())
    told = str(result.facts["redirected.to"])
    assert told.endswith("/c")
    assert told.count(" > ") == 1
    assert "/b?*** > " in told
    assert "hunter2" not in told
