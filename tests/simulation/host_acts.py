"""Faults of the hosts: processes that die, pause or leave, disks that fail, clocks that are wrong.

A fault that would break what the product promises on (too many peers without memory), or that makes no
sense just now (to pause a dead process), does not happen, and says why.
"""

from __future__ import annotations

from typing import Final

from simulation import scene
from simulation.faults import Fault
from simulation.process import Host, Life
from simulation.stage import StageHand

from watchtower.core.commands import Resize

GIVEN_UP_S: Final = 2.2
"""A paused peer's links are given up by the others after so long."""
LATE_S: Final = 10.0
"""So long after the healing a proposal from before may still be applied."""
REBOOTS: Final = 0.3
"""So often a crash is one of the whole machine, and its boot clock begins anew."""


class HostActs(StageHand):
    """One method for each kind of fault; "" or why it does not happen."""

    def crash(self, fault: Fault, who: tuple[str, ...]) -> str:
        """A host loses power: what was not synced may be torn or lost."""
        host = self._host(who)
        if host.life is None:
            return "it is dead already"
        self._kill(host, "crashes")
        self._later(fault, self._stage.start, host)
        return ""

    def _kill(self, host: Host, how: str, *, loses_power: bool = True) -> None:
        host.is_without_memory = host.is_forgetful
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

    # ---- members

    def resize(self, fault: Fault, who: tuple[str, ...]) -> str:
        """The cluster does without a peer, and takes it back later; with `much` its disk is wiped between."""
        members = self._members()
        is_whole = len(members) == len(self._stage.peers)
        if not is_whole or any(one.is_forgetful for one in self._stage.hosts.values()):
            return "not all peers are members that remember"
        host = self._host(who)
        self._propose_members(tuple(name for name in members if name != host.name), not_by=host.name)
        if fault.much:
            self._stage.time.after(fault.for_s / 2, self._wipe_outsider, host)
        self._stage.time.after(fault.for_s, self._take_back, host)
        return ""

    def _members(self) -> tuple[str, ...]:
        return self._stage.history.members

    def _propose_members(self, members: tuple[str, ...], not_by: str) -> None:
        lives = [host.life for host in self._stage.hosts.values() if host.life is not None]
        able = [life for life in lives if life.name != not_by and life.name in life.state.members]
        if able:
            life = self._random.choice(able)
            gen, at_wall = life.state.members_gen, life.host.clock.now().wall
            life.propose(Resize(members=members, members_gen=gen, at_wall=at_wall))

    def _wipe_outsider(self, host: Host) -> None:
        """A peer that is no member promises nothing: its disk may go."""
        if not self._is_healed and host.name not in self._members():
            self._kill(host, "is set up anew")
            host.disk.wipe()
            host.is_without_memory = True
            self._stage.time.after(1.0, self._stage.start, host)

    def _take_back(self, host: Host) -> None:
        """Until the peer is a member again, and for a while after the healing: a removal may come late."""
        members = self._members()
        if members and host.name not in members:
            self._propose_members((*members, host.name), not_by=host.name)
        healed_at = self._stage.history.healed_at
        if not healed_at or self._stage.time.now < healed_at + LATE_S:
            self._stage.time.after(1.0, self._take_back, host)

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
        members, peers = self._members(), self._stage.peers
        if members and len(members) < len(peers):
            return "the cluster is being resized"
        forgetful = sum(one.is_forgetful for one in self._stage.hosts.values() if one is not host)
        return "too many peers would be without memory" if forgetful >= (len(peers) - 1) // 2 else ""

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
