"""The few shapes that shells fill in for one another; app.py hands them across.

Protocols are what a shell may call, Structs what it may look at. Nothing here does anything. A shell
that needs another's service takes one of these as an argument, so shells never import each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, ClaimLease, Command, Release, Renew, Report
from watchtower.core.model import Checkpoint, Instant, Result, State
from watchtower.core.samples import Figures, HistoryStats, SamplePage, Transition
from watchtower.core.settings import Service, Settings
from watchtower.core.stats import DeliveryStats, ProbeStats, Trouble, WatchdogStats
from watchtower.core.view import Standing, View


class Clock(Protocol):
    """Where time comes from; tests and the simulation bring their own."""

    def now(self) -> Instant:
        """Wall and boot time, read together."""
        ...


class Submit(Protocol):
    """Propose a command to the replicated log."""

    async def __call__(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """The answer once this peer has applied the entry; None when its fate is not known.

        None is no failure: act on applied state only, and let the next pass derive the command again.
        Never raises for reasons of the cluster.
        """
        ...


class Probe(Protocol):
    """One look at a service: one such function per probe kind."""

    async def __call__(self, service: Service, deadline_boot: float) -> Result:
        """Look once and be back before `deadline_boot`. Never raises for reasons of the target."""
        ...


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything a peer can answer from, taken at one moment: any peer, with or without a leader.

    `results` are this peer's own latest probe results by service; `reload_error` is "" or why the
    latest reload was refused, `waits_for_start` what it changed that takes effect at the next start only.
    `mismatch` says how the file's peers differ from the ledger's members.
    """

    settings: Settings
    version: str
    now: Instant
    state: State
    view: View
    cluster: ClusterStatus
    is_alerter: bool
    ready_reason: str
    """"" when ready to serve; else why not."""
    results: Mapping[str, Result]
    doubt: str
    loop_lag_s: float
    probes: ProbeStats
    delivery: DeliveryStats
    reload_error: str = ""
    waits_for_start: tuple[str, ...] = ()
    mismatch: str = ""
    drained_until_wall: float = 0.0
    """Until when this peer has stepped aside (Unix seconds); 0.0 when it has not."""
    history: HistoryStats = field(default_factory=HistoryStats)
    watchdog: WatchdogStats = field(default_factory=WatchdogStats)


class Recheck(Struct, frozen=True, kw_only=True):
    """Look at `service` again in `in_s` seconds, out of turn."""

    service: str
    in_s: float


class ClusterPort(Protocol):
    """The replicated log as a peer uses it."""

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Propose a command; see Submit."""
        ...

    @property
    def state(self) -> State:
        """The latest applied state; immutable."""
        ...

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint of the applied state; None before the first."""
        ...

    def status(self) -> ClusterStatus:
        """What Raft looks like from here."""
        ...

    async def transfer(self, to: str = "") -> str:
        """Hand Raft leadership to `to`, or to whoever is fit; "" when done or not held, else why not."""
        ...

    async def backup(self) -> bytes:
        """The applied state as the bytes of a backup."""
        ...

    def reload(self, settings: Settings) -> None:
        """Take new addresses of the peers; the names stay who they are."""
        ...

    async def start(self) -> None:
        """Listen, dial the others, recover from disk. Raises ClusterError."""
        ...

    async def stop(self) -> None:
        """End the Raft thread and close everything."""
        ...


class LeasePort(Protocol):
    """The alerting lease, stepped by the pass that decides."""

    def observe(self, state: State, now: Instant) -> None:
        """See an applied state: timers of entries new to this process start now."""
        ...

    def step(
        self, state: State, session: int, now: Instant, *, may_claim: str, new_id: Callable[[], str]
    ) -> ClaimLease | Renew | Release | None:
        """What to propose now, if anything. `may_claim` is "" or why this peer should not hold office."""
        ...

    def in_office(self, now: Instant) -> bool:
        """True while this peer is the alerter on its own clock."""
        ...


class VantagePort(Protocol):
    """Results to this peer's votes, and votes to reports."""

    def reload(self, settings: Settings, now: Instant) -> None:
        """Take new settings; opinions of unchanged services stay."""
        ...

    def take(self, result: Result, now: Instant) -> Recheck | None:
        """Weigh a result; what to look at again."""
        ...

    def note_unanswered(self, name: str, waited_s: float) -> bool:
        """The look at this service that is under way has waited so long. True when that is suspicious."""
        ...

    def may_tell(self, service: str) -> bool:
        """False when nothing about this service can be news for a report."""
        ...

    def note_loop_lag(self, lag_s: float, now: Instant) -> None:
        """How late this process itself is."""
        ...

    def note_trouble(self, trouble: Trouble) -> None:
        """How the looking itself is doing."""
        ...

    def failing(self) -> tuple[str, ...]:
        """Services whose latest look failed."""
        ...

    def doubt(self, now: Instant) -> str:
        """Why this peer doubts itself; "" when it does not."""
        ...

    def report(self, state: State, now: Instant, boot_id: str, blocked: Mapping[str, str]) -> Report | None:
        """The difference between our truth and our row in `state`, if it should be proposed now.

        `blocked` are channels that this peer cannot send to, and why.
        """
        ...

    def others_suspect(self, state: State, now: Instant) -> tuple[str, ...]:
        """Services in which other peers have just begun to see trouble, or its end."""
        ...


class SchedulerPort(Protocol):
    """What is due when, and the looking itself, here or in processes of its own."""

    @property
    def stats(self) -> ProbeStats:
        """Counters as of now."""
        ...

    def trouble(self) -> Trouble:
        """Why failed looks, or all of them, prove nothing just now."""
        ...

    def reload(self, settings: Settings) -> None:
        """Take new settings; phases of unchanged services stay."""
        ...

    def probe_now(self, names: tuple[str, ...], in_s: float = 0.0) -> None:
        """Probe these services out of turn."""
        ...

    async def run(self) -> None:
        """Probe until cancelled."""
        ...


class ReferencePort(Protocol):
    """The looks at reference targets."""

    def reload(self, settings: Settings) -> None:
        """Take new reference targets."""
        ...

    def check_soon(self) -> None:
        """Look at once; something has just failed."""
        ...

    async def run(self) -> None:
        """Look until cancelled."""
        ...


class CourierPort(Protocol):
    """Claims, sends and settles what this peer is to send."""

    @property
    def stats(self) -> DeliveryStats:
        """What was sent so far, and how the ways to the channels are now."""
        ...

    def blocked(self) -> Mapping[str, str]:
        """Channels that this peer's breakers keep it from, and why; what it reports of itself."""
        ...

    def on_state(self, state: State, session: int) -> None:
        """See an applied state."""
        ...

    def reload(self, settings: Settings) -> None:
        """Take new channels."""
        ...

    async def run(self) -> None:
        """Deliver until cancelled."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Start nothing new; wait for what is being sent."""
        ...

    async def tell(self, channel: str, title: str, lines: tuple[str, ...]) -> str:
        """Send a message past the ledger (blind notice); "" when accepted, else why not."""
        ...


class WebPort(Protocol):
    """Answers over HTTP."""

    def on_state(self, state: State, index: int) -> None:
        """See an applied state."""
        ...

    def on_standings(self, standings: Mapping[str, Standing]) -> None:
        """See the verdicts of a pass."""
        ...

    def reload(self, settings: Settings) -> None:
        """Take new tokens and keys."""
        ...

    async def start(self) -> None:
        """Listen. Raises ClusterError when the address cannot be had."""
        ...

    async def stop(self) -> None:
        """Close every connection."""
        ...


class HistoryReader(Protocol):
    """What may be asked of the samples this peer has kept. Methods raise HistoryError when they cannot."""

    async def results(self, service: str, *, before: int | None, limit: int) -> SamplePage:
        """The newest samples of a service, or those before a time that an earlier page gave."""
        ...

    async def transitions(self, service: str, *, limit: int) -> tuple[Transition, ...]:
        """The latest transitions of a service, newest first."""
        ...

    async def uptime(self, service: str, windows_s: tuple[float, ...]) -> tuple[Figures, ...]:
        """Figures of a service for windows that end now."""
        ...


class HistoryPort(HistoryReader, Protocol):
    """Where results go to be kept."""

    @property
    def stats(self) -> HistoryStats:
        """Counters and trouble as of now."""
        ...

    def take(self, result: Result) -> None:
        """Keep a result. Never waits and never raises."""
        ...

    def reload(self, settings: Settings) -> None:
        """Take new services and how long samples are kept."""
        ...

    async def start(self) -> None:
        """Begin to write."""
        ...

    async def stop(self) -> None:
        """Write what is open."""
        ...
