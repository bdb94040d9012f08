"""What this process must be allowed to do for the services it is to look at, asked before it begins.

A missing permission is a mistake of the setup and is told like one of the file; it never becomes a
verdict about a service. A program or a file that is missing here may be there on the other peers, so it
is a warning.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from watchtower.core.settings import Settings
from watchtower.core.targets import ExecTarget, HttpTarget, IcmpTarget, Trusting
from watchtower.errors import ConfigError
from watchtower.probes.wires.echoes import PERMISSION, may_ping

_NAMED_MAX: Final = 3
_WARNINGS_MAX: Final = 20
_FEATURES: Final = {"2": 1 << 16, "3": 1 << 25}
"""CURL_VERSION_HTTP2 and CURL_VERSION_HTTP3."""


def check_permissions(settings: Settings) -> None:
    """Raise ConfigError when services that this peer looks at need what the process may not do."""
    looked_at = settings.looked_at_by(settings.me)
    pinging = [service.name for service in looked_at if isinstance(service.target, IcmpTarget)]
    if pinging and not may_ping():
        raise ConfigError(
            f"{_named(pinging)}: icmp:// needs the permission to ping, which this process lacks\n"
            f"     = {PERMISSION}"
        )
    for version, feature in _FEATURES.items():
        asking = [
            service.name
            for service in looked_at
            if isinstance(service.target, HttpTarget) and service.target.http_version == version
        ]
        if asking and not _features() & feature:
            raise ConfigError(
                f"{_named(asking)}: the libcurl of this installation does not speak HTTP/{version}\n"
                "     = install pycurl from its wheel, or choose another `http_version`"
            )


def _features() -> int:
    """What libcurl can do, as bits."""
    import pycurl  # noqa: PLC0415 - six megabytes that a peer with workers needs for this question alone

    return int(pycurl.version_info()[4])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(f"services.{name}" for name in names[:_NAMED_MAX]) + more


def unreadable_files(settings: Settings) -> list[str]:
    """A sentence for each PEM file that this process could not use if it had to look now."""
    found = [
        f"services.{service.name}.{key}: {why}; its looks will be unknown."
        for service in settings.looked_at_by(settings.me)
        if isinstance(service.target, Trusting)
        for key, why in _unusable(service.target)
    ]
    more = len(found) - _WARNINGS_MAX
    return [*found[:_WARNINGS_MAX], f"... and {more} more files."] if more > 0 else found


def _unusable(target: Trusting) -> list[tuple[str, str]]:
    """Keys that name a file, and what is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found = []
    if target.ca:
        try:
            context.load_verify_locations(target.ca)
        except OSError as error:
            found.append(("ca", f"this process cannot read certificate authorities there ({_why(error)})"))
    if target.cert:
        try:
            # Whoever is asked for a passphrase would wait at a terminal that a service does not have.
            context.load_cert_chain(target.cert, target.key or None, password="")
        except OSError as error:
            found.append(("cert", f"this process cannot read a certificate and its key ({_why(error)})"))
    return found


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM in it"
    return error.strerror or type(error).__name__


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
