"""What each line of a fault plan does: whom it strikes, whether it can happen, and the end of all faults.

The kinds themselves are methods of the parts that Acts is made of; their names are those of the plan.
"""

from __future__ import annotations

from collections.abc import Callable

from simulation.faults import Fault
from simulation.host_acts import HostActs
from simulation.outside_acts import OutsideActs
from simulation.process import Host
from simulation.stage import pairs
from simulation.wire_acts import WireActs


class Acts(WireActs, HostActs, OutsideActs):
    """Applies faults. `heal` ends everything that lasts."""

    def do(self, fault: Fault) -> None:
        """Let it happen, if it can."""
        if self._is_healed:
            return
        stage = self._stage
        who = self._resolved(fault)
        stage.history.note(f"FAULT {fault.line()} -> {' '.join(who)}")
        act: Callable[[Fault, tuple[str, ...]], str] = getattr(self, fault.kind.replace("-", "_"))
        refusal = act(fault, who)
        if refusal:
            stage.history.note(f"does not happen: {refusal}")
            stage.history.refused_faults[fault.kind] += 1
        else:
            stage.history.faults[fault.kind] += 1

    def heal(self) -> None:
        """The end of all faults: whole network, good disks, right clocks, living peers, willing channels."""
        self._is_healed = True
        stage = self._stage
        for way in list(self._cuts):
            self._cuts[way] = 0
            stage.network.mend(*way)
            stage.network.slow(*way, 0.0)
        for one, other in pairs(stage.peers):
            stage.network.slow(one, other, 0.0)
        for host in stage.hosts.values():
            host.slow_s, host.reference_holds = 0.0, True
            host.disk.full = host.disk.sync_error = False
            self._right_clock(host)
            if host.life is not None and host.life.is_paused:
                self._resume(host)
            if host.life is not None and host.life.is_blocked:
                self._unblock(host.life)
            self._right_config(host)
            stage.start(host)
        for channel in stage.channels.values():
            channel.mood, channel.moody_for = "accepts", ()
        for service in stage.targets.names:
            for peer in stage.peers:
                stage.targets.mislead(peer, service, "")

    def _right_config(self, host: Host) -> None:
        newest = max(one.version for one in self._stage.hosts.values())
        if host.version != newest:
            host.version = newest
            if host.life is not None:
                host.life.reload()

    # ---- whom

    def _resolved(self, fault: Fault) -> tuple[str, ...]:
        chosen: list[str] = []
        for word in fault.who:
            name = self._role(word, chosen)
            chosen.append(name)
        return tuple(chosen)

    def _role(self, word: str, chosen: list[str]) -> str:
        stage = self._stage
        if word not in ("alerter", "leader", "follower", "sender"):
            return word
        if word == "follower":
            others = [name for name in stage.peers if name != stage.leader() and name not in chosen]
            return self._random.choice(others)
        name = {"alerter": stage.alerter, "leader": stage.leader, "sender": stage.sender}[word]()
        return name or self._random.choice(stage.peers)
