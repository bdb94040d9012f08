"""One running peer: which task feeds which. Startup, serving, shutdown; imports no shell.

    results --> vantage --> reports --> log --> applied state --> view --> verdicts --> decide --> log
                                                          |--> courier (claims, sends, settles)
                                                          |--> web (API, events)
    results --> history (samples, rollups) --> web

app.py wires the parts and hands them in. Each loop below owns one arrow; what is said into the log is
reporter.py's and proposing.py's, how a peer steps aside departure.py's. A pass that fails is logged and does
not renew the lease, so that another peer takes over from one that cannot decide; any other loop that fails
ends the peer loudly, for whoever supervises it to start again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from watchtower import __version__
from watchtower.clock import to_beat
from watchtower.core import calm, readiness, reloading
from watchtower.core.applying import membership
from watchtower.core.decide import decide
from watchtower.core.judging import eligibility, verdicts
from watchtower.core.model import Instant, Kind, Opinion, Result, State
from watchtower.core.office import may_claim
from watchtower.core.ports import (
    Clock,
    ClusterPort,
    CourierPort,
    HistoryPort,
    LeasePort,
    ReferencePort,
    SchedulerPort,
    Snapshot,
    VantagePort,
    WebPort,
)
from watchtower.core.settings import UNANSWERED_AFTER_S, Settings
from watchtower.core.view import View, listen
from watchtower.departure import Departure, until_news
from watchtower.errors import ConfigError
from watchtower.neighbours import Neighbours
from watchtower.proposing import propose
from watchtower.reporter import Reporter
from watchtower.speaking import speak_when_blind

log = logging.getLogger(__name__)

PASS_EVERY_S: Final = 0.25
REPORT_LOOK_EVERY_S: Final = 0.5
GROUP_COMMIT_S: Final = 0.025
RESTS: Final = 3.0
"""A loop rests so many times as long as it worked: however many services fail, the peer still answers."""
REST_S_MAX: Final = 0.5
"""Longer, and the lease would run out between two passes."""
LAG_LOOK_EVERY_S: Final = 0.25


@dataclass(kw_only=True)
class Parts:
    """What app.py wires together: every shell of one peer, ready to start.

    `load` reads the configuration file again (ConfigError when it is wrong); `new_id` gives a fresh
    random identifier.
    """

    clock: Clock
    boot_id: str
    new_id: Callable[[], str]
    load: Callable[[], Settings]
    cluster: ClusterPort
    lease: LeasePort
    vantage: VantagePort
    scheduler: SchedulerPort
    reference: ReferencePort
    history: HistoryPort
    courier: CourierPort
    web: WebPort


class Peer:
    """A peer from start to stop. `attach` gives it its parts, `run` does the rest."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = self._started = settings
        self._clock = clock
        self._view = View(me=settings.me, started_boot=clock.now().boot)
        self._index = 0
        self._results: dict[str, Result] = {}
        self._loop_lag_s = 0.0
        self._reload_error = ""
        self._fatal = ""
        self._stopping = asyncio.Event()
        self._wake_pass = asyncio.Event()
        self._wake_report = asyncio.Event()
        self._submissions: set[asyncio.Task[None]] = set()
        self._deciding: asyncio.Task[None] | None = None
        self._judged, self._calm_until_boot = State(), 0.0
        self._parts: Parts
        self._reporter: Reporter
        self._neighbours: Neighbours
        self._departure: Departure

    # ---- what the parts call

    def attach(self, parts: Parts) -> None:
        """Take the parts, which were built with this peer's callbacks."""
        self._parts = parts
        self._reporter = Reporter(parts.cluster, parts.vantage, parts.courier, parts.boot_id)
        self._neighbours = Neighbours(parts.scheduler)
        self._departure = Departure(
            self._settings.me,
            self._clock,
            parts.cluster,
            parts.courier,
            step_lease=lambda: self._step_lease(parts.cluster.state, self._clock.now()),
            session=self._session,
        )

    def on_applied(self, state: State, index: int) -> None:
        """A newer state is applied: everyone who looks at state looks now."""
        now, parts = self._clock.now(), self._parts
        self._index = index
        self._view = listen(self._view, state, now)
        parts.lease.observe(state, now)
        parts.courier.on_state(state, self._session(state))
        parts.web.on_state(state, index)
        suspects = parts.vantage.others_suspect(state, now)
        if suspects:
            parts.scheduler.probe_now(suspects)
            self._neighbours.suspected(self._settings, suspects, self._results, now)
        self._departure.on_applied()
        self._wake_pass.set()
        self._wake_report.set()

    def on_result(self, result: Result) -> None:
        """A probe has ended."""
        now = self._clock.now()
        self._neighbours.seen(self._settings, result, self._results, now)
        self._results[result.service] = result
        self._parts.history.take(result)
        recheck = self._parts.vantage.take(result, now)
        if recheck is not None:
            self._parts.scheduler.probe_now((recheck.service,), recheck.in_s)
        if result.opinion in (Opinion.DOWN, Opinion.DEGRADED) and result.kind is not Kind.CONDITION:
            self._parts.reference.check_soon()
        if self._parts.vantage.may_tell(result.service):
            self._wake_report.set()

    def on_unanswered(self, name: str) -> None:
        """A look has not ended for UNANSWERED_AFTER_S."""
        if self._parts.vantage.note_unanswered(name, UNANSWERED_AFTER_S):
            self._neighbours.turned(self._settings, {name: True}, self._results, self._clock.now())
        self._wake_report.set()

    def failing(self) -> tuple[str, ...]:
        """What a look should be taken at first: services that failed here, or have an open incident."""
        parts = self._parts
        incidents = (one.service for one in parts.cluster.state.incidents.values() if one.is_open)
        return tuple(dict.fromkeys((*parts.vantage.failing(), *incidents)))

    def on_fatal(self, reason: str) -> None:
        """Something that must not be survived: stop loudly, so that whoever supervises restarts us."""
        self._fatal = self._fatal or reason
        log.critical("this peer stops: %s", reason)
        self._stopping.set()

    def stop(self) -> None:
        """Ask the peer to leave in an orderly way."""
        self._stopping.set()

    async def drain(self, for_s: float) -> str:
        """Step aside for so many seconds: no office, no votes that count, nobody paged. "" or why not."""
        state, now = self._parts.cluster.state, self._clock.now()
        others = [name for name in state.members if name != self._settings.me]
        if all(eligibility.ineligible(state, name, self._view, now) for name in others):
            return "no other peer is fit to watch and alert meanwhile"
        return await self._departure.drain(for_s)

    async def undrain(self) -> str:
        """Be back before the time is up. "" or why not."""
        self._wake_report.set()
        return await self._departure.undrain()

    def snapshot(self) -> Snapshot:
        """Everything this peer can answer from, now."""
        parts, now = self._parts, self._clock.now()
        state, status = parts.cluster.state, parts.cluster.status()
        return Snapshot(
            settings=self._settings,
            version=__version__,
            now=now,
            state=state,
            view=self._view,
            cluster=status,
            is_alerter=parts.lease.in_office(now),
            ready_reason=readiness.unready(
                state, status, self._settings, session=self._session(state), aside=self._departure.aside
            ),
            results=self._results,
            doubt=parts.vantage.doubt(now),
            loop_lag_s=self._loop_lag_s,
            probes=parts.scheduler.stats,
            delivery=parts.courier.stats,
            reload_error=self._reload_error,
            waits_for_start=reloading.waits_for_start(self._started, self._settings),
            mismatch=membership.mismatch(state, self._settings.cluster),
            drained_until_wall=self._departure.until_wall,
            history=parts.history.stats,
        )

    async def reload(self) -> str:
        """Read the configuration again; "" or why the old one stays in use."""
        try:
            settings = await asyncio.to_thread(self._parts.load)
        except ConfigError as error:
            return self._refused(str(error))
        if reason := reloading.refusal(self._settings, settings):
            return self._refused(reason)
        self._settings, self._reload_error, self._calm_until_boot = settings, "", 0.0
        self._results = {name: r for name, r in self._results.items() if name in settings.services}
        parts = self._parts
        parts.cluster.reload(settings)
        parts.vantage.reload(settings, self._clock.now())
        parts.scheduler.reload(settings)
        parts.reference.reload(settings)
        parts.history.reload(settings)
        parts.courier.reload(settings)
        parts.web.reload(settings)
        log.info("configuration %s loaded", settings.config_hash)
        if waiting := reloading.waits_for_start(self._started, settings):
            log.warning("this takes effect at the next start only: %s", ", ".join(waiting))
        self._wake_report.set()
        return ""

    def _refused(self, reason: str) -> str:
        self._reload_error = reason
        log.error("reload refused, the old configuration stays in use: %s", reason)
        return reason

    # ---- startup, serving, shutdown

    async def run(self) -> int:
        """Run until asked to stop; 0 after an orderly stop, 1 when something ended this peer."""
        parts = self._parts
        await parts.web.start()
        try:
            await parts.cluster.start()
            await parts.history.start()
            await self._serve()
        finally:
            await parts.web.stop()
            await parts.history.stop()
            await parts.cluster.stop()
        return 1 if self._fatal else 0

    async def _serve(self) -> None:
        parts = self._parts
        loops: tuple[tuple[str, Coroutine[Any, Any, None]], ...] = (
            ("probing", parts.scheduler.run()),
            ("reference", parts.reference.run()),
            ("delivery", parts.courier.run()),
            ("reports", self._report_loop()),
            ("passes", self._pass_loop()),
            ("blindness", self._speaking()),
            ("lag", self._lag_loop()),
        )
        tasks = [asyncio.create_task(loop, name=name) for name, loop in loops]
        for task in tasks:
            task.add_done_callback(self._on_loop_end)
        try:
            await self._stopping.wait()
            if not self._fatal:
                await self._departure.leave()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _on_loop_end(self, task: asyncio.Task[None]) -> None:
        """No loop ends by itself: a peer without one of them is not a peer."""
        if not task.cancelled() and not self._stopping.is_set():
            log.error("the loop %s ended", task.get_name(), exc_info=task.exception())
            self.on_fatal(f"its {task.get_name()} loop ended: {task.exception()!r}")

    # ---- the loops

    async def _report_loop(self) -> None:
        """Our truth into the log: join first, then what differs; reports within 25 ms go together."""
        rest_s = 0.0
        while True:
            await until_news(self._wake_report, REPORT_LOOK_EVERY_S, rest_s)
            is_aside, begun = bool(self._departure.aside), self._clock.now()
            command = self._reporter.next(self._settings, begun, is_aside=is_aside)
            rest_s = self._rest_s(begun)
            if command is not None:
                await self._parts.cluster.submit(command)

    async def _pass_loop(self) -> None:
        """Verdicts, then decisions, then the lease: a pass that fails does not renew it."""
        rest_s = 0.0
        while True:
            await until_news(self._wake_pass, PASS_EVERY_S, rest_s)
            begun = self._clock.now()
            try:
                self._pass(begun)
            except Exception:  # task root: log, count by log, and let the lease run out
                log.exception("a pass failed; the lease is not renewed")
            rest_s = self._rest_s(begun)

    def _rest_s(self, begun: Instant) -> float:
        worked_s = self._clock.now().boot - begun.boot
        return max(GROUP_COMMIT_S, min(RESTS * worked_s, REST_S_MAX))

    def _pass(self, now: Instant) -> None:
        state = self._parts.cluster.state
        if now.boot >= self._calm_until_boot or not calm.is_as_before(self._judged, state):
            self._judge(state, now)
        self._spawn(self._step_lease(state, now))

    def _judge(self, state: State, now: Instant) -> None:
        parts = self._parts
        self._judged, self._calm_until_boot = state, 0.0
        standings = verdicts.observe(state, self._settings, self._view, now)
        self._view = replace(self._view, standings=standings)
        parts.web.on_standings(standings)
        is_idle = self._deciding is None or self._deciding.done()
        may_decide = parts.lease.in_office(now) and not self._departure.aside and is_idle
        commands = decide(state, self._settings, self._view, now) if may_decide else ()
        if commands:  # nothing new is decided until all of them are applied or given up
            work = propose(commands, parts.cluster.submit, lambda: bool(self._departure.aside))
            self._deciding = self._spawn(work)
        elif is_idle and calm.is_calm(state, standings):
            self._calm_until_boot = now.boot + calm.PASS_AT_LEAST_EVERY_S

    async def _step_lease(self, state: State, now: Instant) -> None:
        parts = self._parts
        refusal = may_claim(state, self._settings, self._view, now, doubt=parts.vantage.doubt(now))
        proposal = parts.lease.step(
            state,
            self._session(state),
            now,
            may_claim=self._departure.aside or refusal,
            new_id=parts.new_id,
        )
        if proposal is not None:
            await parts.cluster.submit(proposal, timeout_s=1.0)

    async def _lag_loop(self) -> None:
        """How late this loop is, which is how late everything on it is."""
        loop = asyncio.get_running_loop()
        while True:
            wait_s = to_beat(loop.time(), LAG_LOOK_EVERY_S)
            due = loop.time() + wait_s
            await asyncio.sleep(wait_s)  # noqa: TID251 - the sleep is what is measured
            self._loop_lag_s = max(0.0, loop.time() - due)
            self._parts.vantage.note_loop_lag(self._loop_lag_s, self._clock.now())
            self._parts.vantage.note_trouble(self._parts.scheduler.trouble())

    def _speaking(self) -> Coroutine[Any, Any, None]:
        def failing() -> list[str]:
            return [name for name, result in self._results.items() if result.opinion is Opinion.DOWN]

        parts = self._parts
        return speak_when_blind(self._clock, parts.cluster, parts.courier, lambda: self._settings, failing)

    # ---- small questions

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._submissions.add(task)
        task.add_done_callback(self._on_submission_end)
        return task

    def _on_submission_end(self, task: asyncio.Task[None]) -> None:
        self._submissions.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a submission failed", exc_info=task.exception())

    def _session(self, state: State) -> int:
        """Our session number; 0 while this boot has not joined."""
        row = state.row(self._settings.me)
        return row.session if row.boot_id == self._parts.boot_id else 0
