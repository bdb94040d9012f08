"""What `watchtower check` finds in a file that is right by its rules: channels that cannot work, idle words.

A channel that cannot work is a mistake; the rest are warnings, because each may be meant. No network is
needed. Decides only how it is said: channels are judged by delivery/, matchers by the core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchtower.core.alerting import matching, silencing
from watchtower.core.model import State
from watchtower.core.policies import Matcher, Severity
from watchtower.core.settings import Settings

_NAMED_MAX: Final = 5


def broken_channels(path: Path, settings: Settings) -> list[str]:
    """One text for each channel that no alert could ever reach, with its line where it is known."""
    from watchtower.delivery.channels import validate  # noqa: PLC0415 - apprise takes a second
    from watchtower.errors import DeliveryError  # noqa: PLC0415 - comes with it

    found = []
    for name, channel in settings.channels.items():
        try:
            validate(channel)
        except DeliveryError as error:
            what = str(error).removeprefix(f"channel {name}: ")
            found.append(f"{path}{_line(path, name)}: notify.{name}: {what}")
    return found


def warnings(settings: Settings) -> list[str]:
    """What will do nothing, and whom nobody would hear of."""
    return [*_unheard(settings), *_past(settings), *_vain(settings)]


def _line(path: Path, channel: str) -> str:
    """`:12`; "" where the file does not say it in so many words."""
    from watchtower.config.document import locate, parse  # noqa: PLC0415 - comes with the file

    tree, _ = parse(path.read_text(encoding="utf-8-sig"))
    return f":{locate(tree, ('notify', channel), key=True).line}" if tree is not None else ""


def _unheard(settings: Settings) -> Iterator[str]:
    from watchtower.cli.hearing import document  # noqa: PLC0415 - comes with the file

    if not settings.channels:
        return
    names = [
        service.name
        for service in settings.services.values()
        if service.severity is Severity.CRITICAL
        and not (told := document(service, settings))["alert"]
        and not told["later"]
    ]
    if names:
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        listed = ", ".join(names[:_NAMED_MAX]) + more
        yield f"nobody is told when {listed} is down, though that is critical: see `routes` and `alert`."


def _past(settings: Settings) -> Iterator[str]:
    for index, window in enumerate(settings.maintenance):
        if not window.cron and window.end_wall <= time.time():
            yield f"maintenance[{index}] ({matching.shown(window.match)}) is over: remove it."


def _vain(settings: Settings) -> Iterator[str]:
    """Matchers that no subject of this file fits, at whatever level."""
    written: tuple[tuple[str, tuple[Matcher, ...]], ...] = (
        *((f"routes[{index}]", route.match) for index, route in enumerate(settings.routes)),
        *((f"maintenance[{index}]", window.match) for index, window in enumerate(settings.maintenance)),
    )
    for where, matchers in written:
        if matchers and not silencing.preview(State(), settings, matchers).subjects:
            yield f"{where} ({matching.shown(matchers)}) fits nothing that this file watches."
