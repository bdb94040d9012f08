"""What an `expect:` or `warn:` line means: clauses over the facts a probe found.

The grammar that turns text into a Condition is config/conditions.py. This file judges one against
facts and says what was found instead; it never raises on what a service sent.
"""

from __future__ import annotations

from msgspec import Struct

Value = str | float | bool | tuple[str | float, ...]


class Clause(Struct, frozen=True, kw_only=True):
    """`field op value`. Times are seconds, sizes bytes; `negated` is a leading `not`."""

    field: str
    op: str
    value: Value
    negated: bool = False


class Condition(Struct, frozen=True, kw_only=True):
    """One line: it holds when any of its clauses (joined by `or`) holds. `text` is what was written."""

    text: str
    clauses: tuple[Clause, ...]
