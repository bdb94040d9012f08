"""The shape of http services: how they are asked, by which way, whom they trust and as whom.

Keys that cannot go together are told in `clashes`; what an address may say is targets.py.
"""

from __future__ import annotations

import base64
from typing import Annotated

from msgspec.structs import replace
from pydantic import Field

from watchtower.config import http_targets, readers, targets
from watchtower.config.problems import Wrong
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    Clash,
    HeaderValue,
    Line,
    Model,
    PacedModel,
    Server,
    judging,
    read_by,
)
from watchtower.config.trusting import TrustingModel
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget, OAuth2

HttpLines = Annotated[tuple[Annotated[Condition, judging("http")], ...], SEVERAL, LINES_MAX]


class BasicModel(Model):
    """A user with a password."""

    user: Annotated[str, read_by(http_targets.read_user)]
    password: HeaderValue


class OAuth2Model(Model):
    """OAuth2 client credentials."""

    token_url: Annotated[str, read_by(http_targets.read_token_url)]
    client_id: Line
    client_secret: HeaderValue
    scope: Line = ""


class AuthModel(Model):
    """As whom a service is asked: one of these."""

    basic: BasicModel | None = None
    bearer: HeaderValue | None = None
    oauth2: OAuth2Model | None = None

    def header(self) -> Secret | None:
        """The value of `Authorization`, where it is known beforehand."""
        if self.bearer is not None:
            return Secret(f"Bearer {self.bearer.reveal()}")
        if self.basic is None:
            return None
        pair = f"{self.basic.user}:{self.basic.password.reveal()}"
        return Secret(f"Basic {base64.b64encode(pair.encode()).decode()}")


class HttpModel(TrustingModel, PacedModel):
    """An http:// or https:// service."""

    url: Annotated[HttpTarget, read_by(targets.parse_http_target)]
    expect: HttpLines = ()
    warn: HttpLines = ()
    method: Annotated[
        str, read_by(readers.one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
    ] = "GET"
    headers: Annotated[dict[str, HeaderValue], Field(max_length=50)] = {}
    body: Annotated[str, read_by(readers.read_body)] = ""
    follow_redirects: Annotated[int, read_by(readers.read_redirects)] = 5
    auth: AuthModel | None = None
    connection: Annotated[str, read_by(readers.one_of("fresh", "reuse"))] = "fresh"
    http_version: Annotated[str, read_by(readers.one_of("1.1", "2", "3"))] = "1.1"
    proxy: Annotated[Secret, read_by(http_targets.read_proxy)] | None = None
    address: Annotated[tuple[str, int], read_by(http_targets.read_address)] | None = None
    ip: Annotated[str, read_by(readers.one_of("4", "6"))] = ""
    resolver: Server = ""

    def target(self) -> HttpTarget:
        """The URL, and how it is asked for."""
        auth = self.auth or AuthModel()
        header = auth.header()
        return replace(
            self.trusting(self.url),
            method=self.method,
            headers=(
                *self.url.headers,
                *((("Authorization", header),) if header is not None else ()),
                *sorted(self.headers.items()),
            ),
            body=self.body,
            follow_redirects=self.follow_redirects,
            address=self.address or ("", 0),
            oauth2=OAuth2(**auth.oauth2.model_dump()) if auth.oauth2 is not None else None,
            **{name: getattr(self, name) for name in _AS_THEY_ARE},
        )

    def clashes(self) -> list[Clash]:
        """Keys that do not go together."""
        return [*self._authorizations(), *super().clashes(), *self._ways()]

    def _authorizations(self) -> list[Clash]:
        how = [name for name in AuthModel.model_fields if self.auth and getattr(self.auth, name) is not None]
        named = [name for name in self.headers if name.lower() == "authorization"]
        found: list[Clash] = []
        if self.auth is not None and not how:
            found.append((("auth",), Wrong("nothing says how", "write basic, bearer or oauth2 below it")))
        if len(how) > 1:
            found.append((("auth", how[1]), Wrong("a service is asked as one client only", "keep one")))
        if how and (self.url.headers or named):
            other = "the user info in the URL" if self.url.headers else "a header"
            what = f"{other} and this both set Authorization"
            found.append((("auth", how[0]), Wrong(what, "keep one of the two")))
        elif self.url.headers and named:
            what = "the user info in the URL and this header both set Authorization"
            found.append((("headers", named[0]), Wrong(what, "keep one of the two")))
        return found

    def _ways(self) -> list[Clash]:
        found: list[Clash] = []
        if self.address is not None and self.proxy is not None:
            found.append(
                (("address",), Wrong("the proxy decides where it connects", "remove one of the two"))
            )
        if self.http_version == "3" and self.url.url.startswith("http:"):
            found.append((("http_version",), Wrong("HTTP/3 is always over TLS", "write https://")))
        if self.http_version == "3" and self.proxy is not None:
            found.append((("http_version",), Wrong("HTTP/3 passes no proxy", "remove one of the two")))
        return found


_AS_THEY_ARE = ("connection", "http_version", "proxy", "ip", "resolver")
"""Keys that the target has under the same name."""
