"""Planned maintenance and flap detection: the checks between their keys, and the way to Settings.

The checks work on the raw content, so that a mistake elsewhere does not hide one here. When a window is open
is core/alerting/windows.py's, what flaps core/alerting/flapping.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from watchtower.config import readers
from watchtower.config.document import Path
from watchtower.config.faults import Faults
from watchtower.config.problems import Wrong
from watchtower.config.routes import check_match, known_to
from watchtower.config.schema import FileModel, FlapModel, MaintenanceModel
from watchtower.config.units import duration_text, parse_duration
from watchtower.core import schedules
from watchtower.core.alerting import matching
from watchtower.core.alerting.windows import earliest_wall, latest_wall
from watchtower.core.settings import Window

_ONCE: Final = ("start", "end")
_AGAIN: Final = ("cron", "for")
_BOTH: Final = "once is `start:` and `end:`, again and again is `cron:` and `for:`"
T = TypeVar("T")


def windows_of(file: FileModel) -> tuple[Window, ...]:
    """The windows of a file that is right; those without a zone are in that of `alerting.timezone`."""
    return tuple(_window(model, model.tz or file.alerting.timezone) for model in file.maintenance)


def _window(model: MaintenanceModel, timezone: str) -> Window:
    return Window(
        match=matching.read_match(model.match),
        start_wall=earliest_wall(model.start, timezone) if model.start else 0.0,
        end_wall=latest_wall(model.end, timezone) if model.end else 0.0,
        cron=model.cron,
        for_s=model.lasting or 0.0,
        timezone=timezone,
        reason=model.reason,
    )


def check_maintenance(content: Mapping[str, Any], faults: Faults) -> None:
    """Adds a fault for a window that could never be, or would never end."""
    written, known = content.get("maintenance"), known_to(content)
    for index, window in enumerate(written if isinstance(written, list) else ()):
        if isinstance(window, Mapping):
            path: Path = ("maintenance", index)
            check_match(window.get("match"), (*path, "match"), known, faults)
            _check_times(window, path, faults)


def _check_times(window: Mapping[str, Any], path: Path, faults: Faults) -> None:
    once, again = ([key for key in keys if key in window] for keys in (_ONCE, _AGAIN))
    if once and again:
        what = f"`{once[0]}` and `{again[0]}` exclude each other"
        faults.at((*path, again[0]), Wrong(what, _BOTH), at_key=True)
    elif len(once) + len(again) == 0:
        faults.at(path, Wrong("nothing says when", _BOTH))
    elif len(once) + len(again) == 1:
        given, pair = (*once, *again)[0], _ONCE if once else _AGAIN
        missing = next(key for key in pair if key != given)
        faults.at((*path, given), Wrong(f"`{missing}` is missing", _BOTH), at_key=True)
    elif once:
        _check_order(window, path, faults)
    else:
        _check_pause(window, path, faults)


def _check_order(window: Mapping[str, Any], path: Path, faults: Faults) -> None:
    start, end = (_read(window.get(key), readers.read_local_time) for key in _ONCE)
    if start and end and end <= start:
        faults.at((*path, "end"), Wrong("it ends before it starts", "both are times in the same zone"))


def _check_pause(window: Mapping[str, Any], path: Path, faults: Faults) -> None:
    """Maintenance without a pause would be a service that nobody is ever told of."""
    cron, for_s = _read(window.get("cron"), readers.read_times), _read(window.get("for"), parse_duration)
    timezone = _read(window.get("tz", "UTC"), readers.read_timezone)
    if cron and for_s and timezone and for_s >= (pause_s := schedules.longest_pause_s(cron, timezone)):
        what = f"it begins anew every {duration_text(pause_s)} at the latest, so that it never ends"
        fix = "shorten it; what nobody is ever to be told of has `alert: []`"
        faults.at((*path, "for"), Wrong(what, fix))


def check_flap(content: Mapping[str, Any], faults: Faults) -> None:
    """Adds a fault for flapping that would end before it has begun."""
    alerting = content.get("alerting")
    flap = alerting.get("flap") if isinstance(alerting, Mapping) else None
    if not isinstance(flap, Mapping):
        return
    usual = FlapModel()
    high = _read(flap["high"], readers.read_share) if "high" in flap else usual.high
    low = _read(flap["low"], readers.read_share) if "low" in flap else usual.low
    if high and low and low >= high:
        key = "low" if "low" in flap else "high"
        what = "flapping would be over before it begins: `low` is not below `high`"
        faults.at(("alerting", "flap", key), Wrong(what, "as in `high: 50%` and `low: 25%`"))


def _read(value: object, read: Callable[[str], T]) -> T | None:
    """The value, None where the schema will say what is wrong with it."""
    try:
        return read(value) if isinstance(value, str) else None
    except Wrong:
        return None
