"""`python -m watchtower`: the same as the `watchtower` command.

Decides nothing; the verbs are in cli/.
"""

from __future__ import annotations

from watchtower.cli.main import main

if __name__ == "__main__":
    main(prog_name="watchtower")
