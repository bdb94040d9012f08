"""The rules between pysyncobj and the wire or the disk, each of which can be switched off for a run.

Without them pysyncobj behaves as it does by itself. Which of its faults each rule mends is told in
docs/decisions/0028-pysyncobj-behind-a-guard.md; what goes wrong without it the plans in seeds/ show.
"""

from __future__ import annotations

from typing import Any, Final

from simulation.breaking import Broken, Change

from watchtower.cluster import library
from watchtower.cluster.matching import term_at
from watchtower.cluster.quarantine import Quarantine
from watchtower.cluster.transport import GuardTransport


def _stale_acks() -> tuple[Change, ...]:
    received = GuardTransport.received

    def trusting(self: Any, peer: str, message: dict[str, Any]) -> None:
        if message["type"] == "next_node_idx":
            message = {**message, "term": self._inside.term}
        received(self, peer, message)

    return ((GuardTransport, "received", trusting),)


def _no_pre_vote() -> tuple[Change, ...]:
    def before_tick(self: Any) -> None:
        self._may_begin()

    return ((GuardTransport, "before_tick", before_tick),)


def _truncating() -> tuple[Change, ...]:
    append = GuardTransport._append

    def cutting(self: Any, node: Any, message: dict[str, Any]) -> None:
        if "prevLogIdx" in message:
            self._onMessageReceived(node, message)
        else:
            append(self, node, message)

    return ((GuardTransport, "_append", cutting),)


def _unclamped() -> tuple[Change, ...]:
    append = GuardTransport._append

    def believing(self: Any, node: Any, message: dict[str, Any]) -> None:
        if "prevLogIdx" in message:
            append(self, node, message)
        else:
            self._onMessageReceived(node, message)

    return ((GuardTransport, "_append", believing),)


def _append_only() -> tuple[Change, ...]:
    real = GuardTransport._on_stranger

    def hesitant(self: Any, peer: str, message: Any) -> None:
        place = message.get("prevLogIdx")
        if place is not None and term_at(self._inside.log, place) == message["prevLogTerm"]:
            real(self, peer, message)

    return ((GuardTransport, "_on_stranger", hesitant),)


def _no_quarantine() -> tuple[Change, ...]:
    init = Quarantine.__init__

    def trusting(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        self.reason = ""

    return ((Quarantine, "__init__", trusting),)


def _early_acks() -> tuple[Change, ...]:
    return ((GuardTransport, "_is_on_disk", lambda _self: True),)


def _no_nudge() -> tuple[Change, ...]:
    return ((GuardTransport, "_tell_newer_term", lambda _self, _peer: None),)


def _plain() -> tuple[Change, ...]:
    def append(self: Any, node: Any, message: dict[str, Any]) -> None:
        self._onMessageReceived(node, message)

    return (
        *_stale_acks(),
        *_no_pre_vote(),
        (GuardTransport, "_append", append),
        *_no_quarantine(),
        *_early_acks(),
        *_no_nudge(),
        (library, "BATCH_BYTES_MAX", 6_000),
    )


GUARD: Final = (
    Broken(
        name="no-term-tag",
        says="an acknowledgement of an earlier leadership counts",
        changes=_stale_acks,
    ),
    Broken(
        name="no-pre-vote",
        says="whoever misses the leader alone deposes it, again and again",
        changes=_no_pre_vote,
    ),
    Broken(
        name="needless-truncation",
        says="entries that match are cut and added again",
        changes=_truncating,
    ),
    Broken(
        name="unclamped-commit",
        says="the commit index that comes with a snapshot is believed for an unverified tail",
        changes=_unclamped,
    ),
    Broken(name="no-quarantine", says="a peer with a wiped disk votes at once", changes=_no_quarantine),
    Broken(
        name="ack-before-fsync",
        says="promises are made before the disk holds them",
        changes=_early_acks,
    ),
    Broken(name="no-nudge", says="a leader of an older term is left to itself", changes=_no_nudge),
    Broken(
        name="strangers-append-only",
        says="a leader that became a member unseen is followed only where its log goes on from ours",
        changes=_append_only,
    ),
    Broken(name="no-guard", says="pysyncobj by itself, its backlog sent in small parts", changes=_plain),
)
