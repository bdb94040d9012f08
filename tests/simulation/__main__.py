"""Runs the simulation from the command line: `python -m tests.simulation --help`.

Many seeds at once with a table at the end, one seed with its trace, a plan from a file, or the score of
the harness itself. The exit code is 1 when a checker objects, a floor is missed or a mutant survives.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulation.command import main

if __name__ == "__main__":
    sys.exit(main(argparse.ArgumentParser(prog="python -m tests.simulation")))
