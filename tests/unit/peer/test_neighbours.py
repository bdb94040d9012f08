"""When a look turns, the services beside it in the graph of needs are looked at: which, when, how many."""

from __future__ import annotations

from support.core_support import instant, service, settings

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.settings import Need, Settings
from watchtower.core.stats import ProbeStats, Trouble
from watchtower.neighbours import LOOKS_AT_ONCE, LOOKS_MAX, LOOKS_PER_S, Neighbours


class Planned:
    """A scheduler that writes down what it is asked to look at."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], float]] = []
        self.stats = ProbeStats()

    def probe_now(self, names: tuple[str, ...], in_s: float = 0.0) -> None:
        """Written down."""
        self.asked.append((names, in_s))

    def trouble(self) -> Trouble:
        """None."""
        return Trouble()

    def reload(self, settings: Settings) -> None:
        """Nothing to take."""

    async def run(self) -> None:
        """Nothing to do."""


def result(name: str, opinion: Opinion) -> Result:
    """The end of a look."""
    return Result(service=name, opinion=opinion, kind=Kind.OK, text="", at_wall=0.0, duration_ms=1.0)


def needs(*names: str) -> tuple[Need, ...]:
    """All of these."""
    return tuple(Need(names=(name,)) for name in names)


FILE = settings(
    service("disk"),
    service("db", needs=needs("disk")),
    service("shop", needs=needs("db")),
    service("search", needs=needs("db")),
    service("blog"),
)
WELL = {name: result(name, Opinion.UP) for name in FILE.services}


def looked(name: str, opinion: Opinion, **bad: Opinion) -> list[tuple[tuple[str, ...], float]]:
    """What is asked for when a look ends like this, while others are like that."""
    planned = Planned()
    others = WELL | {other: result(other, how) for other, how in bad.items()}
    Neighbours(planned).seen(FILE, result(name, opinion), others, instant(10.0))
    return planned.asked


def test_the_first_failed_look_asks_for_all_needs() -> None:
    """Direct and indirect ones, at once; the next failures ask for nothing."""
    assert looked("shop", Opinion.DOWN) == [(("db", "disk"), 0.0)]
    assert looked("shop", Opinion.DOWN, shop=Opinion.DOWN) == []
    assert looked("shop", Opinion.UNKNOWN, shop=Opinion.DOWN) == []
    assert looked("blog", Opinion.DOWN) == []


def test_the_first_good_look_asks_for_what_fails_beside_it() -> None:
    """What depends on it, and what it needs, as far as that fails here."""
    assert looked("db", Opinion.UP, db=Opinion.DOWN, shop=Opinion.DOWN, blog=Opinion.DOWN) == [
        (("shop",), 0.0)
    ]
    assert looked("shop", Opinion.UP, shop=Opinion.DOWN, disk=Opinion.DEGRADED) == [(("disk",), 0.0)]
    assert looked("db", Opinion.UP) == []


def test_what_others_see_counts_as_well() -> None:
    """They contradict this peer: a service that is well here has begun to fail there."""
    planned = Planned()
    here = WELL | {"db": result("db", Opinion.DOWN), "search": result("search", Opinion.DOWN)}
    Neighbours(planned).suspected(FILE, ("db",), here, instant(10.0))
    Neighbours(planned).suspected(FILE, ("shop",), WELL, instant(10.0))
    assert planned.asked == [(("search",), 0.0), (("db", "disk"), 0.0)]


def test_one_cause_is_looked_at_once_a_second() -> None:
    """However many services need it."""
    planned = Planned()
    beside = Neighbours(planned)
    beside.turned(FILE, {"shop": True}, WELL, instant(10.0))
    beside.turned(FILE, {"search": True}, WELL, instant(10.9))
    beside.turned(FILE, {"search": True}, WELL, instant(11.1))
    assert planned.asked == [(("db", "disk"), 0.0), (("db", "disk"), 0.0)]


def test_many_dependents_are_looked_at_by_and_by() -> None:
    """So many at a time, and no more than a limit for one turn."""
    names = [f"s{number}" for number in range(LOOKS_MAX + 10)]
    big = settings(service("db"), *(service(name, needs=needs("db")) for name in names))
    bad = {name: result(name, Opinion.DOWN) for name in big.services}
    planned = Planned()
    Neighbours(planned).seen(big, result("db", Opinion.UP), bad, instant(10.0))
    assert sum(len(some) for some, _ in planned.asked) == LOOKS_MAX
    assert [round(in_s, 6) for _, in_s in planned.asked[:3]] == [
        0.0,
        LOOKS_AT_ONCE / LOOKS_PER_S,
        2 * LOOKS_AT_ONCE / LOOKS_PER_S,
    ]
    assert all(len(some) <= LOOKS_AT_ONCE for some, _ in planned.asked)
