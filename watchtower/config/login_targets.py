"""Reads the addresses of services that are logged in to: user and password, host, port, and what is there.

A password may stand in the URL, where `${VAR}` puts it; wherever it stands it becomes a Secret at once.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, unquote

from msgspec import Struct

from watchtower.config.problems import Wrong
from watchtower.config.targets import checked_host, split_url
from watchtower.core.secret import Secret
from watchtower.core.targets import PostgresTarget

QUERY_BYTES_MAX: Final = 16_384
_NAME_MAX: Final = 128
_PASSWORD_MAX: Final = 1_024


class _Login(Struct, frozen=True, kw_only=True):
    """What a URL says of a login; `path` without its first slash."""

    host: str
    port: int
    user: str
    password: Secret | None
    path: str


def parse_postgres_target(text: str) -> PostgresTarget:
    """Target of `postgres://[user[:password]@]host[:5432][/database]`. Raises Wrong."""
    login = _login(text, 5432, "postgres://user@host/database")
    return PostgresTarget(
        host=login.host,
        port=login.port,
        user=login.user,
        password=login.password,
        database=read_name(login.path) if login.path else "",
    )


def read_name(text: str) -> str:
    """The name of a user or a database. Raises Wrong."""
    if not text or len(text.encode()) > _NAME_MAX or not text.isprintable():
        raise Wrong("this is no name of a user or a database", f"one line of at most {_NAME_MAX} bytes")
    return text


def read_password(text: str) -> Secret:
    """A password. Raises Wrong."""
    if not text:
        raise Wrong("an empty password", "leave the key out where none is wanted")
    if len(text) > _PASSWORD_MAX or "\0" in text:
        raise Wrong("this can be no password", f"at most {_PASSWORD_MAX} characters, none of them NUL")
    return Secret(text)


def read_query(text: str) -> Secret:
    """What is asked after the login. Raises Wrong."""
    if not text.strip() or "\0" in text or len(text.encode()) > QUERY_BYTES_MAX:
        raise Wrong("this is no query", "write one statement of at most 16 KiB, like `select 1`")
    return Secret(text)


def _login(text: str, port: int, example: str) -> _Login:
    parts = split_url(text)
    if parts.query or parts.fragment:
        fix = f"options are keys of the service, as `tls: true`; write the URL like {example}"
        raise Wrong("a URL of this kind ends with its path", fix)
    password = _unquoted(parts.password or "")
    return _Login(
        host=checked_host(parts),
        port=parts.port or port,
        user=read_name(_unquoted(parts.username)) if parts.username else "",
        password=read_password(password) if password else None,
        path=_path(parts, example),
    )


def _path(parts: SplitResult, example: str) -> str:
    path = parts.path.removeprefix("/")
    if "/" in path:
        raise Wrong("one name belongs behind the host", f"write it like {example}")
    return _unquoted(path)


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Wrong("a %-escape in this URL is not UTF-8", "see its spelling") from None
