"""Makes a process end when the one that started it dies, however it dies.

Used by the peers of the demo, so that a demo that is killed leaves nothing running. Linux only
(PR_SET_PDEATHSIG, prctl(2)); elsewhere it does nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with(parent_pid: int) -> None:
    """Get SIGTERM when the parent dies; end at once when it is dead already."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)
