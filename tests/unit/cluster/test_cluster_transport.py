"""The guard at the border to pysyncobj: which entries of a leader's message are news."""

from __future__ import annotations

import pytest

from watchtower.cluster.frames import Message
from watchtower.cluster.transport import without_known


def entries(*terms: int, first: int) -> list[tuple[bytes, int, int]]:
    """Entries with these terms from index `first`."""
    return [(b"\0", first + place, term) for place, term in enumerate(terms)]


def append(previous: int | None, term: int | None, *terms: int) -> Message:
    """A leader's message: entries with `terms` after the entry `previous` of `term`."""
    return {
        "type": "append_entries",
        "prevLogIdx": previous,
        "prevLogTerm": term,
        "entries": entries(*terms, first=(previous or 0) + 1),
    }


LOG = entries(1, 1, 2, 2, first=5)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (append(8, 2, 2), append(8, 2, 2)),
        (append(8, 2), append(8, 2)),
        (append(6, 1, 2, 2, 2), append(8, 2, 2)),
        (append(6, 1, 2), append(7, 2)),
        (append(6, 1, 2, 3), append(7, 2, 3)),
        (append(6, 1, 3, 3), append(6, 1, 3, 3)),
        (append(6, 2, 2, 2), append(6, 2, 2, 2)),
        (append(4, 1, 1), append(4, 1, 1)),
        (append(9, 2, 2), append(9, 2, 2)),
        (append(None, None), append(None, None)),
    ],
    ids=[
        "only news",
        "nothing",
        "known ones, then news",
        "all known",
        "known, then a conflict",
        "a conflict at once",
        "another history before",
        "before the log",
        "after the log",
        "a leader that lost the place",
    ],
)
def test_known_entries_are_taken_off_the_front(message: Message, expected: Message) -> None:
    """Entries that match are dropped from the message, so pysyncobj cuts only what conflicts."""
    assert without_known(LOG, message) == expected
