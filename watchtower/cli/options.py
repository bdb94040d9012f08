"""Options that several verbs share, so that they are spelt and explained the same everywhere.

Decides names, environment variables and help texts; what a verb does with them is the verb's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

CONFIG_VARIABLE: Final = "WATCHTOWER_CONFIG"
DEFAULT_CONFIG: Final = "watchtower.yaml"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    envvar=CONFIG_VARIABLE,
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
peer_option = click.option(
    "--peer", envvar="WATCHTOWER_PEER", show_envvar=True, help="Which of the peers in the file this one is."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

_ASKING: Final = (
    click.option(
        "--url",
        "urls",
        multiple=True,
        envvar="WATCHTOWER_URL",
        show_envvar=True,
        help="HTTP address of a peer; may be repeated. The next is asked when one does not answer.",
    ),
    click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=CONFIG_VARIABLE,
        show_envvar=True,
        help=f"Ask the peers of this file.  [default: {DEFAULT_CONFIG} where there is one]",
    ),
    click.option(
        "--token",
        envvar="WATCHTOWER_TOKEN",
        show_envvar=True,
        help="Bearer token, where reading needs one. The variable keeps it out of the list of processes.",
    ),
    json_option,
)


def asking_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb that asks a running peer: `urls`, `config_path`, `token`, `as_json`."""
    for option in reversed(_ASKING):
        verb = option(verb)
    return verb


class UnknownUsageError(click.UsageError):
    """A wrong call of a verb that Nagios may run."""

    exit_code = 3


class NagiosCommand(click.Command):
    """A verb whose exit codes Nagios reads: calling it wrongly is UNKNOWN (3), not CRITICAL (2)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any command, with the other exit code."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise UnknownUsageError(error.format_message(), ctx) from None
