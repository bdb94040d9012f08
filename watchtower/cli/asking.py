"""Asks a running peer over HTTP, and the next one when it does not answer; tells one peer to do something.

Uses nothing but the standard library, because verbs that ask must start fast. An answer is foreign
data: its size is limited, no redirect is followed (a token would go with it), and it must be JSON. What
one peer was told to do is never told to the next one: it may have been done.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from watchtower.cli.options import CONFIG_VARIABLE, DEFAULT_CONFIG
from watchtower.core.settings import Settings
from watchtower.core.text import clean

LOCAL_PEER: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 4.0
ACT_S: Final = 15.0
"""Stepping aside waits for a successor and for what is being sent."""
BACKUP_S: Final = 60.0
BACKUP_BYTES_MAX: Final = 64 * 2**20
NOT_FOUND: Final = 404
ANSWER_BYTES_MAX: Final = 16_777_216


class NoAnswerError(Exception):
    """No peer gave a usable answer. The text names each with its reason."""


class RefusedError(NoAnswerError):
    """A peer answered and said no; the text is its reason, `status` the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Peers:
    """The peers that may be asked, in order. Build it with `peers_of`."""

    def __init__(self, urls: Sequence[str], token: str = "") -> None:
        self.urls = [url.rstrip("/") for url in urls]
        self._token = token
        # Only these two: no redirects, and no proxy between a team and its own peers.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def get(self, path: str) -> Any:
        """The JSON document at `path` from the first peer that answers.

        Raises NoAnswerError, and RefusedError when a peer says that there is nothing there.
        """
        reasons, nothing = [], None
        for url in self.urls:
            try:
                return self._ask(url + path)
            except NoAnswerError as error:
                reasons.append(f"{clean(url)}: {error}")
                if isinstance(error, RefusedError) and error.status == NOT_FOUND:
                    nothing = error
        raise nothing or NoAnswerError("; ".join(reasons))

    def only(self, url: str) -> Peers:
        """The one peer at `url`, asked in the same name."""
        return Peers([url], self._token)

    def fit_to_act(self) -> Peers:
        """The first peer that can write now, then the others. Raises NoAnswerError when none can.

        Asked before anything is told: what one peer was told to do is never told to the next one.
        """
        reasons = []
        for url in self.urls:
            try:
                self._ask(url + "/quorum")
            except NoAnswerError as error:
                is_alone = isinstance(error, RefusedError)
                reasons.append(f"{clean(url)}: {'it cannot reach a majority' if is_alone else error}")
                continue
            return Peers([url, *(one for one in self.urls if one != url)], self._token)
        raise NoAnswerError("; ".join(reasons))

    def get_bytes(self, path: str) -> bytes:
        """The body at `path` from the first peer. Raises NoAnswerError."""
        return self._open(self._request(self.urls[0] + path), BACKUP_BYTES_MAX, BACKUP_S)

    def post(self, path: str, body: object = None, *, method: str = "POST") -> Any:
        """Have the first peer, and no other, do what `path` stands for. Raises NoAnswerError."""
        request = self._request(self.urls[0] + path)
        request.method = method
        request.data = b"" if body is None else json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
        return _json(self._open(request, ANSWER_BYTES_MAX, ACT_S))

    def _ask(self, url: str) -> Any:
        return _json(self._open(self._request(url), ANSWER_BYTES_MAX, TIMEOUT_S))

    def _request(self, url: str) -> urllib.request.Request:
        headers = {"Accept": "application/json", "User-Agent": "watchtower-cli"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return urllib.request.Request(url, headers=headers)  # noqa: S310 - checked_url admits http(s) only

    def _open(self, request: urllib.request.Request, bytes_max: int, timeout_s: float) -> bytes:
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                body: bytes = response.read(bytes_max + 1)
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, _refusal(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswerError(_reason(error, timeout_s)) from None
        if len(body) > bytes_max:
            raise NoAnswerError(f"an answer of more than {bytes_max // 2**20} MiB")
        return body


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise NoAnswerError("the answer is no JSON; is this a peer?") from None


def peers_of(urls: Sequence[str], config_path: Path | None, token: str | None) -> Peers:
    """The peers to ask: those of `--url`, else those of the file, else one on this machine.

    Raises ConfigError for a file that is wrong, click.UsageError for what is no address.
    """
    if urls:
        return Peers([checked_url(url) for url in urls], token or "")
    path = file_to_ask(config_path)
    if path is None:
        return Peers([LOCAL_PEER], token or "")
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second

    settings = read_settings(path)
    return Peers([peer_url(settings, peer.name) for peer in settings.cluster.peers], token or "")


def file_to_ask(config_path: Path | None) -> Path | None:
    """The configuration file that tells whom to ask; None when there is none."""
    path = config_path or Path(DEFAULT_CONFIG)
    return None if config_path is None and not path.exists() else path


def peer_url(settings: Settings, name: str) -> str:
    """Where peer `name` answers over HTTP."""
    return settings.cluster.peer(name).http_url.rstrip("/") + settings.http.base_path.rstrip("/")


def checked_url(url: str) -> str:
    """`url` when it is an http(s) address. Raises click.UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(
            f"--url takes an address like {LOCAL_PEER} (or set {CONFIG_VARIABLE} to a configuration file)"
        )
    return parts.geturl()


def ask_or_fail(peers: Peers, path: str, wanted: str = "") -> Any:
    """As `Peers.get`, for verbs whose failure is a plain error: prints the reasons and exits with 1.

    Raises click.UsageError when there is nothing like `wanted`, which somebody named.
    """
    try:
        return peers.get(path)
    except NoAnswerError as error:
        if wanted and isinstance(error, RefusedError) and error.status == NOT_FOUND:
            raise click.UsageError(f"there is no {wanted}, or it is not kept any more") from None
        click.echo(f"no peer answers: {error}", err=True)
        raise click.exceptions.Exit(1) from None


def _refusal(error: urllib.error.HTTPError) -> str:
    """What a peer said when it refused; its `detail` when it sent one."""
    try:
        detail = json.loads(error.read(65_536)).get("detail", "")
    except (OSError, ValueError, AttributeError):
        detail = ""
    return clean(f"HTTP {error.code} {detail}".strip())


def _reason(error: Exception, timeout_s: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout_s:.0f} s"
    return clean(str(getattr(cause, "strerror", None) or cause).lower())
