"""Who may look now: bounds on all and on each host, oldest first, nobody kept waiting by another's host."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from watchtower.probes.pace.admission import HOST_HELD_S, Admission
from watchtower.probes.pace.schedule import Due


class Queue:
    """An Admission with looks numbered as they come, and those in flight."""

    def __init__(self, bound: int = 100, per_host: int = 2) -> None:
        self.admission = Admission(bound, per_host)
        self.flying: dict[str, tuple[int, str]] = {}
        self._number = 0

    def put(self, name: str, host: str = "", *, at: float = 0.0, is_extra: bool = False) -> bool:
        """A look at `name`, due at that moment."""
        self._number += 1
        return self.admission.put(Due(at, self._number, name, is_extra), host)

    def take(self, now: float = 0.0) -> list[str]:
        """All that may start now."""
        taken = []
        while (admitted := self.admission.take(len(self.flying), now)) is not None:
            due, host = admitted
            if due.name in self.flying:  # it waited in both lines; the scheduler lets the second one go
                self.admission.end(due.number, host)
                continue
            self.flying[due.name] = (due.number, host)
            taken.append(due.name)
        return taken

    def end(self, name: str) -> None:
        """The look at `name` has ended."""
        self.admission.end(*self.flying.pop(name))


def test_the_oldest_starts_first_whatever_its_host() -> None:
    """Order is by when a look was due, over all hosts together."""
    queue = Queue()
    queue.put("c", "x", at=3.0)
    queue.put("a", "y", at=1.0)
    queue.put("b", "", at=2.0)
    assert queue.take() == ["a", "b", "c"]


def test_a_host_has_so_many_looks_at_a_time_and_keeps_nobody_else_waiting() -> None:
    """A farm behind one address waits for its places; younger looks at other hosts go ahead."""
    queue = Queue(per_host=2)
    for number in range(5):
        queue.put(f"farm{number}", "192.0.2.1 443", at=number)
    queue.put("other", "192.0.2.2 443", at=9.0)
    assert queue.take() == ["farm0", "farm1", "other"]
    assert queue.admission.waiting == 3
    queue.end("farm1")
    assert queue.take() == ["farm2"]


def test_looks_without_a_host_know_only_the_common_bound() -> None:
    """What is at no one place is not counted by place."""
    queue = Queue(bound=7, per_host=1)
    for number in range(9):
        queue.put(f"s{number}")
    assert len(queue.take()) == 7


def test_what_hangs_gives_its_place_back() -> None:
    """A dead host is found dead within seconds, however many names lead to it."""
    queue = Queue(per_host=2)
    for number in range(6):
        queue.put(f"farm{number}", "host", at=number)
    assert queue.take(0.0) == ["farm0", "farm1"]
    assert queue.take(HOST_HELD_S - 0.01) == []
    assert queue.take(HOST_HELD_S) == ["farm2", "farm3"]
    queue.end("farm0")
    assert queue.take(HOST_HELD_S) == []
    queue.end("farm2")
    assert queue.take(HOST_HELD_S) == ["farm4"]


def test_extra_looks_jump_the_queue_within_their_budget() -> None:
    """A quarter more than the bound, and never more at one host."""
    queue = Queue(bound=4, per_host=3)
    for number in range(6):
        queue.put(f"s{number}")
    assert len(queue.take()) == 4
    queue.put("t0", is_extra=True)
    queue.put("t1", is_extra=True)
    assert queue.take() == ["t0"]
    queue.end("s0")
    assert queue.take() == ["t1"]
    farm = Queue(per_host=1)
    farm.put("a", "host")
    assert farm.take() == ["a"]
    farm.put("b", "host", is_extra=True)
    assert farm.take() == []


def test_one_look_stands_for_all_that_wait_for_the_same_service() -> None:
    """What was due before it began keeps its place and is one look."""
    queue = Queue(bound=1)
    queue.put("first")
    queue.take()
    assert queue.put("web", at=1.0)
    queue.put("db", at=2.0)
    assert not queue.put("web", at=3.0)
    assert queue.admission.waiting == 2
    queue.end("first")
    assert queue.take() == ["web"]


def test_a_reload_takes_away_what_waits_for_what_is_gone() -> None:
    """The place of the others stays."""
    queue = Queue(bound=1)
    queue.put("first", "host")
    queue.take()
    for name in ("gone", "kept", "gone too"):
        queue.put(name, "host")
    queue.admission.forget({"gone", "gone too"})
    queue.admission.set_bounds(5, 5)
    assert queue.take() == ["kept"]
    assert queue.admission.waiting == 0


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3), st.booleans(), st.booleans()), max_size=80),
    st.integers(1, 5),
    st.integers(1, 3),
)
@example([(2, 1, False, False), (6, 1, True, False), (10, 1, False, False), (6, 0, False, True)], 2, 1)
def test_no_look_is_lost_and_no_bound_is_broken(
    moves: list[tuple[int, int, bool, bool]], bound: int, per_host: int
) -> None:
    """Whatever comes and ends in whatever order: all that waits starts at last, never too much at a time."""
    queue = Queue(bound, per_host)
    waiting: set[str] = set()
    started: set[str] = set()
    for number, host, is_extra, ends in moves:
        name = f"s{number}"
        if name not in queue.flying and queue.put(name, f"h{number % 4}" if host else "", is_extra=is_extra):
            waiting.add(name)
        if ends and queue.flying:
            queue.end(next(iter(queue.flying)))
        started.update(queue.take())
        at_host = [place for _, place in queue.flying.values() if place]
        assert all(at_host.count(place) <= per_host for place in at_host)
        assert len(queue.flying) <= bound * 1.25 + 1
    for _ in range(200):
        started.update(queue.take())
        if queue.flying:
            queue.end(next(iter(queue.flying)))
    assert started == waiting
    assert queue.admission.waiting == 0
