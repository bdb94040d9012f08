"""What a query gave, as far as conditions judge it: the same words for every kind of server.

Holds two values and decides nothing.
"""

from __future__ import annotations

from msgspec import Struct


class Rows(Struct, frozen=True, kw_only=True):
    """How many rows (or elements), and the first value of the first one; None when there is none."""

    count: int
    value: str | None = None

    def facts(self) -> dict[str, int | str]:
        """The facts that conditions know."""
        return {"rows": self.count, **({} if self.value is None else {"value": self.value})}

    def __str__(self) -> str:
        return f"{self.count} row" if self.count == 1 else f"{self.count} rows"
