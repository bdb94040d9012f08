"""Runs the mutation tests from the command line: `python -m tests.mutation --help`.

The exit code is 1 when something that was broken on purpose went unnoticed and nobody has said why.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mutation.command import main

if __name__ == "__main__":
    sys.exit(main(argparse.ArgumentParser(prog="python -m tests.mutation")))
