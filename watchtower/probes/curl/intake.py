"""What an answer is taken in with: its head and the beginning of its body, both bounded.

libcurl hands over every line of the head and every piece of the body. More head than HEAD_BYTES_MAX is
an error, more body than BODY_BYTES_MAX is enough: either way the transfer ends there, whatever the other
side would still send. Bodies are unpacked here, up to the same limit, so that no bomb goes off.
"""

from __future__ import annotations

import codecs
import re
import zlib
from typing import Final

BODY_BYTES_MAX: Final = 65_536
HEAD_BYTES_MAX: Final = 32_768
"""All lines of the heads of one answer together, informational ones and trailers included."""
STOP: Final = -1
"""What a callback returns to end the transfer."""
# zlib's wbits: 47 reads gzip and zlib headers alike, -15 the headless deflate that some servers send.
_WINDOWS: Final = {"gzip": (47,), "x-gzip": (47,), "deflate": (47, -15)}
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE | re.ASCII)


class Intake:
    """Takes one answer after another, each begun with `clear`."""

    __slots__ = ("_body_bytes", "_head", "_head_bytes", "_pieces", "has_head", "too_long")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the answer."""
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self.has_head = False
        """The head is complete; from then on the body comes, and trailers, which nobody asked for."""
        self.too_long = False
        """The head was longer than HEAD_BYTES_MAX."""

    @property
    def is_full(self) -> bool:
        """As much of the body is here as is ever read."""
        return self._body_bytes >= BODY_BYTES_MAX

    def take_line(self, line: bytes) -> int | None:
        """A line of a head. Called by libcurl."""
        self._head_bytes += len(line)
        if self._head_bytes > HEAD_BYTES_MAX:
            self.too_long = True
            return STOP
        if self.has_head:
            return None
        if line.rstrip(b"\r\n"):
            self._head.append(line)
        elif self._head and self._head[0].partition(b" ")[2].startswith(b"1"):
            self._head.clear()  # informational: the answer itself follows
        else:
            self.has_head = True
        return None

    def take_body(self, piece: bytes) -> int | None:
        """A piece of the body. Called by libcurl."""
        self._pieces.append(piece)
        self._body_bytes += len(piece)
        return STOP if self._body_bytes >= BODY_BYTES_MAX else None

    def headers(self) -> dict[str, str]:
        """The header fields by their names in small letters; of several with one name the last counts."""
        found = {}
        for line in self._head[1:]:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            found[name.strip().lower()] = value.strip()
        return found

    def body(self) -> bytes:
        """The body as it came, at most BODY_BYTES_MAX of it."""
        return b"".join(self._pieces)[:BODY_BYTES_MAX]


def unpacked(raw: bytes, encoding: str) -> bytes:
    """`raw` unpacked up to the limit; as it came when the encoding is none of ours or a lie."""
    for window in _WINDOWS.get(encoding.lower(), ()):
        try:
            return zlib.decompressobj(window).decompress(raw, BODY_BYTES_MAX)
        except zlib.error:
            continue
    return raw


def charset(content_type: str) -> str:
    """The charset that a content type names, if it is one of text; else UTF-8."""
    named = _CHARSET.search(content_type)
    if named is None:
        return "utf-8"
    try:
        known = codecs.lookup(named[1])
    except LookupError:
        return "utf-8"
    return named[1] if known._is_text_encoding else "utf-8"  # noqa: SLF001 - else `rot13` of a hostile header
