"""One look from the command line: a service out of a URL and conditions, and the prober that looks.

Reaches past app.py to the prober on purpose: there is no peer here, and nothing to wire. Decides nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from watchtower.clock import SystemClock
from watchtower.config.conditions import parse_condition
from watchtower.config.expansion import expanded
from watchtower.config.loader import service_from_url
from watchtower.config.problems import Wrong
from watchtower.core.conditions import Condition
from watchtower.core.model import Result
from watchtower.core.settings import Service
from watchtower.core.targets import Trusting
from watchtower.errors import ConfigError
from watchtower.probes.prober import Prober

_WITHOUT_SCHEME: Final = re.compile(
    r"(?:\[[0-9A-Fa-f:.%]+\]|[^/:?#@\[\]]+)(?::[0-9]+)?(?:[/?#].*)?", re.DOTALL
)
_OPTIONS_OF_THEIR_OWN: Final = frozenset({"expect", "warn", "timeout"})


def service_of(
    url: str,
    *,
    options: Sequence[str] = (),
    expect: Sequence[str],
    warn: Sequence[str],
    timeout_s: float,
    verify: bool,
) -> Service:
    """The service that the command line describes; a URL without scheme is https. Raises ConfigError.

    `options` are keys of the service as the file has them, each as `key=value`, `key.inner=value`. In them
    and in the URL `${VAR}` and `${file:...}` stand for what they do in a file, so that no password needs to
    stand on a command line.
    """
    said: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"--set {key}: the value is missing (write it like --set starttls=true)")
        if key in _OPTIONS_OF_THEIR_OWN:
            raise ConfigError(f"--set {key}: this is an option of its own (write it like --{key} ...)")
        *outer, last = key.split(".")
        below = said
        for name in outer:
            deeper = below.setdefault(name, {})
            below = deeper if isinstance(deeper, dict) else {}
        below[last] = _put_in(value, f"--set {key}")
    whole = _put_in(url, "URL")
    url = f"https://{whole}" if _WITHOUT_SCHEME.fullmatch(whole) else whole
    service = service_from_url(url, options=said)
    target = service.target
    if not verify and isinstance(target, Trusting):
        target = replace(target, verify=False)
    return replace(
        service,
        target=target,
        timeout_s=timeout_s,
        expect=tuple(_condition(text, service.kind, "--expect") for text in expect),
        warn=tuple(_condition(text, service.kind, "--warn") for text in warn),
    )


def _put_in(text: str, where: str) -> str:
    try:
        return expanded(text, os.environ)
    except Wrong as wrong:
        raise ConfigError(f"{where}: {wrong.what}" + (f" ({wrong.fix})" if wrong.fix else "")) from None


def _condition(text: str, kind: str, option: str) -> Condition:
    try:
        return parse_condition(text, kind)
    except Wrong as wrong:
        raise ConfigError(
            f"{option} '{text}': {wrong.what}" + (f" ({wrong.fix})" if wrong.fix else "")
        ) from None


async def look_once(service: Service) -> Result:
    """Look at `service` once, for at most its timeout."""
    clock = SystemClock()
    prober = Prober(clock, "cli", lambda _peer: False)
    try:
        return await prober.probe(service, clock.now().boot + service.timeout_s)
    finally:
        await prober.close()
