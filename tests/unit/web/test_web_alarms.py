"""What is loud on every page: each way in which people are not told, and nothing that is well."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.web_support import NOW, World, world

from watchtower.core.channel_rows import ChannelRow, Drill, drilled, proven
from watchtower.core.model import Attempt, NoticeKind, Outcome, Stage, State
from watchtower.core.policies import Severity, Silence, SilenceKind, Why, Withheld
from watchtower.web.alarms import SHOWN_MAX, alarms
from watchtower.web.alert_metrics import alert_families
from watchtower.web.deliveries import channel_docs, notification_detail, notification_docs
from watchtower.web.documents import status_doc
from watchtower.web.events import state_changes
from watchtower.web.overview import quiet
from watchtower.web.silences import drill_doc

DEAD = (Attempt(number=1, peer="b", outcome=Outcome.DEAD, detail="404 no_service", at_wall=NOW),)


def _desk() -> World:
    made = world()
    made.open("shop", 17)
    return made


def _said(made: World) -> list[tuple[str, str]]:
    return [(alarm.kind, alarm.text) for alarm in alarms(made.snap)]


def _state(made: World, **changes: Any) -> State:
    made.turn(state=replace(made.snap.state, **changes))
    return made.snap.state


def test_calm_is_quiet() -> None:
    """Delivered, waiting for a moment, resting: no reason to be loud."""
    made = _desk()
    made.tell(17)
    made.tell(17, Stage.PENDING, "mail", created_wall=NOW)
    _state(made, channels={"chat": ChannelRow(rest_until_wall=NOW + 60)})
    assert _said(made) == []


def test_what_no_channel_took_is_loud_while_its_incident_is_open() -> None:
    """Unless the fallback told it; and at most a few by name."""
    made = _desk()
    made.tell(17, Stage.DEAD, attempts=DEAD)
    assert _said(made) == [("undelivered", "#17 Shop could not be told on chat (firing): 404 no_service.")]
    assert 'watchtower_notifications_undelivered{channel="chat"} 1' in "".join(alert_families(made.snap))
    item = next(iter(made.snap.state.notifications.values()))
    said = replace(item.notice, instead_of="chat")
    other = replace(item, id="other", channel="mail", notice=said, stage=Stage.PENDING, created_wall=NOW)
    _state(made, notifications={item.id: item, "other": other})
    assert [kind for kind, _ in _said(made)] == ["undelivered"]
    _state(made, notifications={item.id: item, "other": replace(other, stage=Stage.DELIVERED)})
    assert _said(made) == []
    many = {str(number): replace(item, id=str(number), kind=NoticeKind.REMINDER) for number in range(9)}
    _state(made, notifications=many)
    said_of_many = _said(made)
    assert len(said_of_many) == SHOWN_MAX + 1
    assert said_of_many[-1][1] == "4 more could not be delivered: see the notifications."
    made.close(17)
    assert _said(made) == []


def test_what_waits_for_its_channel_to_be_mended_is_loud() -> None:
    """Refused for good and told to nobody else: it is not dead, but nobody knows."""
    made = _desk()
    made.tell(17, Stage.PENDING, attempts=DEAD, failures=1, created_wall=NOW)
    assert _said(made) == []
    _state(made, channels={"chat": ChannelRow(trouble="404 no_service", trouble_wall=NOW)})
    assert ("undelivered", "#17 Shop could not be told on chat (firing): 404 no_service.") in _said(made)


def test_a_digest_that_died_is_loud_for_every_member() -> None:
    """What it should have told was told to nobody; each of them says where it was to be told."""
    made = _desk()
    made.tell(17, Stage.DIGESTED, digest="d")
    member = next(iter(made.snap.state.notifications.values()))
    digest = replace(
        member,
        id="d",
        incident=0,
        kind=NoticeKind.DIGEST,
        stage=Stage.DEAD,
        digest="",
        members=(member.id,),
        attempts=DEAD,
    )
    _state(made, notifications={member.id: member, "d": digest})
    assert [kind for kind, _ in _said(made)] == ["undelivered"]
    detail = notification_detail(made.snap, "d")
    assert detail is not None
    assert (detail.title, [one.id for one in detail.told]) == ("1 alerts", [member.id])
    _state(made, notifications={member.id: member, "d": replace(digest, stage=Stage.DELIVERED)})
    assert _said(made) == []


def test_what_waits_for_too_long_is_loud() -> None:
    """One sentence for each channel; tests are nobody's alert."""
    made = _desk()
    made.tell(17, Stage.PENDING, created_wall=NOW - 360)
    made.tell(17, Stage.PENDING, created_wall=NOW)
    made.tell(17, Stage.PENDING, "mail", created_wall=NOW - 9000, kind=NoticeKind.TEST)
    ((kind, text),) = _said(made)
    assert kind == "waiting"
    assert text == "2 notifications wait for chat, the oldest for 6 min 8 s: Shop."


def test_a_critical_alert_that_fails_is_loud_after_a_minute_without_any_fallback() -> None:
    """On the page with its service, and in the metric to alert on; a warning has five minutes."""
    made = _desk()
    made.tell(17, Stage.PENDING, created_wall=NOW - 54, failures=2)
    made.snap = replace(made.snap, now=replace(made.snap.now, wall=NOW))
    assert _said(made) == []
    made.snap = replace(made.snap, now=replace(made.snap.now, wall=NOW + 2))
    assert _said(made) == [("waiting", "1 notification waits for chat, the oldest for 56 s: Shop.")]
    assert 'watchtower_notifications_undelivered{channel="chat"} 1' in "".join(alert_families(made.snap))
    (item,) = made.snap.state.notifications.values()
    mild = replace(item, notice=replace(item.notice, severity=Severity.WARNING))
    _state(made, notifications={item.id: mild})
    made.snap = replace(made.snap, now=replace(made.snap.now, wall=NOW + 2))
    assert _said(made) == []
    assert 'watchtower_notifications_undelivered{channel="chat"} 0' in "".join(alert_families(made.snap))


def test_sick_channels_and_nobody_to_tell() -> None:
    """One is sick: named. All are: that comes first. A channel that the file does not name is nobody's."""
    made = _desk()
    sick = ChannelRow(trouble="550 no such user", trouble_wall=NOW)
    _state(made, channels={"mail": sick, "gone": sick})
    assert _said(made) == [("channel", "Channel mail does not work: 550 no such user.")]
    _state(made, channels={"mail": sick, "chat": sick})
    assert [kind for kind, _ in _said(made)] == ["silent", "channel", "channel"]
    assert [doc.trouble for doc in channel_docs(made.snap)] == ["550 no such user"] * 2
    made.turn(settings=replace(made.snap.settings, channels={}))
    assert _said(made) == [("silent", "No channel is configured: nobody is told of anything.")]


def test_a_channel_with_an_open_incident_or_a_full_hour_is_not_idle() -> None:
    """The number of the incident, and until when it has had its share."""
    made = _desk()
    made.open("channel/mail", 18)
    hour = int(made.snap.now.wall // 3600)
    _state(made, channels={"chat": ChannelRow(hour=hour, hour_sent=10_000)})
    docs = {doc.name: doc for doc in channel_docs(made.snap)}
    assert (docs["mail"].incident, docs["mail"].full_until, docs["chat"].incident) == (18, None, None)
    assert docs["chat"].full_until is not None
    assert docs["chat"].full_until.timestamp() == (hour + 1) * 3600


def test_a_drill_that_nobody_confirmed_is_loud() -> None:
    """From when it is missed until one arrives."""
    made = _desk()
    drill = drilled(Drill(), "chat", "ops-lead", NOW - 899, is_planned=False)
    _state(made, drill=drill)
    made.snap = replace(made.snap, now=replace(made.snap.now, wall=NOW))
    assert _said(made) == []
    made.snap = replace(made.snap, now=replace(made.snap.now, wall=NOW + 2))
    ((kind, text),) = _said(made)
    assert (kind, text.endswith("on chat has not been confirmed by anybody.")) == ("drill", True)
    assert drill_doc(made.snap).state == "missed"
    again = drilled(drill, "chat", "ops-lead", NOW + 1, is_planned=False)
    _state(made, drill=again)
    assert [kind for kind, _ in _said(made)] == ["drill"], "the one before is still missed"
    assert drill_doc(made.snap).state == "waiting", "the new one is only on its way"
    _state(made, drill=proven(again, "chat", NOW))
    assert _said(made) == []


def test_why_something_waits_is_said() -> None:
    """The one gate's own reason, with its end; what goes first, and who is at it just now."""
    made = _desk()
    made.tell(17, Stage.PENDING)
    made.tell(17, Stage.PENDING, kind=NoticeKind.REMINDER)
    made.tell(17, Stage.CLAIMED, "mail", owner="c")
    _state(made, channels={"chat": ChannelRow(rest_until_wall=NOW + 600)})
    first, second, third = notification_docs(made.snap, made.snap.state.notifications.values())
    assert first.waits == "the channel asked to wait"
    assert first.waits_until is not None
    assert first.waits_until.timestamp() == NOW + 600
    assert second.waits == "something older of the same subject goes first"
    assert third.waits == "peer c is sending it"


def test_what_people_say_is_an_event() -> None:
    """Silences set and ended, a channel's trouble, a drill's arrival: whoever listens hears of each."""
    made = _desk()
    before = made.snap.state
    silence = Silence(
        id="s1",
        kind=SilenceKind.SILENCE,
        matchers=(),
        author="Jane",
        reason="deploying",
        starts_wall=NOW,
        ends_wall=NOW + 60,
        created_wall=NOW,
    )
    drill = Drill(channel="chat", by="ops-lead", started_wall=NOW)
    trouble = {"chat": ChannelRow(trouble="404")}
    after = replace(before, channels=trouble, drill=drill, silences={"s1": silence})
    changes = state_changes(before, after)
    assert [event.kind for event in changes] == ["silence", "channel", "drill"]
    assert changes[0].data["change"] == "set"
    ended = replace(
        after,
        silences={"s1": replace(silence, ends_wall=NOW + 1)},
        drill=replace(drill, arrived_wall=NOW + 1),
        channels={"chat": replace(trouble["chat"], hour_sent=1)},
    )
    changes = state_changes(after, ended)
    assert [event.kind for event in changes] == ["silence", "drill"]
    assert (changes[0].data["change"], changes[1].data["arrived"]) == ("ended", True)
    assert [event.data["change"] for event in state_changes(ended, replace(ended, silences={}))] == [
        "forgotten"
    ]


def test_the_overview_says_of_how_many_nobody_is_told() -> None:
    """And why, in one sentence."""
    made = _desk()
    assert quiet(status_doc(made.snap)) == ""
    made.open("orders-db", 18)
    why = Withheld(why=Why.SUPPRESSED, text="caused by orders-db (#18)", root=18)
    incidents = made.snap.state.incidents
    _state(made, incidents={**incidents, 17: replace(incidents[17], withheld=why)})
    assert quiet(status_doc(made.snap)) == "Nobody is told of 1 of 2 open incidents: 1 suppressed."
    assert 'watchtower_incidents_withheld{why="suppressed"} 1' in "".join(alert_families(made.snap))
