"""Who may alert: the epoch lease of the ledger, as one peer sees it (protocol.md, "Alerter", holes 1-5).

Pure: time and identifiers are handed in, `step` says what to propose, and nothing waits. Only applied
state counts. Office is counted from the moment *before* the very claim or renewal that is applied was
proposed, and a rival waits from the moment *after* it applied it, so two peers are never in office at
one instant while no clock runs faster or slower than `drift` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from watchtower.core.commands import ClaimLease, Release, Renew
from watchtower.core.model import Instant, State
from watchtower.core.model import Lease as LeaseRow
from watchtower.core.settings import LAN, Timing

_REMEMBERED_MAX: Final = 64

Proposal = ClaimLease | Renew | Release


class _Proposed(Struct, frozen=True, kw_only=True):
    """A claim or renewal of ours: what the lease looks like once it is applied, and when it was proposed."""

    epoch: int
    session: int
    t0: float


class _Pending(Struct, frozen=True, kw_only=True):
    """The proposal in flight, and the lease it was compared with."""

    row: LeaseRow
    until: float


class Lease:
    """This peer's part in the lease. One object per process.

    `timing.lease_s` is how long a claim or renewal of ours gives office; rivals' waits go by the length in
    the applied entry, never by this. A proposal without visible effect after `timing.patience_s` is given
    up and proposed anew, with a new id and a new start. No clock is off by more than the rate `drift`.
    """

    def __init__(self, me: str, timing: Timing = LAN, drift: float = 0.001) -> None:
        self._me = me
        self._length_ms = round(timing.lease_s * 1000)
        self._renew_every_s = timing.renew_every_s
        self._margin_s = timing.margin_s
        self._drift = drift
        self._patience_s = timing.patience_s
        self._proposed: dict[str, _Proposed] = {}
        self._pending: _Pending | None = None
        self._row = LeaseRow()
        self._my_session = 0
        self._seen: tuple[int, int, str] | None = None
        self._seen_boot = 0.0
        self._ended_epoch = 0
        self._barred = False

    @property
    def epoch(self) -> int:
        """Epoch of the applied lease, whoever holds it."""
        return self._row.epoch

    @property
    def valid_until(self) -> float:
        """CLOCK_BOOTTIME second at which this peer's office ends unless renewed; 0.0 when it has none."""
        row = self._row
        mine = self._proposed.get(row.entry_id)
        if mine is None or self._barred or row.released or row.epoch <= self._ended_epoch:
            return 0.0
        # The entry must be that very proposal, and no restart or `gone` may have ended its session.
        if (row.holder, row.epoch, row.session) != (self._me, mine.epoch, mine.session):
            return 0.0
        if self._my_session != mine.session:
            return 0.0
        return mine.t0 + row.length_ms / 1000

    def in_office(self, now: Instant) -> bool:
        """True while this peer is the alerter. Ask right before every act of the office."""
        return now.boot < self.valid_until

    def has_run_out(self, now: Instant) -> bool:
        """True while the lease still names this peer, as far as it knows, and it is not in office any more.

        So it may be cut off, and somebody else in office: it must fall silent, whatever rights it has left.
        """
        row = self._row
        return row.holder == self._me and not row.released and not self.in_office(now)

    def observe(self, state: State, now: Instant) -> None:
        """Note the applied lease; call it on every applied state, or at least before every step."""
        self._row = state.lease
        self._my_session = state.row(self._me).session
        # The renewals too: a late copy of an old renewal brings an id back that was seen long ago.
        seen = (state.lease.epoch, state.lease.renewals, state.lease.entry_id)
        if self._seen != seen:
            self._seen, self._seen_boot = seen, now.boot
        # The lease has moved: what was proposed is applied, or can hardly be any more.
        if self._pending is not None and self._pending.row != state.lease:
            self._pending = None

    def step(
        self, state: State, session: int, now: Instant, *, may_claim: str, new_id: Callable[[], str]
    ) -> Proposal | None:
        """What to propose now, if anything.

        `session` is this process's own (0 before its join is applied), `now` a moment before the
        proposal leaves, `may_claim` "" or the reason why this peer must not alert; with a reason an
        incumbent is out of office at once and proposes its release.
        """
        self.observe(state, now)
        self._barred = bool(may_claim)
        holds = session > 0 and (self._row.holder, self._row.session) == (self._me, session)
        holds = holds and not self._row.released
        if holds and may_claim:
            # Out for good in this epoch, before anybody can read that it is free (hole 4).
            self._ended_epoch = self._row.epoch
        if session == 0 or (self._pending is not None and now.boot < self._pending.until):
            return None
        if holds and self._row.epoch <= self._ended_epoch:
            self._wait_for_effect(now)
            return Release(epoch=self._row.epoch)
        if may_claim:
            return None
        if holds:
            return self._renew(session, now, new_id)
        return self._claim(session, now, new_id) if self._is_free(now) else None

    def _renew(self, session: int, now: Instant, new_id: Callable[[], str]) -> Renew | None:
        current = self._proposed.get(self._row.entry_id)
        if current is not None and now.boot < current.t0 + self._renew_every_s:
            return None
        identifier = new_id()
        self._remember(identifier, _Proposed(epoch=self._row.epoch, session=session, t0=now.boot))
        self._wait_for_effect(now)
        return Renew(epoch=self._row.epoch, length_ms=self._length_ms, id=identifier)

    def _claim(self, session: int, now: Instant, new_id: Callable[[], str]) -> ClaimLease:
        row, identifier = self._row, new_id()
        self._remember(identifier, _Proposed(epoch=row.epoch + 1, session=session, t0=now.boot))
        self._wait_for_effect(now)
        return ClaimLease(epoch=row.epoch, renewals=row.renewals, length_ms=self._length_ms, id=identifier)

    def _is_free(self, now: Instant) -> bool:
        """Whether the lease, which this session does not hold, may be claimed."""
        row = self._row
        # An earlier boot of ours is dead: the lock on the data folder proves it.
        if not row.holder or row.released or row.holder == self._me:
            return True
        stretched = row.length_ms / 1000 * (1 + self._drift) / (1 - self._drift)
        return now.boot >= self._seen_boot + stretched + self._margin_s

    def _remember(self, identifier: str, proposed: _Proposed) -> None:
        """Keep the start of a proposal; forgetting the oldest can only cost office, never give it."""
        self._proposed[identifier] = proposed
        if len(self._proposed) > _REMEMBERED_MAX:
            del self._proposed[next(iter(self._proposed))]

    def _wait_for_effect(self, now: Instant) -> None:
        self._pending = _Pending(row=self._row, until=now.boot + self._patience_s)
