"""Random schedules of three real Leases over the real ledger, on clocks of different rates.

The network delays, reorders, loses and doubles proposals; peers apply prefixes of the log at their own pace,
restart, and are now and then unfit for the office, so that they release it. Each has a length of its own, as
after a reload of one host. At no instant may two be in office.
"""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Final

from watchtower.cluster.lease import Lease
from watchtower.core import ledger
from watchtower.core.commands import Command, Entry, Found, Join
from watchtower.core.model import Instant, State
from watchtower.core.settings import Timing

PEERS: Final = ("a", "b", "c")
RATES: Final = (0.8, 1.0, 1.2)
DRIFT: Final = 0.2
"""How far the rates may be from true: what the leases are told."""
LENGTHS_S: Final = (2.0, 3.0, 4.5)


def at(boot: float) -> Instant:
    """An instant by its boot clock."""
    return Instant(wall=0.0, boot=boot)


class Contender:
    """A peer with a clock of its own rate, its own prefix of the log, and a Lease."""

    def __init__(self, name: str, rate: float, length_s: float, drift: float) -> None:
        self.name = name
        self.rate = rate
        self.drift = drift
        self.timing = Timing(lease_s=length_s, renew_every_s=0.75, margin_s=0.0, patience_s=1.0)
        self.boot(session=0)

    def boot(self, session: int) -> None:
        """Start a process: it forgets all but the log."""
        self.lease = Lease(self.name, self.timing, self.drift)
        self.session = session
        self.applied, self.state = 0, State()

    def apply(self, states: list[State], upto: int, real: float) -> None:
        """Apply a further part of the log."""
        self.applied, self.state = upto, states[upto]
        self.lease.observe(self.state, at(real * self.rate))

    def in_office(self, real: float) -> bool:
        """Whether it believes to be alerter at real time `real`."""
        return self.lease.in_office(at(real * self.rate))


class World:
    """Three contenders, one log, one bad network; `drift` is what the leases are told of the clocks."""

    def __init__(self, seed: int, drift: float = DRIFT) -> None:
        self.dice = Random(seed)  # noqa: S311 - a walk is repeated by its seed
        self.peers = {
            name: Contender(name, self.dice.choice(RATES), self.dice.choice(LENGTHS_S), drift)
            for name in PEERS
        }
        self.states: list[State] = [State()]
        self.flying: list[Entry] = []
        self.numbers = count(1)
        self.real = 100.0
        self.append(self.entry("a", Found(cluster="t", members=PEERS, at_wall=0.0)))
        for name in PEERS:
            self.restart(name)

    def entry(self, by: str, command: Command) -> Entry:
        """The command as this life of the peer proposes it."""
        session = self.peers[by].session
        return Entry(v=1, by=by, boot="x", seq=next(self.numbers), session=session, command=command)

    def append(self, entry: Entry) -> None:
        """The entry is in the log."""
        self.states.append(ledger.apply(self.states[-1], entry)[0])

    def restart(self, name: str) -> None:
        """A new life with a new session, which remembers nothing."""
        boot_id = f"boot{next(self.numbers)}"
        self.append(self.entry(name, Join(boot_id=boot_id, version="0", command_version=1, at_wall=0.0)))
        self.peers[name].boot(self.states[-1].row(name).session)

    def step(self, peer: Contender) -> None:
        """A peer applies some of the log and proposes what its lease says."""
        peer.apply(self.states, self.dice.randint(peer.applied, len(self.states) - 1), self.real)
        command = peer.lease.step(
            peer.state,
            peer.session if peer.state.row(peer.name).session == peer.session else 0,
            at(self.real * peer.rate),
            may_claim="unwell" if self.dice.random() < 0.05 else "",
            new_id=lambda: f"id{next(self.numbers)}",
        )
        if command is not None:
            self.flying.append(self.entry(peer.name, command))

    def deliver(self) -> None:
        """One proposal reaches the log, perhaps not for the last time; now and then one is lost."""
        if self.flying:
            entry = self.dice.choice(self.flying)
            if self.dice.random() < 0.9:
                self.append(entry)
            if self.dice.random() < 0.8:
                self.flying.remove(entry)

    def turn(self) -> int:
        """Let one thing happen; how many are in office then."""
        peer = self.peers[self.dice.choice(PEERS)]
        act = self.dice.random()
        if act < 0.35:
            self.real += self.dice.choice((0.05, 0.2, 0.7, 1.5))
        elif act < 0.65:
            self.step(peer)
        elif act < 0.86:
            self.deliver()
        elif act < 0.98:
            peer.apply(self.states, len(self.states) - 1, self.real)
        else:
            self.restart(peer.name)
        return sum(each.in_office(self.real) for each in self.peers.values())


def search(walks: int, *, first_seed: int = 0, turns: int = 400) -> tuple[int, str] | None:
    """The first seed in whose schedule two were in office at once; None when there is none."""
    for seed in range(first_seed, first_seed + walks):
        world = World(seed)
        if any(world.turn() > 1 for _ in range(turns)):
            return seed, "two holders of the lease"
    return None
