"""The shape of services that are logged in to: a model of its own for each kind.

What their addresses may say is login_targets.py; what is said to the servers is the probes' business.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from msgspec.structs import replace

from watchtower.config import login_targets, targets
from watchtower.config.extras import needing
from watchtower.config.problems import Wrong
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    Clash,
    Flag,
    PacedModel,
    judging,
    read_by,
)
from watchtower.config.trusting import TrustingModel
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import AmqpTarget, LoginTarget, MysqlTarget, PostgresTarget, RedisTarget

Query = Annotated[Secret, read_by(login_targets.read_query)]
Command = Annotated[Secret, read_by(login_targets.read_command)]
AmqpLines = Annotated[tuple[Annotated[Condition, judging("amqp")], ...], SEVERAL, LINES_MAX]
MysqlLines = Annotated[tuple[Annotated[Condition, judging("mysql")], ...], SEVERAL, LINES_MAX]
RedisLines = Annotated[tuple[Annotated[Condition, judging("redis")], ...], SEVERAL, LINES_MAX]
PostgresLines = Annotated[tuple[Annotated[Condition, judging("postgres")], ...], SEVERAL, LINES_MAX]

T = TypeVar("T", bound=LoginTarget)


class LoginModel(TrustingModel, PacedModel):
    """What all services that are logged in to have in common."""

    user: Annotated[str, read_by(login_targets.read_name)] = ""
    password: Annotated[Secret, read_by(login_targets.read_password)] | None = None
    server_name: Annotated[str, read_by(targets.parse_dns_name)] = ""

    how_to_speak_tls: ClassVar[str] = "set `tls: true`, or write rediss:// or amqps://"

    def speaks_tls(self) -> bool:
        """By the URL, or by a key."""
        return self._url.tls or bool(getattr(self, "tls", False))

    @property
    def _url(self) -> LoginTarget:
        url: LoginTarget = getattr(self, "url")  # noqa: B009 - each kind has one of its own
        return url

    def clashes(self) -> list[Clash]:
        """Keys that do not go together, or with what the URL says."""
        url = self._url
        both = {"user": self.user and url.user, "password": self.password and url.password}
        twice = [key for key, is_twice in both.items() if is_twice]
        said = [((key,), Wrong(f"the URL has a {key} of its own", "keep one of the two")) for key in twice]
        return [*said, *super().clashes()]

    def logged_in(self, url: T, *, user: str = "") -> T:
        """The target of the URL with what the keys say; `user` when nothing names one."""
        return replace(
            self.trusting(url),
            user=self.user or url.user or user,
            password=self.password or url.password,
            server_name=self.server_name,
        )


class PostgresModel(LoginModel):
    """A postgres:// service."""

    url: Annotated[PostgresTarget, read_by(login_targets.parse_postgres_target)]
    tls: Flag = False
    query: Query | None = None
    expect: PostgresLines = ()
    warn: PostgresLines = ()

    def target(self) -> PostgresTarget:
        """The login, and what is asked."""
        login = self.logged_in(self.url, user="postgres")
        database = login.database or login.user
        return replace(login, database=database, tls=self.tls, query=self.query or login.query)


class MysqlModel(LoginModel):
    """A mysql:// or mariadb:// service."""

    url: Annotated[MysqlTarget, read_by(login_targets.parse_mysql_target)]
    tls: Flag = False
    query: Query | None = None
    expect: MysqlLines = ()
    warn: MysqlLines = ()

    def target(self) -> MysqlTarget:
        """The login, and what is asked."""
        login = self.logged_in(self.url, user="root")
        return replace(login, tls=self.tls, query=self.query or login.query)


class RedisModel(LoginModel):
    """A redis:// or rediss:// service."""

    url: Annotated[RedisTarget, read_by(login_targets.parse_redis_target)]
    query: Command | None = None
    expect: RedisLines = ()
    warn: RedisLines = ()

    def target(self) -> RedisTarget:
        """The login, and what is asked."""
        login = self.logged_in(self.url)
        return replace(login, query=self.query or login.query)


class AmqpModel(LoginModel):
    """An amqp:// or amqps:// service."""

    url: Annotated[AmqpTarget, read_by(needing("amqp", login_targets.parse_amqp_target))]
    queue: Annotated[str, read_by(login_targets.read_name)] = ""
    publish: Flag = False
    expect: AmqpLines = ()
    warn: AmqpLines = ()

    def target(self) -> AmqpTarget:
        """The login, and what is looked at."""
        login = self.logged_in(self.url, user="guest")
        # A broker that is new has this user with this password, for connections from its own host.
        is_guest = login.user == "guest" and login.password is None
        password = Secret("guest") if is_guest else login.password
        return replace(login, password=password, queue=self.queue, publish=self.publish)
