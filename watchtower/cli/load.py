"""How `watchtower check` tells what a configuration asks of each peer, and what is too much for this machine.

Reads this machine's limits and shows; the arithmetic is config/estimate.py's. Warnings are no mistakes, so
they do not change the exit code.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any, Final

import click

from watchtower.cli import slips
from watchtower.cli.tables import Cell, show
from watchtower.core.settings import Settings

if TYPE_CHECKING:
    from watchtower.config.estimate import Load

KINDS_SHOWN_MAX: Final = 4


def document(settings: Settings) -> dict[str, Any]:
    """For programs: `load` by peer, and `warnings`."""
    from watchtower.config import estimate  # noqa: PLC0415 - comes with the file

    found = estimate.loads(settings)
    return {
        "load": [
            {
                "peer": load.peer,
                "services": load.services,
                "looks_per_s": {kind: round(rate, 3) for kind, rate in load.per_s.items()},
                "cpu_percent": round(load.cpu_percent, 1),
                "looks_while_all_hang": load.hanging,
                "sockets_at_worst": load.sockets,
                "children_at_worst": load.children,
            }
            for load in found
        ],
        "warnings": _warnings(found, settings),
    }


def tell(settings: Settings) -> None:
    """For people: a table, and a sentence for each warning."""
    from watchtower.config import estimate  # noqa: PLC0415 - comes with the file

    found = estimate.loads(settings)
    rows: list[list[Cell | str]] = [
        [
            load.peer,
            _rate(load.looks_per_s),
            kinds(load.per_s),
            _share(load.cpu_percent, estimate.BUDGET_PERCENT),
            str(load.sockets),
            str(load.children),
        ]
        for load in found
    ]
    heads = ("peer", "looks/s", "of which", "CPU, % of a core", "sockets at worst", "children at worst")
    show("Load, estimated", heads, rows)
    for sentence in _warnings(found, settings):
        click.echo(f"Warning: {sentence}")


def _warnings(found: list[Load], settings: Settings) -> list[str]:
    """Held against the limits of this machine, for a process started as this one."""
    from watchtower.config.crowding import crowded  # noqa: PLC0415 - comes with the file
    from watchtower.config.estimate import warnings  # noqa: PLC0415 - comes with the file
    from watchtower.probes.permissions import missing_programs, unreadable_files  # noqa: PLC0415 - as above

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        *warnings(found, settings.probe.concurrency, descriptors),
        *crowded(settings),
        *missing_programs(settings),
        *unreadable_files(settings),
        *slips.warnings(settings),
    ]


def kinds(per_s: dict[str, float]) -> str:
    """The kinds that are looked at most; those that a line has no room for are counted."""
    by_rate = sorted(per_s.items(), key=lambda one: -one[1])
    shown = [f"{kind} {_rate(rate)}" for kind, rate in by_rate[:KINDS_SHOWN_MAX]]
    more = len(by_rate) - len(shown)
    return ", ".join(shown + [f"{more} more kind{'s'[: more - 1]}"] * bool(more)) or "none"


def _rate(per_s: float) -> str:
    """Two digits at least: one look in 30 s is not none."""
    return f"{per_s:.1f}" if per_s >= 1 else f"{per_s:.2g}"


def _share(percent: float, budget: float) -> Cell:
    return Cell(f"{percent:.1f}", "warn" if percent > budget else "good")
