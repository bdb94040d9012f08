"""The trace of a scenario: what changed from one applied state to the next, in words.

Everything a person on call would want to know is told, claims and reports are not. The words are this
file's own: the product's texts are rendered and tested in delivery.
"""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.courier import described

from watchtower.core.commands import Coalesce, Entry, Open, Shift
from watchtower.core.model import Level, Notification, Stage, State

TOLD_STAGES = (Stage.DEAD, Stage.CANCELLED, Stage.SUPERSEDED, Stage.UNCERTAIN)


def changes(before: State, after: State, entry: Entry) -> Iterator[str]:
    """Lines about what `entry` has done."""
    if after.lease.epoch != before.lease.epoch:
        yield f"{after.lease.holder} is the alerter (epoch {after.lease.epoch})"
    if after.lease.released and not before.lease.released:
        yield f"{after.lease.holder} gives up the lease"
    if after.config.hash != before.config.hash:
        yield f"config {after.config.hash} is in force"
    yield from _peers(before, after)
    yield from _incidents(before, after, entry)
    yield from _gathered(before, after, entry)
    for item in after.notifications.values():
        yield from _fate(before.notifications.get(item.id), item)
    if after.shed > before.shed:
        yield f"{after.shed - before.shed} notifications are shed"


def _peers(before: State, after: State) -> Iterator[str]:
    if after.gate != before.gate:
        yield f"command version {after.gate} is in force"
    if after.members_gen > before.members_gen > 0:
        yield f"the members are {' '.join(after.members)}"
    for name, row in after.peers.items():
        if before.row(name).boot_id and not row.boot_id:
            yield f"{name} is gone"
        if row.boot_id and row.boot_id != before.row(name).boot_id:
            yield f"{name} joins"
        is_same_life = bool(row.boot_id) and row.boot_id == before.row(name).boot_id
        if is_same_life and bool(row.leaving_until_wall) is not bool(before.row(name).leaving_until_wall):
            yield f"{name} {'steps aside' if row.leaving_until_wall else 'is back'}"


def _incidents(before: State, after: State, entry: Entry) -> Iterator[str]:
    for number, incident in after.incidents.items():
        old = before.incidents.get(number)
        if old is None and isinstance(entry.command, Open):
            yield f"incident #{number} {incident.service} {_name(incident.level)} opens: {incident.reason}"
            if incident.withheld:
                yield f"incident #{number} {incident.service} not told: {incident.withheld.text}"
        elif old is not None and old.level is not incident.level and isinstance(entry.command, Shift):
            shift = f"{_name(old.level)} -> {_name(incident.level)}"
            yield f"incident #{number} {incident.service} {shift}: {incident.reason}"
        elif old is not None and old.withheld != incident.withheld and incident.is_open:
            why = incident.withheld
            yield f"incident #{number} {incident.service} {f'not told: {why.text}' if why else 'told again'}"
        elif old is not None and old.ack != incident.ack and incident.is_open:
            yield f"incident #{number} {incident.service} {incident.timeline[-1].reason}"
        elif old is not None and old.is_open and not incident.is_open:
            lasted_s = incident.closed_wall - incident.opened_wall
            reason = incident.timeline[-1].reason
            yield f"incident #{number} {incident.service} closes after {lasted_s:g} s: {reason}"


def _gathered(before: State, after: State, entry: Entry) -> Iterator[str]:
    if not isinstance(entry.command, Coalesce) or after.notifications is before.notifications:
        return
    digest, draft = after.notifications[entry.command.draft.id], entry.command.draft
    more = "" if draft.id not in before.notifications else " more"
    yield f"{digest.channel} {len(entry.command.members)}{more} wait for a digest, {draft.notice.reason}"


def _fate(old: Notification | None, item: Notification) -> Iterator[str]:
    if old is None and item.sender:
        return
    if old is not None and old.sender != item.sender:
        yield f"{item.channel} {described(item)} is to be sent by {item.sender}"
    if old is not None and old.stage is not item.stage and item.stage in TOLD_STAGES:
        reason = f": {item.dropped}" if item.dropped else ""
        yield f"{item.channel} {described(item)} is {item.stage.value}{reason}"


def _name(level: Level) -> str:
    return level.value.upper()


def ending(state: State) -> Iterator[str]:
    """How things stand when the script ends."""
    opened = [f"#{i.number} {i.service} {_name(i.level)}" for i in state.incidents.values() if i.is_open]
    waiting = [
        f"{item.channel} {described(item)} {item.stage.value}"
        for item in state.notifications.values()
        if not item.stage.finished
    ]
    yield "open: " + (", ".join(opened) or "nothing")
    yield "unfinished: " + (", ".join(waiting) or "nothing")
