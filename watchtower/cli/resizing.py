"""`watchtower cluster resize`: brings the members of the cluster to the peers of the file, one at a time.

Decides the order (dead members out, new ones in, living ones out) and what it waits for between two steps;
whether a step is allowed, the peers decide. Every step can be repeated: what is done already is left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from watchtower.cli.acting import CLUSTER, Ground, OverdueError, agreed, fail, ground, wait_until
from watchtower.cli.asking import NoAnswerError
from watchtower.cli.options import asking_options

DRAINED_FOR: Final = "1h"


class Step(Struct, frozen=True):
    """One peer more, or one less."""

    is_new: bool
    peer: str

    @property
    def text(self) -> str:
        """In two words."""
        return f"{'add' if self.is_new else 'remove'} {self.peer}"


def plan(doc: dict[str, Any], target: Sequence[str]) -> list[Step]:
    """The steps from the members of `doc` to `target`: at no time should more depend on fewer."""
    members = doc["members"]
    alive = {peer["name"] for peer in doc["peers"] if peer["live"]}
    going = [name for name in members if name not in target]
    dead = [name for name in going if name not in alive]
    # The leader last: it leads the other steps.
    living = sorted((name for name in going if name in alive), key=lambda name: name == doc["leader"])
    new = [name for name in target if name not in members]
    return [*(Step(False, name) for name in dead), *(Step(True, name) for name in new)] + [
        Step(False, name) for name in living
    ]


@click.command
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="How many seconds to wait for what a step needs.",
)
@asking_options
def resize(
    *,
    yes: bool,
    timeout_s: float,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Make the peers of the file the members of the cluster, one at a time.

    Copy the new file to all peers and reload them first; start new peers with empty folders. Needs a token of
    scope admin. Each step waits for what it needs, and says for what; interrupt and repeat it as you like.
    """
    here = ground(urls, config_path, token)
    try:
        resizing = Resizing(here, timeout_s)
        steps = plan(resizing.doc, resizing.target)
        if steps:
            resizing.check_files()
            agreed("Go on?", _explained(resizing, steps), yes=yes)
        done = [resizing.take(step, f"{at}/{len(steps)}") for at, step in enumerate(steps, 1)]
    except OverdueError as overdue:
        fail(f"not within {timeout_s:.0f} s: {overdue}. Nothing is lost: see to it, and repeat this command")
    except NoAnswerError as error:
        fail(str(error))
    members, gen = resizing.doc["members"], resizing.doc["members_gen"]
    if as_json:
        click.echo(json.dumps({"members": members, "members_gen": gen, "steps": done}))
    else:
        click.echo(f"The members are {', '.join(members)}, as in the file.")


def _explained(resizing: Resizing, steps: Sequence[Step]) -> list[str]:
    lines = [
        f"The members are {', '.join(resizing.doc['members'])}; the file names {', '.join(resizing.target)}.",
        f"Steps: {', '.join(step.text for step in steps)}.",
    ]
    if len(resizing.target) % 2 == 0:
        lines.append(
            f"{len(resizing.target)} members tolerate no more failures than {len(resizing.target) - 1} do."
        )
    return lines


class Resizing:
    """One resize under way. `doc` is the cluster as it was seen last."""

    def __init__(self, here: Ground, timeout_s: float) -> None:
        self._here = here
        self._timeout_s = timeout_s
        self.doc = here.look()
        if not self.doc["members"]:
            raise NoAnswerError("the cluster is not founded yet: its first start makes its peers the members")
        settings = here.settings
        self.target: list[str] = list(
            settings.cluster.peer_names if settings is not None else self.doc["file_peers"]
        )

    def check_files(self) -> None:
        """Every peer that will be a member and answers must run the file with these peers."""
        urls = {name: self._here.url_of(name, self.doc) for name in self.target}
        docs = self._here.documents([url for url in urls.values() if url])
        old = [doc["peer"] for doc in docs if set(doc["file_peers"]) != set(self.target)]
        if old:
            raise NoAnswerError(
                f"peer {', '.join(old)} runs a file with other peers: copy the new file there and reload it "
                "(SIGHUP, or POST /-/reload)"
            )

    def take(self, step: Step, number: str) -> dict[str, Any]:
        """Take one step to its end. Raises OverdueError, NoAnswerError."""
        begun = time.monotonic()
        click.echo(f"{number} {step.text}", err=True)
        if step.is_new:
            self._wait(lambda: self._not_there(step.peer))
        else:
            self._drain(step.peer)
        wanted = sorted({*self.doc["members"]} ^ {step.peer})
        gen = self.doc["members_gen"]
        self._wait(lambda: self._unproposed(wanted, gen))
        self._wait(lambda: self._unsettled(step))
        took_s = time.monotonic() - begun
        members = f"members {', '.join(wanted)}; generation {gen + 1}"
        click.echo(f"    done in {took_s:.1f} s: {members}", err=True)
        if not step.is_new:
            click.echo(f"    stop {step.peer} now, if it still runs", err=True)
        return {"change": step.text, "seconds": round(took_s, 1), "members": wanted}

    def _wait(self, missing: Callable[[], str]) -> None:
        wait_until(missing, self._timeout_s)

    def _look(self) -> str:
        """Look again; what is missing for that."""
        try:
            self.doc = self._here.look()
        except NoAnswerError as error:
            return f"a peer that answers ({error})"
        return "" if self.doc["quorum"] else "a majority of the members with a leader"

    def _peer(self, name: str) -> dict[str, Any]:
        """What `name` itself says. Raises NoAnswerError."""
        doc: dict[str, Any] = self._here.at(name, self.doc).get(CLUSTER)
        return doc

    def _not_there(self, name: str) -> str:
        """What a new peer still lacks before it may be a member."""
        try:
            doc = self._peer(name)
        except NoAnswerError as error:
            return f"{name} to answer: start it with an empty data folder ({error})"
        if doc["peer"] != name or doc["cluster"] != self.doc["cluster"]:
            raise NoAnswerError(
                f"at the address of {name} answers peer {doc['peer']} of cluster {doc['cluster']}"
            )
        if not doc["counted"]:
            return f"{name} to finish its start"
        if not doc["quarantine"]:
            raise NoAnswerError(
                f"{name} has a history of its own: stop it, move its data folder away and start it again"
            )
        linked = {peer["name"] for peer in doc["peers"] if peer["linked"]}
        leader = self.doc["leader"]
        return "" if leader in linked else f"{name} to be linked to the leader {leader}"

    def _drain(self, name: str) -> None:
        """Have a living peer hand over before it goes. What cannot be drained goes without."""
        is_alive = any(peer["name"] == name and peer["live"] for peer in self.doc["peers"])
        if not is_alive:
            return
        try:
            self._here.at(name, self.doc).post(f"/-/drain?for={DRAINED_FOR}")
        except NoAnswerError as error:
            click.echo(f"    {name} goes without handing over: {error}", err=True)

    def _unproposed(self, wanted: list[str], gen: int) -> str:
        """Propose the step unless it is in force; why it is not yet."""
        if missing := self._look():
            return missing
        if self.doc["members"] == wanted:
            return ""
        behind = [p["name"] for p in self.doc["peers"] if p["name"] in wanted and not _has_confirmed(p)]
        if behind:
            return f"{', '.join(behind)} to confirm the members of today: start it if it does not run"
        try:
            leader = self.doc["leader"]
            asked = leader if self._here.url_of(leader, self.doc) else self.doc["peer"]
            body = {"members": wanted, "members_gen": gen}
            self._here.at(asked, self.doc).post("/api/v1/cluster/resize", body)
        except NoAnswerError as error:
            if getattr(error, "status", 0) in (401, 403):
                raise
            return f"the step to be taken ({error})"
        return self._look()

    def _unsettled(self, step: Step) -> str:
        """What is missing until all members run with the members of today, a new one ready among them."""
        if missing := self._look():
            return missing
        behind = [p["name"] for p in self.doc["peers"] if not _has_confirmed(p) and p["live"]]
        if behind:
            return f"{', '.join(behind)} to confirm"
        if not step.is_new:
            return ""
        try:
            doc = self._peer(step.peer)
        except NoAnswerError as error:
            return f"{step.peer} to answer ({error})"
        return "" if doc["ready"] else f"{step.peer} to be ready: {doc['ready_reason']}"


def _has_confirmed(peer: dict[str, Any]) -> bool:
    return bool(peer["confirmed"]) or not peer["member"]
