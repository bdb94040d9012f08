"""`watchtower init`: four questions, then a first configuration file that works, and a secret beside it.

Every question can be answered by an option instead. Nothing is overwritten unless told so, the file is
read back before it is called good, and a test message that fails is explained, not fatal.
"""

from __future__ import annotations

from pathlib import Path

import click

from watchtower.cli.options import DEFAULT_CONFIG, json_option

_CHANNEL_HELP = """\
Where should alerts go? A notification URL, for example
  slack://T0000/B0000/secret/#ops              a Slack incoming webhook (or paste its https:// address)
  mailtos://user:password@smtp.example.com/?to=ops@example.com
  ntfys://ntfy.sh/your-topic                   also discord://, tgram://, pagerduty://, json:// ...
Leave it empty to decide later; nobody is told then."""


@click.command
@click.option("--name", help="Name of the cluster.")
@click.option("--peers", help="Addresses of the peers, separated by commas.")
@click.option("--watch", help="The first thing to watch: a URL.")
@click.option("--alert", help="Where alerts go: a notification URL, or empty for nowhere yet.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The file to write; the secrets go beside it.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--no-test", is_flag=True, help="Send no test message.")
@json_option
def init(
    *,
    name: str | None,
    peers: str | None,
    watch: str | None,
    alert: str | None,
    output: Path,
    force: bool,
    no_test: bool,
    as_json: bool,
) -> None:
    """Ask four questions and write a configuration file that works."""
    from watchtower.cli.writing import Answers, explain, write  # noqa: PLC0415 - config and delivery come with it

    answers = Answers(
        name=_answer(name, "What is the cluster called?", "prod"),
        peers=_answer(peers, "Which hosts run the peers?", "10.0.1.10, 10.0.2.10, 10.0.3.10"),
        watch=_answer(watch, "What shall be watched first?", "https://example.com"),
        alert=_alert(alert),
    )
    written = write(answers, output, force=force)
    tested = None if no_test or not answers.alert else written.send_test()
    click.echo(explain(written, tested, as_json=as_json, test_skipped=no_test))


def _answer(given: str | None, question: str, default: str) -> str:
    if given is not None:
        return given.strip()
    return str(click.prompt(question, default=default, err=True)).strip()


def _alert(given: str | None) -> str:
    if given is not None:
        return given.strip()
    click.echo(_CHANNEL_HELP, err=True)
    return str(click.prompt("URL", default="", show_default=False, err=True)).strip()
