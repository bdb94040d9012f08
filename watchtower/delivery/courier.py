"""Pumps the sender: proposes its claims and settlements, has its messages carried, counts what happens.

A send that outlives its budget is abandoned: its socket is closed and its outcome is ambiguous, or not
sent when no byte had left. All decisions are the sender's, and all that leaves the process goes through
the carrier, so that a simulation can run this very file without a thread or a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from watchtower.core.commands import Answer, Claim, Settle
from watchtower.core.model import Instant, Outcome, State
from watchtower.core.ports import Clock, Submit
from watchtower.core.settings import Channel, Settings
from watchtower.core.stats import DeliveryStats
from watchtower.delivery import threads
from watchtower.delivery.carrier import Carrier
from watchtower.delivery.message import Message, direct
from watchtower.delivery.orders import BUDGET_S, Search, Sending
from watchtower.delivery.paths import Paths
from watchtower.delivery.redaction import Redactor, quiet
from watchtower.delivery.render import render
from watchtower.delivery.sender import Sender
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending, Recorder

log = logging.getLogger(__name__)

STEP_AT_LEAST_S: Final = 1.0
DETAIL_MAX: Final = 200


class Courier:
    """This peer's sender of notifications. `stats` and `redactor` may be read at any time.

    Feed it applied states with `on_state`, keep `run` running; all calls on the app loop.
    """

    def __init__(
        self,
        settings: Settings,
        me: str,
        clock: Clock,
        submit: Submit,
        new_id: Callable[[], str],
        *,
        carrier: Carrier,
        has_lost_office: Callable[[Instant], bool],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._submit = submit
        self._new_id = new_id
        self._sender = Sender(me, new_id)
        self._carrier = carrier
        self._has_lost_office = has_lost_office
        self._state = State()
        self._session = 0
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.paths = Paths(settings, clock.now())
        self._stats = DeliveryStats()
        self.redactor = Redactor(settings.channels.values())
        quiet(self.redactor)

    @property
    def stats(self) -> DeliveryStats:
        """What was sent so far, and how the ways to the channels are now."""
        self._stats.breakers = self.paths.views(self._clock.now())
        return self._stats

    def blocked(self) -> dict[str, str]:
        """Channels that this peer's breakers keep it from, and why: what it reports of itself."""
        return self.paths.report(self._clock.now())

    def on_state(self, state: State, session: int) -> None:
        """A newly applied state, and this process's session in it (0 before it joined)."""
        self._state, self._session = state, session
        self._changed.set()

    def reload(self, settings: Settings) -> None:
        """Use other channels from now on. Attempts under way finish with the old ones."""
        self._settings = settings
        self.redactor.learn(settings.channels.values())
        self.paths.reload(settings, self._clock.now())
        self._spawn(self._warm())
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled. Never raises for reasons of a channel."""
        await self._warm()
        while True:
            self._changed.clear()
            wake_boot = self._step()
            pause_s = max(0.01, min(STEP_AT_LEAST_S, wake_boot - self._clock.now().boot))
            # Not asyncio.wait_for: in Python 3.11 it can swallow a cancellation (python/cpython#86296).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more and wait for what is under way; `run` must be running."""
        self._sender.drain()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._sender.is_idle:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("Stopping with deliveries still under way; another peer will take them over.")

    async def tell(self, channel: str, title: str, lines: tuple[str, ...]) -> str:
        """Send a notice past the ledger, as that monitoring is blind; "" when accepted, else why not."""
        message = direct(
            settings=self._settings,
            kind="notice",
            title=title,
            lines=lines,
            delivery_id=self._new_id(),
            at_wall=self._clock.now().wall,
        )
        ending = await self._direct(channel, message)
        return "" if ending.outcome is Outcome.ACCEPTED else f"{ending.outcome.value}: {ending.detail}"

    async def _direct(self, name: str, message: Message) -> Ending:
        channel = self._settings.channels.get(name)
        if channel is None or name in self._carrier.full:
            why = "is not configured" if channel is None else "is still busy with sends that hang"
            ending = Ending(outcome=Outcome.NOT_SENT, detail=f"channel {name} {why}")
        else:
            trip = self.paths.begin(name, self._clock.now())
            ending = await self._within(BUDGET_S, channel, message, self._recorder(lambda: True))
            self.paths.ended(trip, ending, self._clock.now())
        self._count(name, ending.outcome, ending)
        log.info("Channel %s: direct message: %s (%s).", name, ending.outcome.value, ending.detail)
        return ending

    # ---- the pump

    def _step(self) -> float:
        now = self._clock.now()
        full = self._carrier.full | self.paths.shut(now)
        orders = self._sender.step(self._state, self._session, self._settings, now, full)
        for claim in orders.claims:
            self._spawn(self._propose(claim))
        for settle in orders.settles:
            self._spawn(self._propose(settle))
        for search in orders.searches:
            self._spawn(self._search(search))
        for sending in orders.sends:
            self._spawn(self._send(sending))
        if self._sender.is_idle:
            self._idle.set()
        return orders.wake_boot

    async def _propose(self, command: Claim | Settle) -> None:
        answer: Answer | None = None
        try:
            answer = await self._submit(command)
        finally:
            self._sender.answered(command, answer, self._clock.now())
            self._changed.set()

    async def _search(self, order: Search) -> None:
        """One look for an earlier copy. Whatever goes wrong with it, the sender goes on without."""
        found = Found(trace=Trace.UNKNOWN, detail="no answer in time")
        left_s = max(0.0, order.until_boot - self._clock.now().boot)
        try:
            first = threads.opened(order.item, self._state)
            thread = first.receipt if first else ""
            future = self._carrier.search(order.channel, order.item.id, order.item.created_wall, thread)
            done, _ = await asyncio.wait({future}, timeout=left_s)
            if done:
                found = future.result()
            else:
                future.cancel()
        finally:
            detail = self.redactor.redact(found.detail)[:DETAIL_MAX]
            receipt = self.redactor.redact(found.receipt)[:DETAIL_MAX]
            self._sender.searched(order, Found(trace=found.trace, receipt=receipt, detail=detail))
            self._changed.set()
        self._stats.reconciled_total += found.trace is Trace.PRESENT
        log.info(
            "Channel %s: looked for an earlier copy of delivery %s: %s (%s).",
            order.channel.name,
            order.item.id,
            found.trace.value,
            detail,
        )

    async def _send(self, order: Sending) -> None:
        """One attempt, from rendering to the outcome that is to be settled."""
        if order.is_takeover:
            self._stats.takeovers_total += 1
        recorder = self._recorder(partial(self._may_send, order))
        left_s = order.send_until_boot + BUDGET_S - self._clock.now().boot
        trip, seen = self.paths.begin(order.channel.name, self._clock.now()), None
        try:
            message = render(order.item, self._state, self._settings, may_repeat=order.may_repeat)
            ending = seen = await self._within(min(BUDGET_S, left_s), order.channel, message, recorder)
        except Exception:  # the root of the attempt: whatever broke, the claim must be settled
            log.exception("An attempt at delivery %s failed in watchtower itself.", order.item.id)
            ending = recorder.abandon()
        finally:
            self.paths.ended(trip, seen, self._clock.now())
        outcome = self._sender.ended(order, ending, self._clock.now())
        is_refused = ending.is_permanent and ending.outcome is Outcome.REJECTED
        if is_refused and order.channel.fallback:
            self.paths.fell_back(order.channel.name, self._clock.now())
        self._count(order.channel.name, outcome, ending)
        self._log(order, outcome, ending)
        self._changed.set()

    def _recorder(self, fence: Callable[[], bool]) -> Recorder:
        return Recorder(fence, redact=self.redactor.redact)

    def _may_send(self, order: Sending) -> bool:
        """Called from a channel's thread: reads only references that are replaced whole."""
        now = self._clock.now()
        may = self._sender.may_send(self._state, self._session, order, now.boot)
        return may and not self._has_lost_office(now)

    async def _within(
        self, budget_s: float, channel: Channel, message: Message, recorder: Recorder
    ) -> Ending:
        future = self._carrier.post(channel, message, recorder)
        done, _ = await asyncio.wait({future}, timeout=budget_s)
        ending = future.result() if done else recorder.abandon()
        if not done:
            future.cancel()
        return _redacted(ending, self.redactor)

    async def _warm(self) -> None:
        """Load what the channels need, and say which cannot work."""
        for reason in (await self._carrier.warm(self._settings.channels.values())).values():
            log.error("A channel cannot be used: %s.", reason)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception:  # the root of a task: what it held runs out and is taken over
            log.exception("A delivery task failed.")

    # ---- what happened

    def _count(self, channel: str, outcome: Outcome, ending: Ending) -> None:
        key = (channel, outcome.value)
        self._stats.outcomes_total[key] = self._stats.outcomes_total.get(key, 0) + 1
        self._stats.fenced_total += ending.is_fenced
        self._stats.ambiguous_total += outcome is Outcome.AMBIGUOUS

    def _log(self, order: Sending, outcome: Outcome, ending: Ending) -> None:
        level = logging.INFO if outcome is Outcome.ACCEPTED else logging.WARNING
        log.log(
            level,
            "Channel %s: delivery %s of incident %d, attempt %d: %s (%s).",
            order.channel.name,
            order.item.id,
            order.item.incident,
            order.item.attempt,
            outcome.value,
            ending.detail,
        )


def _redacted(ending: Ending, redactor: Redactor) -> Ending:
    return Ending(
        outcome=ending.outcome,
        detail=redactor.redact(ending.detail)[:DETAIL_MAX],
        is_permanent=ending.is_permanent,
        is_fenced=ending.is_fenced,
        retry_after_s=ending.retry_after_s,
        receipt=redactor.redact(ending.receipt)[:DETAIL_MAX],
    )
