"""A peer with a weak spot: `python -m support.faulty_peer run ...` is `watchtower`, but SIGUSR1 hurts it.

On the signal it reads the file named in WT_FAULT: `block 2` holds its app loop for two seconds while its
Raft thread goes on, `clock 3600` shifts its wall clock by that many seconds from its true time. It decides
nothing, and CLOCK_BOOTTIME stays true, as it does when an administrator or ntpd steps the clock.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from watchtower.cli.main import main

_true_time = time.time


def hurt(_number: int, _frame: object) -> None:
    """Do what the file says, in the thread of the app loop."""
    kind, amount = Path(os.environ["WT_FAULT"]).read_text().split()
    if kind == "block":
        time.sleep(float(amount))
    elif kind == "clock":
        shift_s = float(amount)
        time.time = lambda: _true_time() + shift_s


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, hurt)
    sys.argv[0] = "watchtower"
    main()
