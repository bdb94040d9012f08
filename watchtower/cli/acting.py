"""What the verbs share that act on a running cluster: whom to ask, with which token, and how to wait.

A verb that acts reads the file where it can: it then knows every peer's address and, without --token, takes
an admin token from there, since whoever may read the file's secrets may act. Waiting has a deadline and says
what for. Decides nothing about what is done.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from watchtower.cli.asking import (
    LOCAL_PEER,
    NoAnswerError,
    Peers,
    checked_url,
    file_to_ask,
    peer_url,
)
from watchtower.core.settings import Settings

CLUSTER: Final = "/api/v1/cluster"
LOOK_EVERY_S: Final = 0.2
QUIET_S: Final = 1.0
"""Waiting that is over sooner is not worth a line."""


class OverdueError(Exception):
    """The deadline is over; the text is what was still missing."""


class Ground:
    """Where a verb acts: `peers` to ask, in order; `settings` of the file, when there is one."""

    def __init__(self, peers: Peers, settings: Settings | None) -> None:
        self.peers = peers
        self.settings = settings
        self._answered: dict[str, str] = {}

    def documents(self, urls: Sequence[str]) -> list[dict[str, Any]]:
        """What each of the peers at `urls` that answers says of the cluster."""
        found = []
        for url in dict.fromkeys(urls):
            try:
                doc = _checked(self.peers.only(url).get(CLUSTER))
            except NoAnswerError:
                continue
            self._answered[doc["peer"]] = url
            found.append(doc)
        return found

    def look(self) -> dict[str, Any]:
        """The cluster as its best informed peer has it. Raises NoAnswerError when none answers."""
        docs = self.documents(self.peers.urls) or [_checked(self.peers.get(CLUSTER))]
        names = [peer["name"] for peer in docs[0]["peers"] if peer["name"] not in self._answered]
        docs += self.documents([url for name in names if (url := self.url_of(name, docs[0]))])
        return max(docs, key=lambda doc: (doc["quorum"], doc["index"]))

    def url_of(self, name: str, doc: dict[str, Any]) -> str:
        """Where peer `name` answers, or should; "" when nobody knows."""
        if name in self._answered:
            return self._answered[name]
        if self.settings is not None and name in self.settings.cluster.peer_names:
            return peer_url(self.settings, name)
        return next((str(peer["http"]) for peer in doc["peers"] if peer["name"] == name), "")

    def at(self, name: str, doc: dict[str, Any]) -> Peers:
        """Peer `name` alone. Raises NoAnswerError when nobody knows its address."""
        url = self.url_of(name, doc)
        if not url:
            raise NoAnswerError(f"nobody knows the address of peer {name}")
        return self.peers.only(url)


def _checked(doc: Any) -> dict[str, Any]:
    """`doc` when it is what a peer says of its cluster. Raises NoAnswerError."""
    if not isinstance(doc, dict) or not {"peer", "peers", "members_gen"} <= doc.keys():
        raise NoAnswerError("the answer is not that of a peer of this version")
    return doc


def ground(
    urls: Sequence[str], config_path: Path | None, token: str | None, *, scopes: Sequence[str] = ("admin",)
) -> Ground:
    """As `peers_of`, with a token of the file when none is given, of the first scope there is one of."""
    if urls:
        return Ground(Peers([checked_url(url) for url in urls], token or ""), None)
    path = file_to_ask(config_path)
    if path is None:
        return Ground(Peers([LOCAL_PEER], token or ""), None)
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second

    settings = read_settings(path)
    tokens = settings.http.tokens
    own = next((one.token.reveal() for scope in scopes for one in tokens if one.scope == scope), "")
    addresses = [peer_url(settings, name) for name in settings.cluster.peer_names]
    return Ground(Peers(addresses, token or own), settings)


def desk(urls: Sequence[str], config_path: Path | None, token: str | None) -> Peers:
    """A peer that can write now, first of the peers, for verbs that act on alerts. Exits with 1 without."""
    try:
        return ground(urls, config_path, token, scopes=("write", "admin")).peers.fit_to_act()
    except NoAnswerError as error:
        fail(f"no peer can write just now: {error}")


def told(peers: Peers, method: str, path: str, body: object = None) -> Any:
    """What the first peer answers when it is told so. Prints its reason and exits with 1 when it refuses."""
    try:
        return peers.post(path, body, method=method)
    except NoAnswerError as error:
        fail(f"not done: {error}")


def myself() -> str:
    """Who sits here, as this machine knows them: named beside the token in what is written down."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def wait_until(missing: Callable[[], str], timeout_s: float) -> float:
    """Wait until `missing()` is "", saying on stderr what it is; how long it took. Raises OverdueError."""
    begun = time.monotonic()
    said = ""
    while what := missing():
        took_s = time.monotonic() - begun
        if took_s > timeout_s:
            raise OverdueError(what)
        if took_s > QUIET_S and what != said:
            click.echo(f"    waiting for {what} ...", err=True)
            said = what
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - begun


def fail(text: str) -> NoReturn:
    """Say on stderr why nothing more is done, and exit with 1."""
    click.echo(text, err=True)
    raise click.exceptions.Exit(1)


def agreed(question: str, risks: Sequence[str], *, yes: bool) -> None:
    """Go on only when a person has agreed, or `--yes` was given. Raises click.UsageError without either."""
    for line in risks:
        click.echo(line, err=True)
    if yes:
        return
    if not _is_asked_by_a_person():
        raise click.UsageError("there is no terminal to ask on: say --yes when you mean it")
    click.confirm(question, abort=True, err=True)


def _is_asked_by_a_person() -> bool:
    return os.isatty(0)
