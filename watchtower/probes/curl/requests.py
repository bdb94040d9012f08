"""From a target to libcurl's options: what is asked for, where, as whom, and whom it trusts.

Everything that no look changes is computed once for each target. Redirects become requests of their own
here, so that configured headers, bodies and certificates, which may be secrets, never reach another
origin; libcurl itself follows nothing, reads no environment and knows no scheme but http and https.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pycurl
from yarl import URL

from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget
from watchtower.probes.curl.engine import Option
from watchtower.probes.curl.roots import Roots
from watchtower.probes.failures import ProtocolError
from watchtower.probes.wires.resolver import is_address

FRESH_EVERY: Final = 10
"""With `connection: reuse`: of so many looks one connects anew, or new connections failing stays unseen."""
REDIRECTS: Final = (301, 302, 303, 307, 308)
_TARGETS_MAX: Final = 16_384
_CA_CACHE_TIMEOUT: Final = 321
_SUPPRESS_CONNECT_HEADERS: Final = 265
"""CURLOPT_* for which pycurl has no names; the numbers are libcurl's ABI."""
_CA_KEPT_S: Final = 600
"""How long an authority file that was read once is good for."""
_CURVES: Final = "X25519:P-256:P-384:P-521"
"""Without a post-quantum share in the first message: it costs every handshake a tenth more, and says
nothing about the service."""
_VERSIONS: Final = {
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": pycurl.CURL_HTTP_VERSION_3ONLY,
}
_NEW_CONNECTION: Final[Option] = (pycurl.FRESH_CONNECT, 1)
_ALWAYS: Final[tuple[Option, ...]] = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.NOPROXY, ""),
    (_SUPPRESS_CONNECT_HEADERS, 1),
    (pycurl.HTTP_CONTENT_DECODING, 0),
)


class Request:
    """One request: its options hold secrets, so it never shows itself."""

    __slots__ = (
        "body", "door", "has_address", "headers", "is_own", "looks", "method", "options", "roots", "target",
        "url",
    )  # fmt: skip

    def __init__(
        self,
        target: HttpTarget,
        roots: Roots,
        *,
        url: URL,
        method: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        is_own: bool,
    ) -> None:
        self.target = target
        self.roots = roots
        self.url = url
        self.method = method
        self.headers = headers
        self.body = body
        self.is_own = is_own
        """Within the origin that was configured: credentials may be sent."""
        self.door = _door(self)
        """Host and port that are connected to."""
        self.has_address = is_address(self.door[0])
        self.looks = 0
        self.options: tuple[Option, ...] = (
            *_ALWAYS,
            *_asking(self),
            *_reaching(self),
            *_trusting(self),
        )

    def next_options(self) -> tuple[Option, ...]:
        """The options for one more look: now and then on a new connection, even where one may be reused."""
        self.looks += 1
        is_turn = self.target.connection == "reuse" and self.looks % FRESH_EVERY == 1
        return (*self.options, _NEW_CONNECTION) if is_turn else self.options

    def as_bearer(self, token: Secret) -> Request:
        """The same with a token, for one look."""
        headers = (*self.headers, ("Authorization", f"Bearer {token.reveal()}"))
        same = Request(
            self.target,
            self.roots,
            url=self.url,
            method=self.method,
            headers=headers,
            body=self.body,
            is_own=True,
        )
        same.looks = self.looks
        self.looks += 1
        return same

    @property
    def host(self) -> str:
        """As names are resolved and certificates are judged: without brackets, IDNA, small letters."""
        return self.url.raw_host or ""

    @property
    def port(self) -> int:
        """The port of the URL."""
        return self.url.port or 0

    @property
    def is_tls(self) -> bool:
        """Whether a handshake belongs to it."""
        return self.url.scheme == "https"

    @property
    def ca_file(self) -> str:
        """The authorities that its certificate is judged by, "" when it is not."""
        return self.target.ca or self.roots.file


@lru_cache(maxsize=_TARGETS_MAX)
def first_request(target: HttpTarget, roots: Roots, user_agent: str) -> Request:
    """What a look at `target` asks first."""
    named = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
    named |= {"Content-Type": "application/octet-stream"} if target.body and target.method != "HEAD" else {}
    named |= {name.title(): value.reveal() for name, value in target.headers}
    return Request(
        target,
        roots,
        url=URL(target.url),
        method=target.method,
        headers=tuple(named.items()),
        body=target.body.encode(),
        is_own=True,
    )


def onward(request: Request, status: int, location: str) -> Request | None:
    """The request that a redirect asks for (RFC 9110, 15.4); None when this answer is the last."""
    if status not in REDIRECTS or not location:
        return None
    try:
        url = request.url.join(URL(location)).with_fragment(None)
        url = url.with_user(None) if url.user else url
        known = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
    except ValueError as error:
        raise ProtocolError(f"redirects to what is no address: {location.partition('?')[0]}") from error
    if not known:
        raise ProtocolError(f"redirects to {location.partition('?')[0]}")
    rewritten = status == 303 or (status in (301, 302) and request.method == "POST")
    method, body = ("GET", b"") if rewritten else (request.method, request.body)
    is_own = request.is_own and url.origin() == request.url.origin()
    headers = request.headers
    if not is_own:
        body = b""
        headers = tuple((name, value) for name, value in headers if name in ("User-Agent", "Accept-Encoding"))
    step = Request(
        request.target, request.roots, url=url, method=method, headers=headers, body=body, is_own=is_own
    )
    step.looks = request.looks - 1
    return step


def _door(request: Request) -> tuple[str, int]:
    """A proxy, the `address` in place of the configured host, or what the URL says."""
    target = request.target
    if target.proxy is not None:
        proxy = URL(target.proxy.reveal())
        return proxy.raw_host or "", proxy.port or 0
    own, (host, port) = URL(target.url), target.address
    if host and request.host == own.raw_host:
        return host, port if port and request.port == own.port else request.port
    return request.host, request.port


def _asking(request: Request) -> list[Option]:
    """Method, URL, header fields and body."""
    lines = [_line(name, value) for name, value in request.headers]
    target = request.target
    options: list[Option] = [(pycurl.URL, str(request.url))]
    if target.http_version == "2" and not request.is_tls:
        options.append((pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE))
    else:
        options.append((pycurl.HTTP_VERSION, _VERSIONS[target.http_version]))
    if target.http_version == "1.1" and target.connection == "fresh":
        # Whoever closes first keeps the port for a minute: let that be the server, if it listens.
        lines.append(b"Connection: close")
    if request.method == "HEAD":
        options.append((pycurl.NOBODY, 1))
    elif request.body or request.method in ("POST", "PUT", "PATCH"):
        options += [(pycurl.POSTFIELDS, request.body), (pycurl.CUSTOMREQUEST, request.method)]
        lines += [] if request.body else [b"Content-Type:"]
    elif request.method != "GET":
        options.append((pycurl.CUSTOMREQUEST, request.method))
    options.append((pycurl.HTTPHEADER, lines))
    return options


def _line(name: str, value: str) -> bytes:
    """A header field as libcurl wants it: without a value it would take `Name:` for leaving it out."""
    return f"{name}: {value}".encode() if value else f"{name};".encode()


def _reaching(request: Request) -> list[Option]:
    """The way there."""
    target = request.target
    options: list[Option] = [(pycurl.PROXY, target.proxy.reveal() if target.proxy is not None else "")]
    host, port = request.door
    if target.proxy is None and (host, port) != (request.host, request.port):
        options.append((pycurl.CONNECT_TO, [f"::{_bracketed(host)}:{port}"]))
    if target.connection == "fresh":
        options += [(pycurl.FORBID_REUSE, 1), (pycurl.FRESH_CONNECT, 1)]
    else:
        options += [(pycurl.FORBID_REUSE, 0), (pycurl.FRESH_CONNECT, 0)]
    return options


def _trusting(request: Request) -> list[Option]:
    """Whom we believe, and who we are."""
    target = request.target
    if not request.is_tls and target.proxy is None:
        return []
    options: list[Option] = [
        (pycurl.SSL_VERIFYPEER, int(target.verify)),
        (pycurl.SSL_VERIFYHOST, 2 * target.verify),
        (pycurl.SSL_SESSIONID_CACHE, 0),
        (pycurl.OPT_CERTINFO, 1),
        (_CA_CACHE_TIMEOUT, _CA_KEPT_S),
    ]
    if _speaks_openssl():
        options.append((pycurl.SSL_EC_CURVES, _CURVES))
    ca_file, ca_folder = request.ca_file, "" if target.ca else request.roots.folder
    if ca_file:
        options += [(pycurl.CAINFO, ca_file), (pycurl.PROXY_CAINFO, ca_file)]
    if ca_folder:
        options += [(pycurl.CAPATH, ca_folder), (pycurl.PROXY_CAPATH, ca_folder)]
    if target.cert and request.is_own:
        options += [(pycurl.SSLCERT, target.cert), (pycurl.SSLKEY, target.key or target.cert)]
    return options


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@lru_cache(maxsize=1)
def _speaks_openssl() -> bool:
    """Curves have names that other libraries do not know."""
    return str(pycurl.version_info()[5]).startswith("OpenSSL")
