"""Maintenance of the config as people see it: which window is on, and when each comes next.

Pure functions over one Snapshot; when a window is on is core/alerting/windows.py's.
"""

from __future__ import annotations

import math

from watchtower.core import schedules
from watchtower.core.alerting import matching, windows
from watchtower.core.ports import Snapshot
from watchtower.core.settings import Window
from watchtower.web.quiet_shapes import WindowDoc
from watchtower.web.silences import matcher_docs
from watchtower.web.times import moment


def window_docs(snap: Snapshot) -> list[WindowDoc]:
    """All windows of the config, in the order of the file."""
    return [_window_doc(window, snap.now.wall) for window in snap.settings.maintenance]


def _window_doc(window: Window, now_wall: float) -> WindowDoc:
    open_until_wall = windows.open_until(window, now_wall)
    starts_wall, ends_wall = _next(window, now_wall)
    return WindowDoc(
        text=matching.shown(window.match),
        matchers=matcher_docs(window.match),
        cron=window.cron,
        timezone=window.timezone,
        reason=window.reason,
        active=open_until_wall > 0,
        open_until=moment(open_until_wall),
        starts_at=moment(starts_wall),
        ends_at=moment(ends_wall),
    )


def _next(window: Window, now_wall: float) -> tuple[float, float]:
    """Start and end of the next one; zeros when none comes any more."""
    if window.cron:
        starts = schedules.due_between(window.cron, window.timezone, now_wall, math.inf)
        start_wall = next(starts, 0.0)
        if not math.isfinite(start_wall) or not start_wall:
            return 0.0, 0.0
        return start_wall, windows.ends_wall(start_wall, window.for_s, window.timezone)
    return (window.start_wall, window.end_wall) if window.start_wall > now_wall else (0.0, 0.0)
