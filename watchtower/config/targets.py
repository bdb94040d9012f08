"""Reads addresses: `host:port` pairs, URLs of services, channels, peers; the scheme picks the probe.

Nothing is resolved or connected here. Messages never quote the address: it may carry a password.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from watchtower.config.problems import Wrong
from watchtower.core.nearest import nearest
from watchtower.core.secret import Secret
from watchtower.core.targets import DnsTarget, HttpTarget, TcpTarget, TlsTarget

SCHEMES: Final = {
    "http": "http",
    "https": "http",
    "tcp": "tcp",
    "tls": "tls",
    "dns": "dns",
    "smtp": "smtp",
    "smtps": "smtp",
    "imap": "imap",
    "imaps": "imap",
    "ssh": "ssh",
    "icmp": "icmp",
    "exec": "exec",
    "grpc": "grpc",
    "grpcs": "grpc",
    "ws": "ws",
    "wss": "ws",
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "redis": "redis",
    "rediss": "redis",
    "amqp": "amqp",
    "amqps": "amqp",
}
"""URL scheme to probe kind. Heartbeats have no URL: nobody is asked, they call."""
_SCHEMES_MEANT: Final = {"ping": "icmp", "pgsql": "postgres", "script": "exec", "websocket": "ws"}
LATER_SCHEMES: Final = frozenset({"route53", "redundancy"})
RECORD_TYPES: Final = ("A", "AAAA", "CNAME", "MX", "NS", "TXT", "SOA", "SRV", "CAA", "PTR")
CHANNEL_OPTIONS_REFUSED: Final = {
    "retry": "watchtower repeats failed sends itself, and knows when not to",
    "wait": "watchtower repeats failed sends itself, and knows when not to",
    "optional": "it would report an alert that nobody got as delivered",
}
_URL_MAX: Final = 2000
_ESCAPES: Final = "write / ? # @ as %2F %3F %23 %40 where they belong to no address"
_HOST: Final = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"
)
_DNS_NAME: Final = re.compile(r"(?=.{1,253}\.?$)(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\.")
_CHANNEL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.+)", re.DOTALL)


def parse_endpoint(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port`, `1.2.3.4:5`, `[::1]:5`. Raises Wrong."""
    match = re.fullmatch(
        r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:/@\s]*))(?::(?P<port>[0-9]{1,5}))?", text
    )
    if match is None:
        raise Wrong("this is no address", "write host:port; IPv6 goes in brackets: [::1]:443")
    host = match["v6"] or match["host"]
    check_host(host)
    if match["port"] is None and default_port is None:
        raise Wrong("the port is missing", "write host:port")
    return host, _port(int(match["port"])) if match["port"] else default_port or 0


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port to listen on: `0.0.0.0:8080`, `:8080` or `[::]:8080`. Raises Wrong."""
    return parse_endpoint("0.0.0.0" + text if text.startswith(":") else text)  # noqa: S104 - what was asked for


def check_host(host: str) -> None:
    """Raises Wrong unless `host` is a name or an IP address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        is_number = re.fullmatch(r"[0-9.]+", host) is not None
        if is_number or not _HOST.fullmatch(host):
            raise Wrong("the host is neither a name nor an IP address", "write host:port") from None


def _port(port: int) -> int:
    if not 1 <= port <= 65_535:
        raise Wrong("there is no such port", "ports go from 1 to 65535")
    return port


def split_url(text: str) -> SplitResult:
    """The parts of a URL with a checked length and no blanks. Raises Wrong."""
    if len(text) > _URL_MAX:
        raise Wrong(f"a URL of more than {_URL_MAX} characters", "shorten it")
    if not text.isprintable() or " " in text:
        raise Wrong("blanks or control characters in a URL", "write a blank as %20")
    try:
        parts = urlsplit(text)
        _ = parts.hostname
    except ValueError:
        raise Wrong("this is no URL", "write it like https://shop.example.com/healthz") from None
    _check_port(parts)
    if parts.username is not None and "@" in parts.path + parts.query + parts.fragment:
        # Half of a password would be taken for the host, and DNS asked for it.
        raise Wrong("an @ behind the host, as when a password has / ? or # in it", _ESCAPES)
    return parts


def _check_port(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        if parts.netloc.rpartition(":")[2].isdecimal():
            raise Wrong("there is no such port", "ports go from 1 to 65535") from None
        raise Wrong("this is no URL", "write it like https://shop.example.com/healthz") from None


def kind_of_url(text: str) -> str:
    """The probe kind that the scheme picks. Raises Wrong."""
    if text.lower().startswith("heartbeat:"):
        raise Wrong("a heartbeat has no URL", "write {heartbeat: 1d, grace: 30m}")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(?=//|[^\d])", text)
    if scheme is None:
        raise Wrong(
            "a URL starts with its scheme", "write it like https://shop.example.com or tcp://host:port"
        )
    name = scheme[1].lower()
    if name in SCHEMES:
        return SCHEMES[name]
    if name.partition("/")[0] in LATER_SCHEMES:
        what = f"{name} services are not part of this release"
        raise Wrong(what, f"it knows {' '.join(SCHEMES)} heartbeat; tcp:// at least sees the port")
    meant = _SCHEMES_MEANT.get(name)
    advice = f"did you mean `{meant}`?" if meant else nearest(name, [*SCHEMES, "heartbeat"])
    raise Wrong("no probe knows this scheme", advice)


def parse_http_url(text: str) -> tuple[str, Secret | None]:
    """URL without user info, and the `Authorization` header that the user info stands for. Raises Wrong."""
    parts = split_url(text)
    if parts.scheme not in {"http", "https"}:
        raise Wrong(
            "this must be an http:// or https:// URL", "write it like https://shop.example.com/healthz"
        )
    checked_host(parts)
    if parts.username is None:
        return parts._replace(fragment="").geturl(), None
    user, password = unquote(parts.username), unquote(parts.password or "")
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, fragment="").geturl(), Secret(f"Basic {basic}")


def parse_base_url(text: str) -> str:
    """An http(s) URL under which we answer, without user info, query or final slash. Raises Wrong."""
    url, credentials = parse_http_url(text)
    if credentials is not None or "?" in url:
        raise Wrong("user info or a query has no place in this URL", "write it like http://10.0.1.10:8080")
    return url.rstrip("/")


def checked_host(parts: SplitResult) -> str:
    """The host of a URL, with a port that exists. Raises Wrong."""
    host = parts.hostname or ""
    if not host:
        raise Wrong("the host is missing", "write it like https://shop.example.com/healthz")
    try:
        check_host(host.encode("idna").decode() if not host.isascii() else host)
    except UnicodeError:
        raise Wrong("the host is neither a name nor an IP address", "see its spelling") from None
    if parts.port is not None:
        _port(parts.port)
    return host


def host_and_port(text: str, default_port: int | None) -> tuple[str, int]:
    """Host and port of a URL that holds nothing else. Raises Wrong."""
    parts = split_url(text)
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Wrong("only a host and a port belong here", f"write it like {parts.scheme}://host:port")
    if parts.port is None and default_port is None:
        raise Wrong("the port is missing", f"write it like {parts.scheme}://host:port")
    return checked_host(parts), parts.port or default_port or 0


def parse_http_target(text: str) -> HttpTarget:
    """Target of an http(s) URL; user info becomes an Authorization header. Raises Wrong."""
    url, credentials = parse_http_url(text)
    headers = (("Authorization", credentials),) if credentials is not None else ()
    return HttpTarget(url=url, headers=headers)


def parse_tcp_target(text: str) -> TcpTarget:
    """Target of `tcp://host:port`. Raises Wrong."""
    host, port = host_and_port(text, None)
    return TcpTarget(host=host, port=port)


def parse_tls_target(text: str) -> TlsTarget:
    """Target of `tls://host[:443]`. Raises Wrong."""
    host, port = host_and_port(text, 443)
    return TlsTarget(host=host, port=port)


def parse_dns_target(text: str) -> DnsTarget:
    """Target of `dns:name`, `dns://server[:port]/name?type=AAAA`. Raises Wrong."""
    body, _, query = text.partition(":")[2].partition("?")
    server, name = "", body
    if body.startswith("//"):
        server, _, name = body[2:].partition("/")
    options = parse_qsl(query, keep_blank_values=True, max_num_fields=10)
    unknown = [key for key, _ in options if key != "type"]
    if unknown:
        raise Wrong("this URL takes `?type=` only", "write it like dns://8.8.8.8/www.example.com?type=AAAA")
    kind = options[-1][1] if options else "A"
    servers = (parse_server(server),) if server else ()
    return DnsTarget(name=parse_dns_name(name), type=parse_record_type(kind), servers=servers)


def parse_dns_name(text: str) -> str:
    """A name to ask for. Raises Wrong."""
    name = text
    if not text.isascii():
        try:
            name = text.encode("idna").decode()
        except UnicodeError:
            name = ""
    if not _DNS_NAME.fullmatch(name):
        raise Wrong("this is no DNS name", "write it like www.example.com")
    return name


def parse_record_type(text: str) -> str:
    """A record type in capitals. Raises Wrong."""
    if text.upper() not in RECORD_TYPES:
        raise Wrong("this record type is not known", f"one of {' '.join(RECORD_TYPES)}")
    return text.upper()


def parse_server(text: str) -> str:
    """A DNS server, `host` or `host:port`, as it will be used. Raises Wrong."""
    if text == "authoritative":
        what = "asking the authoritative servers is not part of this release"
        raise Wrong(what, "name the servers: [192.0.2.53, 198.51.100.53], or leave `servers` out")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        host, port = parse_endpoint(text, default_port=53)
        shown = f"[{host}]" if ":" in host else host
        return shown if port == 53 and ":" not in host else f"{shown}:{port}"


def parse_reference(text: str) -> str:
    """A `tcp://host:port` or http(s) URL that this peer doubts itself by. Raises Wrong."""
    kind = kind_of_url(text)
    if kind == "tcp":
        parse_tcp_target(text)
    elif kind != "http" or parse_http_url(text)[1] is not None:
        raise Wrong("a reference is tcp://host:port or a plain http(s) URL", "write it like tcp://1.1.1.1:53")
    return text


def parse_channel_url(text: str) -> tuple[str, Secret]:
    """Scheme and URL of a notification channel. Raises Wrong.

    Only what every channel has in common is checked; delivery/ asks apprise for the rest.
    """
    match = _CHANNEL.fullmatch(text)
    if match is None or not text.isprintable():
        fix = "write an apprise URL, like slack://token/#channel or mailtos://user:password@host/?to=..."
        raise Wrong("this is no channel URL", fix)
    # Split as apprise splits: options end at & or ;, names are unquoted, blanks round them do not count.
    for option in re.split("[&;]", text.partition("?")[2]):
        name, _, value = option.partition("=")
        _check_channel_option(unquote(name).strip().lower(), unquote(value).strip().lower())
    return match["scheme"].lower(), Secret(text)


def _check_channel_option(name: str, value: str) -> None:
    if name in CHANNEL_OPTIONS_REFUSED:
        raise Wrong(f"the option `{name}` is refused: {CHANNEL_OPTIONS_REFUSED[name]}", "remove it")
    if name == "overflow" and value == "split":
        what = "the option `overflow=split` is refused: half a message could get lost"
        raise Wrong(what, "remove it; long messages are cut")
