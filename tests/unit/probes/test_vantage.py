"""From looks to the ledger's row of this peer: exceptions only, level-triggered, and never too large."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import down
from support.watching import DEGRADED, DOWN, UNKNOWN, UP, Watch, watching

from watchtower.core.model import EVIDENCE_TEXT_MAX, Kind, Vote
from watchtower.core.settings import Service
from watchtower.probes.weighing.opinions import Track

SUSPECT = Vote(opinion=UP, suspect=True)


def test_nothing_is_reported_before_joining() -> None:
    """Another boot's row is not ours: join first, report nothing."""
    watch = Watch("web")
    assert watch.vantage.report(watch.book.state, watch.now, "another boot", {}) is None


def test_the_first_report_is_a_full_row_that_knows_nothing() -> None:
    """A new session begins with a full report under our config; all votes are unknown."""
    watch = Watch("web", "db")
    first = watch.report()
    assert first is not None
    assert (first.full, first.config_hash, first.default) == (True, watch.settings.config_hash, UNKNOWN)
    assert watch.votes() == {"web": (UNKNOWN, False), "db": (UNKNOWN, False)}


def test_once_settled_all_is_up_by_default() -> None:
    """When every service was seen up the row holds no vote at all: one full report says it."""
    watch = Watch("web", "db")
    watch.settle()
    watch.all_up()
    row = watch.book.state.row("a")
    assert (row.default, row.votes) == (UP, {})


def test_what_is_pending_is_unknown_and_the_rest_votes() -> None:
    """One service that has not been seen yet does not keep the others from voting."""
    watch = Watch("web", "db", "mail")
    watch.see("web", UP)
    watch.see("db", UP)
    watch.settle()
    assert watch.votes() == {"web": (UP, False), "db": (UP, False), "mail": (UNKNOWN, False)}


def test_another_membership_is_confirmed_at_once() -> None:
    """The next change of the members waits for everybody's word."""
    watch = Watch("web")
    watch.all_up()
    assert watch.report() is None
    watch.book.state = replace(watch.book.state, members_gen=2)
    report = watch.report()
    assert report is not None
    assert (report.members_gen, dict(report.votes)) == (2, {})
    assert watch.report() is None


def test_quiet_times_cost_one_empty_report_every_five_seconds() -> None:
    """Nothing new: no report for five seconds, then an empty one as a sign of life."""
    watch = Watch("web")
    watch.all_up()
    for _ in range(49):
        watch.pass_s(0.1)
        watch.see("web", UP)
        assert watch.report() is None
    watch.pass_s(0.11)
    alive = watch.report()
    assert alive is not None
    assert (alive.full, alive.votes) == (False, {})
    assert watch.report() is None


def test_channels_that_cannot_be_reached_are_told_at_once_and_once() -> None:
    """With the reason, until they can; each report names all of them."""
    watch = Watch("web", alone=True)
    watch.all_up()
    watch.settle()
    watch.blocked = {"chat": "open: connection refused"}
    report = watch.report()
    assert report is not None
    assert watch.book.state.row("a").paths == {"chat": "open: connection refused"}
    assert watch.report() is None
    watch.see("web", DOWN)
    watch.settle()
    assert watch.book.state.row("a").paths == {"chat": "open: connection refused"}
    watch.blocked = {}
    assert watch.report() is not None
    assert watch.book.state.row("a").paths == {}


def test_a_lost_report_is_proposed_again_at_once() -> None:
    """As long as the row does not show our truth, the same difference is derived anew."""
    watch = Watch("web", alone=True)
    watch.all_up()
    watch.see("web", DOWN)
    first = watch.vantage.report(watch.book.state, watch.now, "boot", {})
    again = watch.vantage.report(watch.book.state, watch.now, "boot", {})
    assert first is not None
    assert first == again
    assert list(first.votes) == ["web"]


def test_a_failure_goes_from_suspect_to_down_to_up() -> None:
    """A first failed look is a suspicion, the second a down vote with evidence, two good ones end it."""
    watch = Watch("web", "db")
    watch.all_up()
    recheck = watch.see("web", DOWN, text="refused by 192.0.2.1:80")
    assert recheck is not None
    assert (recheck.service, recheck.in_s) == ("web", 1.0)
    vote = watch.vote("web")
    assert (vote.opinion, vote.suspect, vote.text) == (UP, True, "refused by 192.0.2.1:80")
    watch.checked()
    watch.see("web", DOWN, text="refused by 192.0.2.1:80")
    vote = watch.vote("web")
    assert (vote.opinion, vote.suspect, vote.kind) == (DOWN, False, Kind.REFUSED)
    assert (vote.text, vote.latency_ms) == ("refused by 192.0.2.1:80", 12.3)
    watch.see("web", UP, UP)
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_latency_and_wording_alone_are_not_reported() -> None:
    """Another text of the same kind changes nothing in the log; another kind does."""
    watch = Watch("web", alone=True)
    watch.all_up()
    watch.see("web", DOWN, DOWN)
    watch.settle()
    watch.see("web", DOWN, text="refused, but later")
    assert watch.report() is None
    watch.see("web", DOWN, kind=Kind.TIMEOUT)
    report = watch.report()
    assert report is not None
    assert list(report.votes) == ["web"]


@pytest.mark.parametrize(
    "trouble", [down(), SUSPECT, Vote(opinion=DEGRADED)], ids=["down", "suspect", "degraded"]
)
def test_when_others_see_trouble_up_is_said_aloud(trouble: Vote) -> None:
    """An explicit up vote with evidence stands beside another peer's trouble, and goes with it."""
    watch = Watch("web", "db")
    watch.all_up()
    watch.others_see({"web": trouble}, "b")
    vote = watch.vote("web")
    assert (vote.opinion, vote.text, vote.latency_ms) == (UP, "seen up", 12.3)
    assert list(watch.book.state.row("a").votes) == ["web"]
    watch.others_see({}, "b")
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_an_open_incident_asks_for_up_aloud() -> None:
    """As long as an incident is open, everyone's evidence belongs to it."""
    watch = Watch("web")
    watch.all_up()
    watch.book.fails("web", ("b", "c"))
    watch.book.opened("web")
    watch.book.recovers("web", ("b", "c"))
    assert watch.vote("web").text == "seen up"
    watch.book.closed("web")
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_others_not_knowing_is_no_trouble() -> None:
    """A peer that has just started knows nothing: that asks nobody for evidence."""
    watch = Watch("web")
    watch.all_up()
    watch.others_see({"web": Vote(opinion=UNKNOWN)}, "b")
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_a_reload_voids_only_what_changed() -> None:
    """New settings: at once a full report with the new hash; unchanged services keep their opinion."""
    watch = Watch("web", "db", "mail", alone=True)
    watch.all_up()
    watch.see("db", DOWN, DOWN)
    watch.settle()
    services = dict(watch.settings.services)
    services["mail"] = Service(name="mail", target=services["mail"].target, voters=("a",), timeout_s=1.0)
    watch.settings = watching(*services.values(), peers=("a",), config_hash="h2")
    watch.vantage.reload(watch.settings, watch.now)
    report = watch.report()
    assert report is not None
    assert (report.full, report.config_hash) == (True, "h2")
    assert watch.votes() == {"web": (UP, False), "db": (DOWN, False), "mail": (UNKNOWN, False)}


def test_results_of_strangers_are_ignored() -> None:
    """A result of a service that is gone, or that others watch, leads to nothing."""
    watch = Watch("web")
    assert watch.see("gone", DOWN) is None
    watch.all_up()
    assert watch.book.state.row("a").votes == {}


def test_a_new_session_begins_with_a_full_row() -> None:
    """After another join the row is written anew, with what is already known."""
    watch = Watch("web", "db", alone=True)
    watch.all_up()
    watch.see("db", DOWN, DOWN)
    watch.settle()
    watch.rejoin()
    report = watch.report()
    assert report is not None
    assert report.full
    assert watch.votes() == {"web": (UP, False), "db": (DOWN, False)}


def hostile_storm(count: int) -> Watch:
    """A peer that saw `count` services up, and now sees all down with the largest evidence there is."""
    watch = Watch(*(f"service-{number:04}" + "x" * 50 for number in range(count)), alone=True)
    watch.all_up()
    for name in watch.settings.services:
        watch.see(name, DOWN, DOWN, text="\U0001f4a3" * EVIDENCE_TEXT_MAX)
    return watch


def test_a_storm_is_reported_in_parts() -> None:
    """A thousand failing services with hostile evidence need many reports; each fits, none is lost."""
    watch = hostile_storm(1000)
    reports = watch.settle()
    assert 5 <= len(reports) <= 40
    assert not any(report.full for report in reports)
    assert set(watch.votes().values()) == {(DOWN, False)}


def test_a_restart_in_a_storm_never_claims_up() -> None:
    """A full row that does not fit one entry begins with unknown: at no step is a failing service up."""
    watch = hostile_storm(300)
    watch.rejoin()
    steps = 0
    while watch.report() is not None:
        steps += 1
        assert UP not in {opinion for opinion, _ in watch.votes().values()}
    assert steps > 2
    assert set(watch.votes().values()) == {(DOWN, False)}


def test_after_the_storm_the_row_is_small_again() -> None:
    """When all is up again the row shrinks to nothing, also from a row without a default."""
    watch = hostile_storm(300)
    watch.rejoin()
    watch.settle()
    assert watch.book.state.row("a").default is UNKNOWN
    for name in watch.settings.services:
        watch.see(name, UP, UP)
    watch.settle()
    row = watch.book.state.row("a")
    assert (row.default, row.votes) == (UP, {})


def test_what_others_suspect_is_looked_at_once() -> None:
    """Each peer's suspicion is handed out once; a suspicion that ended and came back is a new one."""
    watch = Watch("web", "db")
    watch.all_up()
    watch.others_see({"web": SUSPECT}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ("web",)
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    watch.others_see({"web": SUSPECT}, "c")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ("web",)
    watch.others_see({}, "b", "c")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    watch.others_see({"web": SUSPECT}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ("web",)


def test_a_first_success_elsewhere_is_looked_into_where_it_still_fails() -> None:
    """A recovery is found as fast as a failure: whoever sees it down looks when another has seen it well."""
    watch = Watch("web")
    watch.all_up()
    watch.others_see({"web": replace(down(), suspect=True)}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    watch.see("web", DOWN, DOWN)
    watch.settle()
    watch.others_see({"web": down()}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    watch.others_see({"web": replace(down(), suspect=True)}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ("web",)
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()


def test_what_is_not_answered_in_time_is_told_before_it_has_failed() -> None:
    """Published as a suspicion, and taken back when the answer comes after all."""
    watch = Watch("web")
    watch.all_up()
    watch.vantage.note_unanswered("web", 1.0)
    vote = watch.vote("web")
    assert (vote.opinion, vote.suspect, vote.text) == (UP, True, "no answer yet after 1.0 s")
    watch.vantage.note_unanswered("nobody", 1.0)
    watch.see("web", UP)
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_a_reload_without_reference_targets_ends_the_doubt_about_them() -> None:
    """Whoever takes the targets out of the file must not stay in doubt until the next start."""
    watch = Watch("web", alone=True)
    watch.checked(holds=False)
    assert "cannot reach any reference target" in watch.vantage.doubt(watch.now)
    watch.vantage.reload(watch.settings, watch.now)
    assert watch.vantage.doubt(watch.now) == ""


def test_a_service_that_comes_by_a_reload_may_be_suspected_already() -> None:
    """What others suspect of it is looked at once it is ours, though no vote has changed."""
    watch = Watch("web")
    watch.all_up()
    watch.others_see({"new": SUSPECT}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    web = watch.settings.services["web"]
    watch.vantage.reload(watching(web, replace(web, name="new")), watch.now)
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ("new",)


def test_own_suspicions_and_foreign_services_ask_for_nothing() -> None:
    """What this peer is already looking into, or does not watch, is not handed out."""
    watch = Watch("web")
    watch.all_up()
    watch.see("web", DOWN)
    watch.settle()
    watch.others_see({"web": down(), "theirs": down()}, "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()


def test_a_storm_of_suspicions_is_budgeted() -> None:
    """At most fifty services a second are looked at because others suspect them."""
    names = [f"s{number:03}" for number in range(120)]
    watch = Watch(*names)
    watch.all_up()
    watch.others_see(dict.fromkeys(names[:80], SUSPECT), "b")
    assert len(watch.vantage.others_suspect(watch.book.state, watch.now)) == 50
    watch.pass_s(0.5)
    watch.others_see(dict.fromkeys(names, SUSPECT), "b")
    assert watch.vantage.others_suspect(watch.book.state, watch.now) == ()
    watch.pass_s(0.6)
    watch.others_see(dict.fromkeys(names[:10], SUSPECT), "c")
    assert len(watch.vantage.others_suspect(watch.book.state, watch.now)) == 10


def test_what_cannot_be_looked_at_fades() -> None:
    """A service that no look has told anything about for long is unknown, and says so in the log."""
    watch = Watch("web", "db", interval_s=10.0, timeout_s=5.0)
    watch.all_up()
    for _ in range(8):
        watch.pass_s(5.0)
        watch.see("db", UP)
        watch.see("web", UNKNOWN, text="no free file descriptor")
        watch.settle()
    vote = watch.vote("web")
    assert (vote.opinion, vote.kind) == (UNKNOWN, Kind.INCONCLUSIVE)
    assert "no free file descriptor" in vote.text
    assert watch.votes()["db"] == (UP, False)
    watch.see("web", UP)
    watch.settle()
    assert watch.book.state.row("a").votes == {}


def test_quiet_passes_do_not_look_at_every_service() -> None:
    """A pass costs as much as there is trouble: a quiet service's track is not even asked."""
    watch = Watch(*(f"s{number}" for number in range(500)))
    watch.all_up()
    watch.see("s7", DOWN)
    watch.settle()
    asked: list[str] = []

    class Counted(Track):
        def vote(self, now_boot: float) -> Vote:
            asked.append(self.service.name)
            return super().vote(now_boot)

    for track in watch.vantage._tracks.values():
        track.__class__ = Counted
    watch.report()
    assert asked == ["s7"]


def test_what_is_up_as_before_is_no_news() -> None:
    """A good look at what is known to be up wakes nobody; a failing one does, and so does the way back."""
    watch = Watch("web", "db")
    assert watch.vantage.may_tell("web"), "nothing is known yet"
    watch.all_up()
    watch.settle()
    watch.see("web", UP)
    assert not watch.vantage.may_tell("web")
    watch.see("web", DOWN, DOWN)
    watch.checked()
    watch.settle()
    for _ in range(2):
        watch.see("web", UP)
        assert watch.vantage.may_tell("web"), "until the way back is reported"
    watch.settle()
    assert not watch.vantage.may_tell("web")
    assert not watch.vantage.may_tell("stranger")
