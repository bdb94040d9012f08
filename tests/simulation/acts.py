"""What each line of a fault plan does to the world, and what undoes it; one method per kind of fault.

A fault that would break what the product promises on (too many peers without memory), or that makes no
sense just now (to pause a dead process), does not happen and is counted as such. Overlapping cuts of one
way are counted, so that the end of one does not end the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, Protocol

from simulation import scene
from simulation.channels import SimChannel
from simulation.faults import Fault
from simulation.history import History
from simulation.loop import Timeline
from simulation.network import Network, Way
from simulation.process import Host, Life
from simulation.targets import Targets

GIVEN_UP_S: Final = 2.2
"""A paused peer's links are given up by the others after so long."""
REBOOTS: Final = 0.3
"""So often a crash is one of the whole machine, and its boot clock begins anew."""
MOOD_OF: Final = {
    "refuse": "refuses",
    "forbid": "forbids",
    "hang": "hangs",
    "swallow": "swallows",
    "lose-answer": "loses answers",
    "rate-limit": "limits",
    "no-way-out": "is away",
}


class Stage(Protocol):
    """The world as the faults change it."""

    time: Timeline
    network: Network
    channels: dict[str, SimChannel]
    targets: Targets
    history: History
    hosts: dict[str, Host]
    peers: tuple[str, ...]

    def start(self, host: Host) -> None:
        """Start a process there, if none runs."""

    def alerter(self) -> str:
        """The peer in office, else whoever the ledger names."""

    def leader(self) -> str:
        """The Raft leader of the newest term, if any."""

    def sender(self) -> str:
        """Whoever is sending something just now."""


class Acts:
    """Applies faults. `heal` ends everything that lasts."""

    def __init__(self, stage: Stage, random: Random) -> None:
        self._stage = stage
        self._random = random
        self._cuts: Counter[Way] = Counter()
        self._is_healed = False

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
        for one, other in _pairs(stage.peers):
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

    def _host(self, who: tuple[str, ...]) -> Host:
        return self._stage.hosts[who[0]]

    def _later(self, fault: Fault, undo: Callable[..., None], *arguments: object) -> None:
        def end() -> None:
            if not self._is_healed:
                self._stage.history.note(f"ends: {fault.line()}")
                undo(*arguments)

        self._stage.time.after(fault.for_s, end)

    # ---- the network

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
        return self._cut(fault, [way for way in _pairs(self._stage.peers) if who[0] in way])

    def split(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Some on one side, the rest on the other."""
        return self._cut(
            fault, [way for way in _pairs(self._stage.peers) if (way[0] in who) != (way[1] in who)]
        )

    def deaf(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One peer hears nobody."""
        return self._cut(fault, [way for way in _pairs(self._stage.peers) if way[1] == who[0]])

    def mute(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Nobody hears one peer."""
        return self._cut(fault, [way for way in _pairs(self._stage.peers) if way[0] == who[0]])

    def ring(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Each peer reaches its neighbours in a ring only; of three, two lose sight of one another."""
        names = self._stage.peers
        near = {(names[i], names[(i + 1) % len(names)]) for i in range(len(names))}
        if len(names) == 3:
            near.discard((names[0], names[2]))
            near.discard((names[2], names[0]))
        return self._cut(
            fault, [way for way in _pairs(names) if way not in near and (way[1], way[0]) not in near]
        )

    def leader_only(self, fault: Fault, who: tuple[str, ...]) -> str:
        """One follower loses sight of the leader and of nobody else."""
        if who[0] == who[1]:
            return "there is no leader"
        return self._cut(fault, [(who[0], who[1]), (who[1], who[0])])

    # ---- processes

    def crash(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A host loses power: what was not synced may be torn or lost."""
        host = self._host(who)
        if host.life is None:
            return "it is dead already"
        self._kill(host, "crashes")
        self._later(fault, self._stage.start, host)
        return ""

    def _kill(self, host: Host, how: str, *, loses_power: bool = True) -> None:
        if host.life is not None:
            if host.life.is_paused:
                host.life.resume()
            host.life.crash(how)
        if loses_power:
            host.disk.crash(self._random)
            if self._random.random() < REBOOTS:
                host.clock.reboot()

    def crash_in_write(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A host loses power in the middle of the n-th operation of its disk from now."""
        host = self._host(who)
        if host.life is None:
            return "it is dead already"
        host.disk.fail_at(int(fault.much), self._random.choice(("before", "during", "after")))
        self._stage.time.after(10.0, host.disk.fail_at, 0)
        return ""

    def power_cut(self, fault: Fault, who: tuple[str, ...]) -> str:
        """All hosts lose power at once."""
        for host in self._stage.hosts.values():
            if host.life is not None:
                self._kill(host, "loses power")
                pause_s = fault.for_s + self._random.uniform(0.0, 3.0)
                self._stage.time.after(pause_s, self._stage.start, host)
        return ""

    def majority_lost(self, fault: Fault, who: tuple[str, ...]) -> str:
        """All hosts but one lose power, and come back one after another."""
        for host in self._stage.hosts.values():
            if host.life is not None and host.name != who[0]:
                self._kill(host, "loses power")
                pause_s = fault.for_s + self._random.uniform(0.0, 5.0)
                self._stage.time.after(pause_s, self._stage.start, host)
        return ""

    def pause(self, fault: Fault, who: tuple[str, ...]) -> str:
        """As SIGSTOP and, later, SIGCONT."""
        host = self._host(who)
        if host.life is None or host.life.is_paused:
            return "it does not run"
        life = host.life
        life.pause()
        self._stage.history.begin("paused", host.name)

        def given_up() -> None:
            if host.life is life and life.is_paused:
                self._stage.network.not_answering(host.name)

        self._stage.time.after(GIVEN_UP_S, given_up)
        self._later(fault, self._resume, host)
        return ""

    def app_blocked(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The application's loop is busy with something; Raft goes on."""
        life = self._host(who).life
        if life is None or life.is_paused or life.is_blocked:
            return "it does not run"
        life.block()
        self._stage.history.begin("paused", life.name)
        self._later(fault, self._unblock, life)
        return ""

    def _unblock(self, life: Life) -> None:
        self._stage.history.end("paused", life.name)
        life.unblock()

    def _resume(self, host: Host) -> None:
        self._stage.history.end("paused", host.name)
        if host.life is not None and host.life.is_paused:
            host.life.resume()

    def restart(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A planned stop, and a start."""
        host = self._host(who)
        if host.life is None or host.life.is_paused or host.life.is_leaving:
            return "it does not run"
        host.life.stop()
        return ""

    def drain(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A peer steps aside for a while."""
        host = self._host(who)
        if host.life is None or host.life.is_paused or host.life.is_leaving:
            return "it does not run"
        host.life.drain(fault.for_s)
        return ""

    def transfer(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Raft's leadership is handed on."""
        life = self._host(who).life
        if life is None or life.is_paused or not life.raft.is_started:
            return "it does not run"
        life.transfer()
        return ""

    def rolling_restart(self, fault: Fault, who: tuple[str, ...]) -> str:
        """All peers, one after another."""
        for place, name in enumerate(self._stage.peers):
            self._stage.time.after(place * fault.much, self._restart_one, fault, name)
        return ""

    def _restart_one(self, fault: Fault, name: str) -> None:
        if not self._is_healed:
            self.restart(fault, (name,))

    def config(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The other configuration, host by host."""
        newest = max(host.version for host in self._stage.hosts.values())
        if newest == scene.VERSIONS[-1]:
            return "it is rolled out already"
        for place, name in enumerate(self._stage.peers):
            self._stage.time.after(place * fault.much, self._configure, self._stage.hosts[name])
        return ""

    def _configure(self, host: Host) -> None:
        host.version = scene.VERSIONS[-1]
        if host.life is not None and not host.life.is_leaving:
            host.life.reload()

    # ---- disks and clocks

    def slow_disk(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Every sync takes long."""
        host = self._host(who)
        host.slow_s = fault.much
        self._stage.history.begin("slow disk", host.name)
        self._later(fault, self._quick, host)
        return ""

    def _quick(self, host: Host) -> None:
        host.slow_s = 0.0
        self._stage.history.end("slow disk", host.name)

    def sync_error(self, fault: Fault, who: tuple[str, ...]) -> str:
        """No sync succeeds, and what was to be synced is lost for the disk."""
        host = self._host(who)
        host.disk.sync_error = True
        self._stage.history.begin("full disk", host.name)
        self._later(fault, self._empty, host)
        return ""

    def full_disk(self, fault: Fault, who: tuple[str, ...]) -> str:
        """Nothing can be written."""
        host = self._host(who)
        host.disk.full = True
        self._stage.history.begin("full disk", host.name)
        self._later(fault, self._empty, host)
        return ""

    def _empty(self, host: Host) -> None:
        host.disk.full = host.disk.sync_error = False
        self._stage.history.end("full disk", host.name)

    def wipe(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The process dies and its folder is gone."""
        host = self._host(who)
        if refusal := self._would_forget(host):
            return refusal
        self._kill(host, "loses its disk")
        host.disk.wipe()
        host.is_without_memory = True
        self._later(fault, self._stage.start, host)
        return ""

    def damage(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The process is killed, and when it starts again one bit of one of its files is another.

        No power cut at the same time: what a crash may have torn, nobody can tell from what has rotted.
        """
        host = self._host(who)
        if refusal := self._would_forget(host):
            return refusal
        self._kill(host, "dies beside a bad disk", loses_power=False)
        names = [name for name in host.disk.names() if host.disk.content(name)]
        if names:
            name = self._random.choice(names)
            host.disk.flip(
                name, self._random.randrange(len(host.disk.content(name))), self._random.randrange(8)
            )
        host.is_without_memory = True
        self._later(fault, self._stage.start, host)
        return ""

    def _would_forget(self, host: Host) -> str:
        forgetful = sum(one.is_without_memory for one in self._stage.hosts.values() if one is not host)
        most = (len(self._stage.peers) - 1) // 2
        return "too many peers would be without memory" if forgetful >= most else ""

    def compact(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The log is compacted now."""
        life = self._host(who).life
        if life is None or life.is_paused or not life.raft.is_started:
            return "it does not run"
        life.raft.compact()
        return ""

    def clock_step(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The wall clock jumps, and is set right later."""
        host = self._host(who)
        host.clock.step(fault.much)
        self._stage.history.begin("clock", host.name)
        self._later(fault, self._right_clock, host)
        return ""

    def _right_clock(self, host: Host) -> None:
        if abs(host.clock.set_right()) > 1.0:
            self._stage.history.clock_set_at = self._stage.time.now
        self._stage.history.end("clock", host.name)

    def drift(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The clocks run at another rate."""
        self._host(who).clock.drift(1.0 + fault.much)
        return ""

    # ---- channels

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
        become(who[0], "slow")
        time.after(fault.for_s * 0.35, become, who[0], "refuses")
        time.after(fault.for_s * 0.7, become, who[0], "slow")
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


def _pairs(names: tuple[str, ...]) -> list[Way]:
    return [(one, other) for one in names for other in names if one != other]
