"""HTTP and HTTPS: one fresh connection per look, redirects followed within limits, a bounded body.

Redirects are followed here and not by aiohttp, so that configured headers and bodies, which may be
secrets, never reach another origin. Bodies are read and decoded up to BODY_BYTES_MAX, whatever is sent.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import hdrs
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import HttpTarget
from watchtower.core.text import clean
from watchtower.probes.certificates import Certificate, shown
from watchtower.probes.failures import ProtocolError
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds
from watchtower.probes.tls import Door, distrusted
from watchtower.probes.tools import Tools

BODY_BYTES_MAX: Final = 65_536
_REDIRECTS: Final = (301, 302, 303, 307, 308)
# zlib's wbits: 47 reads gzip and zlib headers alike, -15 the headless deflate that some servers send.
_WINDOWS: Final = {"gzip": (47,), "x-gzip": (47,), "deflate": (47, -15)}


class Answer(Struct, frozen=True, kw_only=True):
    """The last answer of a chain. `body` is decoded and holds at most BODY_BYTES_MAX bytes."""

    status: int
    version: str
    headers: Mapping[str, str]
    body: bytes
    charset: str
    redirects: int
    certificate: Certificate | None


class _Request(Struct, frozen=True, kw_only=True):
    url: URL
    method: str
    headers: dict[str, str]
    body: bytes | None


async def probe(target: HttpTarget, tools: Tools, look: Look) -> Finding:
    """Ask the URL. Without `expect` a status of 2xx or 3xx is good."""
    try:
        answer = await fetch(target, tools, look)
    except aiohttp.ClientConnectorCertificateError as error:
        door = Door(host=error.host, port=error.port or 443, name=error.host)
        return await distrusted(error.certificate_error, door, tools, look)
    said = f"HTTP {answer.status}"
    chain = f" after {answer.redirects} redirect{'s'[: answer.redirects - 1]}" if answer.redirects else ""
    return Finding(
        text=f"{said} in {milliseconds(look.elapsed_s())}{chain}",
        facts=_facts(answer, look, tools.clock.now().wall),
        kept=_kept(answer, look),
        default=None if 200 <= answer.status < 400 else Shortfall(Opinion.DOWN, Kind.STATUS, said + chain),
    )


async def fetch(target: HttpTarget, tools: Tools, look: Look) -> Answer:
    """The answer at the end of the redirects. Raises what FAILURES names."""
    request = _first_request(target, tools)
    for redirects in range(target.follow_redirects + 1):
        response = await tools.session().request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            ssl=tools.trust(verify=target.verify),
        )
        try:
            onward = _onward(request, response) if target.follow_redirects else None
            if onward is None:
                return await _read(response, redirects, look)
        finally:
            response.close()
        request = onward
    raise ProtocolError(
        f"more than {target.follow_redirects} redirects, the last one to {request.url.human_repr()}"
    )


def _first_request(target: HttpTarget, tools: Tools) -> _Request:
    headers: dict[str, str] = {hdrs.USER_AGENT: tools.user_agent, hdrs.ACCEPT_ENCODING: "identity"}
    configured = {name.title(): value.reveal() for name, value in target.headers}
    return _Request(
        url=URL(target.url),
        method=target.method,
        headers={**headers, **configured},
        body=target.body.encode() or None,
    )


def _onward(request: _Request, response: aiohttp.ClientResponse) -> _Request | None:
    """The request that a redirect asks for (RFC 9110, 15.4); None when this answer is the last."""
    location = response.headers.get(hdrs.LOCATION, "")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        url = request.url.join(URL(location))
    except ValueError as error:
        raise ProtocolError(f"redirects to what is no address: {location}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ProtocolError(f"redirects to {location}")
    rewritten = response.status == 303 or (response.status in (301, 302) and request.method == "POST")
    onward = replace(request, url=url, method="GET", body=None) if rewritten else replace(request, url=url)
    if url.origin() == request.url.origin():
        return onward
    own = (hdrs.USER_AGENT, hdrs.ACCEPT_ENCODING)
    return replace(onward, headers={name: onward.headers[name] for name in own}, body=None)


async def _read(response: aiohttp.ClientResponse, redirects: int, look: Look) -> Answer:
    look.enter("transfer")
    raw = bytearray()
    while len(raw) < BODY_BYTES_MAX:
        chunk = await response.content.read(BODY_BYTES_MAX - len(raw))
        if not chunk:
            break
        raw += chunk
    look.enter("")
    version = response.version
    return Answer(
        status=response.status,
        version=f"{version.major}.{version.minor}" if version else "",
        headers=response.headers,
        body=_decoded(bytes(raw), response.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()),
        charset=_charset(response),
        redirects=redirects,
        certificate=shown(look.ssl_object),
    )


def _decoded(raw: bytes, encoding: str) -> bytes:
    """`raw` unpacked up to the limit; as it came when the encoding is none of ours or a lie."""
    for window in _WINDOWS.get(encoding, ()):
        try:
            return zlib.decompressobj(window).decompress(raw, BODY_BYTES_MAX)
        except zlib.error:
            continue
    return raw


def _charset(response: aiohttp.ClientResponse) -> str:
    named = response.charset or "utf-8"
    try:
        known = codecs.lookup(named)
    except LookupError:
        return "utf-8"
    return named if known._is_text_encoding else "utf-8"  # noqa: SLF001 - else `rot13` of a hostile header


def _facts(answer: Answer, look: Look, now_wall: float) -> dict[str, Any]:
    return {
        "status": answer.status,
        "ip": look.ip,
        "body": answer.body.decode(answer.charset, errors="replace"),
        **look.times(),
        **_json(answer.body),
        **{f"header.{name.lower()}": value for name, value in answer.headers.items()},
        **(answer.certificate.facts(now_wall) if answer.certificate else {}),
    }


def _json(body: bytes) -> dict[str, Any]:
    if len(body) >= BODY_BYTES_MAX:
        return {"json.error": f"the body is over {BODY_BYTES_MAX} bytes"}
    try:
        return {"json": msgspec.json.decode(body)}
    except (ValueError, RecursionError) as error:
        return {"json.error": clean(str(error))}


def _kept(answer: Answer, look: Look) -> dict[str, float | str]:
    return {
        "status": float(answer.status),
        "ip": look.ip,
        "http.version": answer.version,
        "redirects": float(answer.redirects),
        "body.bytes": float(len(answer.body)),
        **(answer.certificate.kept() if answer.certificate else {}),
    }
