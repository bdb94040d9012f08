"""The words of suppression, and the corners that no story shows."""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import WALL, Book, instant, service, settings, view

from watchtower.core.alerting.scene import Scene
from watchtower.core.alerting.suppression import aftermath, held, suppressed
from watchtower.core.model import Incident, Level, State, Verdict
from watchtower.core.policies import Hidden, Why, Withheld
from watchtower.core.settings import Alerting, Need
from watchtower.core.view import Standing

CONFIG = settings(
    service("db"),
    service("auth"),
    service("shop", needs=(Need(names=("db",)), Need(names=("auth",)))),
    alerting=Alerting(hold_s=5.0, suppress_s=600.0),
)


def about(number: int, name: str, level: Level = Level.DOWN, **fields: object) -> Incident:
    """An incident that opened at WALL."""
    made = Incident(number=number, service=name, level=level, reason="", since_wall=WALL, opened_wall=WALL)
    return replace(made, **fields)


def scene(*incidents: Incident, boot: float = 10.0, **levels: Level) -> Scene:
    """A moment in which these incidents are known; what is not said is up."""
    rows = {one.number: one for one in incidents}
    state: State = replace(Book().state, incidents=rows, last_incident=max(rows, default=0))
    services = {
        one.service: replace(state.service(one.service), incident=one.number, open=one.is_open)
        for one in incidents
    }
    standings = {
        name: Standing(
            verdict=Verdict(level=levels.get(name, Level.UP), reason=""),
            level=levels.get(name, Level.UP),
            since_boot=0.0,
            held_boot=boot,
        )
        for name in CONFIG.services
    }
    state = replace(state, services=services)
    return Scene(state, CONFIG, view("a", boot, standings=standings), instant(boot))


def test_several_causes_are_counted_and_the_oldest_takes_the_fold() -> None:
    """Unless another has it already."""
    shop = about(3, "shop")
    now = scene(about(1, "db"), about(2, "auth"), db=Level.DOWN, auth=Level.DOWN, shop=Level.DOWN)
    assert suppressed(now, shop) == Withheld(
        why=Why.SUPPRESSED, text="caused by db (#1) and 1 more", until_wall=WALL + 610.0, root=1
    )
    kept = replace(
        shop, withheld=Withheld(why=Why.SUPPRESSED, text="", root=2), hidden=Hidden(since_wall=WALL, root=2)
    )
    found = suppressed(now, kept)
    assert found is not None
    assert (found.root, found.text) == (2, "caused by auth (#2) and 1 more")
    assert found.until_wall == WALL + 600.0


def test_a_cause_without_an_open_incident_is_none() -> None:
    """A verdict alone folds nothing: there must be something that is told."""
    assert suppressed(scene(db=Level.DOWN, shop=Level.DOWN), about(1, "shop")) is None
    closed = about(1, "db", closed_wall=WALL + 1)
    assert suppressed(scene(closed, db=Level.DOWN, shop=Level.DOWN), about(2, "shop")) is None


def test_a_cause_that_nobody_can_judge_is_none() -> None:
    """Its incident is open still."""
    shop = about(2, "shop")
    assert suppressed(scene(about(1, "db"), db=Level.UNKNOWN, shop=Level.DOWN), shop) is None
    assert suppressed(scene(about(1, "db"), db=Level.DOWN, shop=Level.DOWN), shop) is not None


def test_what_is_told_after_all_says_why_it_was_not_before() -> None:
    """Hidden for too long, or outlasting its cause; what was never hidden says nothing."""
    shop = about(2, "shop", hidden=Hidden(since_wall=WALL, root=1))
    late = scene(about(1, "db"), shop, boot=600.0, db=Level.DOWN, shop=Level.DOWN)
    assert suppressed(late, shop) is held(late, shop) is None
    assert aftermath(late, shop) == "hidden behind db (#1) for 10 min, still down"
    over = scene(about(1, "db", closed_wall=WALL + 9), shop, shop=Level.DOWN)
    assert aftermath(over, shop) == "db (#1) is over, this is not"
    assert aftermath(over, about(2, "shop")) == ""
    assert aftermath(scene(shop), shop) == "", "the cause is long forgotten"


def test_only_what_has_needs_is_held() -> None:
    """And a service that left the configuration is neither held nor folded."""
    assert held(scene(), about(1, "db")) is None
    assert held(scene(), about(1, "shop")) == Withheld(
        why=Why.HELD, text="held for 5 s: its cause may show", until_wall=WALL + 15.0
    )
    assert held(scene(), about(1, "gone")) is suppressed(scene(), about(1, "gone")) is None


def test_what_was_told_is_not_held_any_more() -> None:
    """Not even when a need gets suspect a moment later."""
    shop = about(1, "shop")
    assert held(scene(shop, boot=2.0, shop=Level.DOWN), shop) is None
