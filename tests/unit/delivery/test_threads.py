"""Which message the later ones of an incident belong to, and that a search is told of its thread."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support import delivery_support as made

from watchtower.core.model import NoticeKind, Notification, Stage
from watchtower.core.policies import Severity
from watchtower.delivery.message import Opened, moment
from watchtower.delivery.render import render
from watchtower.delivery.threads import opened

FIRST = replace(
    made.notification(stage=Stage.DELIVERED, receipt="C0123ABCDEF/1.0"), id="feedfeedfeedfeed", order=1
)
LATER = made.notification(NoticeKind.REMINDER)


def first(**fields: Any) -> Notification:
    """The first message of the incident, changed."""
    return replace(FIRST, **fields)


def test_what_follows_belongs_to_the_first_that_arrived() -> None:
    """Reminders, worsening and the end stand under the alert, not under one another."""
    second = first(id="beefbeefbeefbeef", order=2, receipt="C0123ABCDEF/2.0")
    for kind in (NoticeKind.REMINDER, NoticeKind.WORSENED, NoticeKind.ESCALATION, NoticeKind.RESOLVED):
        item = made.notification(kind)
        message = render(item, made.state(FIRST, second, item), made.settings())
        assert message.opened == Opened(delivery_id="feedfeedfeedfeed", receipt="C0123ABCDEF/1.0")


@pytest.mark.parametrize(
    "other",
    [
        first(channel="mail"),
        first(incident=41),
        first(receipt=""),
        first(stage=Stage.UNCERTAIN),
        first(stage=Stage.DIGESTED, digest="0000"),
        first(kind=NoticeKind.RESOLVED),
        first(order=99),
    ],
    ids=["channel", "incident", "receipt", "uncertain", "digested", "an end", "later"],
)
def test_nothing_belongs_to_what_is_not_its_first_message(other: Notification) -> None:
    """Another channel or incident, what may not have arrived, what a digest told, an end, what came later."""
    assert opened(LATER, made.state(other, LATER)) is None


def test_a_digest_or_a_test_belongs_to_nothing() -> None:
    """They are of no incident."""
    for kind in (NoticeKind.DIGEST, NoticeKind.TEST, NoticeKind.CEILING):
        assert opened(made.notification(kind, incident=0), made.state(first(incident=0))) is None


@pytest.mark.parametrize("severity", Severity)
def test_only_what_is_critical_is_shown_in_the_channel_too(severity: Severity) -> None:
    """A thread that everybody must follow is no thread."""
    item = made.notification(NoticeKind.WORSENED, notice_severity=severity)
    message = render(item, made.state(FIRST, item), made.settings())
    assert message.is_broadcast is (severity is Severity.CRITICAL)


@pytest.mark.parametrize(
    ("at_wall", "zone", "text"),
    [
        (1_767_225_600.0, "UTC", "2026-01-01 00:00:00 UTC"),
        (1_767_225_600.0, "Europe/London", "2026-01-01 00:00:00 UTC"),
        (1_767_225_600.0, "Europe/Berlin", "2026-01-01 00:00:00 UTC = 01:00:00 CET"),
        (1_767_225_600.0, "America/New_York", "2026-01-01 00:00:00 UTC = 2025-12-31 19:00:00 EST"),
        (1_767_225_600.0, "Asia/Kolkata", "2026-01-01 00:00:00 UTC = 05:30:00 IST"),
        # Berlin's clocks go from 02:00 to 03:00 at 01:00 UTC on 2026-03-29, and back on 2026-10-25.
        (1_774_745_999.0, "Europe/Berlin", "2026-03-29 00:59:59 UTC = 01:59:59 CET"),
        (1_774_746_000.0, "Europe/Berlin", "2026-03-29 01:00:00 UTC = 03:00:00 CEST"),
        (1_792_889_999.0, "Europe/Berlin", "2026-10-25 00:59:59 UTC = 02:59:59 CEST"),
        (1_792_890_000.0, "Europe/Berlin", "2026-10-25 01:00:00 UTC = 02:00:00 CET"),
        (1_767_225_600.0, "Nowhere/Atall", "2026-01-01 00:00:00 UTC"),
    ],
)
def test_local_time_stands_beside_utc(at_wall: float, zone: str, text: str) -> None:
    """With its date where that is another, right through the changes of the clock; UTC alone where equal."""
    assert moment(at_wall, zone) == text
