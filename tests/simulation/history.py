"""Everything that a run leaves behind for the checkers: facts with their true times, and no opinion.

The World and the lives of its peers write here while they run; nobody reads before the end. The trace is
folded into one hash, so that two runs of a seed can be compared; its lines are kept only when asked for.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable

from msgspec import Struct
from simulation.channels import Receipt
from simulation.faults import Shape

from watchtower.core import ledger
from watchtower.core.commands import Answer, Entry
from watchtower.core.model import Level, State


def cell(current: Level | None, verdict: Level) -> str:
    """The name of a cell of the incident table."""
    return f"{current.value if current is not None else 'none'} > {verdict.value}"


class Applied(Struct, frozen=True, kw_only=True):
    """One entry of the one true log: where, what, when it was first applied by anybody, and its effect."""

    number: int
    entry: Entry
    at: float
    life: str
    ok: bool


class Ack(Struct, frozen=True, kw_only=True):
    """A proposal that was answered: `text` is the entry, `applied` what its proposer had applied by then."""

    at: float
    life: str
    text: str


class Proposal(Struct, frozen=True, kw_only=True):
    """Something a life proposed, and its own boot clock then."""

    at: float
    boot: float
    life: str
    text: str


class Office(Struct, kw_only=True):
    """A stretch of time in which a life believed to be the alerter; `until` may have been cut short."""

    life: str
    peer: str
    since: float
    until: float


class Let(Struct, frozen=True, kw_only=True):
    """The first byte of a notification left: when, by whom, by which clock."""

    at: float
    boot: float
    life: str
    peer: str
    channel: str
    delivery_id: str
    is_after_office: bool = False
    """The sender's lease had run out, as far as it could know."""


class Spell(Struct, kw_only=True):
    """Something that lasted: a fault, a pause, a time without quorum. `until` is infinite while it lasts."""

    what: str
    who: str
    since: float
    until: float = float("inf")


class LifeSpan(Struct, kw_only=True):
    """One process from birth to death."""

    id: str
    peer: str
    born: float
    died: float = float("inf")
    how: str = ""


class History:
    """The facts of one run."""

    def __init__(self, *, keeps_trace: bool = False) -> None:
        self.now: Callable[[], float] = lambda: 0.0
        self.shape = Shape()
        self.log: dict[int, Applied] = {}
        self.clashes: list[str] = []
        self.acks: list[Ack] = []
        self.proposals: list[Proposal] = []
        self.offices: list[Office] = []
        self.receipts: list[Receipt] = []
        self.lets: list[Let] = []
        self.spells: list[Spell] = []
        self.lives: dict[str, LifeSpan] = {}
        self.truth: list[tuple[float, str, str]] = []
        """Each true change of a service: when, which, into what."""
        self.misled: list[tuple[str, str, float, float]] = []
        """Who saw which service wrongly, from when to when."""
        self.unsearched: set[tuple[str, str]] = set()
        """(life, delivery id) of searches that a channel did not answer."""
        self.asked: list[tuple[float, str, str, float]] = []
        """A channel asked to wait: when, which life, for which delivery, for how long."""
        self.members: tuple[str, ...] = ()
        """Of the cluster, after the newest entry that anybody has applied."""
        self.terms = 0
        self.slower_s = 0.0
        """By how much longer than in life detection may take, because the loops look less often."""
        self.calm_service = ""
        self.calm_at = 0.0
        """What the run broke in the calm after the healing, and when."""
        self.problems: list[str] = []
        self.finals: dict[str, State] = {}
        self.final_conditions: dict[str, str] = {}
        self.statuses: dict[str, str] = {}
        self.peaks: Counter[str] = Counter()
        self.cells: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.refused_faults: Counter[str] = Counter()
        self.healed_at = 0.0
        self.clock_set_at = 0.0
        """When a wall clock last jumped: for half a minute after it a peer doubts what it sees."""
        self.ended_at = 0.0
        self.trace: list[str] | None = [] if keeps_trace else None
        self._hash = 0

    @property
    def trace_hash(self) -> str:
        """The same for equal runs."""
        return f"{self._hash:08x}"

    def note(self, line: str) -> None:
        """One line of the trace."""
        text = f"{self.now():10.4f} {line}"
        self._hash = zlib.crc32(text.encode(), self._hash)
        if self.trace is not None:
            self.trace.append(text)

    def problem(self, what: str) -> None:
        """Something that no run may show, whatever the checkers find."""
        self.note(f"PROBLEM {what}")
        self.problems.append(f"{self.now():.2f} {what}")

    def peak(self, what: str, value: float) -> None:
        """Remember the largest."""
        self.peaks[what] = max(self.peaks[what], round(value))

    def begin(self, what: str, who: str) -> None:
        """A spell begins, unless it lasts already."""
        if not any(spell.until == float("inf") for spell in self.of(what, who)):
            self.spells.append(Spell(what=what, who=who, since=self.now()))

    def end(self, what: str, who: str) -> None:
        """A spell is over, if there is one."""
        for spell in self.of(what, who):
            spell.until = min(spell.until, self.now())

    def of(self, what: str, who: str) -> list[Spell]:
        """All spells of one kind of one peer."""
        return [spell for spell in self.spells if (spell.what, spell.who) == (what, who)]

    def applier(self, life: str) -> Callable[[State, Entry], tuple[State, Answer]]:
        """The ledger's apply for one life: it applies, and notes what was applied where."""

        def apply(state: State, entry: Entry) -> tuple[State, Answer]:
            after, answer = ledger.apply(state, entry)
            if after.entries not in self.log:
                self.members = after.members
            self.applied(life, after.entries, entry, ok=answer.ok)
            return after, answer

        return apply

    def applied(self, life: str, number: int, entry: Entry, *, ok: bool) -> None:
        """An entry was applied by a life, at a place of its log."""
        known = self.log.get(number)
        if known is None:
            self.log[number] = Applied(number=number, entry=entry, at=self.now(), life=life, ok=ok)
            self.note(f"entry {number} {type(entry.command).__name__} of {entry.by} {ok}")
        elif known.entry != entry or known.ok != ok:
            text = f"entry {number}: {life} applied {entry.command}, {known.life} had {known.entry.command}"
            if len(self.clashes) < 20:
                self.clashes.append(f"{self.now():.2f} {text}")
