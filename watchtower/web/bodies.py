"""JSON bodies, read strictly: what a path does not take is refused with what it takes.

Knows no body of its own.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from watchtower.core.text import clean

_Asked = TypeVar("_Asked", bound=Struct)


class BadBody(Exception):  # noqa: N818 - not a fault of the program: an answer on its way out
    """The body is not what the path takes; the text says what it takes."""


async def body(request: web.Request, kind: type[_Asked]) -> _Asked:
    """The JSON body as `kind`; an empty one has no keys. Raises BadBody, answered by 400."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = ", ".join(kind.__struct_encode_fields__)
        # What the caller sent may stand in the error, as an unknown key does.
        raise BadBody(f"the body is a JSON object with {fields}: {clean(str(error))}") from None
