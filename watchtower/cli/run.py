"""`watchtower run`: one peer, in the foreground, until a signal ends it.

Decides how the log looks and which exit code there is; everything else is app.py's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from watchtower.cli.options import config_option, peer_option

_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command
@config_option
@peer_option
@click.option(
    "--log-level", type=click.Choice(_LEVELS), default="info", show_default=True, help="What is logged."
)
@click.option(
    "--log-format",
    type=click.Choice(("auto", "text", "logfmt")),
    default="auto",
    show_default=True,
    help="text for people, logfmt (key=value) for programs, auto by where it goes.",
)
@click.option("--no-history", is_flag=True, help="Keep no looks, whatever the file says.")
@click.option("--end-with-parent", is_flag=True, hidden=True, help="Stop when the starting process dies.")
def run(
    *,
    config_path: Path,
    peer: str | None,
    log_level: str,
    log_format: str,
    no_history: bool,
    end_with_parent: bool,
) -> None:
    """Run one peer until SIGTERM or SIGINT. SIGHUP reads the file again.

    Logs go to stderr.
    """
    import asyncio  # noqa: PLC0415 - only a peer needs it

    from watchtower.app import run_peer  # noqa: PLC0415 - every shell comes with it, most of a second
    from watchtower.cli.logs import log_to_stderr  # noqa: PLC0415 - only a peer logs
    from watchtower.parent import end_with  # noqa: PLC0415 - only the demo's peers need it

    log_to_stderr(log_level, log_format)
    if end_with_parent:
        end_with(os.getppid())
    running = run_peer(config_path, peer, os.environ, keep_history=not no_history)
    raise click.exceptions.Exit(asyncio.run(running))
