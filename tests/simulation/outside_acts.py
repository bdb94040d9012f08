"""Faults outside the cluster: channels that do not take what they should, services that fail or seem to.

Nothing here touches a peer.
"""

from __future__ import annotations

from typing import Final

from simulation.channels import SimChannel
from simulation.faults import Fault
from simulation.process import Host
from simulation.stage import StageHand

MOOD_OF: Final = {
    "refuse": "refuses",
    "forbid": "forbids",
    "hang": "hangs",
    "swallow": "swallows",
    "lose-answer": "loses answers",
    "rate-limit": "limits",
    "no-way-out": "is away",
}


class OutsideActs(StageHand):
    """One method for each kind of fault; "" or why it does not happen."""

    def _mood(self, fault: Fault, who: tuple[str, ...]) -> str:
        channel = self._stage.channels[who[0]]
        channel.mood, channel.moody_for, channel.wait_s = MOOD_OF[fault.kind], who[1:], fault.much
        self._later(fault, self._willing, channel)
        return ""

    refuse = forbid = hang = swallow = lose_answer = rate_limit = no_way_out = _mood

    def _willing(self, channel: SimChannel) -> None:
        channel.mood, channel.moody_for = "accepts", ()

    # ---- what is watched

    def fail(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A service fails."""
        self._stage.targets.become(who[0], who[1])
        self._later(fault, self._stage.targets.become, who[0], "well")
        return ""

    def degrade(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A service is slow."""
        self._stage.targets.become(who[0], "slow")
        self._later(fault, self._stage.targets.become, who[0], "well")
        return ""

    def worsen(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A service is slow, fails, and gets better in the same steps."""
        become, time = self._stage.targets.become, self._stage.time

        def step(condition: str) -> None:
            if not self._is_healed:
                become(who[0], condition)

        step("slow")
        time.after(fault.for_s * 0.35, step, "refuses")
        time.after(fault.for_s * 0.7, step, "slow")
        self._later(fault, become, who[0], "well")
        return ""

    def flap(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A service comes and goes."""
        until = self._stage.time.now + fault.for_s

        def turn(condition: str) -> None:
            if self._stage.time.now >= until or self._is_healed:
                self._stage.targets.become(who[0], "well")
                return
            self._stage.targets.become(who[0], condition)
            other = "well" if condition == "refuses" else "refuses"
            self._stage.time.after(self._random.uniform(0.5, 1.5) * fault.much, turn, other)

        turn("refuses")
        return ""

    def sick(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One peer alone sees a service fail."""
        self._stage.targets.mislead(who[0], who[1], "refuses")
        self._later(fault, self._stage.targets.mislead, who[0], who[1], "")
        return ""

    def sick_all(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One peer sees everything fail; with `much` its reference fails as well."""
        host, targets = self._host(who), self._stage.targets
        host.reference_holds = not fault.much
        for service in targets.names:
            targets.mislead(host.name, service, "hangs")
        self._later(fault, self._well_again, host)
        return ""

    def _well_again(self, host: Host) -> None:
        host.reference_holds = True
        for service in self._stage.targets.names:
            self._stage.targets.mislead(host.name, service, "")

    def no_beat(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The heartbeat stops."""
        self._stage.targets.become("nightly", "refuses")
        self._later(fault, self._stage.targets.become, "nightly", "well")
        return ""
