"""A peer's history for tests: settings, results, a clock that a test sets, and turns taken one by one.

It decides nothing; the file is a real one in the folder a test gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from support.web_support import http_service, settings

from watchtower.core.model import Instant, Kind, Opinion, Result
from watchtower.core.settings import HistorySettings, Settings
from watchtower.history.keeper import FILE, History

START = 1_800_000_000 // 86_400 * 86_400.0
"""The beginning of a day."""


class SetClock:
    """A clock that stands until a test moves it."""

    def __init__(self, wall: float = START) -> None:
        self.wall = wall
        self.boot = 1_000.0

    def now(self) -> Instant:
        """What the test has set."""
        return Instant(wall=self.wall, boot=self.boot)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.boot += seconds


def history_settings(
    folder: Path, *names: str, interval_s: float = 10.0, kept_s: float = 86_400.0
) -> Settings:
    """Peer a, that keeps its history below `folder`."""
    services = [http_service(name, interval_s=interval_s, timeout_s=5.0) for name in names]
    made = settings(*services)
    return replace(made, storage_path=str(folder), history=HistorySettings(samples_kept_s=kept_s))


def result(service: str, at_wall: float, opinion: Opinion = Opinion.UP, **more: Any) -> Result:
    """A look that is over."""
    values: dict[str, Any] = {
        "kind": Kind.OK if opinion is Opinion.UP else Kind.TIMEOUT,
        "text": f"looked {opinion}",
        "duration_ms": 80.0,
        **more,
    }
    return Result(service=service, opinion=opinion, at_wall=at_wall, **values)


def file_of(folder: Path) -> Path:
    """Where peer a's history is."""
    return folder / "a" / FILE


class Stepped:
    """A history whose thread is the test: `turn` does what the thread does in a second."""

    def __init__(self, config: Settings, clock: SetClock | None = None, **limits: int) -> None:
        self.clock = clock or SetClock()
        self.history = History(config, self.clock, **limits)

    def turn(self, seconds: float = 1.0) -> None:
        """One turn, after some time."""
        self.clock.pass_s(seconds)
        self.history._guarded(self.history._turn)

    def look(self, service: str, opinion: Opinion = Opinion.UP, **more: Any) -> None:
        """A look that ends now."""
        self.history.take(result(service, self.clock.wall, opinion, **more))

    def finish(self) -> None:
        """What happens at the end of the thread."""
        self.history._guarded(self.history._finish)
        if self.history._file is not None:
            self.history._file.close()
            self.history._file = None
