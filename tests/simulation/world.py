"""The simulated world: hosts, wires, channels and services of one cluster, and the two minutes of one run.

World(plan).run() founds a cluster, lets the faults of the plan happen for a minute, heals everything, and
gives it a minute to come to rest; what happened stands in the History it returns. Equal plans give equal
traces. Nothing is judged here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Final

from simulation import scene
from simulation.acts import Acts
from simulation.channels import SimChannel
from simulation.clocks import HostClock
from simulation.faults import FAULTS_S, HEALING_S, Plan, names
from simulation.history import History, cell
from simulation.loop import Timeline
from simulation.network import Network
from simulation.process import Host, Life
from simulation.raft import Running, SimRaft
from simulation.targets import Targets
from support.sim_disk import SimCrash, SimDisk

from watchtower.cluster import exchange, library
from watchtower.cluster.frames import CHUNK_BYTES_MAX
from watchtower.core.applying import incidents
from watchtower.core.applying.incidents import Move
from watchtower.core.commands import BeatSeen
from watchtower.core.model import Level, Stage
from watchtower.probes.weighing.selfdoubt import STEP_REMEMBERED_S

RESTART_S: Final = 1.0
"""Whoever supervises a process starts it again after this."""
LOOK_S: Final = 1.0
PART_BYTES: Final = 700
BOOT_S: Final = 5_000.0


class Dice:
    """pysyncobj's random module: only `random` is ever asked."""

    def __init__(self, random: Random) -> None:
        self.random = random.random


class World:
    """One run of one plan: `faults_s` of faults, `healing_s` to come to rest.

    `calm_s` after the healing one service fails in perfect calm for `calm_lasts_s`, to see that it is found
    and told in time.
    """

    faults_s = FAULTS_S
    healing_s = HEALING_S
    calm_s = 33.0
    calm_lasts_s = 12.0

    def __init__(self, plan: Plan, *, keeps_trace: bool = False) -> None:
        self.plan = plan
        self.seed = plan.seed
        self.peers = names(plan.peers)
        self.time = Timeline()
        self.history = History(keeps_trace=keeps_trace)
        self.history.now = lambda: self.time.now
        self.history.shape = plan.shape
        self.network = Network(self.time, self._random("network"), self.peers)
        self.channels = {name: SimChannel(name, way) for name, way in scene.WAYS.items()}
        services = scene.settings("a", self.peers, scene.VERSIONS[-1], plan.shape).services
        watched = tuple(name for name in services if "/" not in name)
        self.targets = Targets(self.time, watched, self._look_at_peer)
        clocks = self._random("clocks")
        self.hosts = {name: self._host(name, clocks) for name in self.peers}
        self.acts = Acts(self, self._random("acts"))
        self._beats = self._random("beats")

    def _random(self, what: str) -> Random:
        return Random(f"{what} {self.plan.seed} {self.plan.peers}")  # noqa: S311 - a run is repeated by its seed

    def _host(self, name: str, random: Random) -> Host:
        clock = HostClock(self.time, BOOT_S + random.uniform(0, 1000), 1.0 + random.uniform(-5e-4, 5e-4))
        return Host(name, clock, SimDisk())

    def run(self) -> History:
        """All of it."""
        library.use(now_s=Running.now_s, dice=Dice(self._random("pysyncobj")))
        watch = _Watch(self.history)
        move = incidents.move
        incidents.move = self._counted(move)
        # Snapshots are small here, and must travel in many parts all the same.
        setattr(exchange, "CHUNK_BYTES_MAX", PART_BYTES)  # noqa: B010 - a constant of the product
        try:
            self._schedule()
            self.time.run(self.faults_s + self.healing_s)
            self._finish()
        finally:
            incidents.move = move
            setattr(exchange, "CHUNK_BYTES_MAX", CHUNK_BYTES_MAX)  # noqa: B010 - as above
            watch.end()
            library.use()
            for host in self.hosts.values():
                if host.life is not None:
                    host.life.crash("the run is over")
        return self.history

    def _counted(self, move: Callable[[Level | None, Level], Move | None]) -> Callable[..., Move | None]:
        """The table's lookup, counting the cells that decide visits."""

        def counted(current: Level | None, verdict: Level) -> Move | None:
            self.history.cells[cell(current, verdict)] += 1
            return move(current, verdict)

        return counted

    def _schedule(self) -> None:
        for place, host in enumerate(self.hosts.values()):
            self.time.at(0.1 * place, self.start, host)
        for fault in self.plan.faults:
            self.time.at(fault.at, self.acts.do, fault)
        self.time.at(self.faults_s, self._heal)
        self.time.at(self.faults_s + self.calm_s, self._fail_in_calm)
        self.time.after(LOOK_S, self._look)
        self.time.after(scene.BEATS_EVERY_S, self._beat)

    def _heal(self) -> None:
        """Faults end; whether what was failing fails on is the seed's choice."""
        self.history.note("HEAL")
        self.history.healed_at = self.time.now
        self.acts.heal()
        random = self._random("heal")
        for service in self.targets.names:
            if self.targets.true(service) != "well" and (service == "nightly" or random.random() < 0.6):
                self.targets.become(service, "well")

    def _fail_in_calm(self) -> None:
        """One service that is well fails for a while, with nothing else wrong."""
        well = [name for name in ("web", "db") if self.targets.true(name) == "well"]
        newest = self.newest()
        well = [name for name in well if newest and not newest.state.open_incident(name)]
        is_calm = self.time.now > self.history.clock_set_at + STEP_REMEMBERED_S + 1.0
        if well and is_calm:
            self.history.calm_service = self._random("calm").choice(well)
            self.history.calm_at = self.time.now
            self.targets.become(self.history.calm_service, "refuses")
            self.time.after(self.calm_lasts_s, self.targets.become, self.history.calm_service, "well")

    # ---- processes

    def start(self, host: Host) -> None:
        """Start a process there, if none runs."""
        if host.life is None:
            Life(host, self)

    def make_raft(self, life: Life) -> SimRaft:
        """The Raft of a new process."""
        return SimRaft(life, self.time, life.host.clock, self.network, life.engine)

    def ended(self, life: Life) -> None:
        """A process has ended: its supervisor starts it again."""
        if "killed" in life.span.how:
            life.host.disk.crash(self._random(f"crash {life.id}"))
        self.time.after(RESTART_S, self.start, life.host)

    @property
    def living(self) -> list[Life]:
        """All processes there are."""
        return [host.life for host in self.hosts.values() if host.life is not None]

    def newest(self) -> Life | None:
        """The living process that has applied the most."""
        return max(self.living, key=lambda life: life.state.entries, default=None)

    def alerter(self) -> str:
        """The peer in office, else whoever the ledger names."""
        for life in self.living:
            if life.is_alerter():
                return life.name
        newest = self.newest()
        return newest.state.lease.holder if newest is not None else ""

    def leader(self) -> str:
        """The Raft leader of the newest term, if any."""
        leaders = [life for life in self.living if life.raft.status.role == "leader"]
        newest = max(leaders, key=lambda life: life.raft.status.term, default=None)
        return newest.name if newest is not None else ""

    def sender(self) -> str:
        """Whoever is sending something just now."""
        for life in self.living:
            for item in life.state.notifications.values():
                if item.stage is Stage.CLAIMED and item.owner == life.name:
                    return life.name
        return self.alerter()

    def _look_at_peer(self, me: str, other: str) -> str:
        life = self.hosts[other].life
        if self.network.is_cut(me, other) or self.network.is_cut(other, me):
            return "hangs"
        if life is None:
            return "refuses"
        if life.is_paused or life.is_blocked:
            return "hangs"
        if life.peer.snapshot().ready_reason:
            return "unready"
        return "well" if self.is_linked(me, other) else "unlinked"

    def is_linked(self, me: str, other: str) -> bool:
        """Whether there is a link."""
        return self.network.is_open(me, other)

    # ---- what goes on all the time

    def _beat(self) -> None:
        """The nightly job calls a peer, and another one when the first does not answer."""
        self.time.after(scene.BEATS_EVERY_S, self._beat)
        if self.targets.true("nightly") != "well":
            return
        for life in self._beats.sample(self.living, min(2, len(self.living))):
            if not life.is_paused and life.raft.is_started:
                life.loop.call_soon(self._receive_beat, life)

    def _receive_beat(self, life: Life) -> None:
        at_wall = life.host.clock.now().wall
        life.loop.create_task(life.cluster.submit(BeatSeen(service="nightly", at_wall=at_wall)))

    def _look(self) -> None:
        """Sizes, once a second; and who has got its memory back."""
        self.time.after(LOOK_S, self._look)
        history = self.history
        history.peak("frames in flight", self.network.in_flight_max)
        for life in self.living:
            timers, tasks = life.loop.load
            history.peak("timers", timers)
            history.peak("tasks", tasks)
            history.peak("inbox", life.raft.inbox_max)
            history.peak("log bytes", life.raft.status.log_bytes)
            history.terms = max(history.terms, life.raft.status.term)
            history.peak("notifications", len(life.state.notifications))
            if life.raft.status.quarantine:
                life.host.is_without_memory = True
            elif life.host.is_without_memory and life.raft.ticks > 5:
                life.host.is_without_memory = False
                life.note("remembers again")

    def _finish(self) -> None:
        history = self.history
        history.ended_at = self.time.now
        history.truth = self.targets.history
        history.misled = self.targets.misled
        for name, host in self.hosts.items():
            life = host.life
            if life is None:
                history.statuses[name] = "not running"
                continue
            history.finals[name] = life.state
            status = life.raft.status
            history.statuses[name] = f"{status.role} of {status.leader}, term {status.term}" + (
                f", quarantine {status.quarantine}" if status.quarantine else ""
            )
            for failure in life.loop.failures:
                history.problem(f"{life.id}: {failure}")
        history.final_conditions = {name: self.targets.true(name) for name in self.targets.names}


class _Watch(logging.Handler):
    """Hears what the product logs: an exception in it is a problem, whatever the run looks like."""

    def __init__(self, history: History) -> None:
        super().__init__(logging.WARNING)
        self._history = history
        self._before: list[tuple[logging.Logger, int, bool]] = []
        for name, level in (("watchtower", logging.WARNING), ("pysyncobj", logging.CRITICAL)):
            logger = logging.getLogger(name)
            self._before.append((logger, logger.level, logger.propagate))
            logger.setLevel(level)
            logger.propagate = False
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep exceptions; the rest only shows in the trace."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("pysyncobj"):
            # It knows that it does what a replica must not do, says so once, and goes on.
            self._history.problem(record.getMessage())
        elif error is not None and not isinstance(error, SimCrash):
            self._history.problem(f"{record.getMessage()} {type(error).__name__}: {error}")
        elif self._history.trace is not None:
            # Not folded into the hash: the trace is the same whether its lines are kept or not.
            self._history.trace.append(f"           log: {record.getMessage()}")

    def end(self) -> None:
        """Listen no more."""
        for logger, level, propagate in self._before:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate
