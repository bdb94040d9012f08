"""Faults of the wires: what is cut, broken or late between the peers.

Overlapping cuts of one way are counted, so that the end of one does not end the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from simulation.faults import Fault
from simulation.network import Way
from simulation.stage import StageHand, pairs


class WireActs(StageHand):
    """One method for each kind of fault; "" or why it does not happen."""

    def _cut(self, fault: Fault, ways: Iterable[Way]) -> str:
        chosen = list(ways)
        for way in chosen:
            self._cuts[way] += 1
            self._stage.network.cut(*way)
        for name in self._stage.peers:
            if any(name in way for way in chosen):
                self._stage.history.begin(f"{fault.kind}@{fault.at}", name)
        self._later(fault, self._mend, chosen, fault)
        return ""

    def _mend(self, ways: list[Way], fault: Fault) -> None:
        for way in ways:
            self._cuts[way] -= 1
            if not self._cuts[way]:
                self._stage.network.mend(*way)
        for name in self._stage.peers:
            self._stage.history.end(f"{fault.kind}@{fault.at}", name)

    def reset(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A link breaks."""
        self._stage.network.reset(who[0], who[1])
        return ""

    def lossy(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A link breaks again and again."""
        until = self._stage.time.now + fault.for_s

        def once() -> None:
            if self._stage.time.now < until and not self._is_healed:
                self._stage.network.reset(who[0], who[1])
                self._stage.time.after(self._random.uniform(0.2, 1.5), once)

        once()
        return ""

    def one_way(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Nothing gets from one to the other."""
        return self._cut(fault, [(who[0], who[1])])

    def delay(self, fault: Fault, who: tuple[str, ...]) -> str:
        """What one sends to the other is late."""
        self._stage.network.slow(who[0], who[1], fault.much)
        self._later(fault, self._stage.network.slow, who[0], who[1], 0.0)
        return ""

    def isolate(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One peer is cut off from all others."""
        return self._cut(fault, [way for way in pairs(self._stage.peers) if who[0] in way])

    def split(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Some on one side, the rest on the other."""
        return self._cut(
            fault, [way for way in pairs(self._stage.peers) if (way[0] in who) != (way[1] in who)]
        )

    def deaf(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One peer hears nobody."""
        return self._cut(fault, [way for way in pairs(self._stage.peers) if way[1] == who[0]])

    def mute(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Nobody hears one peer."""
        return self._cut(fault, [way for way in pairs(self._stage.peers) if way[0] == who[0]])

    def ring(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Each peer reaches its neighbours in a ring only; of three, two lose sight of one another."""
        names = self._stage.peers
        near = {(names[i], names[(i + 1) % len(names)]) for i in range(len(names))}
        if len(names) == 3:
            near.discard((names[0], names[2]))
            near.discard((names[2], names[0]))
        return self._cut(
            fault, [way for way in pairs(names) if way not in near and (way[1], way[0]) not in near]
        )

    def leader_only(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One follower loses sight of the leader and of nobody else."""
        if who[0] == who[1]:
            return "there is no leader"
        return self._cut(fault, [(who[0], who[1]), (who[1], who[0])])
