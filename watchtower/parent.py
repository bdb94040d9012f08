"""Makes a process end when the one that started it dies, however it dies.

Used by the peers of the demo and by probe workers, so that nothing keeps running without the process that
started it. Linux only (PR_SET_PDEATHSIG, prctl(2)); elsewhere it does nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Get signal `number` when the parent dies; get it at once when it is dead already."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), number)
