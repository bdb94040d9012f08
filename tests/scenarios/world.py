"""A scenario's world: an ideal log, virtual time in steps of 0.25 s, peers that run the real core.

Each peer has its own view and its own memory of verdicts; the ledger is changed by the real apply, verdicts
and decisions are the real ones. Probes, lease timing and couriers are ideal: what the script says is what a
peer votes at once, and what is submitted is applied at once, unless the peer is cut off.
"""

from __future__ import annotations

import fnmatch
from itertools import product
from typing import Final

from msgspec.structs import replace
from scenarios import telling
from scenarios.configured import configured
from scenarios.courier import MOODS, Channel, Courier
from scenarios.needs_events import NeedsEvents
from scenarios.people_events import PeopleEvents
from scenarios.script import Event, Script, Watched
from support.core_support import peer_services, service, settings

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.beats import Signal
from watchtower.core.commands import Answer, Command, Entry
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import Checkpoint, Instant, Opinion, State, Vote
from watchtower.core.office import may_claim
from watchtower.core.settings import PEER_PREFIX, Service, Settings
from watchtower.core.targets import HeartbeatTarget, Target, TcpTarget
from watchtower.core.view import View, listen

STEP_S: Final = 0.25
LONG_STEP_S: Final = 2.0
"""Nothing has been told for ten minutes: time goes in longer steps, still shorter than a lease."""
QUIET_S: Final = 600.0
START_BOOT: Final = 10_000.0
REPORT_EVERY_S: Final = 5.0
PEER_NOTICED_S: Final = 5.0
LEASE_S: Final = 3.0
RENEW_EVERY_S: Final = 0.75
RIVAL_WAITS_S: Final = LEASE_S + 1.0
CONFIG: Final = "h1"
CHECKPOINT_EVERY: Final = 64


class Process:
    """One life of one peer: everything here is lost when it dies."""

    def __init__(self, name: str, boot_id: str, config: Settings, courier: Courier, boot: float) -> None:
        self.name = name
        self.boot_id = boot_id
        self.settings = config
        self.courier = courier
        self.view = View(me=name, started_boot=boot)
        self.state = State()
        self.reported_boot = 0.0
        self.renewed_boot = 0.0
        self.office_until_boot = 0.0
        self.lease_seen = (0, "", boot)
        self.claims = 0
        self.is_leaving = False
        self.aside_until_boot = 0.0
        self.command_version = 1

    @property
    def session(self) -> int:
        """The session of this life; 0 before its join is applied."""
        row = self.state.row(self.name)
        return row.session if row.boot_id == self.boot_id else 0


class World(PeopleEvents, NeedsEvents):
    """Everything outside the core: who lives, who is cut off, what works, what time it is."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.state = State()
        self.trace: list[str] = []
        self.now_s = 0.0
        self.told_s = 0.0
        self.read: dict[tuple[str, str], Settings] = {}
        names = (
            configured(script.config, script.peers[0], script.peers, CONFIG).channels if script.config else ()
        )
        self.channels = {name: Channel(name=name) for name in (*script.channels, *names)}
        self.alive: dict[str, Process] = {}
        self.silent: set[str] = set()
        self.fast_s: dict[str, float] = {}
        self.doubts: dict[str, str] = {}
        self.configs = dict.fromkeys(script.peers, CONFIG)
        self.seen: dict[tuple[str, str], Vote] = {}
        self.levels: dict[str, str] = {}
        self.births = dict.fromkeys(script.peers, 0)
        self.unseen_since_s: dict[str, float] = {}
        self.differing: set[str] = set()
        for peer in script.peers:
            self.on_starts(Event(at_s=0, what="starts", subject=peer))

    def run(self) -> list[str]:
        """The trace of the whole script."""
        events = list(self.script.events)
        while self.now_s <= self.script.until_s:
            while events and events[0].at_s <= self.now_s:
                self.happen(events.pop(0))
            for peer in self.script.peers:
                if peer in self.alive:
                    self.step(self.alive[peer])
            self.now_s += self.step_s(events)
        self.trace += telling.ending(self.state)
        return self.trace

    def step_s(self, events: list[Event]) -> float:
        """A quarter of a second, or more while nothing happens."""
        ahead_s = events[0].at_s - self.now_s if events else LONG_STEP_S
        is_quiet = self.now_s - self.told_s > QUIET_S and self.now_s % LONG_STEP_S == 0
        return LONG_STEP_S if is_quiet and ahead_s >= LONG_STEP_S else STEP_S

    def tell(self, line: str) -> None:
        """One line of the trace."""
        self.told_s = self.now_s
        self.trace.append(f"{self.now_s:.2f}s {line}")

    def instant(self, peer: str = "") -> Instant:
        """Now, by the clocks of `peer`."""
        wall = self.script.starts_wall + self.now_s + self.fast_s.get(peer, 0.0)
        return Instant(wall=wall, boot=START_BOOT + self.now_s)

    # ---- the log

    def submit(self, process: Process, command: Command) -> Answer | None:
        """Into the log and applied at once; None when the peer is cut off."""
        if process.name in self.silent:
            return None
        entry = Entry(
            v=1, by=process.name, boot=process.boot_id, seq=0, session=process.session, command=command
        )
        entry = c.decode(c.encode(entry))
        before = self.state
        self.state, answer = ledger.apply(before, entry)
        for line in telling.changes(before, self.state, entry):
            self.tell(line)
        process.state = self.state
        return answer

    # ---- what a peer does in one step

    def step(self, process: Process) -> None:
        """Look, report, judge, decide, hold the lease, deliver."""
        now = self.instant(process.name)
        if process.name not in self.silent:
            process.state = self.state
        if not process.state.cluster:
            names = self.script.founders or self.script.peers
            self.submit(process, c.Found(cluster="test", members=names, at_wall=now.wall))
        process.view = listen(process.view, process.state, now)
        if not process.is_leaving and process.name in process.state.members:
            self.report(process, now)
        self.observe(process, now)
        self.govern(process, now)
        process.courier.step(
            process.state, process.session, process.settings, now, lambda x: self.submit(process, x)
        )

    def report(self, process: Process, now: Instant) -> None:
        """Join first; then whatever differs from the own row, and something every five seconds."""
        if process.session == 0:
            version = process.command_version
            join = c.Join(boot_id=process.boot_id, version="1", command_version=version, at_wall=now.wall)
            self.submit(process, join)
        if process.state.row(process.name).leaving_until_wall and now.boot >= process.aside_until_boot:
            self.submit(process, c.Leaving(for_s=0.0, at_wall=now.wall))
        row, doubt = process.state.row(process.name), self.doubts.get(process.name, "")
        config = process.settings.config_hash
        truth = self.votes(process)
        full = row.config_hash != config
        due = now.boot - process.reported_boot >= REPORT_EVERY_S
        if process.session == 0 or not (full or due or row.votes != truth or row.doubt != doubt):
            return
        difference: dict[str, Vote | None] = dict.fromkeys(set() if full else row.votes.keys() - truth.keys())
        difference.update(truth)
        process.reported_boot = now.boot
        command = c.Report(
            seq=row.report_seq,
            full=full,
            config_hash=config,
            at_wall=now.wall,
            votes=difference,
            doubt=doubt,
            members_gen=process.state.members_gen,
            checkpoint=self.checkpoint(process),
        )
        self.submit(process, command)

    def checkpoint(self, process: Process) -> Checkpoint | None:
        """What the peer's state looked like at the latest round number of entries."""
        entries = process.state.entries // CHECKPOINT_EVERY * CHECKPOINT_EVERY
        mine = "d1ff" if process.name in self.differing else "c0de"
        return Checkpoint(entries=entries, hash=f"{mine}{entries:08}") if entries else None

    def votes(self, process: Process) -> dict[str, Vote]:
        """What this peer sees that is not up."""
        votes = {}
        for name, one in process.settings.services.items():
            if process.name not in one.voters or isinstance(one.target, HeartbeatTarget):
                continue
            vote = self.seen.get((process.name, name))
            if name.startswith(PEER_PREFIX):
                vote = self.look_at_peer(process, name.removeprefix(PEER_PREFIX))
            if vote is not None and vote.opinion is Opinion.DOWN and self.doubts.get(process.name):
                vote = replace(vote, opinion=Opinion.UNKNOWN)
            if vote is not None:
                votes[name] = vote
        return votes

    def look_at_peer(self, process: Process, other: str) -> Vote | None:
        """A peer that does not answer is noticed after a few looks."""
        cut = {process.name, other} & self.silent
        if other in self.alive and not cut:
            return None
        since_s = max(self.unseen_since_s.get(name, 0.0) for name in {other, *cut})
        if self.now_s - since_s < PEER_NOTICED_S:
            return None
        return Vote(opinion=Opinion.DOWN, text="refused", since_wall=self.script.starts_wall + since_s)

    def observe(self, process: Process, now: Instant) -> None:
        """Judge everything; the alerter's judgements are told when they change."""
        standings = verdicts.observe(process.state, process.settings, process.view, now)
        process.view = replace(process.view, standings=standings)
        if process.state.lease.holder != process.name or process.name in self.silent:
            return
        for name, standing in standings.items():
            level = standing.level.value.upper()
            known = self.levels.get(name, "UP" if level == "UP" else "UNKNOWN")
            if level != known:
                self.tell(f"{name} {known} -> {level}: {standing.verdict.reason}")
            self.levels[name] = level

    # ---- the office

    def govern(self, process: Process, now: Instant) -> None:
        """Decide while in office; claim, renew or release the lease."""
        lease, session = process.state.lease, process.session
        if (lease.epoch, lease.entry_id) != process.lease_seen[:2]:
            process.lease_seen = (lease.epoch, lease.entry_id, now.boot)
        holds = session > 0 and (lease.holder, lease.session) == (process.name, session)
        holds = holds and not lease.released
        aside = "leaving" if process.is_leaving else ""
        aside = aside or ("draining" if now.boot < process.aside_until_boot else "")
        if holds and now.boot < process.office_until_boot and not aside:
            for command in decide(process.state, process.settings, process.view, now):
                self.submit(process, command)
        doubt = self.doubts.get(process.name, "")
        refusal = aside or may_claim(process.state, process.settings, process.view, now, doubt=doubt)
        self.seek_office(process, now, holds=holds, refusal=refusal)

    def seek_office(self, process: Process, now: Instant, *, holds: bool, refusal: str) -> None:
        """The lease of protocol.md section 3, without its clock margins."""
        lease, entry_id = process.state.lease, f"{process.boot_id}/{process.claims}"
        length_ms = round(LEASE_S * 1000)
        if holds and refusal:
            process.office_until_boot = 0.0
            self.submit(process, c.Release(epoch=lease.epoch))
            return
        is_renewal_due = now.boot >= process.renewed_boot + RENEW_EVERY_S
        is_free = not lease.holder or lease.released or lease.holder == process.name
        is_free = is_free or now.boot >= process.lease_seen[2] + RIVAL_WAITS_S
        command: Command | None = None
        if holds and is_renewal_due:
            command = c.Renew(epoch=lease.epoch, length_ms=length_ms, id=entry_id)
        elif not holds and is_free and process.session and not refusal:
            command = c.ClaimLease(
                epoch=lease.epoch, renewals=lease.renewals, length_ms=length_ms, id=entry_id
            )
        answer = self.submit(process, command) if command is not None else None
        if answer is not None and answer.ok:
            process.claims, process.renewed_boot = process.claims + 1, now.boot
            process.office_until_boot = now.boot + LEASE_S

    # ---- what happens to the world

    def happen(self, event: Event) -> None:
        """One event of the script."""
        if event.what in MOODS:
            channel = self.channels[event.subject]
            channel.mood, channel.moody_for = event.what, event.args
        elif event.what in ("fails", "degrades", "recovers", "unclear"):
            self.on_service(event)
        else:
            getattr(self, f"on_{event.what}")(event)

    def on_service(self, event: Event) -> None:
        """Some peers see a service differently from now on."""
        opinions = {"fails": Opinion.DOWN, "degrades": Opinion.DEGRADED, "unclear": Opinion.UNKNOWN}
        names = [event.subject]
        if "*" in event.subject:
            configs = [process.settings.services for process in self.alive.values()]
            names = sorted({one for config in configs for one in fnmatch.filter(config, event.subject)})
        for peer, name in product(event.args or self.script.peers, names):
            self.seen.pop((peer, name), None)
            if event.what in opinions:
                vote = Vote(opinion=opinions[event.what], text=event.what, since_wall=self.instant().wall)
                self.seen[peer, name] = vote

    def on_starts(self, event: Event) -> None:
        """A new process of a peer."""
        name = event.subject
        self.births[name] += 1
        boot_id = f"{name}{self.births[name]}"
        courier = Courier(name, boot_id, self.channels, self.tell)
        boot = START_BOOT + self.now_s
        self.alive[name] = Process(name, boot_id, self.settings_of(name), courier, boot)
        self.unseen_since_s.pop(name, None)

    def on_dies(self, event: Event) -> None:
        """Killed: nothing is said and nothing is kept."""
        del self.alive[event.subject]
        self.unseen_since_s[event.subject] = self.now_s

    def on_leaves(self, event: Event) -> None:
        """A planned stop: the lease is given up, goodbye is said, and the process ends."""
        process, now = self.alive[event.subject], self.instant(event.subject)
        process.is_leaving = True
        self.govern(process, now)
        self.submit(process, c.Leaving(for_s=event.number, at_wall=now.wall))
        self.tell(f"{event.subject} leaves")
        self.on_dies(event)

    def on_drains(self, event: Event) -> None:
        """The peer steps aside for a while and lives on."""
        process, now = self.alive[event.subject], self.instant(event.subject)
        process.aside_until_boot = now.boot + event.number
        self.govern(process, now)
        self.submit(process, c.Leaving(for_s=event.number, at_wall=now.wall))

    def on_upgrades(self, event: Event) -> None:
        """The peer is started anew with another program."""
        self.on_starts(event)
        self.alive[event.subject].command_version = int(event.args[0])

    def on_resizes(self, event: Event) -> None:
        """Somebody asks this peer for other members."""
        process = self.alive[event.subject]
        process.state = self.state
        command = c.Resize(members=event.args, members_gen=self.state.members_gen)
        answer = self.submit(process, command)
        if answer is not None and not answer.ok:
            self.tell(f"resize to {' '.join(event.args)} is refused: {answer.reason}")

    def on_differs(self, event: Event) -> None:
        """The peer's state is no longer that of the others."""
        self.differing.add(event.subject)

    def on_silent(self, event: Event) -> None:
        """The peer lives on, cut off from all others."""
        self.silent.add(event.subject)
        self.unseen_since_s[event.subject] = self.now_s

    def on_returns(self, event: Event) -> None:
        """The peer is linked to the others again."""
        self.silent.discard(event.subject)
        self.unseen_since_s.pop(event.subject, None)

    def on_doubts(self, event: Event) -> None:
        """The peer finds itself sick: its down votes become unknown."""
        self.doubts[event.subject] = " ".join(event.args)

    def on_trusts(self, event: Event) -> None:
        """The peer is well again."""
        self.doubts.pop(event.subject, None)

    def on_loads(self, event: Event) -> None:
        """The peer reads another configuration."""
        self.configs[event.subject] = event.args[0]
        self.alive[event.subject].settings = self.settings_of(event.subject)

    def on_clock(self, event: Event) -> None:
        """The peer's wall clock goes wrong."""
        self.fast_s[event.subject] = event.number

    def on_asks(self, event: Event) -> None:
        """The channel refuses what comes, and says how long to wait."""
        channel = self.channels[event.subject]
        channel.mood, channel.moody_for, channel.asks_s = "asks to wait", (), event.number

    def on_answers(self, event: Event) -> None:
        """The channel takes its time to answer."""
        self.channels[event.subject].answers_after_s = event.number

    def on_beats(self, event: Event) -> None:
        """A heartbeat is received by the first peer that is linked to others, if any."""
        self.signalled(event, Signal.BEAT)

    def on_runs(self, event: Event) -> None:
        """A job says that it starts."""
        self.signalled(event, Signal.START)

    def on_exits(self, event: Event) -> None:
        """A job says that it ended badly."""
        self.signalled(event, Signal.FAIL, int(event.args[0]))

    def say(self, command: Command) -> None:
        """Somebody says something to the first peer that is linked to others; what is refused is told."""
        linked = [process for name, process in self.alive.items() if name not in self.silent]
        answer = self.submit(linked[0], command)
        if answer is not None and not answer.ok:
            self.tell(f"refused: {answer.reason}")

    def signalled(self, event: Event, signal: Signal, code: int = 0) -> None:
        """A signal is received by the first peer that is linked to others, if any."""
        linked = [process for name, process in self.alive.items() if name not in self.silent]
        if len(linked) * 2 > len(self.script.peers):
            at_wall = self.instant().wall
            self.submit(
                linked[0], c.BeatSeen(service=event.subject, at_wall=at_wall, signal=signal, exit=code)
            )

    def settings_of(self, peer: str) -> Settings:
        """The settings of `peer` under the configuration it has read."""
        config = self.configs[peer]
        if self.script.config:
            return self.from_file(peer, config)
        watched = [self.watched(one) for one in self.script.watched if one.config in ("", config)]
        channels = {
            name: fallback
            for name, fallback in self.script.channels.items()
            if self.script.channel_configs[name] in ("", config)
        }
        plain = settings(
            *watched,
            *peer_services(self.script.peers, self.script.witnesses),
            me=peer,
            peers=self.script.peers,
            channels=channels,
            config_hash=config,
        )
        peers = tuple(replace(one, witness=one.name in self.script.witnesses) for one in plain.cluster.peers)
        return replace(plain, cluster=replace(plain.cluster, peers=peers))

    def from_file(self, peer: str, config: str) -> Settings:
        """The settings that the YAML of the script gives `peer`, read once."""
        if (peer, config) not in self.read:
            self.read[peer, config] = configured(self.script.config, peer, self.script.peers, config)
        return self.read[peer, config]

    def watched(self, one: Watched) -> Service:
        """The service of a line of the script."""
        target: Target = TcpTarget(host="192.0.2.1", port=80)
        if one.period_s:
            target = HeartbeatTarget(period_s=one.period_s, grace_s=one.grace_s)
        voters = tuple(name for name in self.script.peers if name not in self.script.witnesses)
        return service(one.name, target, voters=one.voters or voters, alert=one.told or None)
