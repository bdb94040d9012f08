"""Reads what http services have of their own: files, proxies, the address to connect to, who asks.

Nothing is opened or resolved here. Messages never quote a value: it may carry a password.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower.config.problems import Wrong
from watchtower.config.targets import checked_host, parse_endpoint, parse_http_url, split_url
from watchtower.core.secret import Secret

_PROXIES: Final = {"http": "http", "https": "https", "socks5": "socks5h", "socks5h": "socks5h"}
"""Schemes of proxies, and how libcurl says it: names are resolved by the proxy, whatever kind it is."""
_PATH_MAX: Final = 400


def read_file(text: str) -> str:
    """The path of a PEM file. Raises Wrong."""
    if not text.startswith("/") or not text.isprintable() or len(text) > _PATH_MAX:
        raise Wrong("this is no absolute path", "name a PEM file, as in /etc/watchtower/ca.pem")
    return text


def read_user(text: str) -> str:
    """A user of basic authentication. Raises Wrong."""
    if not text or ":" in text or not text.isprintable() or len(text) > 200:
        raise Wrong("this is no user name", "at most 200 characters, without a colon")
    return text


def read_token_url(text: str) -> str:
    """Where OAuth2 tokens are to be had. Raises Wrong."""
    url, credentials = parse_http_url(text)
    if credentials is not None:
        raise Wrong("user info has no place in this URL", "write `client_id:` and `client_secret:`")
    return url


def read_proxy(text: str) -> Secret:
    """The URL of a proxy, as libcurl takes it. Raises Wrong."""
    parts = split_url(text)
    if parts.scheme not in _PROXIES:
        raise Wrong(
            "no such kind of proxy", f"one of {' '.join(_PROXIES)}, as in http://proxy.example.com:3128"
        )
    checked_host(parts)
    if parts.port is None:
        raise Wrong("the port is missing", "write it like http://proxy.example.com:3128")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Wrong("only a host and a port belong here", "write it like http://proxy.example.com:3128")
    return Secret(f"{_PROXIES[parts.scheme]}://{parts.netloc}")


def read_address(text: str) -> tuple[str, int]:
    """Host and port to connect to; the port is 0 when the URL's is meant. Raises Wrong."""
    if not text or re.search(r"[/@]", text):
        raise Wrong("this is no address", "write host or host:port; IPv6 with a port goes in brackets")
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    return parse_endpoint(text, default_port=0)
