"""One life of one peer: the real Peer with the real shells, on a simulated loop, disk, network and channels.

Wired as app.build wires it, with these stand-ins: SimRaft for the thread, SimCarrier for what leaves,
Targets for what is probed, a reference that says what the world says, and no web. A crash drops all of it;
`stop` asks the peer to leave in an orderly way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Protocol

from simulation import scene
from simulation.channels import Receipt, SimCarrier, SimChannel
from simulation.clocks import HostClock
from simulation.faults import Plan
from simulation.history import Ack, History, Let, LifeSpan, Office, Proposal
from simulation.loop import PeerLoop, Timeline
from simulation.network import Network
from simulation.raft import RaftTime, SimRaft
from simulation.stand_ins import NoWeb, SimReference, WatchedLease
from simulation.targets import Targets
from support.sim_disk import SimCrash, SimDisk

from watchtower.cluster.engine import Engine
from watchtower.cluster.frames import Message as RaftMessage
from watchtower.cluster.raft import Cluster
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage
from watchtower.core.commands import Answer, Command
from watchtower.core.model import Result, State
from watchtower.core.settings import Service, Settings
from watchtower.delivery.courier import Courier
from watchtower.delivery.message import Message
from watchtower.history.off import NoHistory
from watchtower.peer import Parts, Peer
from watchtower.probes.pace.scheduler import Scheduler
from watchtower.probes.weighing.vantage import Vantage


class Host:
    """A machine: what outlives the processes on it. `slow_s`: what a sync costs there just now."""

    def __init__(self, name: str, clock: HostClock, disk: SimDisk) -> None:
        self.name = name
        self.clock = clock
        self.disk = disk
        self.version = scene.VERSIONS[0]
        self.life: Life | None = None
        self.births = 0
        self.slow_s = 0.0
        self.index = 0
        """How much of an ideal log this host holds."""
        self.is_without_memory = False
        self.reference_holds = True
        disk.on_sync = self._synced

    @property
    def is_forgetful(self) -> bool:
        """True while what this host once acknowledged may be gone, or while its peer waits to be refilled."""
        return self.is_without_memory or bool(self.life and self.life.raft.status.quarantine)

    def _synced(self) -> None:
        if self.slow_s and self.life is not None:
            self.life.raft.clock.pass_time(self.slow_s)


class Surroundings(Protocol):
    """What a life sees of the world around it."""

    time: Timeline
    network: Network
    channels: dict[str, SimChannel]
    targets: Targets
    history: History
    peers: tuple[str, ...]
    plan: Plan
    seed: int

    def ended(self, life: Life) -> None:
        """A process has ended by itself or on request."""

    def make_raft(self, life: Life) -> SimRaft:
        """The Raft of a new process."""


class Life:
    """A process. `id` is the peer's name and the number of the birth."""

    def __init__(self, host: Host, world: Surroundings) -> None:
        host.births += 1
        host.life = self
        self.host = host
        self.name = host.name
        self.id = f"{host.name}{host.births}"
        self.is_dead = self.is_paused = self.is_blocked = self.is_leaving = False
        self._world = world
        self._ids = 0
        self._office: Office | None = None
        self._has_quorum = False
        self.loop = PeerLoop(host.clock)  # type: ignore[abstract] # whatever has to do with sockets is left out
        self.span = LifeSpan(id=self.id, peer=self.name, born=world.time.now)
        world.history.lives[self.id] = self.span
        self._build(self._settings())
        world.time.loops.append(self.loop)
        self.note("starts")
        self.main = self.loop.create_task(self.peer.run(), name=self.id)
        self.main.add_done_callback(self._ended)

    def _settings(self) -> Settings:
        world = self._world
        return scene.settings(self.name, world.peers, self.host.version, world.plan.shape)

    def _build(self, settings: Settings) -> None:
        world, clock = self._world, self.host.clock
        random = Random(f"life {world.seed} {self.id}")  # noqa: S311 - a life is repeated by its seed
        self.peer = Peer(settings, clock)
        self.replica = Replica(apply=world.history.applier(self.id))
        self.raft = world.make_raft(self)
        self.cluster = Cluster(
            settings,
            self.id,
            self.raft,
            self.replica,
            on_applied=self.peer.on_applied,
            on_fatal=self.peer.on_fatal,
        )
        vantage = Vantage(settings, clock.now())
        self.lease = WatchedLease(self.name, settings, self._office_moved)
        self.lease.leads = lambda: self.raft.status.role == "leader"
        self.courier = Courier(
            settings,
            me=self.name,
            clock=clock,
            submit=self._submit,
            new_id=self._new_id,
            carrier=SimCarrier(self, world.time, random, world.channels),
            has_lost_office=self.lease.has_run_out,
        )
        self.peer.attach(
            Parts(
                clock=clock,
                boot_id=self.id,
                new_id=self._new_id,
                load=self._settings,
                cluster=self.cluster,
                lease=self.lease,
                vantage=vantage,
                scheduler=Scheduler(
                    settings,
                    self._probe,
                    clock,
                    self.peer.on_result,
                    on_unanswered=self.peer.on_unanswered,
                ),
                reference=SimReference(clock, lambda: self.host.reference_holds, vantage.note_reference),
                history=NoHistory(),
                courier=self.courier,
                web=NoWeb(),
            )
        )

    def engine(self, clock: RaftTime, send: Callable[[str, RaftMessage], bool]) -> Engine:
        """The real engine on what this host's disk holds."""
        settings = self._settings()
        storage = Storage(
            self.host.disk, cluster=scene.CLUSTER, peer=self.name, alone=False, new_id=self._new_disk_id
        )
        for finding in storage.findings:
            self.note(f"finds: {finding}")
        return Engine(settings, storage, self.replica, clock, send)

    # ---- what the shells ask

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.id}-{self._ids}"

    def _new_disk_id(self) -> str:
        """A later disk of a peer sorts after an earlier one."""
        return f"{round(self._world.time.now * 1000):012x}-{self._new_id()}"

    async def _probe(self, service: Service, deadline_boot: float) -> Result:
        return await self._world.targets.look(self.name, self.host.clock, service, deadline_boot)

    async def _submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        return await self.cluster.submit(command, timeout_s=timeout_s)

    # ---- what is told to the history

    def note(self, what: str) -> None:
        """A line for the trace."""
        self._world.history.note(f"{self.id} {what}")

    def proposed(self, text: str) -> None:
        """An entry goes to Raft."""
        now, boot = self._world.time.now, self.host.clock.boot()
        self._world.history.proposals.append(Proposal(at=now, boot=boot, life=self.id, text=text))

    def acked(self, text: str, answer: Answer) -> None:
        """A proposal was answered."""
        self._world.history.acks.append(Ack(at=self._world.time.now, life=self.id, text=text))

    def received(self, receipt: Receipt) -> None:
        """A message of ours was accepted by a channel."""
        self._world.history.receipts.append(receipt)
        marked = " marked" if receipt.is_marked else ""
        self.note(
            f"tells {receipt.channel}: {receipt.kind} {receipt.service} #{receipt.incident} "
            f"{receipt.delivery_id}{marked} ({receipt.mood})"
        )

    def _is_after_office(self) -> bool:
        """It was in office, that is over, and nothing that it knows says that it gave the office up."""
        offices = [one for one in self._world.history.offices if one.life == self.id]
        lease = self.state.lease
        keeps_it = lease.holder == self.name and not lease.released
        return bool(offices) and keeps_it and offices[-1].until < self._world.time.now

    def let_go(self, channel: str, message: Message) -> None:
        """The first byte of a message leaves."""
        let = Let(
            at=self._world.time.now,
            boot=self.host.clock.boot(),
            life=self.id,
            peer=self.name,
            channel=channel,
            delivery_id=message.delivery_id,
            is_after_office=self._is_after_office(),
        )
        self._world.history.lets.append(let)

    def asked(self, delivery_id: str, wait_s: float) -> None:
        """A channel asked to wait."""
        self._world.history.asked.append((self._world.time.now, self.id, delivery_id, wait_s))

    @property
    def is_troubled(self) -> bool:
        """True until the healing."""
        return not self._world.history.healed_at

    def unsearched(self, delivery_id: str) -> None:
        """A channel did not answer a search."""
        self._world.history.unsearched.add((self.id, delivery_id))

    def quorum(self, *, has_quorum: bool) -> None:
        """Whether this peer sees a leader and a majority."""
        if has_quorum == self._has_quorum:
            return
        self._has_quorum = has_quorum
        self.note(f"quorum {has_quorum} leader {self.raft.status.leader} term {self.raft.status.term}")
        if has_quorum:
            self._world.history.end("no quorum", self.name)
        else:
            self._world.history.begin("no quorum", self.name)

    def _office_moved(self, valid_until_boot: float) -> None:
        if self.is_dead:
            return
        now, office = self._world.time.now, self._office
        until = self.host.clock.true_of(valid_until_boot) if valid_until_boot else 0.0
        if office is not None and office.until >= now:
            office.until = max(until, now) if until else now
            if until <= now:
                self._office = None
        elif until > now:
            self._office = Office(life=self.id, peer=self.name, since=now, until=until)
            self._world.history.offices.append(self._office)
            self.note(f"in office, epoch {self.lease.epoch}")

    # ---- what befalls it

    @property
    def state(self) -> State:
        """The state it has applied."""
        return self.replica.state

    @property
    def has_power(self) -> bool:
        """False when its disk says that the machine is off."""
        return not self.host.disk._is_off

    def is_alerter(self) -> bool:
        """In office by its own clock."""
        return not self.is_dead and self.lease.in_office(self.host.clock.now())

    def stop(self) -> None:
        """Ask it to leave in an orderly way."""
        self.is_leaving = True
        self.note("is asked to stop")
        self.loop.call_soon(self.peer.stop)

    def reload(self) -> None:
        """Its file has changed and it is told so."""

        async def read() -> None:
            reason = await self.peer.reload()
            if reason:
                self._world.history.problem(f"{self.id} refused to reload: {reason}")

        self.loop.call_soon(lambda: self.loop.create_task(read()))

    def propose(self, command: Command) -> None:
        """As an operator's command line would, through this peer."""
        self.loop.call_soon(lambda: self.loop.create_task(self.cluster.submit(command)))

    def drain(self, for_s: float) -> None:
        """Ask it to step aside."""
        self.loop.call_soon(lambda: self.loop.create_task(self.peer.drain(for_s)))

    def transfer(self) -> None:
        """Ask it to hand Raft's leadership on."""
        self.loop.call_soon(lambda: self.loop.create_task(self.cluster.transfer()))

    def pause(self) -> None:
        """As SIGSTOP."""
        self.is_paused = self.loop.is_paused = True
        self.note("is paused")

    def block(self) -> None:
        """Its application is busy; its Raft is not."""
        self.is_blocked = self.loop.is_paused = True
        self.note("is busy")

    def unblock(self) -> None:
        """Its application has time again."""
        self.is_blocked, self.loop.is_paused = False, self.is_paused
        self.note("is busy no more")

    def resume(self) -> None:
        """As SIGCONT."""
        self.is_paused, self.loop.is_paused = False, self.is_blocked
        self.note("goes on")
        self.raft.call()

    def crash(self, how: str) -> None:
        """Everything in memory is gone."""
        if not self.is_dead:
            self._bury(how)

    def crashed_in_write(self) -> None:
        """The process was killed while it was writing."""
        if not self.is_dead:
            self._world.time.at(self._world.time.now, self._end_of_write)

    def _end_of_write(self) -> None:
        if not self.is_dead:
            self._bury("killed while writing")
            self._world.ended(self)

    def _ended(self, task: asyncio.Task[int]) -> None:
        if self.is_dead:
            return
        error = None if task.cancelled() else task.exception()
        if isinstance(error, SimCrash):
            self.crashed_in_write()
            return
        how = f"ends: {error}" if error else f"ends with {task.result()}"
        self._world.time.at(self._world.time.now, self._orderly_end, how)

    def _orderly_end(self, how: str) -> None:
        if not self.is_dead:
            self._bury(how)
            self._world.ended(self)

    def _bury(self, how: str) -> None:
        self.note(how)
        self.is_dead = True
        self.span.died, self.span.how = self._world.time.now, how
        if self._office is not None:
            self._office.until = min(self._office.until, self._world.time.now)
        self._world.history.begin("no quorum", self.name)
        self.raft.kill()
        self._world.time.loops.remove(self.loop)
        self.loop.bury()
        self.host.life = None
