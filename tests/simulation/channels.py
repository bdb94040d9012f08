"""The channels of the simulated world, and the carrier that brings a peer's messages there.

A channel accepts, refuses, hangs, loses its answer, limits the rate or cannot be reached, for everybody or
for some senders; it may be searchable, or make one of what carries the same key. It remembers every message
it accepted: when, from which life of which peer, under which delivery id, and whether it said that it may
be a repeat. The carrier asks the real fence at the moment the first byte leaves.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Final, Protocol

from msgspec import Struct
from simulation.loop import PeerLoop, Timeline

from watchtower.core.settings import Channel
from watchtower.delivery.message import Message
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending, Exchange, Fenced, Recorder

SENDS_MAX: Final = 2
MOODS: Final = ("accepts", "refuses", "forbids", "hangs", "swallows", "loses answers", "limits", "is away")


class Receipt(Struct, frozen=True, kw_only=True):
    """One message that a channel accepted. `life` names the process that sent it."""

    at: float
    life: str
    peer: str
    channel: str
    delivery_id: str
    kind: str
    service: str
    incident: int
    attempt: int
    is_marked: bool
    mood: str


class SimChannel:
    """One destination. `ways`: `plain`, `searchable` or `merging`."""

    def __init__(self, name: str, way: str) -> None:
        self.name = name
        self.way = way
        self.mood = "accepts"
        self.moody_for: tuple[str, ...] = ()
        self.wait_s = 0.0
        self.received: list[Receipt] = []
        self.refused = 0

    def mood_for(self, peer: str) -> str:
        """How a message of `peer` is treated now."""
        return self.mood if not self.moody_for or peer in self.moody_for else "accepts"

    def has(self, delivery_id: str) -> bool:
        """Whether it has this delivery."""
        return any(receipt.delivery_id == delivery_id for receipt in self.received)


class Sender(Protocol):
    """The process whose messages a carrier brings."""

    id: str
    name: str
    is_dead: bool
    loop: PeerLoop

    @property
    def is_troubled(self) -> bool:
        """True until the healing: connecting may take long."""
        ...

    def received(self, receipt: Receipt) -> None:
        """A message of this process was accepted."""

    def let_go(self, channel: str, message: Message) -> None:
        """The first byte of a message is leaving."""

    def unsearched(self, delivery_id: str) -> None:
        """A search was not answered."""

    def asked(self, delivery_id: str, wait_s: float) -> None:
        """A channel asked to wait."""


class SimCarrier:
    """Everything of one process that leaves for a channel (delivery.carrier.Carrier)."""

    def __init__(
        self, sender: Sender, time: Timeline, random: Random, channels: dict[str, SimChannel]
    ) -> None:
        self._sender = sender
        self._time = time
        self._random = random
        self._channels = channels
        self._running: Counter[str] = Counter()

    @property
    def full(self) -> frozenset[str]:
        """Channels that can take nothing more now."""
        return frozenset(name for name, count in self._running.items() if count >= SENDS_MAX)

    def post(self, channel: Channel, message: Message, recorder: Recorder) -> asyncio.Future[Ending]:
        """Bring one message: connect, ask the fence, let go, wait for the answer."""
        future: asyncio.Future[Ending] = self._sender.loop.create_future()
        self._running[channel.name] += 1
        future.add_done_callback(lambda _done: self._running.subtract((channel.name,)))
        wait_s = self._random.choice((0.01, 0.03, 0.1, 0.4))
        if self._sender.is_troubled and self._random.random() < 0.15:
            wait_s = self._random.uniform(1.0, 4.0)
        self._sender.loop.call_later(wait_s, self._connected, channel.name, message, recorder, future)
        return future

    def search(
        self, channel: Channel, delivery_id: str, since_wall: float, thread: str = ""
    ) -> asyncio.Future[Found]:
        """Look for a delivery in the channel."""
        future: asyncio.Future[Found] = self._sender.loop.create_future()
        wait_s = self._random.uniform(0.02, 0.3)
        self._sender.loop.call_later(wait_s, self._searched, channel.name, delivery_id, future)
        return future

    async def warm(self, configured: Iterable[Channel]) -> dict[str, str]:
        """Nothing to load."""
        return {}

    def _searched(self, name: str, delivery_id: str, future: asyncio.Future[Found]) -> None:
        channel = self._channels[name]
        mood = channel.mood_for(self._sender.name)
        if future.done():
            return
        if mood != "accepts":
            self._sender.unsearched(delivery_id)
        if mood in ("hangs", "swallows"):
            return
        if channel.way == "merging":
            future.set_result(Found(trace=Trace.MERGED))
        elif channel.way == "plain" or mood != "accepts":
            future.set_result(Found(trace=Trace.UNKNOWN, detail="the channel cannot be asked"))
        else:
            trace = Trace.PRESENT if channel.has(delivery_id) else Trace.ABSENT
            future.set_result(Found(trace=trace))

    def _connected(
        self, name: str, message: Message, recorder: Recorder, future: asyncio.Future[Ending]
    ) -> None:
        if future.done():
            return
        mood = self._channels[name].mood_for(self._sender.name)
        if mood == "is away":
            recorder.begin().error = "connection refused"
            future.set_result(recorder.ending(is_accepted=False))
            return
        exchange = recorder.begin()
        try:
            recorder.pass_fence(None)
        except Fenced:
            future.set_result(recorder.ending(is_accepted=False))
            return
        self._sender.let_go(name, message)
        wait_s = self._random.uniform(0.002, 0.05)
        self._time.after(wait_s, self._arrived, name, message, recorder, exchange, future)

    def _arrived(
        self,
        name: str,
        message: Message,
        recorder: Recorder,
        exchange: Exchange,
        future: asyncio.Future[Ending],
    ) -> None:
        """At the channel; whatever has become of the sender since."""
        channel = self._channels[name]
        mood = channel.mood_for(self._sender.name)
        if mood in ("accepts", "hangs", "loses answers", "is away"):
            receipt = self._receipt(name, message, mood)
            channel.received.append(receipt)
            self._sender.received(receipt)
        else:
            channel.refused += 1
        if mood in ("hangs", "swallows"):
            return
        if mood == "limits":
            self._sender.asked(message.delivery_id, channel.wait_s)
        status, retry_after_s = {
            "refuses": (503, 0.0),
            "forbids": (403, 0.0),
            "limits": (429, channel.wait_s),
        }.get(mood, (200, 0.0))
        if mood in ("loses answers", "is away"):
            exchange.error = "the connection was reset"
            status = 0
        wait_s = self._random.choice((0.002, 0.02, 0.1, 0.5))
        self._time.after(wait_s, self._answer, status, retry_after_s, recorder, exchange, future)

    def _answer(
        self,
        status: int,
        retry_after_s: float,
        recorder: Recorder,
        exchange: Exchange,
        future: asyncio.Future[Ending],
    ) -> None:
        if not self._sender.is_dead:
            self._sender.loop.call_soon(self._answered, status, retry_after_s, recorder, exchange, future)

    @staticmethod
    def _answered(
        status: int,
        retry_after_s: float,
        recorder: Recorder,
        exchange: Exchange,
        future: asyncio.Future[Ending],
    ) -> None:
        if not future.done():
            exchange.status, exchange.retry_after_s = status, retry_after_s
            future.set_result(recorder.ending(is_accepted=status == 200))

    def _receipt(self, name: str, message: Message, mood: str) -> Receipt:
        return Receipt(
            at=self._time.now,
            life=self._sender.id,
            peer=self._sender.name,
            channel=name,
            delivery_id=message.delivery_id,
            kind=message.kind,
            service=message.service,
            incident=message.incident,
            attempt=message.attempt,
            is_marked=message.is_repeat,
            mood=mood,
        )
