"""The ledger's table, row by row: what each command needs, what it does, and what refuses it.

Each row of protocol.md section 3 outside the outbox stands here as a precondition (table of refusals) and
an effect. A refused entry leaves the very same state; Book checks that for every command it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.core_support import HASH, WALL, Book, down, notice

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.applying import lives
from watchtower.core.beats import Beat, Signal
from watchtower.core.commands import Answer, Command
from watchtower.core.model import (
    EVIDENCE_TEXT_MAX,
    Checkpoint,
    Level,
    NoticeKind,
    Opinion,
    Outcome,
    State,
    Vote,
)


def joined(boot_id: str = "new") -> c.Join:
    """A join of another process."""
    return c.Join(boot_id=boot_id, version="2", command_version=1, at_wall=WALL + 9)


def report(seq: int = 1, *, full: bool = False, config_hash: str = HASH, **votes: Vote | None) -> c.Report:
    """A report, by default the difference that is due."""
    return c.Report(seq=seq, full=full, config_hash=config_hash, at_wall=WALL, votes=votes)


def lease_claim(epoch: int = 1, renewals: int = 0) -> c.ClaimLease:
    """A claim of the lease."""
    return c.ClaimLease(epoch=epoch, renewals=renewals, length_ms=4000, id="later")


def activate(epoch: int = 1, gen: int = 1) -> c.Activate:
    """A change of the config in force."""
    return c.Activate(epoch=epoch, gen=gen, config_hash="h2", at_wall=WALL + 5)


REFUSALS: list[tuple[str, str, Command, str]] = [
    ("a found twice", "a", c.Found(cluster="x", members=("z",), at_wall=WALL), "already founded as test"),
    ("a stranger", "z", joined(), "z is not a member of the cluster"),
    ("a join of the same boot", "b", joined("b-1"), "this boot has joined already"),
    ("gone in another epoch", "a", c.Gone(epoch=2, peer="b", peer_session=1), "epoch 2 is not the current 1"),
    ("gone by no alerter", "b", c.Gone(epoch=1, peer="c", peer_session=1), "epoch 1 is held by a"),
    ("gone of a later session", "a", c.Gone(epoch=1, peer="b", peer_session=9), "b has session 1 by now"),
    ("an older report", "b", report(0), "report 0 is not the expected 1"),
    ("a report too far ahead", "b", report(2), "report 2 is not the expected 1"),
    ("a difference of another config", "b", report(config_hash="h2"), "a difference against another config"),
    ("an activation in another epoch", "a", activate(epoch=0), "epoch 0 is not the current 1"),
    ("an activation of an old gen", "a", activate(gen=0), "generation 0 is not the current 1"),
    ("an activation by no alerter", "c", activate(), "epoch 1 is held by a"),
    ("a lease claim of an old epoch", "b", lease_claim(epoch=0), "the lease has moved on"),
    ("a lease claim before a renewal", "b", lease_claim(renewals=1), "the lease has moved on"),
    ("a renewal by a rival", "b", c.Renew(epoch=1, length_ms=1, id="x"), "epoch 1 is held by a"),
    ("a renewal of an old epoch", "a", c.Renew(epoch=0, length_ms=1, id="x"), "epoch 0 is not the current 1"),
    ("a renewal twice", "a", c.Renew(epoch=1, length_ms=1, id="lease-1"), "this renewal is applied already"),
    ("a release by a rival", "b", c.Release(epoch=1), "epoch 1 is held by a"),
    (
        "a notification of no incident",
        "a",
        c.Enqueue(epoch=1, incident=7, draft=Book().draft("mail", "web", "7"), at_wall=WALL),
        "no such incident",
    ),
    ("an assignment of nothing", "a", c.Assign(epoch=1, id="?", sender="b"), "no such unfinished"),
    ("an assignment by no alerter", "b", c.Assign(epoch=1, id="?", sender="b"), "epoch 1 is held by a"),
    ("forgetting in another epoch", "a", c.Forget(epoch=3, gen=1, services=()), "epoch 3 is not the"),
    ("forgetting by an old config", "a", c.Forget(epoch=1, gen=0, services=()), "the config in force"),
]  # fmt: skip


@pytest.mark.parametrize(("by", "command", "reason"), [pytest.param(*x[1:], id=x[0]) for x in REFUSALS])
def test_a_false_precondition_is_a_no_op(by: str, command: Command, reason: str) -> None:
    """A command whose precondition does not hold changes nothing and says why."""
    answer = Book().do(by, command)
    assert not answer.ok
    assert answer.reason.startswith(reason)


SESSION_BOUND = [
    c.Gone(epoch=1, peer="b", peer_session=1), report(1), activate(), lease_claim(),
    c.Renew(epoch=1, length_ms=1, id="x"), c.Release(epoch=1), Book().opening(), Book().closing(),
    Book().shifting(Level.DOWN), c.Leaving(for_s=60, at_wall=WALL),
    c.Resize(members=("a", "b"), members_gen=1), c.Gate(epoch=1, version=2),
    c.Enqueue(epoch=1, incident=1, draft=Book().draft("mail", "web", "1"), at_wall=WALL),
    c.Assign(epoch=1, id="x", sender="a"), c.Claim(id="x", attempt=0, hold_ms=1, claim_id="x"),
    c.Settle(id="x", attempt=1, outcome=Outcome.NOT_SENT, at_wall=WALL),
    c.Forget(epoch=1, gen=1, services=()),
]  # fmt: skip


@pytest.mark.parametrize("session", [0, 2, 7])
@pytest.mark.parametrize("command", SESSION_BOUND, ids=lambda command: type(command).__name__)
def test_another_session_may_not_propose(command: Command, session: int) -> None:
    """What needs the session is refused from any other one, and from a process that never joined."""
    answer = Book().do("a", command, session=session)
    assert answer == Answer(ok=False, reason=f"session {session} is not the current one of a")


def test_every_command_has_an_effect() -> None:
    """Nothing that can be decoded is without a row in the table of effects."""
    assert set(ledger._EFFECTS) == set(Command.__args__)


def test_found_names_the_cluster_once() -> None:
    """The first entry names the cluster and its members; before it nobody is a member."""
    state = State()
    entry = c.Entry(v=1, by="a", boot="", seq=1, session=0, command=joined())
    assert not ledger.apply(state, entry)[1].ok
    book = Book()
    assert (book.state.cluster, book.state.members) == ("test", ("a", "b", "c"))


def test_join_voids_the_votes_of_the_earlier_boot() -> None:
    """A new process starts with another session, no config and no votes, and the revisions rise."""
    book = Book()
    book.fails("web", ("b",))
    rev = book.state.rev("web")
    book.must("b", joined())
    row = book.state.row("b")
    assert (row.session, row.boot_id, row.report_seq, row.config_hash) == (2, "new", 0, "")
    assert row.vote("web").opinion is row.vote("api").opinion is Opinion.UNKNOWN
    assert book.state.rev("web") > rev


def test_gone_voids_the_votes_and_the_session() -> None:
    """A peer declared gone has no votes, and must join again before it may report."""
    book = Book()
    book.fails("web", ("b",))
    rev = book.state.rev("web")
    book.must("a", c.Gone(epoch=1, peer="b", peer_session=1))
    assert book.state.row("b").vote("web").opinion is Opinion.UNKNOWN
    assert book.state.rev("web") > rev
    assert not book.do("b", report(2), session=1).ok
    book.join("b", "b-1")
    assert book.state.row("b").session == 3


def test_leaving_excuses_and_takes_the_votes() -> None:
    """Leaving notes until when it is excused, raises the revisions once, and ends with the next join."""
    book = Book()
    rev = book.state.rev("web")
    book.must("b", c.Leaving(for_s=60, at_wall=WALL))
    assert book.state.row("b").leaving_until_wall == WALL + 60
    assert book.state.rev("web") > rev
    rev = book.state.rev("web")
    book.must("b", c.Leaving(for_s=90, at_wall=WALL))
    assert (book.state.row("b").leaving_until_wall, book.state.rev("web")) == (WALL + 90, rev)
    book.join("b")
    assert book.state.row("b").leaving_until_wall == 0.0


def test_who_stays_after_all_counts_again() -> None:
    """Leaving for no time at all takes the goodbye back: the votes are those of before, and counted anew."""
    book = Book()
    book.report("b", {"web": down()})
    book.must("b", c.Leaving(for_s=60, at_wall=WALL))
    rev = book.state.rev("web")
    book.must("b", c.Leaving(for_s=0, at_wall=WALL + 30))
    row = book.state.row("b")
    assert (row.leaving_until_wall, row.vote("web").opinion) == (0.0, Opinion.DOWN)
    assert book.state.rev("web") > rev


def test_every_entry_is_counted() -> None:
    """The count goes on whatever an entry does: it says where in the log a state stands."""
    book = Book()
    before = book.state.entries
    assert not book.do("stranger", c.Release(epoch=1)).ok
    assert book.do("a", c.Release(epoch=1)).ok
    assert book.state.entries == before + 2


def test_a_report_says_how_far_its_peer_is() -> None:
    """Membership and checkpoint are those of the latest report; a new life has compared nothing yet."""
    book = Book()
    mark = Checkpoint(entries=512, hash="f00d")
    book.report("b", members_gen=1, checkpoint=mark)
    assert (book.state.row("b").members_gen, book.state.row("b").checkpoint) == (1, mark)
    book.join("b")
    assert (book.state.row("b").members_gen, book.state.row("b").checkpoint) == (1, None)
    book.report("b", members_gen=1, checkpoint=mark)
    book.must("a", c.Gone(epoch=1, peer="b", peer_session=2))
    assert (book.state.row("b").members_gen, book.state.row("b").checkpoint) == (1, None)


def gated(*versions: int) -> Book:
    """A cluster whose peers know these command versions, a in office."""
    book = Book()
    for peer, version in zip(book.peers, versions, strict=True):
        join = c.Join(boot_id=f"{peer} v{version}", version="9", command_version=version, at_wall=WALL)
        book.must(peer, join)
    book.lease("a")
    return book


def test_the_gate_moves_when_every_member_knows_the_version() -> None:
    """Up to the version that all know, forward only, and by the alerter of the epoch only."""
    book = gated(3, 2, 2)
    assert not book.do("a", c.Gate(epoch=2, version=3)).ok
    assert not book.do("a", c.Gate(epoch=1, version=2)).ok
    assert not book.do("b", c.Gate(epoch=2, version=2)).ok
    assert book.state.gate == 1
    book.must("a", c.Gate(epoch=2, version=2))
    assert book.state.gate == 2
    assert not book.do("a", c.Gate(epoch=2, version=2)).ok
    assert not book.do("a", c.Gate(epoch=2, version=1)).ok


def test_the_gate_that_was_decided_before_a_downgrade_is_refused() -> None:
    """A member that came back with an older watchtower in the meantime keeps the gate shut."""
    book = gated(2, 2, 2)
    book.must("c", c.Join(boot_id="older", version="1", command_version=1, at_wall=WALL))
    assert not book.do("a", c.Gate(epoch=2, version=2)).ok


def test_a_full_report_replaces_the_row() -> None:
    """A full report names all exceptions; what it does not name has the default."""
    book = Book()
    book.report("b", {"web": down()})
    book.report("b", {"api": down(), "old": None}, default=Opinion.UNKNOWN, doubt="resolver")
    row = book.state.row("b")
    assert list(row.votes) == ["api"]
    assert (row.vote("web").opinion, row.doubt, row.report_seq) == (Opinion.UNKNOWN, "resolver", 3)


def test_a_delta_changes_what_it_names() -> None:
    """A delta adds, replaces and takes back single votes and leaves the default alone."""
    book = Book()
    book.report("b", {"web": down(), "api": down()})
    book.report("b", {"api": None, "db": down()}, full=False, default=Opinion.DOWN)
    row = book.state.row("b")
    assert sorted(row.votes) == ["db", "web"]
    assert row.vote("other").opinion is Opinion.UP


def test_only_changed_opinions_raise_revisions() -> None:
    """The revision counts opinions: another text or latency of the same opinion does not raise it."""
    book = Book()
    book.report("b", {"web": down(text="refused")}, full=False)
    web, api = book.state.rev("web"), book.state.rev("api")
    book.report("b", {"web": down(text="timeout")}, full=False)
    assert (book.state.rev("web"), book.state.rev("api")) == (web, api)
    book.report("b", {"web": None}, full=False)
    assert (book.state.rev("web"), book.state.rev("api")) == (web + 1, api)


@pytest.mark.parametrize("change", [{"config_hash": "h2"}, {"default": Opinion.DOWN}])
def test_another_default_or_config_raises_all_revisions(change: dict[str, Any]) -> None:
    """What changes this peer's vote on everything raises every service's revision."""
    book = Book()
    before = book.state.rev("web"), book.state.rev("never heard of")
    book.report("b", **change)
    after = book.state.rev("web"), book.state.rev("never heard of")
    assert all(new > old for old, new in zip(before, after, strict=True))


def test_doubt_is_cut() -> None:
    """A doubt is text of a peer: it is kept to 200 characters."""
    book = Book()
    book.report("b", doubt="x" * 999)
    assert len(book.state.row("b").doubt) == 200


def test_activate_moves_the_config_and_all_revisions() -> None:
    """The config in force changes with a new generation, and every decision in flight is void."""
    book = Book()
    rev = book.state.rev("web")
    book.must("a", activate())
    assert (book.state.config.gen, book.state.config.hash) == (2, "h2")
    assert book.state.rev("web") > rev


def test_a_lease_claim_starts_an_epoch() -> None:
    """A claim that names the current epoch and renewals wins, whoever holds the lease."""
    book = Book()
    book.must("b", lease_claim())
    lease = book.state.lease
    assert (lease.epoch, lease.holder, lease.session, lease.renewals) == (2, "b", 1, 0)
    assert (lease.length_ms, lease.entry_id, lease.released) == (4000, "later", False)


def test_a_renewal_bears_its_own_length_and_id() -> None:
    """A renewal counts up, and brings its own length and id."""
    book = Book()
    book.must("a", c.Renew(epoch=1, length_ms=6000, id="second"))
    lease = book.state.lease
    assert (lease.epoch, lease.renewals, lease.length_ms, lease.entry_id) == (1, 1, 6000, "second")


def test_a_released_lease_is_not_renewed() -> None:
    """After the release only a new claim gives office again."""
    book = Book()
    book.must("a", c.Release(epoch=1))
    assert book.do("a", c.Renew(epoch=1, length_ms=1, id="x")) == Answer(ok=False, reason="released")
    book.must("b", lease_claim())
    assert not book.state.lease.released


TRANSITION_REFUSALS = [
    ({"epoch": 2}, "epoch 2 is not the current 1"),
    ({"gen": 0}, "the config in force has changed"),
    ({"rev": -1}, "the votes have changed"),
    ({"incident": 5}, "the incident has changed"),
]


@pytest.mark.parametrize(("change", "reason"), TRANSITION_REFUSALS)
@pytest.mark.parametrize("kind", ["open", "close", "shift"])
def test_a_transition_is_compared_with_the_world(kind: str, change: dict[str, int], reason: str) -> None:
    """Open, shift and close name epoch, generation, revision and incident; any other value refuses them."""
    book = Book()
    book.fails()
    if kind != "open":
        book.opened()
    make: dict[str, Callable[..., Command]] = {
        "open": book.opening,
        "close": book.closing,
        "shift": lambda **fields: book.shifting(Level.DEGRADED, **fields),
    }
    assert book.do("a", make[kind](**change)) == Answer(ok=False, reason=reason)
    assert book.do("a", make[kind]()).ok


def test_only_the_closed_opens_and_only_the_open_moves() -> None:
    """Open needs a closed incident, shift and close an open one, shift another level."""
    book = Book()
    assert book.do("a", book.closing()).reason == "the incident has changed"
    assert book.do("a", book.shifting(Level.DOWN)).reason == "the incident has changed"
    book.opened()
    assert book.do("a", book.opening()).reason == "the incident has changed"
    assert book.do("a", book.shifting(Level.DOWN)).reason == "the incident has that level already"


def test_a_rival_never_moves_an_incident() -> None:
    """Only the holder of the epoch proposes transitions, even with the right numbers."""
    book = Book()
    assert book.do("b", book.opening()).reason == "epoch 1 is held by a"


def test_enqueue_adds_to_an_open_incident() -> None:
    """A further notification needs an open incident, room and an id of its own; resolved may come later."""
    book = Book()
    book.opened()
    draft = book.draft("mail", "web", "1")
    command = c.Enqueue(epoch=1, incident=1, draft=draft, at_wall=WALL)
    book.must("a", command)
    assert [item.channel for item in book.items(1)] == ["chat", "mail"]
    assert book.do("a", command).reason == "already in the outbox"
    book.closed()
    late = book.draft("sms", "web", "1")
    assert (
        book.do("a", c.Enqueue(epoch=1, incident=1, draft=late, at_wall=WALL)).reason
        == "the incident is closed"
    )
    end = book.draft("sms", "web", "1", NoticeKind.RESOLVED, notice=notice(Level.UP))
    book.must("a", c.Enqueue(epoch=1, incident=1, draft=end, at_wall=WALL))


def test_beats_are_kept_in_order() -> None:
    """A beat needs no session; the latest counts, an older one that arrives late changes nothing."""
    book = Book()
    for at_wall in (WALL, WALL + 60, WALL + 30):
        assert book.do("c", c.BeatSeen(service="backup", at_wall=at_wall), session=0).ok
    assert book.state.beats == {"backup": Beat(at_wall=WALL + 60, previous_wall=WALL)}


def _after(*signals: tuple[Signal, float, int, str]) -> Beat:
    """What is known of a service after its signals, each `after_s` seconds after the first."""
    book = Book()
    for signal, after_s, code, text in signals:
        seen = c.BeatSeen(service="job", at_wall=WALL + after_s, signal=signal, exit=code, text=text)
        assert book.do("a", seen, session=0).ok
    return book.state.beats["job"]


def test_a_run_begins_and_ends() -> None:
    """The first start since the last end counts; a beat or a failure ends it, words alone do not."""
    start, log = (Signal.START, 0.0, 0, ""), (Signal.LOG, 5.0, 0, "half way")
    assert _after(start) == Beat(started_wall=WALL)
    assert _after(start, (Signal.START, 3.0, 0, ""), log) == Beat(started_wall=WALL, text="half way")
    assert _after(start, log, (Signal.BEAT, 9.0, 0, "")) == Beat(at_wall=WALL + 9)
    assert _after(start, (Signal.FAIL, 9.0, 2, "oh")) == Beat(failed_wall=WALL + 9, exit=2, text="oh")


def test_a_failure_stays_until_the_next_beat() -> None:
    """It began with the first, is told by the latest, and neither a start nor words take it back."""
    failed = (Signal.FAIL, 1.0, 2, "first")
    again = (Signal.FAIL, 7.0, 3, "second")
    known = _after(
        (Signal.BEAT, 0.0, 0, ""), failed, again, (Signal.LOG, 8.0, 0, "bye"), (Signal.START, 9.0, 0, "")
    )
    assert known == Beat(at_wall=WALL, started_wall=WALL + 9, failed_wall=WALL + 1, exit=3, text="second")
    assert _after(failed, (Signal.BEAT, 2.0, 0, "")) == Beat(at_wall=WALL + 2)


def test_an_end_counts_although_its_peers_clock_is_behind() -> None:
    """The log says what came first: an end that seems older than the last beat still ends the run."""
    beat, late = (Signal.BEAT, 3.0, 0, ""), (Signal.BEAT, 2.0, 0, "")
    for between in ((Signal.START, 2.5, 0, ""), (Signal.FAIL, 2.5, 1, "")):
        assert _after(beat, between, late) == Beat(at_wall=WALL + 3, previous_wall=WALL + 3)


def test_words_are_cut_before_they_are_kept() -> None:
    """Whatever a peer proposes, the ledger keeps one line's worth."""
    for signal in (Signal.BEAT, Signal.FAIL, Signal.LOG):
        assert len(_after((signal, 0.0, 0, "x" * 5000)).text) == EVIDENCE_TEXT_MAX


def test_beats_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats that nobody knows cannot fill the ledger; known ones still beat."""
    monkeypatch.setattr(lives, "BEATS_MAX", 1)
    book = Book()
    book.must("a", c.BeatSeen(service="one", at_wall=WALL))
    assert book.do("a", c.BeatSeen(service="two", at_wall=WALL)).reason == "too many heartbeats"
    book.must("a", c.BeatSeen(service="one", at_wall=WALL + 1))


def test_the_watch_follows_the_alerter() -> None:
    """Reports of the alerter make one watch while they are less than 30 s apart; others' do not count."""
    book = Book()
    for at_s in (0, 25, 50):
        book.report("a", at_wall=WALL + at_s)
    book.report("b", at_wall=WALL + 500)
    assert (book.state.watch.since_wall, book.state.watch.last_wall) == (WALL, WALL + 50)
    book.report("a", at_wall=WALL + 81)
    assert (book.state.watch.since_wall, book.state.watch.last_wall) == (WALL + 81, WALL + 81)
    book.report("a", at_wall=WALL + 70)
    assert book.state.watch.last_wall == WALL + 81


def test_forget_drops_closed_rows_and_never_lowers_a_revision() -> None:
    """Rows and beats of services without an open incident go, and no revision becomes smaller."""
    book = Book()
    for name in ("web", "api"):
        book.fails(name)
        book.must("a", c.BeatSeen(service=name, at_wall=WALL))
    book.opened("api")
    before = {name: book.state.rev(name) for name in ("web", "api", "db")}
    book.must("a", c.Forget(epoch=1, gen=1, services=("web", "api", "db")))
    assert (set(book.state.services), set(book.state.beats)) == ({"api"}, {"api"})
    assert all(book.state.rev(name) >= rev for name, rev in before.items())
