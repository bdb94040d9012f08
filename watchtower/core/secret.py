"""A value that nobody but its user may see.

It never prints itself, wherever it ends up: in a log, an exception, a page or a snapshot.
Who may reveal it is not decided here.
"""

from __future__ import annotations


class Secret:
    """A value that must not appear in logs, metrics, API answers, replicated state or exceptions.

    `repr`, `str` and formatting show `***`; only `reveal()` gives the value. Equality and hash
    work on the value so that Settings stay comparable.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it only at the place of use."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))
