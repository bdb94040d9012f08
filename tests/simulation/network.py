"""The wires between the simulated hosts: one WebSocket-like link per pair, and whatever befalls links.

A link is a pair of ordered streams. What is on its way is late, or held while a direction is cut, and is
delivered in order when the cut ends soon; else each end finds out by itself that the link is dead, what was
on its way is lost, and the higher name dials again. Bytes are never lost within a living link, as in TCP.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final, Protocol

from simulation.loop import Timeline

SILENCE_S: Final = (1.3, 2.3)
"""An end that hears nothing gives the link up after about two seconds (links.py asks after 1.3 s)."""
REDIAL_S: Final = 0.5
DIAL_S: Final = 2.0

Way = tuple[str, str]
"""From whom, to whom."""


class Port(Protocol):
    """One running process as the network sees it."""

    @property
    def answers(self) -> bool:
        """False while the process is paused: its kernel takes bytes, and nobody answers a caller."""
        ...

    def opened(self, peer: str) -> None:
        """A link to `peer` is up."""

    def closed(self, peer: str) -> None:
        """The link to `peer` is gone."""

    def arrived(self, peer: str, frame: bytes) -> None:
        """`peer` sent `frame`."""


class _Stream:
    """One direction of a link: frames on their way, in order. A frame None: the sender has closed."""

    __slots__ = ("busy", "cut_since", "frames", "last_due", "number", "slow_s")

    def __init__(self) -> None:
        self.frames: deque[tuple[float, int, bytes | None]] = deque()
        self.last_due = 0.0
        self.slow_s = 0.0
        self.cut_since: float | None = None
        self.number = 0
        self.busy = False


class Network:
    """All links. `ports` holds the living processes."""

    def __init__(self, time: Timeline, random: Random, names: tuple[str, ...]) -> None:
        self._time = time
        self._random = random
        self.ports: dict[str, Port] = {}
        self._streams: dict[Way, _Stream] = {(a, b): _Stream() for a in names for b in names if a != b}
        self._open: dict[Way, int] = dict.fromkeys(self._streams, 0)
        """By (end, other end): the generation of the link that this end believes in, 0 for none."""
        self._generation = 0
        self._dialling: set[Way] = set()
        self.delivered = 0
        self.lost = 0
        self.in_flight_max = 0

    # ---- processes

    def attach(self, name: str, port: Port) -> None:
        """A process begins to listen and to dial."""
        self.ports[name] = port
        for one, other in self._streams:
            if one == name:
                self._dial_soon(one, other, 0.01)

    def detach(self, name: str) -> None:
        """The process is gone; its kernel tells the others, as far as they can be reached."""
        del self.ports[name]
        for one, other in self._streams:
            if one == name and self._open[one, other]:
                self._close(one, other)

    # ---- bytes

    def is_open(self, me: str, peer: str) -> bool:
        """Whether `me` believes in a link to `peer`."""
        return self._open[me, peer] != 0

    def send(self, me: str, peer: str, frame: bytes, at: float) -> bool:
        """Put a frame on its way at `at`; False when there is no link."""
        generation = self._open[me, peer]
        if not generation:
            return False
        self._put(me, peer, generation, frame, at)
        return True

    def _put(self, me: str, peer: str, generation: int, frame: bytes | None, at: float) -> None:
        stream = self._streams[me, peer]
        due = max(stream.last_due, at + stream.slow_s + self._random.uniform(0.0005, 0.003))
        stream.last_due = due
        stream.frames.append((due, generation, frame))
        self.in_flight_max = max(self.in_flight_max, len(stream.frames))
        if not stream.busy and stream.cut_since is None:
            stream.busy = True
            self._time.at(due, self._deliver, me, peer)

    def _deliver(self, me: str, peer: str) -> None:
        stream = self._streams[me, peer]
        stream.busy = False
        if stream.cut_since is not None:
            return
        while stream.frames and stream.frames[0][0] <= self._time.now:
            _, generation, frame = stream.frames.popleft()
            self._arrive(me, peer, generation, frame)
        if stream.frames:
            stream.busy = True
            self._time.at(stream.frames[0][0], self._deliver, me, peer)

    def _arrive(self, me: str, peer: str, generation: int, frame: bytes | None) -> None:
        port = self.ports.get(peer)
        if port is None or self._open[peer, me] != generation:
            self.lost += frame is not None
        elif frame is None:
            self._close(peer, me)
        else:
            self.delivered += 1
            port.arrived(me, frame)

    # ---- faults

    def cut(self, me: str, peer: str) -> None:
        """Nothing gets from `me` to `peer` from now on; what is on its way is held."""
        stream = self._streams[me, peer]
        if stream.cut_since is None:
            stream.cut_since = self._time.now
            stream.number += 1
            self._time.after(self._random.uniform(*SILENCE_S), self._give_up, me, peer, stream.number)

    def mend(self, me: str, peer: str) -> None:
        """The way is open again: what was held arrives now, if its link still lives."""
        stream = self._streams[me, peer]
        if stream.cut_since is None:
            return
        stream.cut_since = None
        if stream.frames and not stream.busy:
            stream.busy = True
            due = max(stream.frames[0][0], self._time.now + self._random.uniform(0.0, 0.2))
            stream.last_due = max(stream.last_due, due)
            self._time.at(due, self._deliver, me, peer)

    def slow(self, me: str, peer: str, by_s: float) -> None:
        """Everything sent from now on takes `by_s` longer."""
        self._streams[me, peer].slow_s = by_s

    def delay(self, me: str, peer: str) -> float:
        """By how much everything is late just now."""
        return self._streams[me, peer].slow_s

    def reset(self, me: str, peer: str) -> None:
        """The link breaks at once: some of what was on its way still arrives, the rest is lost."""
        for one, other in ((me, peer), (peer, me)):
            frames = self._streams[one, other].frames
            kept = self._random.randint(0, len(frames))
            self.lost += len(frames) - kept
            while len(frames) > kept:
                frames.pop()
            self._time.after(self._random.uniform(0.0, 0.3), self._end, one, other, self._open[one, other])

    def is_cut(self, me: str, peer: str) -> bool:
        """Whether nothing gets from `me` to `peer`."""
        return self._streams[me, peer].cut_since is not None

    @property
    def cuts(self) -> list[Way]:
        """All ways that are cut."""
        return [way for way, stream in self._streams.items() if stream.cut_since is not None]

    # ---- the ends of links

    def _give_up(self, me: str, peer: str, number: int) -> None:
        """`peer` has heard nothing of `me` for too long. A paused process finds out when it goes on."""
        stream = self._streams[me, peer]
        if stream.cut_since is not None and stream.number == number and self._open[peer, me]:
            self._close(peer, me)

    def not_answering(self, name: str) -> None:
        """`name` has been paused for so long that the others give their links to it up."""
        for other in self.ports:
            if other != name and self._open[other, name]:
                self._close(other, name)

    def _end(self, me: str, peer: str, generation: int) -> None:
        if generation and self._open[me, peer] == generation:
            self._close(me, peer)

    def _close(self, me: str, peer: str) -> None:
        """`me` closes its end, and says so behind what it has sent."""
        generation, self._open[me, peer] = self._open[me, peer], 0
        self._put(me, peer, generation, None, self._time.now)
        port = self.ports.get(me)
        if port is not None:
            port.closed(peer)
            self._dial_soon(me, peer, REDIAL_S)

    def _dial_soon(self, one: str, other: str, in_s: float) -> None:
        """The higher name dials the lower, again and again until a link is up."""
        dialler, dialled = max(one, other), min(one, other)
        if (dialler, dialled) not in self._dialling:
            self._dialling.add((dialler, dialled))
            pause_s = in_s * self._random.uniform(0.8, 1.2)
            self._time.after(pause_s, self._dial, dialler, dialled)

    def _dial(self, dialler: str, dialled: str) -> None:
        self._dialling.discard((dialler, dialled))
        caller, callee = self.ports.get(dialler), self.ports.get(dialled)
        if caller is None or self._open[dialler, dialled]:
            return
        if self.is_cut(dialler, dialled) or self.is_cut(dialled, dialler):
            self._dial_soon(dialler, dialled, DIAL_S)
        elif callee is None or not callee.answers or not caller.answers:
            self._dial_soon(dialler, dialled, REDIAL_S)
        else:
            self._connect(dialler, dialled)

    def _connect(self, dialler: str, dialled: str) -> None:
        """The called end is up a moment before the caller's; a newer link ends an older one."""
        if self._open[dialled, dialler]:
            self._open[dialled, dialler] = 0
            self.ports[dialled].closed(dialler)
        self._generation += 1
        self._open[dialled, dialler] = self._generation
        back = self._streams[dialled, dialler]
        up_at = max(back.last_due, self._time.now + 0.005 + back.slow_s)
        back.last_due = up_at
        self._time.at(up_at, self._answered, dialler, dialled, self._generation)
        self.ports[dialled].opened(dialler)

    def _answered(self, dialler: str, dialled: str, generation: int) -> None:
        port = self.ports.get(dialler)
        if port is None or self._open[dialled, dialler] != generation:
            self._end(dialled, dialler, generation)
            return
        self._open[dialler, dialled] = generation
        port.opened(dialled)
