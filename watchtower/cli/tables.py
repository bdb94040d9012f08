"""Rows for people: a drawn and coloured table on a terminal, aligned columns in a pipe.

Everything that comes from outside is cleaned here, once, and never read as markup. rich is imported
only where a person looks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from msgspec import Struct

from watchtower.core.text import clean

CELL_MAX: Final = 200

STYLES: Final = {
    "up": "green",
    "degraded": "yellow",
    "partial": "yellow",
    "down": "bold red",
    "unknown": "magenta",
    "delivered": "green",
    "pending": "yellow",
    "claimed": "yellow",
    "uncertain": "yellow",
    "dead": "bold red",
    "cancelled": "dim",
    "superseded": "dim",
    "digested": "dim",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
}
"""Colour of each word that has one; the words themselves are always written too."""


WHOLE: Final = ("id", "no")
"""Columns that are never folded."""


class Cell(Struct, frozen=True):
    """One text with the word whose colour it takes (a key of STYLES, or "")."""

    text: str
    style: str = ""


def is_watched() -> bool:
    """True when a person looks at what is printed."""
    return sys.stdout.isatty()


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell | str]]) -> None:
    """Print a table; a text is a Cell without a colour."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    cleaned = [[Cell(clean(cell.text, CELL_MAX), cell.style) for cell in row] for row in cells]
    if is_watched():
        _draw(title, columns, cleaned)
    else:
        _align(title, columns, cleaned)


def _draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich import box  # noqa: PLC0415 - only where a person looks
    from rich.console import Console  # noqa: PLC0415 - only where a person looks
    from rich.table import Table  # noqa: PLC0415 - only where a person looks
    from rich.text import Text  # noqa: PLC0415 - only where a person looks

    # 80 columns are few: little between the columns, and what is copied, as an id, in one piece.
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in WHOLE)
    for row in rows:
        table.add_row(*(Text(cell.text, style=STYLES.get(cell.style, "")) for cell in row))
    # Not as the table's own title, which would be folded to the width of a small table.
    Console(highlight=False).print(Text(f"\n{title}", style="bold"), table, sep="")


def _align(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    click.echo(f"\n{clean(title)}")
    texts = [[name.upper() for name in columns], *([cell.text for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(columns))]
    for row in texts:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def moment(stamp: Any) -> str:
    """An RFC 3339 time as people read it: the clock time today, else with the date, in UTC."""
    if not isinstance(stamp, str):
        return ""
    try:
        at = datetime.fromisoformat(stamp).astimezone(UTC)
    except ValueError:
        return ""
    today = datetime.now(UTC).date()
    return at.strftime("%H:%M:%S" if at.date() == today else "%Y-%m-%d %H:%M")
