"""Saying who we are: once on every link, and to all again when it has changed.

Which link has heard what is kept here, so that a hello that could not leave (the disk took nothing, the link
was just gone) is said later. What is in it, the guard decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import structs

from watchtower.cluster.frames import Message
from watchtower.cluster.quarantine import Hello


class Greeting:
    """The hellos of one peer; `send(peer, message)` puts one on the wire."""

    def __init__(self, send: Callable[[str, Message], bool]) -> None:
        self._send = send
        self._said: Hello | None = None
        self._owed: set[str] = set()

    def owe(self, peer: str) -> None:
        """A new link: `peer` has heard nothing on it."""
        self._owed.add(peer)

    def forget(self, peer: str) -> None:
        """The link to `peer` is gone."""
        self._owed.discard(peer)

    def say(self, hello: Hello, linked: Collection[str]) -> None:
        """Tell whoever has not heard it, or only what we were before. A newer term alone is no news."""
        if self._said is not None and structs.replace(hello, term=self._said.term) != self._said:
            self._owed = set(linked)
        if self._owed:
            self._said = hello
            message = {"type": "hello", **structs.asdict(hello)}
            self._owed = {peer for peer in sorted(self._owed) if not self._send(peer, message)}
