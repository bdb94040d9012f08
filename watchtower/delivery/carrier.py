"""What leaves the process for the courier: the Carrier protocol, and the real one with its threads.

A simulation brings a carrier of its own and runs the very same courier and sender without a thread or a
socket. The real one gives each channel daemon threads of its own, so that a hanging Slack never delays
mail or a shutdown. A carrier decides nothing: not when to send, not whether, not what an ending means.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol, TypeVar

from watchtower.core.settings import Channel
from watchtower.delivery import channels, witness
from watchtower.delivery.message import Message
from watchtower.delivery.sending import attempt, search
from watchtower.delivery.trace import Found
from watchtower.delivery.witness import Ending, Recorder

THREADS_MAX: Final = 2
SEARCH_BODY_MAX: Final = 2_097_152
"""A page of a busy Slack channel's history is far longer than any answer to a message."""

_T = TypeVar("_T")


class Carrier(Protocol):
    """Everything of delivery that leaves the process, or needs a thread. Call it on the app loop."""

    @property
    def full(self) -> frozenset[str]:
        """Names of channels that can take nothing more now, as when sends hang there."""
        ...

    def post(self, channel: Channel, message: Message, recorder: Recorder) -> asyncio.Future[Ending]:
        """Send `message` once. Never raises for reasons of the channel, and neither does the future.

        `recorder.pass_fence` is called right before the first byte, and nothing leaves when it raises.
        Who gives up waiting calls `recorder.abandon` and cancels the future.
        """
        ...

    def search(
        self, channel: Channel, delivery_id: str, since_wall: float, thread: str = ""
    ) -> asyncio.Future[Found]:
        """Look in the channel itself for a delivery of `since_wall` or later. Cancel it to give up.

        `thread` is the receipt of the first message about the same thing, below which it may be.
        """
        ...

    async def warm(self, configured: Iterable[Channel]) -> dict[str, str]:
        """Load what the channels need; why, by channel, some of them cannot be used."""
        ...


class ThreadCarrier:
    """The real carrier: blocking plugins in daemon threads, counted until they really end."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    @property
    def full(self) -> frozenset[str]:
        """Channels whose THREADS_MAX threads are all taken."""
        return frozenset(name for name, count in self._running.items() if count >= THREADS_MAX)

    def post(self, channel: Channel, message: Message, recorder: Recorder) -> asyncio.Future[Ending]:
        """One attempt in a thread. Raises DeliveryError when the hooks cannot be installed."""
        witness.install()
        return self._start(channel.name, partial(attempt, channel, message, recorder))

    def search(
        self, channel: Channel, delivery_id: str, since_wall: float, thread: str = ""
    ) -> asyncio.Future[Found]:
        """One look in a thread; a cancelled one has its socket closed."""
        witness.install()
        recorder = Recorder(lambda: True, SEARCH_BODY_MAX)
        future = self._start(
            channel.name, partial(search, channel, delivery_id, since_wall, recorder, thread)
        )

        def on_done(done: asyncio.Future[Found]) -> None:
            if done.cancelled():
                recorder.abandon()

        future.add_done_callback(on_done)
        return future

    async def warm(self, configured: Iterable[Channel]) -> dict[str, str]:
        """Load the plugins in a thread. Raises DeliveryError when the hooks cannot be installed."""
        witness.install()
        return await self._start("", partial(channels.warm, tuple(configured)))

    def _start(self, name: str, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run `work` in a thread; the future may be abandoned."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        self._running[name] += 1

        def finished(settle: Callable[[], None]) -> None:
            self._running[name] -= 1
            if not future.done():
                settle()

        def body() -> None:
            try:
                settle = partial(future.set_result, work())
            except Exception as error:  # noqa: BLE001 - whatever broke, who waits for it must hear of it
                settle = partial(future.set_exception, error)
            # A loop that is closed by now has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finished, settle)

        threading.Thread(target=body, name=f"delivery-{name}", daemon=True).start()
        return future
