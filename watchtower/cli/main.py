"""The root of the command line: which verbs there are, and how an error of ours looks to a person.

Importing this file must stay cheap, because `watchtower status` runs in cron jobs and Nagios checks:
every verb imports what it needs when it runs. It decides no behaviour of any verb.
"""

from __future__ import annotations

from typing import Any

import click

from watchtower import __version__
from watchtower.cli.ack import ack
from watchtower.cli.check import check
from watchtower.cli.cluster import cluster
from watchtower.cli.demo.command import demo
from watchtower.cli.drain import drain
from watchtower.cli.heartbeat import heartbeat
from watchtower.cli.incidents import incidents
from watchtower.cli.init import init
from watchtower.cli.notifications import channels, notifications
from watchtower.cli.notify import drill, notify
from watchtower.cli.probe import probe
from watchtower.cli.route import route
from watchtower.cli.run import run
from watchtower.cli.silence import maintenance, silence
from watchtower.cli.status import status
from watchtower.errors import WatchtowerError


class Root(click.Group):
    """Shows what watchtower raises on purpose as a plain message with exit code 1, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except WatchtowerError as error:
            click.echo(str(error), err=True)
            ctx.exit(1)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="watchtower")
def main() -> None:
    """Monitoring by redundant peers: they agree on what is down, and exactly one of them alerts.

    Begin with `watchtower demo`: a whole cluster on this machine, with services to break.
    """


ASKING = (status, incidents, notifications, channels, route)
ACTING = (ack, silence, maintenance, notify, drill)
for verb in (demo, init, check, run, probe, *ASKING, *ACTING, heartbeat, cluster, drain):
    main.add_command(verb)
