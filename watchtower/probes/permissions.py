"""What this process must be allowed to do for the services it is to look at, asked before it begins.

A missing permission is a mistake of the setup and is told like one of the file; it never becomes a
verdict about a service.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.settings import Settings
from watchtower.core.targets import IcmpTarget
from watchtower.errors import ConfigError
from watchtower.probes.echoes import PERMISSION, may_ping

_NAMED_MAX: Final = 3


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
