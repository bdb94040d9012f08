"""HTTP and HTTPS: one fresh connection per look, redirects followed within limits, a bounded body.

What is asked is curl/requests.py, how bytes move curl/engine.py, what an end means curl/errors.py. Here a
look goes from one request to the next, and what came at the end becomes facts. Only facts that are judged
are made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import pycurl
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import HttpTarget
from watchtower.core.text import clean
from watchtower.probes.curl.engine import Easy
from watchtower.probes.curl.errors import DistrustError, error_of
from watchtower.probes.curl.intake import BODY_BYTES_MAX, charset, unpacked
from watchtower.probes.curl.pems import sent_certificate
from watchtower.probes.curl.requests import Request, first_request, onward
from watchtower.probes.failures import FAILURES, ProtocolError
from watchtower.probes.look import Finding, Look, Shortfall, aside, json_facts, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.addresses import addresses
from watchtower.probes.wires.certificates import Certificate, distrust

SECOND_LOOK_S: Final = 3.0
EARLY_MS: Final = 5
_VERSIONS: Final = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "2",
    pycurl.CURL_HTTP_VERSION_3: "3",
}


class Answer(Struct, frozen=True, kw_only=True):
    """The last answer of a chain. `body` is unpacked and holds at most BODY_BYTES_MAX bytes.

    `headers` have their names in small letters; `hops` are the URLs that redirects led to, without secrets.
    """

    status: int
    version: str
    headers: Mapping[str, str]
    body: bytes
    hops: tuple[str, ...]
    certificate: Certificate | None


async def probe(target: HttpTarget, tools: Tools, look: Look) -> Finding:
    """Ask the URL. Without `expect` a status of 2xx or 3xx is good."""
    try:
        answer = await fetch(target, tools, look)
    except DistrustError as error:
        return await _distrusted(error, tools, look)
    if answer.status == 401 and target.oauth2 is not None:
        tools.tokens.forget(target.oauth2)
    said = f"HTTP {answer.status}"
    count = len(answer.hops)
    chain = f" after {count} redirect{'s'[: count - 1]}" if count else ""
    return Finding(
        text=f"{said} in {milliseconds(look.elapsed_s())}{chain}",
        facts=_facts(answer, look, tools.clock.now().wall),
        kept=_kept(answer, look),
        default=None if 200 <= answer.status < 400 else Shortfall(Opinion.DOWN, Kind.STATUS, said + chain),
    )


async def fetch(target: HttpTarget, tools: Tools, look: Look) -> Answer:
    """The answer at the end of the redirects. Raises what FAILURES names."""
    request = await _authorized(first_request(target, tools.roots, tools.user_agent), tools, look)
    hops: list[str] = []
    for _ in range(target.follow_redirects + 1):
        easy = tools.engine().take(request.next_options())
        try:
            await _transfer(request, easy, tools, look)
            status = easy.getinfo(pycurl.RESPONSE_CODE)
            headers = easy.intake.headers()
            step = onward(request, status, headers.get("location", "")) if target.follow_redirects else None
            if step is None:
                return _answer(request, easy, status, headers, tuple(hops))
        finally:
            tools.engine().give_back(easy)
        request = step
        hops.append(_hop(request.url))
    raise ProtocolError(f"more than {target.follow_redirects} redirects, the last one to {hops[-1]}")


async def _authorized(request: Request, tools: Tools, look: Look) -> Request:
    """The request with the token that it needs, if any. Raises OwnFaultError without it."""
    oauth2 = request.target.oauth2
    if oauth2 is None:
        return request

    async def ask(question: HttpTarget, beside: Look) -> tuple[int, bytes]:
        # By the way of the service, and always verified: the client's secret is in it.
        service = request.target
        way = replace(question, ca=service.ca, proxy=service.proxy, ip=service.ip, resolver=service.resolver)
        answer = await fetch(way, tools, beside)
        return answer.status, answer.body

    return request.as_bearer(await tools.tokens.token(oauth2, look, ask))


async def _transfer(request: Request, easy: Easy, tools: Tools, look: Look) -> None:
    """One request, answered. Raises what FAILURES names."""
    host, port = request.door
    found = [host]
    look.hop()
    look.by_proxy = request.target.proxy is not None
    if not request.has_address:
        target = request.target
        found = await addresses(host, port, tools.resolver, look, ip=target.ip, server=target.resolver)
        listed = ",".join(f"[{one}]" if ":" in one else one for one in found)
        easy.setopt(pycurl.RESOLVE, [f"+{host}:{port}:{listed}"])
    look.note_address(found[0], port)
    began_boot = look.enter("connect")
    # Told by libcurl, a timeout comes with its phases; only what it overlooks is cut off from outside.
    easy.setopt(pycurl.TIMEOUT_MS, max(1, int(look.left_s(began_boot) * 1000) - EARLY_MS))
    try:
        code, words = await tools.engine().run(easy, request.ca_file)
    except asyncio.CancelledError:
        _time(request, easy, look, began_boot, is_over=False)
        raise
    error = error_of(code, words, easy)
    _time(request, easy, look, began_boot, is_over=error is None)
    if isinstance(error, DistrustError):
        error.request, error.seen = request, sent_certificate(easy)
    if error is not None:
        raise error


def _time(request: Request, easy: Easy, look: Look, began_boot: float, *, is_over: bool) -> None:
    """Tell the look what libcurl's clock says of the phases, and in which of them it stands."""
    info = easy.getinfo
    at = info(pycurl.PRIMARY_IP)
    if at:
        look.note_address(at, info(pycurl.PRIMARY_PORT))
    spent: dict[str, float] = {}
    since_us = info(pycurl.NAMELOOKUP_TIME_T)
    for phase, until_us in _marks(request, easy):
        if not until_us:
            in_tls = phase == "connect" and request.is_tls and easy.was_connected
            look.stood("tls" if in_tls else phase, began_boot, spent)
            return
        spent[phase] = max(until_us - since_us, 0) / 1e6
        since_us = max(until_us, since_us)
    if is_over:
        spent["transfer"] = max(info(pycurl.TOTAL_TIME_T) - since_us, 0) / 1e6
    look.stood("" if is_over else "transfer", began_boot, spent)


def _marks(request: Request, easy: Easy) -> list[tuple[str, int]]:
    """The phases before the body, each with the microsecond of its end, 0 when it has not ended."""
    info = easy.getinfo
    first_byte = ("first_byte", info(pycurl.STARTTRANSFER_TIME_T) if easy.intake.has_head else 0)
    if first_byte[1] and info(pycurl.NUM_CONNECTS) == 0:
        return [first_byte]
    connect = ("connect", info(pycurl.CONNECT_TIME_T))
    if not request.is_tls:
        return [connect, first_byte]
    if request.target.proxy is not None and not info(pycurl.HTTP_CONNECTCODE):
        connect = ("connect", 0)  # until a proxy has made its tunnel, the connection is waited for
    return [connect, ("tls", info(pycurl.APPCONNECT_TIME_T)), first_byte]


def _answer(
    request: Request, easy: Easy, status: int, headers: dict[str, str], hops: tuple[str, ...]
) -> Answer:
    version = _VERSIONS.get(easy.getinfo(pycurl.INFO_HTTP_VERSION), "")
    wanted = request.target.http_version
    if wanted not in ("1.1", version):
        raise ProtocolError(f"speaks HTTP/{version or '?'}, not HTTP/{wanted}")
    return Answer(
        status=status,
        version=version,
        headers=headers,
        body=unpacked(easy.intake.body(), headers.get("content-encoding", "")),
        hops=hops,
        certificate=sent_certificate(easy) if request.is_tls else None,
    )


async def _distrusted(error: DistrustError, tools: Tools, look: Look) -> Finding:
    """The Finding for a certificate that was not accepted, with what a second look saw of it."""
    look.enter("")
    budget_s = min(look.left_s() * 0.8, SECOND_LOOK_S)
    seen = error.seen or await _second_look(error.request, tools, budget_s)
    text = clean(distrust(error, error.request.host, seen, tools.clock.now().wall))
    return Finding(
        text=text,
        kept={"ip": look.ip, **(seen.told() if seen else {})},
        failure=Shortfall(Opinion.DOWN, Kind.TLS, text),
    )


async def _second_look(request: Request, tools: Tools, budget_s: float) -> Certificate | None:
    """The certificate and its chain as they are sent, accepted unseen: nothing is asked for."""
    easy = tools.engine().take(request.options)
    easy.setopt(pycurl.SSL_VERIFYPEER, 0)
    easy.setopt(pycurl.SSL_VERIFYHOST, 0)
    easy.setopt(pycurl.CONNECT_ONLY, 1)
    try:
        with aside(tools.clock, budget_s) as beside, contextlib.suppress(*FAILURES):
            async with asyncio.timeout(budget_s):
                await _transfer(request, easy, tools, beside)
        return sent_certificate(easy)
    finally:
        tools.engine().give_back(easy)


def _facts(answer: Answer, look: Look, now_wall: float) -> dict[str, Any]:
    if not look.judged:
        return {}
    facts: dict[str, Any] = {"status": answer.status, "ip": look.ip, **look.times()}
    judged = {clause.field for line in look.judged for clause in line.clauses}
    if "body" in judged:
        read_as = charset(answer.headers.get("content-type", ""))
        facts["body"] = answer.body.decode(read_as, errors="replace")
    if any(field.startswith("json") for field in judged):
        facts |= _json(answer.body)
    if any(field.startswith("header.") for field in judged):
        facts |= {f"header.{name}": value for name, value in answer.headers.items()}
    if answer.certificate is not None:
        facts |= answer.certificate.facts(now_wall)
    return facts


def _json(body: bytes) -> dict[str, Any]:
    if len(body) >= BODY_BYTES_MAX:
        return {"json.error": f"the body is over {BODY_BYTES_MAX} bytes"}
    return json_facts(body)


def _kept(answer: Answer, look: Look) -> dict[str, float | str]:
    return {
        "status": float(answer.status),
        "ip": look.ip,
        "http.version": answer.version,
        "redirects": float(len(answer.hops)),
        "body.bytes": float(len(answer.body)),
        **({"redirected.to": _shortened(answer.hops)} if answer.hops else {}),
        **(answer.certificate.kept() if answer.certificate else {}),
    }


def _hop(url: URL) -> str:
    """Where a redirect led, without its query: that of a signed URL lets in whoever reads it."""
    return clean(str(url.with_query(None)) + ("?***" if url.query_string else ""))


def _shortened(hops: tuple[str, ...]) -> str:
    """The way that redirects led, as much of it as fits."""
    return clean(" > ".join(hops), 160)
