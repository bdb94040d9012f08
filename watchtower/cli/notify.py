"""`watchtower notify test` and `watchtower drill`: prove that people would be told.

A test goes from every peer to every channel through the real outbox; a drill is a real alert that somebody
has to confirm. Decides only how long is waited and how it is shown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from watchtower.cli.acting import LOOK_EVERY_S, desk, fail, myself, told
from watchtower.cli.asking import NoAnswerError, Peers
from watchtower.cli.notifications import answer_of
from watchtower.cli.options import asking_options
from watchtower.core.text import clean

TEST_S: Final = 150.0
"""A test that its peer cannot even begin to send is withdrawn after two minutes."""
NOT_PROVEN: Final = 2
_OUTCOMES: Final = {"delivered": "accepted", "dead": "refused", "cancelled": "not sent"}
_FINISHED: Final = (*_OUTCOMES, "superseded", "digested")


@click.group
def notify() -> None:
    """Prove that people would be told."""


@notify.command("test")
@click.argument("channels", metavar="[CHANNEL]...", nargs=-1)
@click.option(
    "--from", "senders", multiple=True, metavar="PEER", help="Only from this peer; may be repeated."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 600),
    default=TEST_S,
    show_default=True,
    help="How many seconds to wait.",
)
@asking_options
def try_channels(
    *,
    channels: tuple[str, ...],
    senders: tuple[str, ...],
    timeout_s: float,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Send a test message to each CHANNEL (all without one) from each peer in turn, and wait for the answers.

    Exits with 0 when all were accepted, else with 2. Needs a token of scope write.
    """
    peers = desk(urls, config_path, token)
    body = {"channels": [*channels], "peers": [*senders], "by": myself()}
    tests = told(peers, "POST", "/api/v1/channels/test", body)["tests"]
    widths = [max(len(str(one[key])) for one in tests) for key in ("channel", "peer")]
    rows = []
    for row in _answers(peers, tests, timeout_s):
        rows.append(row)
        if not as_json:
            click.echo(_line(row, widths))
    good = sum(row["outcome"] == "accepted" for row in rows)
    if as_json:
        click.echo(json.dumps({"tests": rows, "accepted": good}))
    else:
        click.echo(
            f"{good} of {len(rows)} accepted." + ("" if good < len(rows) else " Look whether they came.")
        )
    raise click.exceptions.Exit(0 if good == len(rows) else NOT_PROVEN)


@click.command
@click.option(
    "--channel", default="", help="Where to.  [default: that of watchdog.drill, else the first channel]"
)
@click.option("--no-wait", is_flag=True, help="Only start it.")
@asking_options
def drill(
    *,
    channel: str,
    no_wait: bool,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Start a fire drill, and wait until somebody has acknowledged it.

    Exits with 0 when it has arrived, with 2 when it was missed. Needs a token of scope write.
    """
    peers = desk(urls, config_path, token)
    doc = told(peers, "POST", "/api/v1/drills", {"channel": channel, "by": myself()})
    if not as_json:
        minutes = f"{doc['within_s'] / 60:g} min"
        click.echo(
            f"A drill is on its way to {doc['channel']}. Acknowledge it by its link, within {minutes}."
        )
    if not no_wait:
        doc = _proof(peers, doc)
    if as_json:
        click.echo(json.dumps(doc))
    elif not no_wait:
        took = _seconds(doc["started_at"], doc["arrived_at"])
        click.echo(
            f"It has arrived, after {took}." if doc["state"] == "arrived" else "Nobody has acknowledged it."
        )
    raise click.exceptions.Exit(0 if no_wait or doc["state"] == "arrived" else NOT_PROVEN)


def _answers(peers: Peers, tests: list[dict[str, Any]], timeout_s: float) -> Iterator[dict[str, Any]]:
    """What became of each test, as it becomes known; at the deadline, what there is."""
    waiting = {str(one["id"]): one for one in tests}
    deadline = time.monotonic() + timeout_s
    while waiting:
        is_over = time.monotonic() > deadline
        known = _items(peers, waiting)
        for key in [*waiting]:
            item = known.get(key)
            if is_over or (item is not None and item["stage"] in _FINISHED):
                yield _result(waiting.pop(key), item)
        if waiting:
            time.sleep(LOOK_EVERY_S)


def _items(peers: Peers, waiting: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The notifications that are waited for, as a peer that answers knows them."""
    try:
        page = peers.get("/api/v1/notifications?limit=200")["notifications"]
        known = {item["id"]: item for item in page if item["id"] in waiting}
        for key in waiting.keys() - known.keys():
            known[key] = peers.get(f"/api/v1/notifications/{key}")
    except NoAnswerError:
        return {}
    return known


def _result(test: dict[str, Any], item: dict[str, Any] | None) -> dict[str, Any]:
    row = {**test, "outcome": "no answer", "seconds": None, "answer": "it is not known what became of it"}
    if item is None:
        return row
    stage = str(item["stage"])
    row["outcome"] = _OUTCOMES.get(stage, "no answer yet")
    row["seconds"] = _lasted_s(item["created_at"], item["settled_at"])
    row["answer"] = answer_of(item)
    return row


def _line(row: dict[str, Any], widths: list[int]) -> str:
    took = "" if row["seconds"] is None else f"{row['seconds']:.1f} s"
    channel, peer = clean(str(row["channel"])).ljust(widths[0]), clean(str(row["peer"])).ljust(widths[1])
    return f"{channel}  from {peer}  {row['outcome']:<9} {took:>7}  {clean(str(row['answer']))}".rstrip()


def _proof(peers: Peers, doc: dict[str, Any]) -> dict[str, Any]:
    """The drill, once it has arrived or was missed; a peer that lags still tells of the one before."""
    deadline = time.monotonic() + float(doc["within_s"]) + 5.0
    while doc["state"] == "waiting" and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        try:
            heard = peers.get("/api/v1/drills")
            doc = heard if heard["started_at"] == doc["started_at"] else doc
        except NoAnswerError as error:
            fail(f"no peer answers any more: {error}")
    return doc


def _seconds(begun: Any, ended: Any) -> str:
    lasted_s = _lasted_s(begun, ended)
    return "some time" if lasted_s is None else f"{lasted_s:.0f} s"


def _lasted_s(begun: Any, ended: Any) -> float | None:
    if not isinstance(begun, str) or not isinstance(ended, str):
        return None
    return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())
