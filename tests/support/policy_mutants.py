"""Rules of silences and digests, switched off in the real code: the second half of the list of rule mutants.

As in rule_mutants.py: each patches what runs in production and hunts for a broken invariant in walks that are
repeated by their seed. `EVERY` is both halves.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.rule_mutants import RULES, Patch, RuleMutant, hunt_protocol

from watchtower.core import digests, outbox, silencing
from watchtower.core.commands import Coalesce
from watchtower.core.model import NoticeKind, Notification, Stage, State
from watchtower.core.settings import Settings


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

    def announces(item: Notification) -> bool:
        return item.kind is not NoticeKind.RESOLVED and item.stage is not Stage.CANCELLED

    patch.setattr(outbox, "announces", announces)


def digests_keep_their_own(patch: Patch) -> None:
    """Hole 15: a superseded digest leaves its members as if they had been told."""
    patch.setattr(outbox, "_superseded_with", lambda state, _digest: state)


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

    patch.setattr("watchtower.core.coalescing._joining", joining)


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

    patch.setattr("watchtower.core.coalescing._joining", joining)


POLICY: list[RuleMutant] = [
    RuleMutant("senders do not hear of silences", "policy", rule_five, hunt_protocol),
    RuleMutant("superseded counts as told", "fire_super", told_superseded, hunt_protocol),
    RuleMutant("a superseded digest has told", "fire_super (digests)", digests_keep_their_own, hunt_protocol),
    RuleMutant("digests tell what is silenced", "policy (digests)", quiet_parts, hunt_protocol),
    RuleMutant("digests overtake", "lane (digests, joining)", digest_order, hunt_protocol),
    RuleMutant("digests are overtaken", "lane (digests, waiting)", digest_lane, hunt_protocol),
    RuleMutant("closing does not look into digests", "apply_close (digests)", digest_told, hunt_protocol),
    RuleMutant("joining a digest that has left", "digest_left", digest_left, hunt_protocol),
    RuleMutant("told by itself and in a digest", "digest_twice", digest_twice, hunt_protocol),
]
EVERY: list[RuleMutant] = [*RULES, *POLICY]
