"""Events out of two states, out of two sets of standings, and out of what no log entry tells.

Pure: no server and no stream; what reaches a listener is tested over real connections.
"""

from __future__ import annotations

from msgspec.structs import replace
from support.web_support import World, standing, world

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import Lease, Level, Opinion, Stage, State
from watchtower.web.events import Event, cluster_changes, state_changes, verdict_changes


def _kinds(events: list[Event]) -> list[tuple[str, object]]:
    return [(event.kind, event.data.get("change")) for event in events]


def _between(made: World, before: State) -> list[Event]:
    return state_changes(before, made.snap.state)


def test_an_incident_is_told_when_it_opens_changes_and_closes() -> None:
    """Each of the three is one event that carries the incident as it now is."""
    made = world()
    before = made.snap.state
    made.open("shop", 5)
    opened = _between(made, before)
    assert _kinds(opened) == [("incident", "opened")]
    assert opened[0].data["number"] == 5
    assert opened[0].data["open"] is True

    before = made.snap.state
    worse = replace(before.incidents[5], level=Level.PARTIAL)
    made.turn(state=replace(before, incidents={5: worse}))
    changed = _between(made, before)
    assert _kinds(changed) == [("incident", "changed")]
    assert changed[0].data["level"] is Level.PARTIAL

    before = made.snap.state
    made.close(5)
    assert _kinds(_between(made, before)) == [("incident", "closed")]


def test_an_incident_that_opened_and_closed_between_two_states_is_told_as_closed() -> None:
    """A peer that catches up by a snapshot sees it only when it is over."""
    made = world()
    before = made.snap.state
    made.open("shop", 5)
    made.close(5)
    assert _kinds(_between(made, before)) == [("incident", "closed")]


def test_a_report_like_every_other_is_no_event() -> None:
    """Steady state is silent: a new report_seq tells nobody anything."""
    made = world()
    before = made.snap.state
    row = replace(before.row("b"), report_seq=8, reported_wall=before.row("b").reported_wall + 5)
    made.turn(state=replace(before, peers={**before.peers, "b": row}))
    assert _between(made, before) == []


def test_what_happens_to_a_peer_is_named() -> None:
    """Gone, joined, leaving, another config and doubt each have their word."""
    made = world()
    before = made.snap.state
    row = before.row("b")
    cases = {
        "gone": replace(row, boot_id=""),
        "joined": replace(row, session=9, boot_id="new"),
        "leaving": replace(row, leaving_until_wall=1e9),
        "config": replace(row, config_hash="other"),
        "doubt": replace(row, doubt="cannot reach the reference"),
    }
    for change, changed in cases.items():
        after = replace(before, peers={**before.peers, "b": changed})
        assert _kinds(state_changes(before, after)) == [("peer", change)]


def test_a_new_alerter_is_told_but_a_renewal_is_not() -> None:
    """The epoch is what counts; renewals come every few seconds."""
    before = world().snap.state
    renewed = replace(before, lease=replace(before.lease, renewals=7, entry_id="y"))
    assert state_changes(before, renewed) == []
    taken = replace(before, lease=Lease(epoch=5, holder="c", released=False))
    events = state_changes(before, taken)
    assert [(event.kind, event.data) for event in events] == [
        ("alerter", {"alerter": "c", "previous": "b", "epoch": 5})
    ]
    released = replace(before, lease=replace(before.lease, released=True))
    assert state_changes(before, released)[0].data["alerter"] is None


def test_the_config_in_force_and_every_step_of_a_notification_are_told() -> None:
    """A notification is told when it is written and when it is settled, in ledger order."""
    made = world()
    made.open("shop", 5)
    before = made.snap.state
    made.tell(5, Stage.PENDING)
    made.tell(5, Stage.PENDING, "mail")
    written = _between(made, before)
    assert [event.data["channel"] for event in written] == ["chat", "mail"]
    before = made.snap.state
    key = next(iter(before.notifications))
    done = replace(before.notifications[key], stage=Stage.DELIVERED)
    config = replace(before.config, hash="new", gen=4)
    after = replace(before, notifications={**before.notifications, key: done}, config=config)
    events = state_changes(before, after)
    assert [event.kind for event in events] == ["config", "notification"]
    assert events[1].data["stage"] is Stage.DELIVERED


def test_a_verdict_is_told_when_it_or_its_votes_change_and_not_when_a_clock_runs() -> None:
    """A reason that counts seconds is no news; a dissenting vote is."""
    up = standing(Level.UP, "3 of 3 peers see it up", up=3)
    assert verdict_changes({"shop": up}, {"shop": replace(up, held_boot=up.held_boot + 1)}) == []
    counting = replace(up, verdict=replace(up.verdict, reason="no report for 21 s"))
    assert verdict_changes({"shop": up}, {"shop": counting}) == []
    dissent = standing(Level.UP, "2 of 3 peers see it up", up=2, down=1)
    events = verdict_changes({"shop": up}, {"shop": dissent})
    assert events[0].data["votes"] == {Opinion.UP: 2, Opinion.DOWN: 1}
    down = verdict_changes({"shop": up}, {"shop": standing(Level.DOWN, down=3)})
    assert (down[0].data["verdict"], down[0].data["previous"]) == (Level.DOWN, Level.UP)


def test_a_lost_quorum_a_lost_link_and_lost_eligibility_are_told() -> None:
    """None of them is in the log, and all of them are what people look for."""
    whole = ClusterStatus(leader="b", links={"b": True, "c": True})
    alone = ClusterStatus(leader="", links={"b": False, "c": True})
    fine = {"a": "", "b": "", "c": ""}
    events = cluster_changes(whole, alone, fine, {**fine, "c": "silent"})
    assert _kinds(events) == [("cluster", None), ("peer", "seen"), ("peer", "seen")]
    assert events[0].data == {"quorum": False, "leader": None}
    assert (events[1].data["peer"], events[1].data["link"]) == ("b", False)
    assert (events[2].data["peer"], events[2].data["reason"]) == ("c", "silent")
    assert cluster_changes(whole, whole, fine, fine) == []
