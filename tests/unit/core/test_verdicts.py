"""Verdicts with their memory: eligible votes in, standings out, and the subject that is the cluster itself.

The quorum rules have their own table; here stands who is counted, what is remembered, and for how long.
"""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import WALL, Book, down, instant, peer_services, service, settings, view

from watchtower.core import commands as c
from watchtower.core.judging import verdicts
from watchtower.core.model import Level, Opinion, Vote
from watchtower.core.settings import Confirm, Settings
from watchtower.core.targets import HeartbeatTarget
from watchtower.core.view import Standing, View

CONFIG = settings(service("web"), service("api"), *peer_services())


def look(
    book: Book, boot: float = 100.0, old: dict[str, Standing] | None = None, config: Settings = CONFIG
) -> dict[str, Standing]:
    """The standings at `boot`, when every peer has just been heard."""
    return verdicts.observe(book.state, config, view(boot=boot, standings=old or {}), instant(boot))


def level(book: Book, name: str = "web", looks: View | None = None) -> Level | None:
    """What the verdict itself says of a service, without memory."""
    return verdicts.observe(book.state, CONFIG, looks or view(), instant(100.0))[name].verdict.level


def test_every_subject_has_a_standing() -> None:
    """Services, peers and the cluster: each is judged in every pass."""
    assert list(look(Book())) == ["web", "api", "peer/a", "peer/b", "peer/c", "cluster"]


def test_exceptions_are_counted() -> None:
    """Two of three peers that name a service down make it down; the others stay up."""
    book = Book()
    book.fails()
    assert (level(book), level(book, "api")) == (Level.DOWN, Level.UP)


def test_a_peer_that_is_not_eligible_does_not_count() -> None:
    """The votes of a silent peer, or of one with another config, are as if it had none."""
    book = Book()
    book.fails()
    assert level(book, looks=view(heard=("a", "c"))) is None
    book.report("b", {"web": down()}, config_hash="h2")
    assert level(book) is None


def test_only_voters_are_asked() -> None:
    """A service with fewer voters is judged by those alone, and by their number."""
    config = settings(service("web", voters=("c",)), *peer_services())
    book = Book()
    book.fails("web", ("a", "b"))
    assert look(book, config=config)["web"].level is Level.UP
    book.fails("web", ("c",))
    assert look(book, config=config)["web"].level is Level.DOWN


def test_a_default_of_unknown_is_no_verdict() -> None:
    """Peers that have just started vote unknown on everything they do not name."""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, default=Opinion.UNKNOWN)
    assert (level(book), level(book, "api")) == (None, None)


def test_partial_after_is_the_services_own() -> None:
    """A service may be impatient: the age at which dissent counts is its own setting."""
    config = settings(service("web"), service("hot", confirm=Confirm(partial_after_s=5.0)), *peer_services())
    book = Book()
    book.report("a", {name: down(WALL + 90) for name in ("web", "hot")})
    standings = look(book, config=config)
    assert (standings["web"].level, standings["hot"].level) == (Level.UP, Level.PARTIAL)


def test_the_first_look_remembers_when() -> None:
    """A level is remembered since it was first seen, and changes its beginning only with the level."""
    book = Book()
    first = look(book)
    again = look(book, 130.0, first)
    assert (again["web"].since_boot, again["web"].held_boot) == (100.0, 130.0)
    book.fails()
    assert look(book, 140.0, again)["web"].since_boot == 140.0


def test_a_verdict_is_held_for_two_minutes() -> None:
    """When no rule holds, the last level stays in force for two minutes, then it is unknown."""
    book = Book()
    book.fails()
    standings = look(book)
    for peer in ("b", "c"):
        book.report(peer, {"web": Vote(opinion=Opinion.UNKNOWN)}, full=False)
    for boot, expected in ((219.9, Level.DOWN), (220.0, Level.UNKNOWN), (500.0, Level.UNKNOWN)):
        standings = look(book, boot, standings)
        assert (standings["web"].level, standings["web"].verdict.level) == (expected, None)
    assert standings["web"].since_boot == 220.0


def test_holding_begins_anew_with_every_rule_that_holds() -> None:
    """The two minutes are counted from when a rule last held, not from when the level began."""
    book = Book()
    standings = look(book, 150.0, look(book))
    book.report("a", {"web": down(WALL + 150)}, full=False)
    book.report("b", {"web": Vote(opinion=Opinion.UNKNOWN)}, full=False)
    assert look(book, 269.0, standings)["web"].level is Level.UP
    assert look(book, 270.0, standings)["web"].level is Level.PARTIAL
    book.report("a", {"web": Vote(opinion=Opinion.UNKNOWN)}, full=False)
    assert look(book, 270.0, standings)["web"].level is Level.UNKNOWN


def test_what_was_never_judged_is_unknown() -> None:
    """At first sight, without a rule that holds, a service is unknown."""
    book = Book()
    book.fails("web", ("a",))
    book.report("b", {"web": Vote(opinion=Opinion.UNKNOWN)}, full=False)
    assert look(book, 10.0)["web"].level is Level.UNKNOWN


def test_heartbeats_and_peers_are_judged_by_their_own_rules() -> None:
    """A heartbeat needs no votes, a peer's own vote on itself never counts."""
    config = settings(service("job", HeartbeatTarget(period_s=60, grace_s=10)), *peer_services())
    book = Book()
    book.must("a", c.BeatSeen(service="job", at_wall=WALL + 90))
    book.report("b", {"peer/b": Vote(opinion=Opinion.DOWN)}, full=False)
    standings = look(book, config=config)
    assert (standings["job"].level, standings["peer/b"].level) == (Level.UP, Level.UP)


# ---- the cluster


def test_a_cluster_that_can_judge_is_up() -> None:
    """As long as everything is judged and at most a minority doubts itself, the cluster is up."""
    book = Book()
    book.report("a", doubt="no reference answers")
    assert look(book)["cluster"].level is Level.UP


def test_a_majority_in_doubt_is_down() -> None:
    """When most peers doubt themselves nobody watches: that is the cluster's own incident."""
    book = Book()
    book.report("b", doubt="no reference answers")
    book.report("c", doubt="loop lag")
    standing = look(book)["cluster"]
    assert standing.level is Level.DOWN
    assert standing.verdict.reason == "2 of 3 peers doubt themselves: no reference answers"


def test_a_single_peer_in_doubt_is_no_majority() -> None:
    """A cluster of one peer has that peer's own incident already."""
    book = Book(peers=("a",))
    book.report("a", doubt="no reference answers")
    config = settings(service("web", voters=("a",)), peers=("a",))
    standings = verdicts.observe(book.state, config, view(heard=("a",)), instant(100.0))
    assert standings["cluster"].level is Level.UP


def test_five_minutes_of_unknown_are_one_incident_of_the_cluster() -> None:
    """More than five minutes without a judgement on services degrade the cluster, once for all of them."""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, default=Opinion.UNKNOWN)
    standings = look(book)
    assert look(book, 400.0, standings)["cluster"].level is Level.UP
    cluster = look(book, 400.1, standings)["cluster"]
    assert (cluster.level, cluster.verdict.since_wall) == (Level.DEGRADED, WALL + 100.1)
    expected = "cannot judge 2 services: no 2 of 3 peers agree: 1 up, 0 degraded, 0 down"
    assert cluster.verdict.reason == expected


def test_some_unknowns_are_expected() -> None:
    """A new heartbeat and a peer on leave are unknown for good reasons: the cluster is up."""
    config = settings(service("job", HeartbeatTarget(period_s=60, grace_s=10)), *peer_services())
    book = Book()
    book.must("b", c.Leaving(for_s=9999, at_wall=WALL))
    standings = look(book, config=config)
    assert standings["peer/b"].level is standings["job"].level is Level.UNKNOWN
    assert look(book, 900.0, standings, config)["cluster"].level is Level.UP


# ---- evidence


def test_evidence_says_what_each_voter_sees() -> None:
    """Each voter's opinion and text; of a peer without a vote, why it has none."""
    book = Book()
    book.fails("web", ("a",))
    seen = verdicts.evidence(service("web"), book.state, view(heard=("a", "b")), instant(100.0))
    assert [(e.peer, e.opinion, e.text) for e in seen] == [
        ("a", Opinion.DOWN, "refused"),
        ("b", Opinion.UP, ""),
        ("c", Opinion.UNKNOWN, "has no vote: silent"),
    ]


def test_only_members_have_a_vote() -> None:
    """While the file names five peers and the cluster has three, two of three are a majority."""
    five = ("a", "b", "c", "d", "e")
    web = service("web", voters=five)
    config = settings(web, peers=five)
    book = Book()
    book.fails("web", ("a", "b"))
    standing = verdicts.observe(book.state, config, view(), instant(100.0))["web"]
    assert (standing.level, standing.verdict.reason) == (Level.DOWN, "2 of 3 peers see it down")
    assert [seen.peer for seen in verdicts.evidence(web, book.state, view(), instant(100.0))] == list("abc")


def test_calm_services_share_their_standings() -> None:
    """A thousand services in which nothing happens cost a handful of standings a pass, whatever their past.

    What is equal becomes one object; a service of which something is reported keeps one of its own.
    """
    names = [f"s{number:03}" for number in range(1000)]
    config = settings(*map(service, names), *peer_services())
    book = Book()
    book.fails("s000")
    first = look(book, config=config)
    apart = {name: replace(one, since_boot=90.0 + len(name)) for name, one in first.items()}
    assert len({id(one) for one in apart.values()}) == len(apart)
    later = look(book, boot=101.0, old=apart, config=config)
    assert len({id(later[name]) for name in names}) == 2
    assert later["s999"] == replace(apart["s999"], held_boot=101.0)
    assert (later["s000"].level, later["s999"].level) == (Level.DOWN, Level.UP)


def test_a_calm_service_keeps_its_own_past() -> None:
    """Sharing mixes up neither voters nor pasts: each service goes on from what it was itself."""
    config = settings(service("web"), service("api"), service("one", voters=("c",)), *peer_services())
    before = look(Book(), config=config)
    before["web"] = replace(before["web"], level=Level.DOWN, since_boot=50.0)
    before["api"] = replace(before["api"], since_boot=60.0)
    after = look(Book(), boot=101.0, old=before, config=config)
    assert [after[name].since_boot for name in ("web", "api", "one")] == [101.0, 60.0, 100.0]
    assert after["one"].verdict.counts != after["web"].verdict.counts
