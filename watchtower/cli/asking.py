"""Asks a running peer over HTTP, and the next one when it does not answer.

Uses nothing but the standard library, because verbs that ask must start fast. An answer is foreign
data: its size is limited, no redirect is followed (a token would go with it), and it must be JSON.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from watchtower.cli.options import CONFIG_VARIABLE, DEFAULT_CONFIG
from watchtower.core.text import clean

LOCAL_PEER: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 4.0
ANSWER_BYTES_MAX: Final = 16_777_216


class NoAnswerError(Exception):
    """No peer gave a usable answer. The text names each with its reason."""


class Peers:
    """The peers that may be asked, in order. Build it with `peers_of`."""

    def __init__(self, urls: Sequence[str], token: str = "") -> None:
        self._urls = [url.rstrip("/") for url in urls]
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
        """The JSON document at `path` from the first peer that answers. Raises NoAnswerError."""
        reasons = []
        for url in self._urls:
            try:
                return self._ask(url + path)
            except NoAnswerError as error:
                reasons.append(f"{clean(url)}: {error}")
        raise NoAnswerError("; ".join(reasons))

    def _ask(self, url: str) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "watchtower-cli"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked_url admits http(s) only
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                body: bytes = response.read(ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            raise NoAnswerError(_refusal(error)) from None
        except (OSError, ValueError) as error:
            raise NoAnswerError(_reason(error)) from None
        if len(body) > ANSWER_BYTES_MAX:
            raise NoAnswerError("an answer of more than 16 MiB")
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
    path = config_path or Path(DEFAULT_CONFIG)
    if config_path is None and not path.exists():
        return Peers([LOCAL_PEER], token or "")
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second

    settings = read_settings(path)
    base = settings.http.base_path.rstrip("/")
    return Peers([peer.http_url.rstrip("/") + base for peer in settings.cluster.peers], token or "")


def checked_url(url: str) -> str:
    """`url` when it is an http(s) address. Raises click.UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(
            f"--url takes an address like {LOCAL_PEER} (or set {CONFIG_VARIABLE} to a configuration file)"
        )
    return parts.geturl()


def ask_or_fail(peers: Peers, path: str) -> Any:
    """As `Peers.get`, for verbs whose failure is a plain error: prints the reasons and exits with 1."""
    try:
        return peers.get(path)
    except NoAnswerError as error:
        click.echo(f"no peer answers: {error}", err=True)
        raise click.exceptions.Exit(1) from None


def _refusal(error: urllib.error.HTTPError) -> str:
    """What a peer said when it refused; its `detail` when it sent one."""
    try:
        detail = json.loads(error.read(65_536)).get("detail", "")
    except (OSError, ValueError, AttributeError):
        detail = ""
    return clean(f"HTTP {error.code} {detail}".strip())


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return clean(str(getattr(cause, "strerror", None) or cause).lower())
