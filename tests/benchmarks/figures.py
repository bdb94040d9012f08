"""What a process costs, as the kernel counts it in /proc, and on what machine it was counted."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path


def cpu_s(pid: int) -> float:
    """CPU seconds of a process with all its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int, *, peak: bool = False) -> float:
    """Resident memory of a process, now or at its peak."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(wanted)).split()[1]) / 1024


def tree(root: int) -> list[int]:
    """A process with all its descendants that live just now."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def tree_cpu_s(root: int) -> float:
    """CPU seconds of a process and its descendants, those that have ended and were waited for too."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def tree_rss_mb(root: int) -> float:
    """Resident memory of a process and its descendants; what they share counts once for each."""
    total = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError, StopIteration):
            total += rss_mb(pid)
    return total


class Meter:
    """CPU of several processes from here to `percent`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._machine = busy_s()
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        self._began = time.monotonic()

    @property
    def took_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def percent(self) -> dict[str, float]:
        """Percent of one core that each process has used since the beginning."""
        took_s = self.took_s
        return {name: 100 * (cpu_s(pid) - self._before[name]) / took_s for name, pid in self._pids.items()}

    def others_percent(self) -> float:
        """Percent of one core that everything else on the machine has used meanwhile, this program too."""
        mine = sum(cpu_s(pid) - self._before[name] for name, pid in self._pids.items())
        return 100 * (busy_s() - self._machine - mine) / self.took_s


def busy_s() -> float:
    """Seconds all cores together were busy since the machine began."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """The line under every table: cores, load of the last minute, and when."""
    load = Path("/proc/loadavg").read_text().split()[0]
    when = time.strftime("%Y-%m-%d %H:%M")
    return f"{os.cpu_count()} cores, load {load} at the end, {when}"
