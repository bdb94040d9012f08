"""Kinds of service that need a package beyond the usual ones: is it installed where the file is read?

Said when the file is read, not when the first look fails: a service that nobody can look at is a mistake of
the setup. Imports nothing; that is the probe's business.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, TypeVar

from watchtower.config.problems import Wrong

EXTRAS: Final = {"amqp": "pamqp", "grpc": "h2"}
"""Extra of this project -> the module that it brings."""
T = TypeVar("T")


def needing(extra: str, read: Callable[[str], T]) -> Callable[[str], T]:
    """`read`, for those who have the extra; for the others the command that installs it."""

    def read_with_extra(text: str) -> T:
        if find_spec(EXTRAS[extra]) is None:
            what = f"{extra} services need the package `{EXTRAS[extra]}`, which is not installed here"
            raise Wrong(what, f"pip install 'watchtower-ha[{extra}]', for the user that runs the peer")
        return read(text)

    return read_with_extra
