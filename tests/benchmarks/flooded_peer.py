"""`watchtower` whose looks at services touch no network: all are well until SIGUSR1 and after SIGUSR2.

Between the two all are down. So ten thousand services can fail at once on one machine, and everything behind
the look is the real thing.
"""

from __future__ import annotations

import signal
import sys

from watchtower.cli.main import main
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.settings import Service
from watchtower.core.targets import HttpTarget
from watchtower.probes.prober import Prober

_look = Prober.probe
_last_signal = [signal.SIGUSR2]


async def probe(self: Prober, service: Service, deadline_boot: float) -> Result:
    """Made up for services; a real look at everything else."""
    if not isinstance(service.target, HttpTarget):
        return await _look(self, service, deadline_boot)
    is_down = _last_signal[0] == signal.SIGUSR1
    return Result(
        service=service.name,
        opinion=Opinion.DOWN if is_down else Opinion.UP,
        kind=Kind.REFUSED if is_down else Kind.OK,
        text="connection refused by 192.0.2.10:443" if is_down else "HTTP 200",
        at_wall=self._clock.now().wall,
        duration_ms=12.0,
    )


def _remember(number: int, _frame: object) -> None:
    _last_signal[0] = signal.Signals(number)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _remember)
    signal.signal(signal.SIGUSR2, _remember)
    Prober.probe = probe  # type: ignore[method-assign] # the one thing that is not real
    sys.argv[0] = "watchtower"
    main()
