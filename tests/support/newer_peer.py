"""`python -m support.newer_peer run ...`: a peer of the next version of watchtower, one command version on.

Otherwise it is the watchtower of this tree; entries look the same but for their version.
"""

from __future__ import annotations

from watchtower.core import model


def main() -> None:
    """Raise the version before anything takes it over, then be `watchtower`."""
    model.COMMAND_VERSION = model.COMMAND_VERSION + 1  # type: ignore[misc] # the one constant that differs
    from watchtower.cli.main import main as command_line  # noqa: PLC0415 - after the change, or it would be late

    command_line()


if __name__ == "__main__":
    main()
