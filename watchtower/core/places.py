"""Where a service is: the name or address, and the port, that its target points to.

As it is configured; which address a name leads to is found out by looking. Some targets are at no one place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from watchtower.core.settings import Service
from watchtower.core.targets import HttpTarget

REMEMBERED_MAX: Final = 16_384
_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def place_of(service: Service) -> tuple[str, int] | None:
    """Name or address, and port, that the target points to; None when it does not point to one place."""
    target = service.target
    host, port = getattr(target, "host", ""), getattr(target, "port", 0)
    if isinstance(host, str) and host:
        return host, port if isinstance(port, int) else 0
    url = getattr(target, "url", "")
    if not isinstance(url, str) or not url:
        return None
    host, port = _of_url(url)
    if isinstance(target, HttpTarget) and target.address[0]:
        return target.address[0], target.address[1] or port
    return (host, port) if host else None


@lru_cache(REMEMBERED_MAX)
def _of_url(url: str) -> tuple[str, int]:
    """Remembered: taking a URL apart is a twentieth of what a look costs, and it never changes."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
