"""What must hold in a walk over the protocol: at every index of the log, and at rest after healing.

These are the invariants of protocol.md section 4 that can be seen in the ledger and in what the channel
has received. Votes carry in their text which life of a peer cast them, and its how-manieth opinion it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from watchtower.core import commands as c
from watchtower.core.applying import outbox
from watchtower.core.commands import Entry
from watchtower.core.model import NoticeKind, Opinion, Stage, State

PEERS: Final = ("a", "b", "c")
SERVICES: Final = ("web", "api", "db")
"""All fail and recover together, so that there is something to tell by one digest."""
SERVICE: Final = SERVICES[0]


class Violation(AssertionError):  # noqa: N818 - it is a finding, not a fault of the program
    """An invariant of the protocol does not hold."""


def counted_vote(state: State, peer: str) -> Opinion:
    """The peer's vote as it counts."""
    row = state.row(peer)
    counts = bool(row.boot_id) and row.config_hash == state.config.hash
    return row.vote(SERVICE).opinion if counts else Opinion.UNKNOWN


def counted(state: State, opinion: Opinion) -> int:
    """How many votes of this opinion count."""
    return sum(counted_vote(state, peer) is opinion for peer in PEERS)


def check_entry(before: State, after: State, entry: Entry, sent: Collection[str]) -> None:
    """Raise Violation when `entry` has done what no entry may do. `sent` are the ids that have arrived."""
    for check in (_unjustified, _stale_votes):
        for broken in check(before, after, entry):
            raise Violation(broken)
    if any(item.stage is Stage.CANCELLED and item.id in sent for item in after.notifications.values()):
        raise Violation("cancelled, yet it had been sent")


def _unjustified(before: State, after: State, entry: Entry) -> Iterator[str]:
    command = entry.command
    if isinstance(command, c.Open) and after.last_incident > before.last_incident:
        if before.service(command.service).open:
            yield "opened twice"
        if counted(before, Opinion.DOWN) < 2:
            yield "opened without a majority of current votes"
    was_open, is_open = ({name for name in SERVICES if one.service(name).open} for one in (before, after))
    if was_open - is_open and counted(before, Opinion.UP) < 2:
        yield "closed without a majority of current votes"


def _stale_votes(before: State, after: State, _entry: Entry) -> Iterator[str]:
    for name, row in after.peers.items():
        vote, old_row = row.votes.get(SERVICE), before.row(name)
        old = old_row.votes.get(SERVICE)
        if vote is not None and vote.text.split()[0] != row.boot_id:
            yield "a vote of an earlier boot counts"
        if vote and old and row.boot_id == old_row.boot_id and vote.text < old.text:
            yield "an older report replaced a newer one"


def check_rest(
    state: State, sent: Collection[str], told: Collection[str], opinions: Mapping[str, Opinion]
) -> None:
    """Raise Violation when something is undone although nothing happens any more.

    `sent` are the ids of messages that have arrived, `told` those of all that they told of. `opinions` are
    those of the peers that run the config in force.
    """
    for broken in (*_unfinished(state, sent), *_undone(state, opinions), *_untold(state, told)):
        raise Violation(f"at rest: {broken}")


def _unfinished(state: State, sent: Collection[str]) -> Iterator[str]:
    items = state.notifications.values()
    if any(outbox.is_to_be_told(state, item) for item in items):
        yield "an unfinished notification"
    if any(item.stage is Stage.DELIVERED and item.id not in sent for item in items):
        yield "delivered but never accepted: lost"


def _undone(state: State, opinions: Mapping[str, Opinion]) -> Iterator[str]:
    for name in SERVICES:
        is_open = state.service(name).open
        for opinion, wanted in ((Opinion.DOWN, True), (Opinion.UP, False)):
            if counted(state, opinion) >= 2 and is_open is not wanted:
                yield f"most peers see {opinion}, and open is {is_open}"
    if any(counted_vote(state, peer) is not opinion for peer, opinion in opinions.items()):
        yield "the ledger's votes are not the peers' opinions"


def _untold(state: State, told: Collection[str]) -> Iterator[str]:
    items = state.notifications.values()
    for number, incident in state.incidents.items():
        kinds = [item.kind for item in items if item.incident == number and item.id in told]
        if incident.is_open and NoticeKind.FIRING not in kinds and incident.withheld is None:
            yield "an open incident that nobody was told of"
        if not incident.is_open and NoticeKind.FIRING in kinds and NoticeKind.RESOLVED not in kinds:
            yield "announced, closed, and no resolved notice"
