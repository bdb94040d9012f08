"""The one true log of a run, read once from the beginning: what the checkers need to know of each entry.

Applies every entry to an empty State, as a peer with nothing but the log would, and keeps what opened and
closed, who claimed and settled what, and whether the votes justified it. Judges nothing itself.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from simulation.history import Applied, History

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.model import Level, NoticeKind, Opinion, Outcome, State


class Opened(Struct, frozen=True, kw_only=True):
    """An incident began. `votes` counts the opinions that the ledger held just then."""

    number: int
    service: str
    level: Level
    at: float
    votes: dict[Opinion, int]
    majority: int


class Closed(Struct, frozen=True, kw_only=True):
    """An incident ended."""

    number: int
    service: str
    reason: str
    at: float
    votes: dict[Opinion, int]
    majority: int


class Item(Struct, frozen=True, kw_only=True):
    """A notification as it was written."""

    id: str
    order: int
    kind: NoticeKind
    service: str
    channel: str
    incident: int
    instead_of: str


class Claimed(Struct, frozen=True, kw_only=True):
    """A claim that was granted."""

    id: str
    claim_id: str
    peer: str
    boot: str
    at: float
    attempt: int


class Settled(Struct, frozen=True, kw_only=True):
    """An attempt whose outcome entered the log."""

    id: str
    outcome: Outcome
    boot: str
    at: float
    attempt: int


class Replay:
    """The log from its first entry to its last; `state` is what it comes to, `gaps` what is missing."""

    def __init__(self, history: History) -> None:
        self.state = State()
        self._witness = history.shape.witness
        self.gaps: list[int] = []
        self.opened: dict[int, Opened] = {}
        self.closed: dict[int, Closed] = {}
        self.items: dict[str, Item] = {}
        self.folded: dict[str, str] = {}
        """Which digest tells a notification, by ids."""
        self.claims: list[Claimed] = []
        self.settles: list[Settled] = []
        self.strangers: list[str] = []
        """Entries with an effect that came from another process than the ledger's session names."""
        self.moved_with_news = 0
        self.moved = 0
        """How often the alerter changed, and how often while a notification was unfinished."""
        for number in range(1, max(history.log, default=0) + 1):
            applied = history.log.get(number)
            if applied is None:
                self.gaps.append(number)
            else:
                self._take(applied)

    def _take(self, applied: Applied) -> None:
        before = self.state
        self.state, answer = ledger.apply(before, applied.entry)
        if not answer.ok:
            return
        command = applied.entry.command
        self._check_session(before, applied)
        if isinstance(command, c.Open):
            self._open(before, command, applied)
        elif isinstance(command, c.Close):
            self._close(before, command, applied)
        elif isinstance(command, c.Claim):
            self._claim(command, applied)
        elif isinstance(command, c.Settle):
            self._settle(command, applied)
        elif isinstance(command, c.Coalesce):
            self.folded |= dict.fromkeys(command.members, command.draft.id)
        elif isinstance(command, c.ClaimLease):
            self._lease(before, applied)
        if len(self.state.notifications) != len(before.notifications):
            self._write(before)

    def _check_session(self, before: State, applied: Applied) -> None:
        entry, command = applied.entry, applied.entry.command
        is_free = isinstance(command, c.Found | c.Join | c.BeatSeen)
        is_free = is_free or (isinstance(command, c.Settle) and command.outcome is Outcome.ACCEPTED)
        row = before.row(entry.by)
        if not is_free and (row.boot_id, row.session) != (entry.boot, entry.session):
            self.strangers.append(
                f"{type(command).__name__} of {entry.boot} in session {entry.session}, it is {row.session}"
            )

    def _open(self, before: State, command: c.Open, applied: Applied) -> None:
        number = self.state.last_incident
        voters = self._voters(before)
        self.opened[number] = Opened(
            number=number,
            service=command.service,
            level=command.level,
            at=applied.at,
            votes=votes_on(before, command.service, voters),
            majority=len(voters) // 2 + 1,
        )

    def _close(self, before: State, command: c.Close, applied: Applied) -> None:
        voters = self._voters(before)
        self.closed[command.incident] = Closed(
            number=command.incident,
            service=command.service,
            reason=command.reason,
            at=applied.at,
            votes=votes_on(before, command.service, voters),
            majority=len(voters) // 2 + 1,
        )

    def _voters(self, state: State) -> list[str]:
        """Who judges services just then: the members but the witness."""
        return [name for name in state.members if name != self._witness]

    def _claim(self, command: c.Claim, applied: Applied) -> None:
        entry = applied.entry
        claimed = Claimed(
            id=command.id,
            claim_id=command.claim_id,
            peer=entry.by,
            boot=entry.boot,
            at=applied.at,
            attempt=command.attempt + 1,
        )
        self.claims.append(claimed)

    def _settle(self, command: c.Settle, applied: Applied) -> None:
        settled = Settled(
            id=command.id,
            outcome=command.outcome,
            boot=applied.entry.boot,
            at=applied.at,
            attempt=command.attempt,
        )
        self.settles.append(settled)

    def _lease(self, before: State, applied: Applied) -> None:
        if before.lease.holder and before.lease.holder != applied.entry.by:
            self.moved += 1
            self.moved_with_news += any(not item.stage.finished for item in self.state.notifications.values())

    def _write(self, before: State) -> None:
        for identifier, item in self.state.notifications.items():
            if identifier not in before.notifications:
                self.items[identifier] = Item(
                    id=identifier,
                    order=item.order,
                    kind=item.kind,
                    service=item.service,
                    channel=item.channel,
                    incident=item.incident,
                    instead_of=item.notice.instead_of,
                )


def votes_on(state: State, service: str, voters: list[str]) -> dict[Opinion, int]:
    """What those of the voters say of a service that have a session and run the config in force."""
    counts = dict.fromkeys(Opinion, 0)
    for name in voters:
        row = state.row(name)
        if row.boot_id and row.config_hash == state.config.hash and not row.leaving_until_wall:
            counts[row.vote(service).opinion] += 1
    return counts


def digest(state: State) -> bytes:
    """The state as bytes that are equal for equal states, in whatever order they came about."""
    return msgspec.json.encode(msgspec.to_builtins(state, str_keys=True), order="deterministic")
