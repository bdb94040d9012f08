"""Acting on alerts over HTTP: who may, what reaches the ledger, and every way it can be refused.

Real requests over loopback; behind the server is a made-up cluster that takes down what it is told.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.web_support import ADMIN, NOW, READ, WRITE, World, bearer, http_service, serving, world

from watchtower.core.alerting.matching import read_text
from watchtower.core.applying.proving import try_channels
from watchtower.core.channel_rows import ChannelRow, Drill
from watchtower.core.commands import Answer
from watchtower.core.model import Level, Stage
from watchtower.core.policies import (
    MATCHERS_MAX,
    Acknowledgement,
    Matcher,
    Severity,
    Silence,
    SilenceKind,
    Why,
    Withheld,
)
from watchtower.core.requests import Acknowledge, EndSilence, SetSilence, StartDrill, TryChannels
from watchtower.core.settings import Window

ACTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/api/v1/incidents/17/ack", {}),
    ("DELETE", "/api/v1/incidents/17/ack", {}),
    ("POST", "/api/v1/silences", {"matchers": ["team=shop"], "for": "2h"}),
    ("DELETE", "/api/v1/silences/s1", {}),
    ("POST", "/api/v1/maintenance", {"matchers": ["team=shop"], "for": "2h"}),
    ("DELETE", "/api/v1/maintenance/m1", {}),
    ("POST", "/api/v1/channels/test", {}),
    ("POST", "/api/v1/drills", {}),
)


def quiet(name: str = "s1", kind: SilenceKind = SilenceKind.SILENCE, **more: Any) -> Silence:
    """A silence of the shop team that is on."""
    values: dict[str, Any] = {
        "matchers": (Matcher(label="team", patterns=("shop",)),),
        "author": "ops-lead",
        "reason": "deploying",
        "starts_wall": NOW - 60,
        "ends_wall": NOW + 3600,
        "created_wall": NOW - 60,
        **more,
    }
    return Silence(id=name, kind=kind, **values)


def desk(*silences: Silence) -> World:
    """A shop that is down, incident 17, and what is silenced."""
    made = world()
    made.open("shop", 17)
    held = silences or (quiet(), quiet("m1", SilenceKind.MAINTENANCE))
    made.turn(state=replace(made.snap.state, silences={one.id: one for one in held}))
    return made


def call(made: World, method: str, path: str, token: str = WRITE, **more: Any) -> tuple[int, Any]:
    """Status and JSON of one call."""

    async def main() -> tuple[int, Any]:
        async with (
            serving(made) as (_, http),
            http.request(method, path, headers=bearer(token), **more) as answer,
        ):
            return answer.status, await answer.json()

    return asyncio.run(main())


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_acting_needs_scope_write(method: str, path: str, body: dict[str, Any]) -> None:
    """A reader is refused with what it would take, an unknown token too, and nothing is proposed."""
    made = desk()
    assert call(made, method, path, READ, json=body)[0] == 403
    assert call(made, method, path, "no-such-token", json=body)[0] == 401
    assert made.submitted == []
    for token in (WRITE, ADMIN):
        if (method, path) == ("DELETE", "/api/v1/incidents/17/ack"):
            ack = Acknowledgement(by="x", note="", at_wall=NOW)
            incident = replace(made.snap.state.incidents[17], ack=ack)
            made.turn(state=replace(made.snap.state, incidents={17: incident}))
        assert call(made, method, path, token, json=body)[0] in {200, 201, 202}
    assert len(made.submitted) == 2


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_what_cannot_be_written_is_said(method: str, path: str, body: dict[str, Any]) -> None:
    """Refused by the ledger, not known, no majority, a body of another kind: four different answers."""
    made = desk()
    ack = Acknowledgement(by="x", note="", at_wall=NOW)
    made.turn(state=replace(made.snap.state, incidents={17: replace(made.snap.state.incidents[17], ack=ack)}))
    made.answer = Answer(ok=False, reason="the ledger says no")
    status, doc = call(made, method, path, json=body)
    assert (status, doc["detail"]) == (409, "the ledger says no")
    made.answer = None
    status, doc = call(made, method, path, json=body)
    assert (status, doc["error"]) == (503, "not known")
    made.lose_quorum()
    proposed = len(made.submitted)
    status, doc = call(made, method, path, json=body)
    assert (status, doc["error"]) == (503, "no majority")
    assert len(made.submitted) == proposed
    if method == "POST":
        for wrong in (b"[]", b"{", b'{"what": 1}', b'{"by": 7, "author": 7, "channel": 7}', b"\xff"):
            status, doc = call(made, method, path, data=wrong)
            assert (status, doc["error"]) == (400, "bad body")


def test_the_same_acknowledgement_again_is_answered_and_not_written() -> None:
    """A button that is pressed twice is no mistake, and nothing new."""
    made = desk()
    path = "/api/v1/incidents/17/ack"
    assert call(made, "POST", path, json={"note": "on it"})[0] == 200
    (command,) = made.submitted
    assert isinstance(command, Acknowledge)
    taken = replace(made.snap.state.incidents[17], ack=command.ack)
    incidents = {**made.snap.state.incidents, 17: taken}
    made.snap = replace(made.snap, state=replace(made.snap.state, incidents=incidents))
    assert call(made, "POST", path, json={"note": "on it"})[0] == 200
    assert len(made.submitted) == 1
    assert call(made, "POST", path, json={"note": "nearly done"})[0] == 200
    assert len(made.submitted) == 2


def test_an_acknowledgement_names_the_token_and_the_person() -> None:
    """Whoever types a name is still known by the token; what cannot be seen in a name is gone."""
    made, strange = desk(), {"by": "Ja\u202ene\n", "note": "on\x07 it"}
    assert call(made, "POST", "/api/v1/incidents/17/ack", json={})[0] == 200
    assert call(made, "POST", "/api/v1/incidents/17/ack", json=strange)[0] == 200
    assert call(made, "POST", "/api/v1/incidents/17/ack", json={"by": "x" * 190})[0] == 200
    first, second, third = made.submitted
    assert isinstance(first, Acknowledge)
    assert isinstance(second, Acknowledge)
    assert isinstance(third, Acknowledge)
    assert first.ack == Acknowledgement(by="ops-lead", note="", at_wall=made.snap.now.wall)
    assert second.ack == Acknowledgement(by="Jane (ops-lead)", note="on it", at_wall=made.snap.now.wall)
    assert third.by.endswith("… (ops-lead)")
    assert len(third.by) <= 60


def test_an_incident_that_is_not_there_is_answered_with_those_that_are() -> None:
    """Never was, is over, nobody had it, no number: each says what to do."""
    made = desk()
    status, doc = call(made, "POST", "/api/v1/incidents/18/ack", json={})
    assert (status, doc["detail"]) == (404, "no incident 18 is kept here; open are 17")
    status, doc = call(made, "DELETE", "/api/v1/incidents/17/ack")
    assert (status, doc["detail"]) == (409, "nobody has acknowledged incident 17")
    assert call(made, "POST", "/api/v1/incidents/seventeen/ack", json={})[0] == 400
    made.close(17)
    status, doc = call(made, "POST", "/api/v1/incidents/17/ack", json={})
    assert (status, doc["error"]) == (409, "over")
    assert made.submitted == []


def test_a_silence_is_set_as_it_was_asked_for() -> None:
    """With what it hits in the answer, so that a wrong glob is seen at once."""
    made = desk()
    body = {
        "matchers": ["team=shop", "severity!=info,warning"],
        "for": "2h30m",
        "reason": "deploying",
        "author": "Jane",
    }
    status, doc = call(made, "POST", "/api/v1/silences", json=body)
    assert status == 201
    (command,) = made.submitted
    assert isinstance(command, SetSilence)
    silence = command.silence
    assert silence.matchers == (*read_text("team=shop"), *read_text("severity!=info,warning"))
    assert (silence.author, silence.reason) == ("Jane (ops-lead)", "deploying")
    assert (silence.starts_wall, silence.ends_wall) == (made.snap.now.wall, made.snap.now.wall + 9000)
    assert doc["silence"]["text"] == "team=shop severity!=info,warning"
    assert doc["silence"]["state"] == "active"
    assert (doc["hits"]["services"], [one["number"] for one in doc["hits"]["incidents"]]) == (["shop"], [17])


def test_a_known_silence_is_replaced_and_keeps_its_beginning_in_the_books() -> None:
    """To prolong it; an id that nobody knows is a mistake."""
    made = desk()
    body = {"matchers": ["team=shop"], "until": "2026-09-22T00:00:00+02:00", "id": "s1"}
    assert call(made, "POST", "/api/v1/silences", json=body)[0] == 200
    (command,) = made.submitted
    assert isinstance(command, SetSilence)
    assert (command.silence.id, command.silence.created_wall) == ("s1", NOW - 60)
    assert command.silence.ends_wall == 1_790_028_000.0
    status, doc = call(made, "POST", "/api/v1/silences", json={**body, "id": "nobody"})
    assert (status, "no silence has that id" in doc["detail"]) == (400, True)
    status, doc = call(made, "POST", "/api/v1/maintenance", json={**body, "id": "s1"})
    assert (status, "no maintenance has that id" in doc["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"for": "2h"}, "matchers"),
        ({"matchers": [], "for": "2h"}, "1 to 10 matchers"),
        ({"matchers": ["team=shop"] * (MATCHERS_MAX + 1), "for": "2h"}, "matchers"),
        ({"matchers": ["team=shap"], "for": "2h"}, "did you mean `shop`?"),
        ({"matchers": ["taem=shop"], "for": "2h"}, "did you mean `team`?"),
        ({"matchers": ["team"], "for": "2h"}, "write it like team=payments"),
        ({"matchers": ["team=shop"]}, "say how long"),
        ({"matchers": ["team=shop"], "for": "2h", "until": "2026-11-01T18:00:00Z"}, "say how long"),
        ({"matchers": ["team=shop"], "for": "two hours"}, "write it like 800ms, 30s, 2m, 1h"),
        ({"matchers": ["team=shop"], "for": "0s"}, "over before it begins"),
        ({"matchers": ["team=shop"], "for": "400d"}, "at most 366 days"),
        ({"matchers": ["team=shop"], "until": "2026-09-01T00:00:00Z"}, "over before it begins"),
        ({"matchers": ["team=shop"], "until": "2026-12-01T00:00:00"}, "say the time zone"),
        ({"matchers": ["team=shop"], "for": "1h", "starts": "2029-01-01T00:00:00Z"}, "at most a year"),
        ({"matchers": ["team=shop"], "for": "1h", "reason": "x" * 501}, "reason"),
        ({"matchers": ["team=shop"], "for": "1h", "comment": "x"}, "unknown field"),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused_with_the_way(body: dict[str, Any], says: str) -> None:
    """And nothing is proposed."""
    made = desk()
    status, doc = call(made, "POST", "/api/v1/silences", json=body)
    assert (status, says in doc["detail"]) == (400, True), doc
    assert made.submitted == []


def test_a_preview_needs_no_scope_write_and_changes_nothing() -> None:
    """Globs, labels and negations as they will be understood."""
    made = desk()
    status, doc = call(made, "POST", "/api/v1/silences/preview", READ, json={"matchers": ["service=sh*"]})
    assert (status, doc["text"], doc["services"], doc["count"]) == (200, "service=sh*", ["shop"], 2)
    doc = call(made, "POST", "/api/v1/silences/preview", READ, json={"matchers": ["team!=shop"]})[1]
    assert "shop" not in doc["services"]
    assert "orders-db" in doc["services"]
    assert doc["incidents"] == []
    assert made.submitted == []


def test_what_a_milder_level_would_hit_is_in_the_preview() -> None:
    """`severity=warning` covers what is critical when it is down, once it is merely degraded."""
    made = world(http_service("shop"), http_service("wiki", severity=Severity.INFO))
    doc = call(made, "POST", "/api/v1/silences/preview", json={"matchers": ["severity=warning"]})[1]
    assert "shop" in doc["services"]
    assert "wiki" not in doc["services"]


def test_silences_and_maintenance_are_listed_and_ended_apart() -> None:
    """Each under its own path; the wrong path says which one it is."""
    over = quiet("s0", ends_wall=NOW - 1)
    later = quiet("s2", starts_wall=NOW + 60)
    made = desk(quiet(), over, later, quiet("m1", SilenceKind.MAINTENANCE))
    doc = call(made, "GET", "/api/v1/silences", READ)[1]
    assert [(one["id"], one["state"]) for one in doc["silences"]] == [
        ("s1", "active"),
        ("s2", "waits"),
        ("s0", "over"),
    ]
    doc = call(made, "GET", "/api/v1/silences?state=over", READ)[1]
    assert [one["id"] for one in doc["silences"]] == ["s0"]
    assert call(made, "GET", "/api/v1/silences?state=on", READ)[0] == 400
    assert call(made, "GET", "/api/v1/silences/s2", READ)[1]["state"] == "waits"
    assert call(made, "DELETE", "/api/v1/silences/s1")[0] == 200
    assert made.submitted == [EndSilence(id="s1", by="ops-lead", at_wall=made.snap.now.wall)]
    status, doc = call(made, "DELETE", "/api/v1/silences/m1")
    assert (status, doc["detail"]) == (404, "m1 is a maintenance, not a silence")
    status, doc = call(made, "GET", "/api/v1/silences/s11", READ)
    assert (status, doc["detail"]) == (404, "no silence has that id: did you mean `s1`?")


def test_planned_maintenance_shows_when_it_comes_next() -> None:
    """Cron in its own zone, what is on now, and what never comes again."""
    made = desk()
    windows = (
        Window(match=read_text("team=shop"), cron="0 2 * * sun", for_s=7200, timezone="Europe/Berlin"),
        Window(match=read_text("group=data"), start_wall=NOW - 10, end_wall=NOW + 10, reason="disks"),
        Window(match=read_text("group=data"), start_wall=NOW - 20, end_wall=NOW - 10),
    )
    made.turn(settings=replace(made.snap.settings, maintenance=windows))
    doc = call(made, "GET", "/api/v1/maintenance", READ)[1]
    assert [one["id"] for one in doc["maintenance"]] == ["m1"]
    cron, now, gone = doc["windows"]
    assert (cron["text"], cron["active"]) == ("team=shop", False)
    assert (cron["starts_at"], cron["ends_at"]) == ("2026-09-27T00:00:00Z", "2026-09-27T02:00:00Z")
    assert (now["active"], now["reason"], now["open_until"]) == (True, "disks", "2026-09-21T14:13:30Z")
    assert (gone["active"], gone["starts_at"]) == (False, None)


def test_a_channel_tells_how_it_is_and_never_where_it_leads() -> None:
    """Rest, trouble, what was sent this hour, what waits, who cannot reach it."""
    made = desk()
    made.tell(17, Stage.PENDING, "chat")
    row = ChannelRow(
        rest_until_wall=NOW + 30,
        hour=int(NOW // 3600),
        hour_sent=4,
        trouble="404 no_service",
        trouble_wall=NOW - 60,
        accepted_wall=NOW - 90,
    )
    peers = made.snap.state.peers
    made.turn(
        state=replace(
            made.snap.state,
            channels={"chat": row, "mail": ChannelRow(hour=int(NOW // 3600) - 1, hour_sent=9)},
            peers={**peers, "b": replace(peers["b"], paths={"chat": "open: timeout"})},
        )
    )
    doc = call(made, "GET", "/api/v1/channels", READ)[1]
    chat, mail = doc["channels"]
    assert (chat["name"], chat["schema"], chat["trouble"]) == ("chat", "slack", "404 no_service")
    assert (chat["sent_this_hour"], chat["waiting"], chat["paths"]) == (4, 1, {"b": "open: timeout"})
    assert chat["rest_until"] is not None
    assert (mail["sent_this_hour"], mail["waiting"], mail["rest_until"]) == (0, 0, None)
    assert "T/B/C" not in str(doc)
    assert "u:p" not in str(doc)


def test_a_test_names_every_message_that_it_makes() -> None:
    """The ids in the answer are those that the ledger gives them, so that each can be followed."""
    made = desk()
    status, doc = call(
        made, "POST", "/api/v1/channels/test", json={"channels": ["mail"], "peers": ["c", "a"]}
    )
    assert status == 202
    (command,) = made.submitted
    assert isinstance(command, TryChannels)
    assert (command.channels, command.senders, command.by) == (("mail",), ("c", "a"), "ops-lead")
    state, answer = try_channels(made.snap.state, command)
    assert answer.ok
    assert [one["id"] for one in doc["tests"]] == list(state.notifications)
    assert [(one["channel"], one["peer"]) for one in doc["tests"]] == [("mail", "c"), ("mail", "a")]
    doc = call(made, "POST", "/api/v1/channels/test", json={})[1]
    assert len(doc["tests"]) == 6
    for wrong, says in (({"channels": ["chap"]}, "`chat`"), ({"peers": ["d"]}, "known here: a, b, c")):
        status, doc = call(made, "POST", "/api/v1/channels/test", json=wrong)
        assert (status, says in doc["detail"]) == (404, True)


def test_a_drill_is_started_once_and_followed_at_the_same_path() -> None:
    """Compared on the one before; while one is on there is no other."""
    made = desk()
    assert call(made, "GET", "/api/v1/drills", READ)[1]["state"] == "never"
    before = Drill(channel="mail", started_wall=NOW - 9000, arrived_wall=NOW - 8000)
    made.turn(state=replace(made.snap.state, drill=before))
    assert call(made, "GET", "/api/v1/drills", READ)[1]["state"] == "arrived"
    assert call(made, "POST", "/api/v1/drills", json={})[0] == 202
    asked = StartDrill(channel="chat", by="ops-lead", at_wall=made.snap.now.wall, seen_wall=NOW - 9000)
    assert made.submitted == [asked]
    made.turn(state=replace(made.snap.state, drill=Drill(channel="mail", started_wall=NOW - 1000)))
    assert call(made, "GET", "/api/v1/drills", READ)[1]["state"] == "missed"
    assert call(made, "POST", "/api/v1/drills", json={"channel": "chap"})[0] == 404
    made.open("drill/chat", 18)
    fresh = Drill(channel="chat", started_wall=NOW)
    made.turn(state=replace(made.snap.state, drill=fresh))
    status, doc = call(made, "POST", "/api/v1/drills", json={})
    assert (status, doc["error"]) == (409, "no drill")
    assert call(made, "GET", "/api/v1/drills", READ)[1]["incident"] == 18


def test_why_nobody_is_told_stands_on_the_incident_and_in_the_summary() -> None:
    """Named, with its end and its root; the root lists what is folded into it."""
    made = desk()
    made.open("orders-db", 18)
    state = made.snap.state
    why = Withheld(why=Why.SUPPRESSED, text="caused by orders-db", until_wall=NOW + 60, root=18)
    shop = replace(state.incidents[17], withheld=why, is_flapping=True)
    root = replace(state.incidents[18], ack=Acknowledgement(by="Jane", note="on it", at_wall=NOW))
    made.turn(state=replace(state, incidents={17: shop, 18: root}))
    doc = call(made, "GET", "/api/v1/incidents/17", READ)[1]
    assert (doc["withheld"]["why"], doc["withheld"]["root"], doc["flapping"]) == ("suppressed", 18, True)
    assert doc["root"]["number"] == 18
    doc = call(made, "GET", "/api/v1/incidents/18", READ)[1]
    assert (doc["folded"], doc["ack"]["by"]) == ([17], "Jane")
    assert [one["title"] for one in doc["dependents"]] == ["Shop"]
    summary = call(made, "GET", "/api/v1/status", READ)[1]["summary"]
    assert (summary["withheld"], summary["acknowledged"], summary["flapping"]) == ({"suppressed": 1}, 1, 1)
    assert made.snap.state.incidents[17].level is Level.DOWN
