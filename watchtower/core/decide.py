"""What should change: `decide(state, settings, view, now) -> commands`. All policy ends here.

Run by the alerter alone, as a reconcile loop over applied state. Level-triggered: it derives what
is missing from what is there, so a command that was lost is derived again, and one that was applied
is not derived a second time. It proposes; `ledger.apply` checks that the world is still as it was.

The stages, in order: move the config in force to what a majority runs; end the sessions of silent
peers; raise the command version to what every member knows; start the fire drill that is due; gather what
waits into digests; open, shift and close incidents together with their notifications; tell people of what is
open, or record why not; send to the fallback channel what a channel refuses; name a living sender for
whatever waits; withdraw tests that nobody can send; forget silences of long ago and what is no longer
configured. A peer whose own config is not in force does only the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from watchtower.core.alerting.coalescing import storms
from watchtower.core.alerting.dispatch import fallbacks, senders
from watchtower.core.alerting.scene import Scene
from watchtower.core.alerting.silencing import sweeping
from watchtower.core.alerting.telling import announcements
from watchtower.core.alerting.transitions import orphans, transitions
from watchtower.core.alerting.trials import unsendable_tests
from watchtower.core.applying import membership
from watchtower.core.commands import Activate, Command, Forget, Gate, Gone
from watchtower.core.judging import eligibility
from watchtower.core.model import Instant, State
from watchtower.core.proofs import drills
from watchtower.core.settings import Settings
from watchtower.core.view import View

COMMANDS_MAX: Final = 100
"""Commands of one pass; what is left over, the next pass derives."""

TRANSITIONS_MAX: Final = 75
"""Of these; when thousands fail at once, their common cause must not wait until all of them are recorded."""

FORGOTTEN_MAX: Final = 300
"""Services forgotten by one command, so that long names still fit into one entry."""


def decide(state: State, settings: Settings, view: View, now: Instant) -> tuple[Command, ...]:
    """What the alerter proposes now; empty when this peer does not hold the lease or all is well.

    `view.standings` must be the verdicts of this pass (verdicts.observe). The caller checks that the
    lease is still valid on its own clock.
    """
    lease = state.lease
    if lease.holder != view.me or lease.session != state.row(view.me).session:
        return ()
    scene = Scene(state, settings, view, now)
    moved = _activation(scene)
    if moved is not None:
        return (moved,)
    if settings.config_hash != state.config.hash:
        return ()
    stages = (
        _departures,
        _gate,
        _drills,
        storms,
        _transitions,
        orphans,
        announcements,
        fallbacks,
        senders,
        unsendable_tests,
        sweeping,
        _forgetting,
    )
    # Lazily: when thousands fail at once, only the commands of this pass are made.
    return tuple(islice(chain.from_iterable(stage(scene) for stage in stages), COMMANDS_MAX))


def _activation(scene: Scene) -> Activate | None:
    """The config hash that a majority of members report in live sessions, when it is not in force yet."""
    state = scene.state
    rows = map(state.row, state.members)
    hashes = [row.config_hash for row in rows if row.boot_id and row.config_hash]
    for candidate in dict.fromkeys(hashes):
        if candidate != state.config.hash and hashes.count(candidate) >= membership.majority(state):
            return Activate(
                epoch=state.lease.epoch,
                gen=state.config.gen,
                config_hash=candidate,
                at_wall=scene.now.wall,
            )
    return None


def _departures(scene: Scene) -> Iterator[Command]:
    """Silent peers whose session is still alive in the ledger."""
    state, view = scene.state, scene.view
    for name in state.members:
        row = state.row(name)
        silent_s = eligibility.silent_s(name, view, scene.now)
        if name != view.me and row.boot_id and silent_s > eligibility.FRESH_S:
            yield Gone(epoch=state.lease.epoch, peer=name, peer_session=row.session)


def _transitions(scene: Scene) -> Iterator[Command]:
    """As many as leave room for telling people of what is open already."""
    return islice(transitions(scene), TRANSITIONS_MAX)


def _gate(scene: Scene) -> Iterator[Command]:
    """The command version that every member's live session knows, when it is newer than the one in force."""
    version = membership.version_of_all(scene.state)
    if version > scene.state.gate:
        yield Gate(epoch=scene.state.lease.epoch, version=version)


def _drills(scene: Scene) -> Iterator[Command]:
    """The fire drill that is due."""
    drill = drills.due(scene.state, scene.settings, scene.now)
    if drill is not None:
        yield drill


def _forgetting(scene: Scene) -> Iterator[Command]:
    """Rows of services that left the configuration and have no open incident."""
    state = scene.state
    unknown = [
        name
        for name in {**state.services, **state.beats}
        if name not in scene.view.standings and not state.service(name).open
    ]
    if unknown:
        yield Forget(epoch=state.lease.epoch, gen=state.config.gen, services=tuple(unknown[:FORGOTTEN_MAX]))
