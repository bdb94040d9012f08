"""A made-up cluster for tests of the web shell: settings, ledger and standings that can be changed live.

It decides nothing: tests say what each peer sees, and the server under test makes of it what it makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from msgspec.structs import replace

from watchtower.breaker import Breakers, Purpose
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, Command
from watchtower.core.model import (
    Attempt,
    ConfigInForce,
    Evidence,
    Incident,
    Instant,
    Kind,
    Lease,
    Level,
    Notice,
    NoticeKind,
    Notification,
    Opinion,
    Outcome,
    PeerRow,
    Result,
    ServiceRow,
    Stage,
    State,
    Step,
    Verdict,
    Vote,
)
from watchtower.core.ports import Snapshot
from watchtower.core.secret import Secret
from watchtower.core.settings import (
    Channel,
    ClusterSettings,
    HttpSettings,
    PeerSettings,
    Service,
    Settings,
    Token,
)
from watchtower.core.stats import DeliveryStats, ProbeStats, WorkerStats
from watchtower.core.targets import HeartbeatTarget, HttpTarget, PeerTarget, TcpTarget
from watchtower.core.view import Standing, View
from watchtower.history.off import NoHistory
from watchtower.web.cluster import Doors
from watchtower.web.server import WebServer

NOW = 1_790_000_000.0
BOOT = 10_000.0
HASH = "9f3c2ab14d5e66f0"
READ, WRITE, ADMIN = "read-token-0123456789", "write-token-0123456789", "admin-token-0123456789"
PING_KEY = "ping-key-0123456789"
PEERS = ("a", "b", "c")
TOKENS = (
    Token(name="viewer", scope="read", token=Secret(READ)),
    Token(name="ops-lead", scope="write", token=Secret(WRITE)),
    Token(name="root", scope="admin", token=Secret(ADMIN)),
)


def http_service(name: str, **more: Any) -> Service:
    """An HTTP service with credentials and a query in its URL, which must never show."""
    url = more.pop("url", f"https://user:hunter2@{name}.example.com/healthz?token=s3cret")
    return Service(name=name, target=HttpTarget(url=url), voters=PEERS, **more)


def settings(*services: Service, **http: Any) -> Settings:
    """Three peers that watch `services` and each other."""
    peers = tuple(
        PeerSettings(
            name=name,
            raft_host="127.0.0.1",
            raft_port=7700,
            http_url=f"http://{name}.example.com:8080",
            zone=f"eu-{name}",
        )
        for name in PEERS
    )
    watched = [
        *services,
        *(
            Service(
                name=f"peer/{peer.name}",
                target=PeerTarget(peer=peer.name, url=peer.http_url),
                voters=tuple(other for other in PEERS if other != peer.name),
            )
            for peer in peers
        ),
    ]
    wanted: dict[str, Any] = {
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "tokens": TOKENS,
        "ping_key": Secret(PING_KEY),
        **http,
    }
    return Settings(
        me="a",
        config_hash=HASH,
        cluster=ClusterSettings(name="prod", secrets=(Secret("k" * 32),), peers=peers),
        http=HttpSettings(**wanted),
        channels={
            "chat": Channel(name="chat", url=Secret("slack://T/B/C"), schema="slack"),
            "mail": Channel(name="mail", url=Secret("mailto://u:p@h"), schema="mailto"),
        },
        services={service.name: service for service in watched},
    )


def standing(level: Level, reason: str = "3 of 3 peers agree", **counts: int) -> Standing:
    """A verdict of `level`, seen for a minute."""
    verdict = Verdict(
        level=level,
        reason=reason,
        since_wall=NOW - 61 if level is not Level.UP else 0.0,
        counts={Opinion(opinion): count for opinion, count in counts.items()},
    )
    return Standing(verdict=verdict, level=level, since_boot=BOOT - 60, held_boot=BOOT)


def _breakers(config: Settings) -> Breakers:
    """Of every channel, and closed; that of `mail` opened twelve seconds ago."""
    breakers = Breakers(config.breakers, lambda purpose, name, event: None)
    for name in config.channels:
        breakers.get(Purpose.CHANNEL, name, BOOT - 12.0)
    for _ in range(5):
        breaker = breakers.get(Purpose.CHANNEL, "mail", BOOT - 12.0)
        if call := breaker.begin(BOOT - 12.0):
            breaker.fail(call, BOOT - 12.0, "connection refused")
    return breakers


class World:
    """A snapshot that a test changes, and the server's calls as it saw them."""

    def __init__(self, config: Settings) -> None:
        rows = {
            name: PeerRow(
                session=index + 1,
                boot_id=f"boot-{name}",
                report_seq=7,
                config_hash=HASH,
                default=Opinion.UP,
                version="1.0.0",
                command_version=1,
                joined_wall=NOW - 3600,
                reported_wall=NOW - 1,
                members_gen=1,
            )
            for index, name in enumerate(PEERS)
        }
        state = State(
            cluster="prod",
            members=PEERS,
            members_gen=1,
            founded_wall=NOW - 86_400,
            peers=rows,
            config=ConfigInForce(gen=3, hash=HASH, at_wall=NOW - 3600),
            lease=Lease(epoch=4, holder="b", session=2, released=False, length_ms=6000, entry_id="x"),
        )
        self.standings = {
            name: standing(Level.UP, f"{len(service.voters)} of {len(service.voters)} peers see it up", up=3)
            for name, service in config.services.items()
        }
        view = View(
            me="a",
            started_boot=BOOT - 3600,
            heard_boot=dict.fromkeys(PEERS, BOOT - 1),
            clock_samples_s={"b": (0.012,), "c": (-0.004,)},
            standings=self.standings,
        )
        self.snap = Snapshot(
            settings=config,
            version="1.0.0",
            now=Instant(wall=NOW, boot=BOOT),
            state=state,
            view=view,
            cluster=ClusterStatus(
                role="follower",
                leader="b",
                term=12,
                commit_index=4711,
                applied_index=4711,
                links={"b": True, "c": True},
                tick_gap_s=0.02,
                last_commit_age_s=1.4,
                had_quorum=True,
            ),
            is_alerter=False,
            ready_reason="",
            results={},
            doubt="",
            loop_lag_s=0.002,
            probes=ProbeStats(
                started_total=120, skipped_total=1, lag_s=0.01, workers=(WorkerStats(number=0, pid=4711),)
            ),
            delivery=DeliveryStats(
                outcomes_total={("chat", "accepted"): 2, ("gone", "dead"): 1},
                breakers=_breakers(config).views(Instant(wall=NOW, boot=BOOT)),
            ),
        )
        self.submitted: list[Command] = []
        self.answer: Answer | None = Answer(ok=True)
        self.reloads: list[str] = []
        self.reload_says = ""
        self.acts: list[tuple[object, ...]] = []
        self.act_says = ""
        self.gate: asyncio.Event | None = None

    def look(self) -> Snapshot:
        """What the server asks for."""
        return self.snap

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Take a command down and answer as the test wishes."""
        self.submitted.append(command)
        if self.gate is not None:
            await self.gate.wait()
        return self.answer

    async def reload(self) -> str:
        """Pretend to read the config again."""
        self.reloads.append("reload")
        return self.reload_says

    def doors(self) -> Doors:
        """What the server may do: every act is taken down in `acts` and answered with `act_says`."""

        async def act(name: str, *what: object) -> str:
            self.acts.append((name, *what))
            return self.act_says

        async def backup() -> bytes:
            self.acts.append(("backup",))
            return b"watchtower-backup"

        return Doors(
            submit=self.submit,
            reload=self.reload,
            look=lambda names: self.acts.append(("look", *names)),
            transfer=partial(act, "transfer"),
            backup=backup,
            drain=partial(act, "drain"),
            undrain=partial(act, "undrain"),
        )

    def turn(self, **changes: Any) -> None:
        """Replace fields of the snapshot; every change is a moment later."""
        now = self.snap.now
        later = Instant(wall=now.wall + 2, boot=now.boot + 2)
        heard = {peer: at + 2 for peer, at in self.snap.view.heard_boot.items()}
        view = changes.pop("view", replace(self.snap.view, heard_boot=heard))
        self.snap = replace(self.snap, **{"now": later, "view": view, **changes})

    def vote(self, peer: str, service: str, opinion: Opinion, text: str = "", **more: Any) -> None:
        """Let `peer` vote."""
        row = self.snap.state.row(peer)
        vote = Vote(opinion=opinion, kind=Kind.TIMEOUT, text=text, since_wall=NOW - 61, **more)
        rows = {**self.snap.state.peers, peer: replace(row, votes={**row.votes, service: vote})}
        self.turn(state=replace(self.snap.state, peers=rows))

    def judge(self, service: str, level: Level, reason: str, **counts: int) -> None:
        """Let the quorum judge `service`."""
        self.standings = {**self.standings, service: standing(level, reason, **counts)}
        self.turn(view=replace(self.snap.view, standings=self.standings))

    def open(self, service: str, number: int, level: Level = Level.DOWN, reason: str = "timeout") -> None:
        """Open incident `number` of `service`, with what each peer saw."""
        state = self.snap.state
        seen = tuple(
            Evidence(
                peer=peer,
                opinion=state.row(peer).vote(service).opinion,
                text=state.row(peer).vote(service).text,
                suspect=state.row(peer).vote(service).suspect,
                latency_ms=state.row(peer).vote(service).latency_ms,
            )
            for peer in PEERS
        )
        incident = Incident(
            number=number,
            service=service,
            level=level,
            reason=reason,
            since_wall=NOW - 61,
            opened_wall=NOW - 58,
            evidence=seen,
            timeline=(Step(at_wall=NOW - 58, level=level, reason=reason),),
        )
        self.turn(
            state=replace(
                state,
                incidents={**state.incidents, number: incident},
                last_incident=number,
                services={**state.services, service: ServiceRow(rev=1, incident=number, open=True)},
            )
        )

    def close(self, number: int) -> None:
        """Close incident `number`."""
        state = self.snap.state
        incident = replace(state.incidents[number], closed_wall=self.snap.now.wall)
        row = replace(state.service(incident.service), open=False)
        self.turn(
            state=replace(
                state,
                incidents={**state.incidents, number: incident},
                services={**state.services, incident.service: row},
            )
        )

    def tell(self, number: int, stage: Stage = Stage.DELIVERED, channel: str = "chat", **more: Any) -> None:
        """Write a notification of incident `number` into the ledger."""
        state = self.snap.state
        incident = state.incidents[number]
        order = state.last_order + 1
        attempts = (
            Attempt(
                number=1,
                peer="b",
                outcome=Outcome.ACCEPTED,
                detail="200 ok",
                at_wall=NOW - 57,
            ),
        )
        values: dict[str, Any] = {
            "kind": NoticeKind.FIRING,
            "created_wall": NOW - 58,
            "settled_wall": NOW - 57 if stage.finished else 0.0,
            "receipt": "slack: ok" if stage is Stage.DELIVERED else "",
            "attempts": attempts if stage is Stage.DELIVERED else (),
            **more,
        }
        item = Notification(
            id=f"{number}-{order}-{channel}",
            order=order,
            incident=number,
            service=incident.service,
            channel=channel,
            lane=f"{incident.service}>{channel}",
            sender="b",
            stage=stage,
            notice=Notice(
                level=incident.level,
                reason=incident.reason,
                since_wall=incident.since_wall,
                at_wall=incident.opened_wall,
            ),
            **values,
        )
        self.turn(
            state=replace(state, notifications={**state.notifications, item.id: item}, last_order=order)
        )

    def lose_quorum(self, age_s: float = 134.0) -> None:
        """Cut this peer off."""
        cluster = replace(
            self.snap.cluster, leader="", links={"b": False, "c": False}, last_commit_age_s=age_s
        )
        heard = dict.fromkeys(("b", "c"), BOOT - 134)
        view = replace(self.snap.view, heard_boot={"a": self.snap.now.boot, **heard})
        self.turn(cluster=cluster, view=view)

    def result(self, service: str, **more: Any) -> Result:
        """A good result of an HTTP service, kept as the latest."""
        values: dict[str, Any] = {
            "opinion": Opinion.UP,
            "kind": Kind.OK,
            "text": "HTTP 200 in 81 ms",
            "at_wall": NOW - 3,
            "duration_ms": 81.25,
            "phases_ms": {"resolve": 4.0, "connect": 11.5, "tls": 22.0, "first_byte": 40.0, "transfer": 3.75},
            "facts": {"status": 200.0, "ip": "192.0.2.1", "cert.expires_at": NOW + 40 * 86_400},
            **more,
        }
        made = Result(service=service, **values)
        self.turn(results={**self.snap.results, service: made})
        return made


def world(*services: Service, **http: Any) -> World:
    """Three peers, all well, that watch `services` (else a shop, a database and a backup)."""
    watched = services or (
        http_service("shop", title="Shop", group="web", labels=(("team", "shop"),)),
        Service(
            name="orders-db", target=TcpTarget(host="db.internal", port=5432), voters=PEERS, group="data"
        ),
        Service(
            name="nightly", target=HeartbeatTarget(period_s=86_400, grace_s=1800), voters=PEERS, group="data"
        ),
    )
    return World(settings(*watched, **http))


def bearer(token: str) -> dict[str, str]:
    """The header that presents `token`."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def serving(made: World) -> AsyncIterator[tuple[WebServer, aiohttp.ClientSession]]:
    """The real server on loopback, and a session whose URLs are relative to it."""
    server = WebServer(made.snap.settings, made.look, made.doors(), NoHistory())
    await server.start()
    jar = aiohttp.CookieJar(unsafe=True)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", cookie_jar=jar) as session:
            yield server, session
    finally:
        await server.stop()


async def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until `holds()`; AssertionError when it does not in time."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - a condition of any kind has no event
            await asyncio.sleep(0.01)  # noqa: TID251 - paces the look at a condition with a deadline
