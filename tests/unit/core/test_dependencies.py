"""The graph of needs: what explains a failure, the deepest cause, and what a failure takes along."""

from __future__ import annotations

from support.core_support import service, settings

from watchtower.core.alerting.dependencies import Causes, dependents_of, graph_of, needed_by
from watchtower.core.model import Level
from watchtower.core.settings import Need, Settings


def one(*names: str, at_least: int = 1, degraded: str = "") -> Need:
    """A need."""
    return Need(names=names, at_least=at_least, degraded=degraded)


def drawn(**needs: tuple[Need, ...]) -> Settings:
    """Settings with these services."""
    return settings(*(service(name, needs=some) for name, some in needs.items()))


SHOP = drawn(
    db=(),
    disk=(),
    pay_a=(),
    pay_b=(),
    pay_c=(),
    orders=(one("db"), one("disk")),
    shop=(one("orders"), one("pay_a", "pay_b"), one("pay_a", "pay_b", "pay_c", at_least=2)),
)


def roots(level: Level = Level.DOWN, **failing: Level) -> tuple[str, ...]:
    """The roots of the shop while these fail."""
    return Causes(graph_of(SHOP), failing).roots("shop", level)


def test_the_deepest_failing_need_is_the_root() -> None:
    """Through failing services only: a healthy one in between breaks the chain."""
    assert roots(orders=Level.DOWN, db=Level.DOWN) == ("db",)
    assert roots(orders=Level.DOWN) == ("orders",)
    assert roots(db=Level.DOWN) == ()
    assert roots(orders=Level.DOWN, db=Level.DOWN, disk=Level.DOWN) == ("db", "disk")


def test_what_is_mild_explains_what_is_mild() -> None:
    """A degraded need does not explain an outage; an outage explains anything."""
    assert roots(orders=Level.DEGRADED) == ()
    assert roots(Level.DEGRADED, orders=Level.PARTIAL) == ("orders",)
    assert roots(Level.PARTIAL, orders=Level.DOWN) == ("orders",)
    assert roots(orders=Level.DOWN, db=Level.DEGRADED) == ("orders",)


def test_a_group_explains_when_too_few_are_left() -> None:
    """any_of: none is left; k_of: fewer than k are."""
    assert roots(pay_c=Level.DOWN) == ()
    assert roots(pay_a=Level.DOWN, pay_b=Level.DEGRADED) == ()
    assert roots(pay_a=Level.DOWN, pay_c=Level.DOWN) == ("pay_a", "pay_c")
    assert roots(pay_a=Level.DOWN, pay_b=Level.DOWN) == ("pay_a", "pay_b")


def test_the_graph_is_made_once() -> None:
    """For the same settings, and anew for others."""
    assert graph_of(SHOP) is graph_of(SHOP)
    assert graph_of(drawn(a=(), b=(one("a"),))).dependents == {"a": ("b",)}


def test_depths_and_reach() -> None:
    """How deep a service stands, and all that is above and below it, the nearest first."""
    assert graph_of(SHOP).depths == {"orders": 1, "shop": 2}
    assert needed_by(SHOP, "shop") == ("orders", "pay_a", "pay_b", "pay_c", "db", "disk")
    assert dependents_of(SHOP, "db") == ("orders", "shop")
    assert needed_by(SHOP, "db") == dependents_of(SHOP, "shop") == ()
