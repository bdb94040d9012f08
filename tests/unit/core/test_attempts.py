"""The one gate before a send: when, by whom and on which channel, and the reason that people are shown."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import PEERS, WALL, Book

from watchtower.core.alerting.attempts import ChannelState, NextAttempt, channel_state, next_attempt
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Attempt, NoticeKind, Notification, Outcome, Stage
from watchtower.core.policies import Severity
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel, Rate

NOW = WALL + 100.0


def waiting(**fields: Any) -> Notification:
    """An announcement that waits, with other `fields`."""
    return replace(Book().opened()[0], **{"created_wall": NOW, **fields})


def chat(row: ChannelRow | None = None, rate: Rate | None = None, **fields: Any) -> ChannelState:
    """The channel with that row, and all peers in turn."""
    instead = fields.get("fallback", "mail")
    configured = Channel(name="chat", url=Secret("x"), schema="json", rate=rate or Rate(), fallback=instead)
    closed = fields.pop("closed", {})
    row = row or ChannelRow()
    alone = channel_state(configured, "chat", row, turns=PEERS, closed=closed, now_wall=NOW)
    return replace(alone, **fields)


def unsent(*peers: str) -> dict[str, Any]:
    """Attempts of these peers of which nothing left."""
    tried = tuple(
        Attempt(number=number, peer=peer, outcome=Outcome.NOT_SENT, detail="refused", at_wall=NOW)
        for number, peer in enumerate(peers, 1)
    )
    return {"attempts": tried, "failures": len(peers), "settled_wall": NOW}


def when(item: Notification, channel: ChannelState | None = None) -> tuple[float, str]:
    """In how many seconds, and why."""
    found = next_attempt(item, channel or chat(), NOW)
    return found.at_wall - NOW, found.reason


# ---- the item's own failures


def test_the_first_attempt_is_due_at_once() -> None:
    """What was never tried is due, also when whoever made it has a clock that is ahead."""
    expected = NextAttempt(peer="a", channel="chat", at_wall=NOW, reason="first attempt")
    assert next_attempt(waiting(), chat(), NOW) == expected
    assert next_attempt(waiting(created_wall=NOW + 900.0), chat(), NOW) == expected


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 15), (6, 30), (7, 30), (99, 30)]
)
def test_backoff(failures: int, wait_s: float) -> None:
    """After a refusal the next attempt waits longer and longer, at most half a minute."""
    item = waiting(failures=failures, settled_wall=NOW)
    assert when(item) == (wait_s, f"attempt {failures} failed")


@pytest.mark.parametrize(
    ("asked_s", "wait_s", "reason"),
    [
        (0.5, 1, "attempt 1 failed"),
        (1.0, 1, "attempt 1 failed"),
        (1.5, 1.5, "the channel asked to wait"),
        (86_400, 900, "the channel asked to wait"),
    ],
)
def test_the_channel_may_ask_for_more(asked_s: float, wait_s: float, reason: str) -> None:
    """What the provider asked for holds when it is longer than the backoff, up to 15 minutes."""
    assert when(waiting(failures=1, settled_wall=NOW, retry_after_s=asked_s)) == (wait_s, reason)


@pytest.mark.parametrize(
    ("peers", "sender", "wait_s"),
    [("a", "b", 0), ("ab", "c", 0), ("abc", "a", 1), ("abca", "b", 1), ("abcabc", "a", 2), ("aa", "b", 0)],
)
def test_what_never_left_another_peer_tries_at_once(peers: str, sender: str, wait_s: float) -> None:
    """Every peer once without a pause; then in turn again, each round with a longer one."""
    found = next_attempt(waiting(**unsent(*peers)), chat(), NOW)
    assert (found.peer, found.at_wall - NOW) == (sender, wait_s)


def test_endless_cuts_are_not_tried_without_end() -> None:
    """The ledger keeps the latest attempts only; the pause grows all the same."""
    item = waiting(**{**unsent(*"abcabcabca"), "failures": 60})
    assert when(item) == (30.0, "attempt 60 failed")


def test_a_refusal_after_a_cut_starts_the_turns_of_refusals() -> None:
    """The channel was reached: its refusal is its own doing."""
    refused = Attempt(number=2, peer="b", outcome=Outcome.REJECTED, detail="HTTP 500", at_wall=NOW)
    item = waiting(attempts=(*unsent("a")["attempts"], refused), failures=2, settled_wall=NOW)
    assert when(item) == (2.0, "attempt 2 failed")


# ---- the channel's gates


@pytest.mark.parametrize(
    ("ago_s", "wait_s"),
    [
        ((), 0.0),
        ((0.5, 0.4), 0.0),
        ((0.5, 0.4, 0.2), 0.5),
        ((2.0, 1.9, 0.0), 0.0),
        ((9.0, 0.3, 0.2, 0.0), 0.7),
        (tuple(float(20 - i) for i in range(20)), 0.0),
        (tuple(1.0 * i for i in range(19, -1, -1)), 1.0),
    ],
)
def test_a_bucket_of_tokens(ago_s: tuple[float, ...], wait_s: float) -> None:
    """Three at once, then one a second; of long traffic only the latest twenty attempts are known."""
    row = ChannelRow(recent=tuple(NOW - age_s for age_s in ago_s))
    found_s, reason = when(waiting(), chat(row))
    assert found_s == pytest.approx(wait_s)
    assert reason == ("at most one message every 1 s" if wait_s else "first attempt")


def test_no_rate_no_bucket() -> None:
    """A channel without limits takes whatever comes."""
    row = ChannelRow(recent=(NOW,) * 20)
    assert when(waiting(), chat(row, Rate(every_s=0.0))) == (0.0, "first attempt")


def test_a_channel_that_asked_to_wait_rests_for_all() -> None:
    """What was asked of one message holds for every other."""
    assert when(waiting(), chat(ChannelRow(rest_until_wall=NOW + 30))) == (30, "the channel asked to wait")


def test_the_ceiling_ends_with_the_hour() -> None:
    """What the channel has had in this hour counts; the hour of a clock that is wrong does not."""
    hour = int(NOW // 3600)
    left_s = (hour + 1) * 3600 - NOW
    full = ChannelRow(hour=hour, hour_sent=120)
    expected = (left_s, "the channel has had its 120 messages of this hour")
    assert when(waiting(), chat(full)) == expected
    assert when(waiting(), chat(replace(full, hour_sent=119)))[0] == 0.0
    assert when(waiting(), chat(replace(full, hour=hour + 1)))[0] == 0.0
    assert when(waiting(), chat(replace(full, hour=hour - 1)))[0] == 0.0
    assert when(waiting(kind=NoticeKind.CEILING), chat(full))[0] == 0.0


def test_a_misconfigured_channel_is_tried_every_five_minutes() -> None:
    """Somebody may have mended it."""
    row = ChannelRow(recent=(NOW - 60.0,), trouble="HTTP 404")
    assert when(waiting(), chat(row)) == (240.0, "it cannot work as configured: HTTP 404")
    assert when(waiting(), chat(row, fallback="")) == (0.0, "first attempt"), "nobody else would tell it"


def test_a_test_goes_to_a_misconfigured_channel_at_once() -> None:
    """Whoever has mended it wants to know; everything else, the channel's own wish for rest, holds."""
    row = ChannelRow(recent=(NOW - 60.0,), trouble="HTTP 404")
    test = waiting(kind=NoticeKind.TEST)
    assert when(test, chat(row)) == (0.0, "first attempt")
    rests = replace(row, rest_until_wall=NOW + 30.0)
    assert when(test, chat(rests)) == (30.0, "the channel asked to wait")


def test_breakers_name_another_peer() -> None:
    """Where the way is cut nobody is asked; a way that may be tried comes before those that may not."""
    cut = "open: timed out"
    for closed, peer in (
        ({"a": cut}, "b"),
        ({"a": cut, "b": "half-open: timed out", "c": cut}, "b"),
        (dict.fromkeys(PEERS, cut), "a"),
    ):
        assert next_attempt(waiting(), chat(closed=closed), NOW).peer == peer
    reason = "no peer's circuit breaker lets it through: open: timed out"
    assert when(waiting(), chat(closed=dict.fromkeys(PEERS, cut))) == (1.0, reason)


# ---- the fallback


@pytest.mark.parametrize(("severity", "after_s"), [("critical", 55.0), ("warning", 300.0), ("info", 300.0)])
def test_a_fallback_after_the_severitys_limit(severity: str, after_s: float) -> None:
    """Who must know soon is told elsewhere soon."""
    channel = chat(fallback="mail")
    for age_s, name in ((after_s, "chat"), (after_s + 0.5, "mail")):
        item = waiting(failures=3, settled_wall=NOW, created_wall=NOW - age_s)
        item = replace(item, notice=replace(item.notice, severity=Severity(severity)))
        assert next_attempt(item, channel, NOW).channel == name


SAID = (Attempt(number=1, peer="a", outcome=Outcome.REJECTED, detail="413\u202e too large", at_wall=NOW),)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stage": Stage.DEAD}, "chat refused it for good"),
        ({"stage": Stage.DEAD, "attempts": SAID}, "chat refused it for good: 413 too large"),
        ({"failures": 1, "attempts": SAID}, "chat has not taken it for 55 s: 413 too large"),
        ({"digest": "d1"}, "chat refused it for good"),
        ({"failures": 1}, "chat has not taken it for 55 s"),
        ({}, ""),
        ({"id": "known", "failures": 1}, ""),
    ],
)
def test_why_another_channel_is_told(fields: dict[str, Any], reason: str) -> None:
    """Refused, or kept waiting; never what only waits its turn, nor what the other knows already."""
    channel = chat(fallback="mail", dead=frozenset({"d1"}), elsewhere=frozenset({"known"}))
    found = next_attempt(waiting(created_wall=NOW - 90, **fields), channel, NOW)
    assert (found.channel, found.reason if reason else "") == ("mail" if reason else "chat", reason)


def test_what_a_resting_channel_keeps_waiting_falls_back() -> None:
    """Also what was never tried: people wait all the same."""
    channel = chat(ChannelRow(rest_until_wall=NOW + 600), fallback="mail")
    mild = waiting()
    mild = replace(mild, notice=replace(mild.notice, severity=Severity.WARNING))
    assert next_attempt(replace(mild, created_wall=NOW - 299), channel, NOW).channel == "chat"
    found = next_attempt(replace(mild, created_wall=NOW - 301), channel, NOW)
    assert found.channel == "mail"
    assert found.reason == "chat has not taken it for 300 s: the channel asked to wait"


def test_what_is_critical_does_not_wait_in_vain() -> None:
    """A gate that is known to outlast the limit sends it on at once; a shorter one is waited for."""
    for rest_s, name in ((54.0, "chat"), (56.0, "mail")):
        channel = chat(ChannelRow(rest_until_wall=NOW + rest_s), fallback="mail")
        found = next_attempt(waiting(created_wall=NOW), channel, NOW)
        assert found.channel == name
    assert found.reason == "chat cannot take it within 55 s: the channel asked to wait"


def test_a_drill_has_no_fallback() -> None:
    """Nothing but the channel can prove it; the first try does not wait for the channel's turn."""
    row = ChannelRow(recent=(NOW - 60.0,), trouble="HTTP 404")
    drill = waiting(service="drill/chat", created_wall=NOW)
    channel = chat(row, fallback="mail")
    assert (next_attempt(drill, channel, NOW).channel, when(drill, channel)[0]) == ("chat", 0.0)
    assert when(replace(drill, failures=1, settled_wall=NOW - 60), channel)[0] == 240.0


def test_a_misconfigured_channel_falls_back_at_once() -> None:
    """Waiting mends nothing; but when its next trial is due, that comes first."""
    row = ChannelRow(recent=(NOW - 60.0,), trouble="HTTP 404")
    found = next_attempt(waiting(), chat(row, fallback="mail"), NOW)
    reason = "chat cannot work as configured: HTTP 404"
    assert found == NextAttempt(peer="a", channel="mail", at_wall=NOW, reason=reason)
    due = chat(replace(row, recent=(NOW - 301.0,)), fallback="mail")
    assert next_attempt(waiting(), due, NOW).channel == "chat"


def test_a_fallback_of_a_fallback_is_none() -> None:
    """What was sent instead of something else does not wander on."""
    item = waiting(failures=1, created_wall=NOW - 900)
    item = replace(item, notice=replace(item.notice, instead_of="pager"))
    assert next_attempt(item, chat(fallback="mail"), NOW).channel == "chat"
