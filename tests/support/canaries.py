"""Secrets that can be recognised wherever they turn up: whole, in part, or in base64.

`Canaries` makes them, one for each place of a configuration that can hold a secret, and finds them again
in any text or bytes. It decides nothing about where they may be.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

LENGTH = 24
PART = 10
"""So many characters of one, at either end, are a leak as well: enough never to turn up by chance."""


class Canaries:
    """The secrets of one test, each with the place it was put into."""

    def __init__(self) -> None:
        self.place_of: dict[str, str] = {}
        self._forms: dict[bytes, str] = {}

    def new(self, place: str, length: int = LENGTH) -> str:
        """Hexadecimal digits that are nowhere else, as most services would take for a token."""
        made = secrets.token_hex(length // 2)
        self.place_of[made] = place
        for form in _forms_of(made):
            self._forms[form] = place
        return made

    def of(self, place: str) -> str:
        """The secret of a place."""
        return next(secret for secret, where in self.place_of.items() if where == place)

    def found_in(self, text: bytes | str) -> set[str]:
        """The places whose secret is in the text."""
        raw = (text.encode() if isinstance(text, str) else text).lower()
        return {place for form, place in self._forms.items() if form in raw}

    def first_in(self, *texts: str) -> str:
        """The word with the first secret that is whole in one of the texts; "" without one."""
        whole = "\n".join(texts)
        first = min((one for one in self.place_of if one in whole), key=whole.index, default="")
        word = re.search(rf"[\w.-]*{first}[\w.-]*", whole) if first else None
        return word[0] if word else ""


def _forms_of(secret: str) -> Iterable[bytes]:
    """What betrays a secret, in lower case: its beginning, its end, and its base64 at every offset."""
    yield secret[:PART].encode()
    yield secret[-PART:].encode()
    for offset in range(3):
        # What stands before and behind changes the first and the last characters, so they are left out.
        yield base64.b64encode(b"x" * offset + secret.encode())[4:-4].lower()


def bytes_under(folder: Path) -> dict[str, bytes]:
    """Every file below the folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
