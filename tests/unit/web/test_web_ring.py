"""The ring of events: places, resuming by log index, and what is lost when it overflows.

No connection here; listeners on the wire are tested against the running server.
"""

from __future__ import annotations

from watchtower.web.events import Event
from watchtower.web.stream import Ring


def _filled(size: int, indexes: range) -> Ring:
    ring = Ring(size)
    ring.start(indexes.start - 1)
    for index in indexes:
        ring.publish(index, [Event("verdict", {"service": f"s{index}"})])
    return ring


def test_a_listener_gets_what_came_after_its_place() -> None:
    """Frames are joined in order and carry the log index as id."""
    ring = _filled(10, range(1, 4))
    frames = ring.since(1)
    assert frames == (
        b'id: 2\nevent: verdict\ndata: {"service":"s2"}\n\nid: 3\nevent: verdict\ndata: {"service":"s3"}\n\n'
    )
    assert ring.since(ring.end) == b""


def test_a_listener_that_the_ring_has_passed_by_is_told_so() -> None:
    """None, not a gap in silence."""
    ring = _filled(3, range(1, 8))
    assert ring.since(0) is None
    assert ring.since(4) is not None


def test_resuming_tells_the_last_index_again_and_everything_after() -> None:
    """How many events of that index were seen cannot be known, so they are repeated."""
    ring = _filled(10, range(1, 6))
    place = ring.resume(3)
    assert place is not None
    assert (ring.since(place) or b"").count(b"event:") == 3
    assert ring.resume(5) is not None


def test_resuming_before_the_ring_or_after_its_end_is_refused() -> None:
    """Too much is lost, or the listener comes from a peer that is further on."""
    ring = _filled(3, range(10, 18))
    assert ring.resume(14) is None
    assert ring.resume(15) is not None
    assert ring.resume(99) is None


def test_an_index_that_was_only_half_pushed_out_counts_as_lost() -> None:
    """Three events of one index, room for two: nobody may resume there."""
    ring = Ring(2)
    ring.start(0)
    ring.publish(1, [Event("verdict", {"n": n}) for n in range(3)])
    assert ring.resume(1) is None
    assert ring.resume(0) is None


def test_an_older_index_never_moves_the_ring_back() -> None:
    """Verdicts come with the index that was applied last, which may be an old one."""
    ring = _filled(10, range(1, 6))
    ring.publish(2, [Event("verdict", {})])
    assert ring.index == 5
    assert (ring.since(5) or b"").startswith(b"id: 5\n")
