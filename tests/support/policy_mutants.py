"""Rules of silences and digests, switched off in the real code: the second half of the list of rule mutants.

As in rule_mutants.py: each patches what runs in production and hunts for a broken invariant in walks that are
repeated by their seed. `EVERY` is both halves.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support import protocol_walk
from support.protocol_peers import FAULTS
from support.rule_mutants import RULES, STORMY, Patch, RuleMutant

from watchtower.core.alerting import silencing
from watchtower.core.applying import digests, outbox
from watchtower.core.commands import Coalesce
from watchtower.core.model import NoticeKind, Notification, Stage, State
from watchtower.core.settings import Settings

QUARRELSOME = {
    **STORMY, "flip": 30, "fault": 60, "expire": 60, "silence": 10, "unsilence": 10, "lease": 6, "crash": 1,
}  # fmt: skip
"""Much is said and unsaid while answers are lost."""
DEAF = {**dict.fromkeys(FAULTS, 0), "flip": 80, "fault": 200, "expire": 100, "lease": 2}
"""Nothing but services that come and go, and a channel that answers badly."""


def hunt_storms() -> str | None:
    """Any invariant of the ledger, where whatever waits becomes a digest."""
    return _hunt((FAULTS, 400), (STORMY, 600))


def hunt_quiet() -> str | None:
    """Somebody who should have been told, and was not."""
    return _hunt((QUARRELSOME, 1_000))


def hunt_digests() -> str | None:
    """Something that is told out of order."""
    return _hunt((DEAF, 1_000))


def _hunt(*hunts: tuple[dict[str, int], int]) -> str | None:
    for faults, walks in hunts:
        found = protocol_walk.search(walks, faults=faults, switches={"storms"})
        if found is not None:
            return f"seed {found[0]}: {found[1]}"
    return None


def rule_five(patch: Patch) -> None:
    """Hole 14: a sender does not look again whether somebody wants quiet."""
    real = silencing.unwanted

    def deaf(state: State, settings: Settings, item: Notification, now_wall: float) -> str:
        if item.kind is NoticeKind.DIGEST:
            return "" if digests.worth_telling(state, item) else "nothing left"
        return real(State(incidents=state.incidents), settings, item, now_wall)

    patch.setattr(silencing, "unwanted", deaf)


def told_superseded(patch: Patch) -> None:
    """Hole 15: what was superseded counts as told, by itself or in a digest."""

    def announces(state: State, item: Notification) -> bool:
        return (
            item.kind is not NoticeKind.RESOLVED and outbox.teller(state, item).stage is not Stage.CANCELLED
        )

    patch.setattr(outbox, "announces", announces)


def quiet_parts(patch: Patch) -> None:
    """A digest leaves with what is silenced in it."""
    real = silencing._unwanted_digest

    def careless(state: State, settings: Settings, digest: Notification, now_wall: float) -> str:
        found = real(state, settings, digest, now_wall)
        return "" if found.startswith("a part") else found

    patch.setattr(silencing, "_unwanted_digest", careless)


def digest_order(patch: Patch) -> None:
    """A digest takes what stands behind something that is under way by itself."""
    patch.setattr(digests, "_in_order", lambda _state, _members: True)

    def joining(items: list[Notification]) -> list[Notification]:
        return [item for item in items if outbox.is_waiting(item) and item.kind.is_of_incident]

    patch.setattr("watchtower.core.alerting.coalescing._joining", joining)


def digest_lane(patch: Patch) -> None:
    """What a digest tells does not hold back what comes after it."""
    patch.setattr(outbox, "is_to_be_told", lambda _state, item: not item.stage.finished)


def digest_told(patch: Patch) -> None:
    """Closing does not see that a digest has told of the incident."""
    real = outbox.has_left

    def has_left(state: State, item: Notification) -> bool:
        return item.stage is not Stage.DIGESTED and real(state, item)

    patch.setattr(outbox, "has_left", has_left)


def digest_left(patch: Patch) -> None:
    """Something joins a digest that is under way already."""

    def refusal(state: State, command: Coalesce, known: Notification | None, members: Any) -> str:
        return digest_refusal(state, command, known and replace(known, stage=Stage.PENDING), members)

    digest_refusal = digests._refusal
    patch.setattr(digests, "_refusal", refusal)


def digest_twice(patch: Patch) -> None:
    """What is under way by itself may be told by a digest as well."""
    patch.setattr(
        digests, "_may_join", lambda item, channel: item.kind.is_of_incident and item.channel == channel
    )

    def joining(items: list[Notification]) -> list[Notification]:
        return [item for item in items if item.kind.is_of_incident]

    patch.setattr("watchtower.core.alerting.coalescing._joining", joining)


POLICY: list[RuleMutant] = [
    RuleMutant("senders do not hear of silences", "policy", rule_five, hunt_storms),
    RuleMutant("superseded counts as told", "hole 15", told_superseded, hunt_quiet),
    RuleMutant("digests tell what is silenced", "policy (digests)", quiet_parts, hunt_storms),
    RuleMutant("digests overtake", "lane (joining a digest)", digest_order, hunt_digests),
    RuleMutant("digests are overtaken", "lane (behind a digest)", digest_lane, hunt_digests),
    RuleMutant("closing does not look into digests", "apply_close (digests)", digest_told, hunt_storms),
    RuleMutant("joining a digest that has left", "digest_left", digest_left, hunt_storms),
    RuleMutant("told by itself and in a digest", "digest_twice", digest_twice, hunt_storms),
]
EVERY: list[RuleMutant] = [*RULES, *POLICY]
