"""What this process must be allowed to do for the services it is to look at, asked before it begins.

A missing permission is a mistake of the setup and is told like one of the file; it never becomes a
verdict about a service. A program that is missing here may be there on the other peers, so it is a warning.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from watchtower.core.settings import Settings
from watchtower.core.targets import ExecTarget, IcmpTarget
from watchtower.errors import ConfigError
from watchtower.probes.echoes import PERMISSION, may_ping

_NAMED_MAX: Final = 3
_WARNINGS_MAX: Final = 20


def check_permissions(settings: Settings) -> None:
    """Raise ConfigError when services that this peer looks at need what the process may not do."""
    looked_at = settings.looked_at_by(settings.me)
    names = [service.name for service in looked_at if isinstance(service.target, IcmpTarget)]
    if names and not may_ping():
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        shown = ", ".join(f"services.{name}" for name in names[:_NAMED_MAX]) + more
        raise ConfigError(
            f"{shown}: icmp:// needs the permission to ping, which this process lacks\n     = {PERMISSION}"
        )


def missing_programs(settings: Settings) -> list[str]:
    """A sentence for each program that this process could not run if it had to look now."""
    programs = [
        (service.name, service.target.program)
        for service in settings.looked_at_by(settings.me)
        if isinstance(service.target, ExecTarget)
    ]
    found = [
        f"services.{name}: {path} {why}; its looks will be unknown."
        for name, path in programs
        if (why := _no_program(path))
    ]
    more = len(found) - _WARNINGS_MAX
    return [*found[:_WARNINGS_MAX], f"... and {more} more programs."] if more > 0 else found


def _no_program(path: str) -> str:
    try:
        if not Path(path).exists():
            return "does not exist here"
        is_file = Path(path).is_file()
    except OSError as error:
        return f"cannot be looked at from here ({error.strerror})"
    if not is_file:
        return "is no file"
    return "" if os.access(path, os.X_OK) else "is not executable for this user"
