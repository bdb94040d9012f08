"""Builders for tests of the pure core: settings, a ledger that is driven by real entries, views.

A Book holds one State and changes it through ledger.apply alone, so that no test starts from a state
that the log could not have produced. Nothing here decides what is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.applying.outbox import notification_id
from watchtower.core.commands import Answer, Command, Entry
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import (
    Instant,
    Level,
    Notice,
    NoticeKind,
    Notification,
    Opinion,
    Outcome,
    State,
    Vote,
)
from watchtower.core.secret import Secret
from watchtower.core.settings import (
    PEER_PREFIX,
    Channel,
    ClusterSettings,
    Flap,
    HttpSettings,
    PeerSettings,
    Service,
    Settings,
)
from watchtower.core.targets import PeerTarget, Target, TcpTarget
from watchtower.core.view import View

PEERS = ("a", "b", "c")
HASH = "h1"
WALL = 1_000_000.0
"""Wall time of all tests at boot time 0."""
NEVER_FLAPS = Flap(high=9.0)
"""More turns than are remembered."""


def instant(boot: float) -> Instant:
    """Both clocks `boot` seconds into a test."""
    return Instant(wall=WALL + boot, boot=boot)


def service(name: str, target: Target | None = None, **fields: Any) -> Service:
    """A service that all peers vote on, unless `fields` say otherwise."""
    fields.setdefault("voters", PEERS)
    return Service(name=name, target=target or TcpTarget(host="192.0.2.1", port=80), **fields)


def peer_services(peers: Iterable[str] = PEERS, witnesses: Iterable[str] = ()) -> list[Service]:
    """The services by which each peer is watched by all others but the witnesses."""
    names = tuple(peers)
    return [
        service(
            PEER_PREFIX + name,
            PeerTarget(peer=name, url=f"http://{name}.example"),
            voters=tuple(other for other in names if other != name and other not in witnesses),
        )
        for name in names
    ]


def settings(
    *services: Service,
    me: str = "a",
    peers: tuple[str, ...] = PEERS,
    channels: Mapping[str, str] | None = None,
    config_hash: str = HASH,
    **fields: Any,
) -> Settings:
    """Settings of `me`; `channels` maps each name to the name of its fallback, or ""."""
    wanted = {"chat": ""} if channels is None else channels
    return Settings(
        me=me,
        config_hash=config_hash,
        cluster=ClusterSettings(
            name="test",
            secrets=(Secret("not a secret"),),
            peers=tuple(
                PeerSettings(name=name, raft_host="127.0.0.1", raft_port=1, http_url="") for name in peers
            ),
        ),
        http=HttpSettings(),
        channels={
            name: Channel(name=name, url=Secret(f"json://{name}.example"), schema="json", fallback=fallback)
            for name, fallback in wanted.items()
        },
        services={one.name: one for one in services},
        **fields,
    )


def down(since_wall: float = WALL, text: str = "refused") -> Vote:
    """A down vote."""
    return Vote(opinion=Opinion.DOWN, text=text, since_wall=since_wall)


def view(me: str = "a", boot: float = 100.0, heard: Iterable[str] = PEERS, **fields: Any) -> View:
    """A view that has just heard from `heard`, of a process that has been running for an hour."""
    fields.setdefault("started_boot", boot - 3600.0)
    return View(me=me, heard_boot=dict.fromkeys(heard, boot), **fields)


def unchanged(before: State, after: State) -> bool:
    """True when an entry did nothing but be counted."""
    return replace(after, entries=before.entries) == before


class Book:
    """A founded cluster: all peers joined and reporting all up, config in force, `a` the alerter."""

    def __init__(self, *, peers: tuple[str, ...] = PEERS, config_hash: str = HASH) -> None:
        self.state = State()
        self.peers = peers
        self.entries: list[Entry] = []
        self.must(peers[0], c.Found(cluster="test", members=peers, at_wall=WALL))
        for peer in peers:
            self.join(peer)
            self.report(peer, config_hash=config_hash)
        self.lease(peers[0])
        activate = c.Activate(epoch=1, gen=0, config_hash=config_hash, at_wall=WALL)
        self.must(peers[0], activate)

    def entry(self, by: str, command: Command, session: int | None = None) -> Entry:
        """The entry as the current process of `by` would propose it."""
        row = self.state.row(by)
        return Entry(
            v=1,
            by=by,
            boot=row.boot_id,
            seq=len(self.entries),
            session=row.session if session is None else session,
            command=command,
        )

    def do(self, by: str, command: Command, session: int | None = None) -> Answer:
        """Apply the command; the answer may be a refusal, which must only be counted."""
        entry, before = self.entry(by, command, session), self.state
        self.entries.append(entry)
        self.state, answer = ledger.apply(before, entry)
        assert self.state.entries == before.entries + 1
        assert answer.ok or unchanged(before, self.state)
        return answer

    def must(self, by: str, command: Command, session: int | None = None) -> None:
        """Apply the command, which must not be refused."""
        answer = self.do(by, command, session)
        assert answer.ok, answer.reason

    def join(self, peer: str, boot_id: str = "") -> None:
        """A process of `peer` starts."""
        boot = boot_id or f"{peer}-{self.state.row(peer).session + 1}"
        self.must(peer, c.Join(boot_id=boot, version="1", command_version=1, at_wall=WALL))

    def report(self, peer: str, votes: Mapping[str, Vote | None] | None = None, **fields: Any) -> None:
        """A report of `peer`: a full row of exceptions unless `full=False`."""
        fields.setdefault("config_hash", self.state.row(peer).config_hash or HASH)
        fields.setdefault("full", True)
        fields.setdefault("at_wall", WALL)
        seq = self.state.row(peer).report_seq
        self.must(peer, c.Report(seq=seq, votes=dict(votes or {}), **fields))

    def lease(self, peer: str) -> None:
        """`peer` takes the lease."""
        lease = self.state.lease
        claim = c.ClaimLease(
            epoch=lease.epoch, renewals=lease.renewals, length_ms=3000, id=f"lease-{lease.epoch + 1}"
        )
        self.must(peer, claim)

    def fails(self, name: str = "web", peers: Iterable[str] = ("a", "b"), since_wall: float = WALL) -> None:
        """`peers` see service `name` down."""
        for peer in peers:
            self.report(peer, {**self.state.row(peer).votes, name: down(since_wall)})

    def recovers(self, name: str = "web", peers: Iterable[str] = PEERS) -> None:
        """`peers` see service `name` up."""
        for peer in peers:
            self.report(peer, {name: None}, full=False)

    def opening(self, name: str = "web", channels: Iterable[str] = ("chat",), **fields: Any) -> c.Open:
        """The Open that the alerter would propose now."""
        number = self.state.last_incident + 1
        fields = {**self.fences(name), "level": Level.DOWN, "since_wall": WALL, "at_wall": WALL, **fields}
        drafts = tuple(self.draft(channel, name, str(number)) for channel in channels)
        return c.Open(**{"reason": "test", "drafts": drafts, **fields})

    def closing(self, name: str = "web", **fields: Any) -> c.Close:
        """The Close that the alerter would propose now."""
        fields = {**self.fences(name), "at_wall": WALL + 60, "notice": notice(Level.UP), **fields}
        return c.Close(**{"reason": "test", **fields})

    def shifting(self, level: Level, name: str = "web", **fields: Any) -> c.Shift:
        """The Shift that the alerter would propose now."""
        fields = {**self.fences(name), "level": level, "at_wall": WALL + 30, **fields}
        return c.Shift(**{"reason": "test", **fields})

    def fences(self, name: str) -> dict[str, Any]:
        """What a transition of `name` is compared on, as of now."""
        return {
            "epoch": self.state.lease.epoch,
            "gen": self.state.config.gen,
            "service": name,
            "rev": self.state.rev(name),
            "incident": self.state.service(name).incident,
        }

    def draft(
        self, channel: str, name: str, number: str, kind: NoticeKind = NoticeKind.FIRING, **fields: Any
    ) -> c.Draft:
        """A notification draft as decide writes it."""
        fields = {"sender": self.state.lease.holder, "notice": notice(Level.DOWN), **fields}
        return c.Draft(
            id=notification_id("test", name, kind, number, channel), channel=channel, kind=kind, **fields
        )

    def opened(self, name: str = "web", channels: Iterable[str] = ("chat",)) -> list[Notification]:
        """Open an incident on `name`; its notifications."""
        self.must(self.state.lease.holder, self.opening(name, channels))
        return self.items(self.state.last_incident)

    def closed(self, name: str = "web") -> list[Notification]:
        """Close the incident of `name`; its notifications, old and new."""
        number = self.state.service(name).incident
        self.must(self.state.lease.holder, self.closing(name))
        return self.items(number)

    def items(self, incident: int) -> list[Notification]:
        """Notifications of an incident in the order of their making."""
        mine = [item for item in self.state.notifications.values() if item.incident == incident]
        return sorted(mine, key=lambda item: item.order)

    def item(self, old: Notification) -> Notification:
        """The notification as it stands now."""
        return self.state.notifications[old.id]

    def claim(self, item: Notification, by: str = "a", **fields: Any) -> Answer:
        """`by` claims the notification at its current attempt."""
        now = self.item(item)
        fields = {"attempt": now.attempt, "hold_ms": 15_000, "claim_id": f"{by}{now.attempt + 1}", **fields}
        return self.do(by, c.Claim(id=item.id, **fields))

    def settle(
        self,
        item: Notification,
        outcome: Outcome,
        by: str = "a",
        *,
        session: int | None = None,
        **fields: Any,
    ) -> Answer:
        """`by` settles the notification's current attempt."""
        fields = {"attempt": self.item(item).attempt, "at_wall": WALL + 1, **fields}
        return self.do(by, c.Settle(id=item.id, outcome=outcome, **fields), session)

    def assign(self, item: Notification, sender: str) -> None:
        """The alerter names another wanted sender."""
        epoch = self.state.lease.epoch
        self.must(self.state.lease.holder, c.Assign(epoch=epoch, id=item.id, sender=sender))

    # ---- passes

    def decided(
        self, wanted: Settings, boot: float, looks: View | None = None
    ) -> tuple[tuple[Command, ...], View]:
        """What the peer of `wanted` decides at `boot`, and its view with the verdicts of this pass.

        Without `looks` the verdicts of now have stood for ten seconds.
        """
        seen = looks
        if seen is None:
            early = view(wanted.me, boot - 10.0)
            early_standings = verdicts.observe(self.state, wanted, early, instant(boot - 10.0))
            seen = view(wanted.me, boot, standings=early_standings)
        standings = verdicts.observe(self.state, wanted, seen, instant(boot))
        seen = View(
            me=seen.me,
            started_boot=seen.started_boot,
            heard_boot=seen.heard_boot,
            clock_samples_s=seen.clock_samples_s,
            standings=standings,
        )
        return decide(self.state, wanted, seen, instant(boot)), seen


def notice(level: Level) -> Notice:
    """The facts of a notification."""
    return Notice(level=level, reason="test", since_wall=WALL, at_wall=WALL)
