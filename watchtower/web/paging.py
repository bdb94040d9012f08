"""How lists are paged and how their queries are read: limits, cursors, whole numbers.

Knows no list; what a cursor names is each list's own. A query that cannot be understood raises BadQuery.
"""

from __future__ import annotations

from typing import Final

PAGE_MAX: Final = 200


class BadQuery(Exception):  # noqa: N818 - the caller's fault, answered with 400
    """A query parameter cannot be understood; the text says which and what would be right."""


def page_size(text: str) -> int:
    """The `limit` of a query, at most PAGE_MAX; 50 when there is none. Raises BadQuery."""
    return limit_of(text, PAGE_MAX) if text else 50


def limit_of(text: str, most: int) -> int:
    """A `limit` that was given, at most `most`. Raises BadQuery."""
    number = whole(text, "limit")
    if number < 1:
        raise BadQuery("limit is a whole number from 1 on")
    return min(number, most)


def whole_number(text: str, name: str) -> int | None:
    """The whole number in query parameter `name`; None when there is none. Raises BadQuery."""
    return whole(text, name) if text else None


def whole(text: str, name: str) -> int:
    """The whole number that `text` is. Raises BadQuery."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadQuery(f"{name} is a whole number")
    return int(text)
