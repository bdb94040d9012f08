"""`watchtower demo`: puts the stage up, shows it, and takes people on the tour if they like.

Decides how it is shown: live on a terminal, else as plain lines or JSON lines. Exit code 1 when the
tour found a difference.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from watchtower.cli.options import json_option


@click.command
@click.option("--tour", "with_tour", is_flag=True, help="Break things in order and check what is told.")
@click.option("--live/--no-live", default=None, help="Draw a live view.  [default: on a terminal]")
@click.option("--keep", is_flag=True, help="Keep the folder with configuration, data and logs.")
@click.option("--port-base", type=click.IntRange(1024, 65_000), help="Use six ports from here on.")
@json_option
def demo(*, with_tour: bool, live: bool | None, keep: bool, port_base: int | None, as_json: bool) -> None:
    """Start three peers, sample services and a local Slack on this machine.

    With --tour: a service fails and is repaired, the alerter is killed, another service fails meanwhile,
    the peer returns; after each step what was expected and what was received. Exit code 1 if they differ.
    """
    from watchtower.cli.demo.stage import Stage  # noqa: PLC0415 - only the demo needs servers

    for number in (signal.SIGTERM, signal.SIGHUP):
        # Whatever ends the demo ends it in order: peers first, then their folder.
        signal.signal(number, signal.default_int_handler)
    is_live = sys.stdout.isatty() and not as_json if live is None else live and not as_json
    with _folder(keep=keep) as folder, suppress(KeyboardInterrupt), Stage(folder, port_base) as stage:
        teller = Teller(stage, as_json=as_json)
        teller.say("starting three peers", folder=str(folder))
        with _drawn(teller) if is_live else _told():
            stage.wait_until_whole()
            teller.say("all peers are ready and every service is up", urls=stage.http)
            if with_tour:
                _take(teller)
            else:
                threading.Event().wait()
    if with_tour:
        _conclude(teller)


class Teller:
    """Says what happens, as lines or JSON lines, and remembers the reports of the tour."""

    def __init__(self, stage: Any, *, as_json: bool) -> None:
        self.stage = stage
        self.reports: list[Any] = []
        self.is_silent = False
        self._as_json = as_json

    def say(self, text: str, **details: Any) -> None:
        """One event; silent while the live view draws."""
        if self.is_silent:
            return
        if self._as_json:
            click.echo(json.dumps({"event": text, **details}))
            return
        click.echo(text)
        for key, value in details.items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            click.echo(f"  {key}: {shown}")

    def report(self, report: Any) -> None:
        """One step of the tour."""
        if self.is_silent:
            return
        if not self._as_json:
            click.echo(_lines(report))
            return
        document = {
            "event": "step",
            "step": report.title,
            "expected": list(report.expected),
            "received": list(report.received),
            "seconds": round(report.seconds, 2),
            "problem": report.problem,
        }
        click.echo(json.dumps(document))


def _lines(report: Any) -> str:
    head = f"{'DIFFERS' if report.problem else 'ok':8}{report.title} ({report.seconds:.1f} s)"
    lines = [head, f"        expected: {', '.join(report.expected) or 'no message'}"]
    lines += [f"        received: {text}" for text in report.received or ("no message",)]
    lines += [f"        problem:  {report.problem}"] if report.problem else []
    return "\n".join(lines)


def _take(teller: Teller) -> None:
    from watchtower.cli.demo.tour import tour  # noqa: PLC0415 - only the demo needs it

    for report in tour(teller.stage):
        teller.reports.append(report)
        teller.report(report)


def _conclude(teller: Teller) -> None:
    """The sum, and the exit code; a tour that was interrupted is no success."""
    problems = [report for report in teller.reports if report.problem]
    done = len(teller.reports)
    if teller.is_silent:
        teller.is_silent = False
        for report in teller.reports:
            teller.report(report)
    teller.say(f"tour: {done - len(problems)} of {done} steps as expected")
    raise click.exceptions.Exit(1 if problems or done < 7 else 0)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if keep:
        folder = Path(tempfile.mkdtemp(prefix="watchtower-demo-"))
        yield folder
        click.echo(f"kept: {folder}", err=True)
        return
    with tempfile.TemporaryDirectory(prefix="watchtower-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _told() -> Iterator[None]:
    """Lines need no frame."""
    yield


@contextmanager
def _drawn(teller: Teller) -> Iterator[None]:
    """The live view, redrawn four times a second from what a peer answers."""
    from rich.live import Live  # noqa: PLC0415 - only where a person looks

    from watchtower.cli.demo.view import screen  # noqa: PLC0415 - only where a person looks

    stage, ended = teller.stage, threading.Event()

    def draw() -> Any:
        return screen(stage.status(), stage.http, tuple(stage.processes), stage.sink.messages, teller.reports)

    def redraw(live: Live) -> None:
        while not ended.wait(0.25):
            live.update(draw(), refresh=True)

    teller.is_silent = True
    with Live(draw(), auto_refresh=False) as live:
        painter = threading.Thread(target=redraw, args=(live,), daemon=True)
        painter.start()
        try:
            yield
        finally:
            ended.set()
            painter.join(5)
            live.update(draw(), refresh=True)
