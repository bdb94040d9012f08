"""When the outside may be told that all is well: every part of the way to people, broken one by one.

Facts are those of a healthy peer, each test breaks one of them.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, settings
from support.web_support import world

from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Instant, Lease, NoticeKind, Notification, Stage, State
from watchtower.core.ports import Snapshot
from watchtower.core.proofs import watchdog
from watchtower.core.stats import ProbeStats


def well(**fields: Any) -> Snapshot:
    """A healthy alerter, but for `fields`."""
    snap = world().snap
    healthy: dict[str, Any] = {
        "is_alerter": True,
        "ready_reason": "",
        "doubt": "",
        "loop_lag_s": 0.0,
        "probes": ProbeStats(),
    }
    healthy["cluster"] = replace(snap.cluster, last_commit_age_s=0.5)
    return replace(snap, **{**healthy, **fields})


def test_a_healthy_alerter_may_ping() -> None:
    """Nothing speaks against it."""
    assert (watchdog.unfit(well()), watchdog.unfit_peer(well())) == ("", "")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"ready_reason": "no quorum"}, "not ready"),
        ({"doubt": "resolver"}, "doubts itself"),
        ({"loop_lag_s": 11.0}, "late"),
        ({"probes": ProbeStats(lag_s=11.0)}, "late"),
    ],
)
def test_a_peer_that_is_not_well_is_silent(fields: dict[str, Any], word: str) -> None:
    """Both the cluster's ping and its own."""
    assert word in watchdog.unfit_peer(well(**fields))
    assert word in watchdog.unfit(well(**fields))


def test_a_log_that_stands_still_holds_the_ping() -> None:
    """Reading goes on without a majority, telling people does not."""
    stuck = replace(well().cluster, last_commit_age_s=11.0)
    assert "log" in watchdog.unfit(well(cluster=stuck))


def test_only_the_alerter_speaks_for_the_cluster() -> None:
    """One ping of the cluster, not three."""
    other = well(is_alerter=False)
    assert watchdog.unfit(replace(other, state=State())) == "nobody is the alerter yet"
    held = replace(other, state=replace(other.state, lease=Lease(holder="b", released=False)))
    assert watchdog.unfit(held) == "another peer is the alerter"
    assert watchdog.unfit_peer(other) == ""


def test_what_waits_for_too_long_holds_the_ping() -> None:
    """A notification that has not left for five minutes: people are not being told."""
    book = Book()
    book.fails()
    book.must("a", book.opening())
    late = Instant(wall=WALL + 301.0, boot=0.0)
    assert watchdog.unfit(well(state=book.state, now=replace(late, wall=WALL + 299.0))) == ""
    assert "waited for 5 min" in watchdog.unfit(well(state=book.state, now=late))
    assert watchdog.unfit_peer(well(state=book.state, now=late)) == ""


def test_a_misconfigured_channel_holds_the_ping_unless_another_stands_in() -> None:
    """What its fallback hears, people hear."""
    state = replace(Book().state, channels={"chat": ChannelRow(trouble="invalid_auth", trouble_wall=WALL)})
    alone, covered = settings(), settings(channels={"chat": "mail", "mail": ""})
    assert "channel chat" in watchdog.unfit(well(state=state, settings=alone))
    assert watchdog.unfit(well(state=state, settings=covered)) == ""


def test_what_a_fallback_has_told_is_known_although_its_channel_still_fails() -> None:
    """One that answers 503 for an hour is tried again and again; people know since the first minute."""
    book = Book()
    book.fails()
    book.must("a", book.opening())
    (item,) = book.state.notifications.values()
    instead = replace(
        item,
        id="instead",
        channel="mail",
        order=item.order + 1,
        stage=Stage.DELIVERED,
        notice=replace(item.notice, instead_of="chat"),
    )
    late = Instant(wall=WALL + 3000.0, boot=0.0)

    def said(*items: Notification) -> str:
        rows = {one.id: one for one in items}
        return watchdog.unfit(well(state=replace(book.state, notifications=rows), now=late))

    assert said(item, instead) == ""
    assert "waited" in said(item, replace(instead, stage=Stage.PENDING))
    assert "waited" in said(item, replace(instead, notice=replace(instead.notice, at_wall=WALL + 60)))
    digest = replace(item, id="digest", incident=0, kind=NoticeKind.DIGEST, members=(item.id,))
    inside = replace(item, stage=Stage.DIGESTED, digest="digest")
    assert said(digest, inside, instead) == ""
    assert "waited" in said(digest, inside)
