"""Measures what is promised: `python -m tests.benchmarks idle | commits | flood | probes | ... [--help]`.

Each prints a table for docs/measured.md; README.md says what each measures. No stage runs them.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import commits, flood, http_engines, idle, many, probes

PROGRAMS = {
    "idle": idle.main,
    "commits": commits.main,
    "flood": flood.main,
    "probes": probes.main,
    "many": many.main,
    "http_engines": http_engines.main,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.exit(f"which one: {' | '.join(PROGRAMS)}")
    sys.exit(PROGRAMS[sys.argv[1]](sys.argv[2:]))
