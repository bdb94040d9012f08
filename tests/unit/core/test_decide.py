"""Decide, stage by stage: what the alerter proposes for a given ledger and view, and what it leaves alone.

Passes run on ledgers that the log could have produced; `Book.decided` observes and decides. What happens
over time, with several peers and channels, is told in tests/scenarios.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import (
    WALL,
    Book,
    down,
    instant,
    peer_services,
    service,
    settings,
    view,
)

from watchtower.core import commands as c
from watchtower.core import decide as decide_module
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import EVIDENCE_TEXT_MAX, Level, NoticeKind, Opinion, Vote
from watchtower.core.settings import Alerting, Settings
from watchtower.core.view import View

CONFIG = settings(service("web"), service("api"), *peer_services())
BOOT = 100.0


def kinds(book: Book, config: Settings = CONFIG, boot: float = BOOT, looks: View | None = None) -> list[str]:
    """The kinds of commands of one pass."""
    return [type(command).__name__ for command in book.decided(config, boot, looks)[0]]


def only(book: Book, config: Settings = CONFIG, boot: float = BOOT, looks: View | None = None) -> Any:
    """The one command of a pass."""
    (command,) = book.decided(config, boot, looks)[0]
    return command


def do_all(book: Book, config: Settings = CONFIG, boot: float = BOOT) -> None:
    """One pass with everything it proposes."""
    for command in book.decided(config, boot)[0]:
        book.must(config.me, command)


# ---- who may decide


def test_nothing_to_do() -> None:
    """When all is well a pass proposes nothing."""
    assert kinds(Book()) == []


def test_only_the_holder_decides() -> None:
    """A peer that does not hold the lease, or held it in an earlier session, proposes nothing."""
    book = Book()
    book.fails()
    assert kinds(book) == ["Open"]
    assert kinds(book, settings(service("web"), *peer_services(), me="b"), looks=None) == []
    book.join("a")
    book.report("a")
    book.fails()
    assert kinds(book) == []
    book.lease("a")
    assert kinds(book) == ["Open"]


# ---- activation


def test_the_config_of_a_majority_comes_into_force() -> None:
    """When most live peers report another config, it is activated, and nothing else in that pass."""
    book = Book()
    book.fails("api")
    book.report("b", config_hash="h2")
    assert kinds(book) == []
    book.report("c", config_hash="h2")
    command = only(book)
    assert (command.config_hash, command.gen, command.epoch) == ("h2", 1, 1)
    book.must("a", command)
    assert kinds(book) == [], "a's own config is not in force any more"


def test_the_config_of_the_dead_does_not_count() -> None:
    """A session that was ended has no config; a row without a report has none either."""
    book = Book()
    for peer in ("b", "c"):
        book.report(peer, config_hash="h2")
    book.must("a", c.Gone(epoch=1, peer="c", peer_session=1))
    assert "Activate" not in kinds(book)
    book.join("c")
    assert "Activate" not in kinds(book)


# ---- departures


def test_the_command_version_follows_the_slowest_member() -> None:
    """When every live session knows a newer one, the gate is raised to it; one that lags holds it."""
    book = Book()
    for peer, version in (("a", 3), ("b", 2), ("c", 1)):
        book.must(peer, c.Join(boot_id=f"new {peer}", version="9", command_version=version, at_wall=WALL))
        book.report(peer, config_hash=CONFIG.config_hash)
    book.lease("a")
    assert kinds(book) == []
    book.must("c", c.Join(boot_id="newer c", version="9", command_version=2, at_wall=WALL))
    book.report("c", config_hash=CONFIG.config_hash)
    assert only(book) == c.Gate(epoch=2, version=2)


def test_who_the_members_are_the_ledger_says() -> None:
    """A peer that is only in the file counts for no majority; one that is only in the ledger is missed."""
    book = Book()
    more = settings(service("web"), *peer_services(), peers=("a", "b", "c", "d", "e"), config_hash="h2")
    for peer in ("a", "b"):
        book.report(peer, config_hash="h2")
    assert kinds(book, more) == ["Activate"]
    fewer = settings(service("web"), peers=("a", "b"))
    gone = only(Book(), fewer, looks=view(boot=BOOT, heard=("a", "b")))
    assert gone == c.Gone(epoch=1, peer="c", peer_session=1)


def test_a_silent_peer_is_declared_gone() -> None:
    """A peer that has not reported for more than 15 s loses its session, once."""
    book = Book()
    looks = replace(view(boot=BOOT), heard_boot={"a": BOOT, "b": BOOT - 15.1, "c": BOOT - 15.0})
    gone = [x for x in book.decided(CONFIG, BOOT, looks)[0] if isinstance(x, c.Gone)]
    assert [(x.peer, x.peer_session) for x in gone] == [("b", 1)]
    book.must("a", gone[0])
    assert "Gone" not in kinds(book, looks=looks)


def test_a_process_that_has_just_started_declares_nobody_gone() -> None:
    """Silence is counted from when this process began to listen, and never one's own."""
    fresh = View(me="a", started_boot=BOOT - 15.0)
    assert "Gone" not in kinds(Book(), looks=fresh)
    deaf = View(me="a", started_boot=BOOT - 16.0)
    assert kinds(Book(), looks=deaf).count("Gone") == 2


# ---- transitions


@pytest.mark.parametrize(("stood_s", "expected"), [(0.25, []), (0.49, []), (0.5, ["Open"])])
def test_an_incident_opens_only_on_a_verdict_that_stands(stood_s: float, expected: list[str]) -> None:
    """A verdict that is not half a second old may be a report that its peer has already taken back."""
    book = Book()
    _, before = book.decided(CONFIG, BOOT)
    book.fails()
    _, first = book.decided(CONFIG, BOOT, before)
    assert kinds(book, boot=BOOT + stood_s, looks=first) == expected


def test_what_an_open_says() -> None:
    """The open bears level, reason, beginning, evidence, and one draft for each channel."""
    config = settings(
        service("web", alert=("mail", "chat")), *peer_services(), channels={"chat": "", "mail": ""}
    )
    book = Book()
    book.fails(since_wall=WALL + 40)
    command = only(book, config)
    assert (command.service, command.level, command.since_wall) == ("web", Level.DOWN, WALL + 40)
    assert command.reason == "2 of 3 peers see it down"
    assert [(e.peer, e.opinion) for e in command.evidence] == [
        ("a", Opinion.DOWN), ("b", Opinion.DOWN), ("c", Opinion.UP),
    ]  # fmt: skip
    drafts = [(d.channel, d.kind, d.sender, d.notice.level) for d in command.drafts]
    assert drafts == [(name, NoticeKind.FIRING, "a", Level.DOWN) for name in ("mail", "chat")]
    assert len({draft.id for draft in command.drafts}) == 2
    book.must("a", command)
    assert kinds(book, config) == []


def test_two_services_open_in_one_pass() -> None:
    """Opens of one pass do not stand in each other's way, and their notifications are two."""
    book = Book()
    for name in ("web", "api"):
        book.fails(name)
    do_all(book)
    assert [incident.service for incident in book.state.incidents.values()] == ["web", "api"]
    assert len(book.state.notifications) == 2


def test_worse_is_told() -> None:
    """An incident that worsens is told on each channel, with an id of its own each time."""
    book = Book()
    ids = []
    for peer in ("a", "b"):
        book.report(peer, {"web": Vote(opinion=Opinion.DEGRADED, since_wall=WALL)})
    do_all(book)
    for turn in range(2):
        book.fails()
        command = only(book, boot=BOOT + turn)
        assert (command.level, [d.kind for d in command.drafts]) == (Level.DOWN, [NoticeKind.WORSENED])
        ids += [draft.id for draft in command.drafts]
        book.must("a", command)
        book.report("b", {"web": Vote(opinion=Opinion.DEGRADED, since_wall=WALL)})
        eased = only(book, boot=BOOT + turn + 0.5)
        assert (eased.level, eased.drafts) == (Level.DEGRADED, ())
        book.must("a", eased)
    assert len(set(ids)) == 2


def test_up_closes() -> None:
    """An up verdict that stands closes the incident; no verdict, or unknown, leaves it open."""
    book = Book()
    book.fails()
    do_all(book)
    for peer in ("a", "b"):
        book.report(peer, {"web": Vote(opinion=Opinion.UNKNOWN)})
    assert kinds(book) == []
    book.recovers()
    command = only(book)
    assert (type(command), command.reason, command.notice.level) == (
        c.Close, "3 of 3 peers see it up", Level.UP,
    )  # fmt: skip
    book.must("a", command)
    assert kinds(book) == []


def test_resolved_false_tells_nobody_of_the_end() -> None:
    """With `alerting: {resolved: false}` the close carries no notice."""
    config = settings(service("web"), *peer_services(), alerting=Alerting(resolved=False))
    book = Book()
    book.fails()
    do_all(book, config)
    book.recovers()
    assert only(book, config).notice is None


def test_unknown_opens_nothing() -> None:
    """A service of which nothing is known has no incident, however long."""
    book = Book()
    for peer in ("a", "b", "c"):
        book.report(peer, {"web": Vote(opinion=Opinion.UNKNOWN)})
    assert kinds(book, boot=BOOT) == []


def test_a_held_level_opens_nothing() -> None:
    """A level that is only remembered, without a rule that holds now, moves no incident."""
    book = Book()
    book.report("a", {"web": down(WALL + BOOT)})
    book.report("b", {"web": down(WALL + BOOT)})
    _, looks = book.decided(CONFIG, BOOT, view(boot=BOOT))
    book.report("b", {"web": Vote(opinion=Opinion.UNKNOWN)})
    assert kinds(book, boot=BOOT + 5, looks=looks) == []


@pytest.mark.parametrize(("stood_s", "expected"), [(4.75, []), (5.0, ["Open"])])
def test_our_own_sickness_must_stand_longer(stood_s: float, expected: list[str]) -> None:
    """Doubts of a peer come and go: a merely degraded peer becomes an incident after five seconds."""
    book = Book()
    _, before = book.decided(CONFIG, BOOT)
    book.report("b", doubt="no reference answers")
    _, first = book.decided(CONFIG, BOOT, before)
    assert kinds(book, boot=BOOT + stood_s, looks=first) == expected


def test_a_peer_that_dies_is_an_incident() -> None:
    """First its session is ended; the incident follows from the votes that are left."""
    book = Book()
    looks = replace(view(boot=BOOT), heard_boot={"a": BOOT, "b": BOOT, "c": BOOT - 20})
    commands, looks = book.decided(CONFIG, BOOT, looks)
    assert [type(x) for x in commands] == [c.Gone]
    book.must("a", commands[0])
    command = only(book, boot=BOOT + 0.5, looks=looks)
    assert (command.service, command.level) == ("peer/c", Level.DOWN)


# ---- orphans and forgetting


def test_a_service_that_left_the_config_ends() -> None:
    """An open incident of a service that is no longer configured is closed, then its rows are forgotten."""
    book = Book()
    for name in ("old", "web"):
        book.fails(name)
        book.must("a", book.opening(name))
    book.must("a", c.BeatSeen(service="older", at_wall=WALL))
    do_all(book)
    assert book.state.incidents[1].timeline[-1].reason == "no longer configured"
    assert only(book).services == ("old",)
    do_all(book)
    assert set(book.state.services) == {"web"}
    assert (book.state.beats, kinds(book)) == ({}, [])


def test_one_forget_fits_into_an_entry() -> None:
    """However many services left, with the longest names, one command fits; the rest follows."""
    book = Book()
    for number in range(decide_module.FORGOTTEN_MAX + 1):
        book.must("a", c.BeatSeen(service=f"{number:063}", at_wall=WALL))
    command = only(book)
    assert len(command.services) == decide_module.FORGOTTEN_MAX
    c.encode(book.entry("a", command))
    book.must("a", command)
    assert len(only(book).services) == 1


# ---- limits


def test_one_pass_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm is decided in passes of bounded size; what is left over comes next."""
    monkeypatch.setattr(decide_module, "COMMANDS_MAX", 3)
    names = [f"s{number}" for number in range(5)]
    config = settings(*(service(name) for name in names), *peer_services())
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, {name: down() for name in names})
    assert len(book.decided(config, BOOT)[0]) == 3
    do_all(book, config)
    assert kinds(book, config) == ["Open", "Open"]


def test_a_pass_changes_nothing_by_itself() -> None:
    """Deciding twice on the same facts gives the same commands."""
    book = Book()
    book.fails()
    looks = view(boot=BOOT, standings=verdicts.observe(book.state, CONFIG, view(boot=90.0), instant(90.0)))
    twice = [decide(book.state, CONFIG, looks, instant(BOOT)) for _ in range(2)]
    assert twice[0] == twice[1] != ()


def test_a_missing_vote_eases_nothing() -> None:
    """While a missing voter could still make it as bad, an incident does not ease: its return would page."""
    book = Book()
    book.fails(since_wall=WALL - 300)
    do_all(book)
    book.report("b", {"web": Vote(opinion=Opinion.UNKNOWN)})
    _, looks = book.decided(CONFIG, BOOT)
    assert looks.standings["web"].level is Level.PARTIAL
    assert kinds(book) == []
    book.report("b", {"web": None}, full=False)
    command = only(book)
    assert (type(command), command.level, command.drafts) == (c.Shift, Level.PARTIAL, ())


def test_the_cluster_eases_without_votes() -> None:
    """The cluster has no voters: fewer doubts ease its incident as soon as they stand."""
    book = Book()
    book.must("a", book.opening("cluster"))
    for peer in ("a", "b"):
        book.report(peer, default=Opinion.UNKNOWN)
    looks = view(boot=500.0, standings=verdicts.observe(book.state, CONFIG, view(), instant(100.0)))
    _, looks = book.decided(CONFIG, 500.0, looks)
    assert looks.standings["cluster"].level is Level.DEGRADED
    assert kinds(book, boot=506.0, looks=replace(looks, heard_boot=view(boot=506.0).heard_boot)) == ["Shift"]


# ---- what fits into one entry


def test_many_channels_and_long_evidence_fit_into_one_entry() -> None:
    """Five peers with the longest evidence, twenty channels: one entry, and each message has it all."""
    peers = ("a", "b", "c", "d", "e")
    channels = tuple(f"channel-{number:02}" for number in range(20))
    config = settings(
        service("web", voters=peers, alert=channels),
        *peer_services(peers),
        peers=peers,
        channels=dict.fromkeys(channels, ""),
    )
    book = Book(peers=peers)
    text = "停" * EVIDENCE_TEXT_MAX
    for peer in peers:
        book.report(peer, {"web": down(text=text)})
    early = verdicts.observe(book.state, config, view(boot=BOOT - 10, heard=peers), instant(BOOT - 10))
    opening = only(book, config, looks=view(heard=peers, standings=early))
    entry = c.decode(c.encode(book.entry("a", opening)))
    assert isinstance(entry.command, c.Open)
    book.must("a", entry.command)
    items = book.items(1)
    assert len(items) == 20
    assert all(len(item.notice.evidence) == 5 for item in items)
    assert all(seen.text == text for item in items for seen in item.notice.evidence)
