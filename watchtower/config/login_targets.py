"""Reads the addresses of services that are logged in to: user and password, host, port, and what is there.

A password may stand in the URL, where `${VAR}` puts it; wherever it stands it becomes a Secret at once.
"""

from __future__ import annotations

import shlex
from typing import Any, Final
from urllib.parse import SplitResult, unquote

from watchtower.config.problems import Wrong
from watchtower.config.targets import checked_host, split_url
from watchtower.core.secret import Secret
from watchtower.core.targets import AmqpTarget, MysqlTarget, PostgresTarget, RedisTarget

QUERY_BYTES_MAX: Final = 16_384
_NAME_MAX: Final = 128
_PASSWORD_MAX: Final = 1_024


def parse_postgres_target(text: str) -> PostgresTarget:
    """Target of `postgres://[user[:password]@]host[:5432][/database]`. Raises Wrong."""
    login, path = _login(text, 5432, "postgres://user@host/database")
    return PostgresTarget(**login, database=read_name(path) if path else "")


def parse_mysql_target(text: str) -> MysqlTarget:
    """Target of `mysql://[user[:password]@]host[:3306][/database]`, or mariadb://. Raises Wrong."""
    login, path = _login(text, 3306, "mysql://user@host/database")
    return MysqlTarget(**login, database=read_name(path) if path else "")


def parse_redis_target(text: str) -> RedisTarget:
    """Target of `redis://[[user]:password@]host[:6379][/number]`, rediss:// over TLS. Raises Wrong."""
    login, path = _login(text, 6379, "redis://host:6379/0")
    over_tls = text.lower().startswith("rediss:")
    return RedisTarget(**login, tls=over_tls, database=_number(path) if path else 0)


def parse_amqp_target(text: str) -> AmqpTarget:
    """Target of `amqp://[user[:password]@]host[:5672][/vhost]`, amqps:// over TLS. Raises Wrong."""
    over_tls = text.lower().startswith("amqps:")
    login, path = _login(text, 5671 if over_tls else 5672, "amqp://user@host/vhost, with / in it as %2F")
    return AmqpTarget(**login, tls=over_tls, vhost=read_name(path) if path else "/")


def read_command(text: str) -> Secret:
    """A command to Redis with its words, of which those with blanks stand in quotes. Raises Wrong."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise Wrong("a quote in this command is not closed", "write it like GET 'my key'") from None
    if not words or not words[0] or len(text.encode()) > QUERY_BYTES_MAX:
        raise Wrong("this is no command", "write one of at most 16 KiB, like PING or LLEN jobs")
    return Secret(text)


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


def _login(text: str, port: int, example: str) -> tuple[dict[str, Any], str]:
    """Host, port, user and password, as every target of a login has them; and the path, without its slash."""
    parts = split_url(text)
    if parts.query or parts.fragment:
        fix = f"options are keys of the service, as `tls: true`; write the URL like {example}"
        raise Wrong("a URL of this kind ends with its path", fix)
    if "@" in parts.path:
        raise Wrong("an @ behind the host, as when a password has a / in it", "write / as %2F, and @ as %40")
    password = _unquoted(parts.password or "")
    login = {
        "host": checked_host(parts),
        "port": parts.port or port,
        "user": read_name(_unquoted(parts.username)) if parts.username else "",
        "password": read_password(password) if password else None,
    }
    return login, _path(parts, example)


def _path(parts: SplitResult, example: str) -> str:
    path = parts.path.removeprefix("/")
    if "/" in path:
        raise Wrong("one name belongs behind the host", f"write it like {example}")
    return _unquoted(path)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5:
        raise Wrong("databases of Redis are numbers", "write it like redis://host:6379/0")
    return int(text)


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Wrong("a %-escape in this URL is not UTF-8", "see its spelling") from None
