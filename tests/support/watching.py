"""A vantage point under test: peer `a` of three, with a real ledger that applies what it reports.

Time stands still unless `pass_s` moves it. Every report goes through the codec, so that one too large
for an entry fails the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.core_support import HASH, PEERS, Book, instant, service, settings

from watchtower.core import commands as c
from watchtower.core.model import Instant, Kind, Opinion, Result, Vote
from watchtower.core.ports import Recheck
from watchtower.core.settings import ClusterSettings, PeerSettings, Service, Settings
from watchtower.probes.weighing.vantage import Vantage

UP, DEGRADED, DOWN, UNKNOWN = Opinion.UP, Opinion.DEGRADED, Opinion.DOWN, Opinion.UNKNOWN


def result(
    name: str, opinion: Opinion, *, kind: Kind | None = None, text: str = "", at_boot: float = 0.0
) -> Result:
    """What a look at service `name` found."""
    usual = {UP: Kind.OK, DEGRADED: Kind.CONDITION, DOWN: Kind.REFUSED, UNKNOWN: Kind.INCONCLUSIVE}
    return Result(
        service=name,
        opinion=opinion,
        kind=kind or usual[opinion],
        text=text or f"seen {opinion}",
        at_wall=instant(at_boot).wall,
        duration_ms=12.34,
    )


def watching(*services: Service, **fields: Any) -> Settings:
    """Settings of peer a, whose peers have addresses to compare oneself with."""
    made = settings(*services, **fields)
    cluster = made.cluster
    peers = tuple(
        PeerSettings(name=peer.name, raft_host="h", raft_port=1, http_url=f"http://{peer.name}.example")
        for peer in cluster.peers
    )
    wanted = ClusterSettings(name=cluster.name, secrets=cluster.secrets, peers=peers)
    return Settings(
        me=made.me,
        config_hash=made.config_hash,
        cluster=wanted,
        http=made.http,
        channels=made.channels,
        services=made.services,
    )


class Watch:
    """Peer a's Vantage beside the ledger. Services are named; each may have its own fields."""

    def __init__(self, *names: str, alone: bool = False, **fields: Any) -> None:
        self.boot = 100.0
        peers = ("a",) if alone else PEERS
        fields.setdefault("voters", peers)
        self.settings = watching(*(service(name, **fields) for name in names), peers=peers)
        self.book = Book(peers=peers)
        self.boot_id = "boot"
        self.book.join("a", self.boot_id)
        self.book.lease("a")
        self.vantage = Vantage(self.settings, self.now)
        self.blocked: dict[str, str] = {}
        self.reports: list[c.Report] = []

    @property
    def now(self) -> Instant:
        """Both clocks."""
        return instant(self.boot)

    def pass_s(self, seconds: float) -> None:
        """Time passes."""
        self.boot += seconds

    def rejoin(self) -> None:
        """The ledger gives peer a a new session, as if it knew nothing of it."""
        self.boot_id += "'"
        self.book.join("a", self.boot_id)

    def see(self, name: str, *opinions: Opinion, **fields: Any) -> Recheck | None:
        """Looks at `name`, one after another; what is to be looked at again after the last."""
        recheck = None
        for opinion in opinions:
            recheck = self.vantage.take(result(name, opinion, at_boot=self.boot, **fields), self.now)
        return recheck

    def all_up(self) -> None:
        """Every service is seen up, and that is reported."""
        for name in self.settings.services:
            self.see(name, UP)
        self.settle()

    def checked(self, *, holds: bool = True) -> None:
        """A look at the reference targets begins and ends now."""
        self.vantage.note_reference(holds, self.boot, "tcp://192.0.2.1:53")

    def report(self) -> c.Report | None:
        """The report that is due now; the log takes it."""
        report = self.vantage.report(self.book.state, self.now, self.boot_id, self.blocked)
        if report is not None:
            c.decode(c.encode(self.book.entry("a", report)))
            self.book.must("a", report)
            self.reports.append(report)
        return report

    def settle(self, limit: int = 100) -> list[c.Report]:
        """Report until there is nothing left to say; the reports that it took."""
        made = []
        while (report := self.report()) is not None:
            made.append(report)
            assert len(made) < limit, "it never stops reporting"
        return made

    def others_see(self, votes: Mapping[str, Vote], *peers: str) -> None:
        """Other peers report these exceptions."""
        for peer in peers:
            self.book.report(peer, dict(votes))

    def votes(self) -> dict[str, tuple[Opinion, bool]]:
        """Opinion and suspicion of every service in the ledger's row of peer a."""
        row = self.book.state.row("a")
        return {
            name: (row.vote(name).opinion, row.vote(name).suspect) for name in sorted(self.settings.services)
        }

    def vote(self, name: str) -> Vote:
        """The vote on `name` in the ledger's row of peer a, after all is reported."""
        self.settle()
        return self.book.state.row("a").vote(name)


__all__ = ["DEGRADED", "DOWN", "HASH", "UNKNOWN", "UP", "Watch", "result", "watching"]
