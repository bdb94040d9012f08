"""Decide as a reconcile loop: whatever state the log has led to, its passes come to rest.

A pass whose commands were applied is not proposed again at the same instant, nothing it proposes is
refused for ever, and every entry it makes fits into the log.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_strategies import Deed, deeds, entry_of
from support.core_support import Book, instant, peer_services, service, settings, view

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.alerting.matching import read_text
from watchtower.core.commands import Command
from watchtower.core.decide import COMMANDS_MAX, decide
from watchtower.core.judging import verdicts
from watchtower.core.model import NoticeKind, State
from watchtower.core.settings import Alerting, Flap, Window
from watchtower.core.view import View

START = Book().state
CONFIG = settings(
    service("web", alert=("chat", "mail")),
    service("api"),
    *peer_services(),
    channels={"chat": "sms", "mail": "", "sms": ""},
    maintenance=(Window(match=read_text("service=api"), cron="*/10 * * * *", for_s=300.0, reason="disks"),),
    alerting=Alerting(flap=Flap(window=4, high=0.5, low=0.25)),
)
plans = st.lists(deeds, max_size=50) | st.lists(deeds, min_size=30, max_size=80)
BOOT = 1000.0
ROUNDS_MAX = 6


def lived(plan: list[Deed]) -> Book:
    """A cluster after `plan`, in which a is a live alerter under the config in force."""
    book = Book()
    book.state = START
    for deed in plan:
        book.state, _ = ledger.apply(book.state, entry_of(book.state, deed))
    if not book.state.row("a").boot_id:
        book.join("a")
    book.report("a", config_hash="h1")
    book.lease("a")
    lease, config = book.state.lease, book.state.config
    if config.hash != "h1":
        activate = c.Activate(epoch=lease.epoch, gen=config.gen, config_hash="h1", at_wall=0)
        book.must("a", activate)
    return book


def passed(book: Book, looks: View) -> tuple[tuple[Command, ...], View]:
    """One pass at BOOT, remembering the standings."""
    standings = verdicts.observe(book.state, CONFIG, looks, instant(BOOT))
    looks = replace(looks, standings=standings)
    return decide(book.state, CONFIG, looks, instant(BOOT)), looks


heard_sets = st.sets(st.sampled_from(("b", "c"))).map(lambda some: ("a", *sorted(some)))


@given(plans, heard_sets)
def test_passes_come_to_rest(plan: list[Deed], heard: tuple[str, ...]) -> None:
    """What was applied is not proposed again, and after a few passes there is nothing left to propose."""
    book = lived(plan)
    early = view(boot=BOOT - 10, heard=heard)
    standings = verdicts.observe(book.state, CONFIG, early, instant(BOOT - 10))
    looks = view(boot=BOOT, heard=heard, standings=standings)
    done: list[Command] = []
    for _ in range(ROUNDS_MAX):
        commands, looks = passed(book, looks)
        assert len(commands) <= COMMANDS_MAX
        assert not [command for command in commands if command in done]
        if not commands:
            return
        for command in commands:
            c.encode(book.entry("a", command))
            if book.do("a", command).ok:
                done.append(command)
    raise AssertionError([type(command).__name__ for command in passed(book, looks)[0]])


@given(plans, heard_sets)
def test_a_pass_is_a_function(plan: list[Deed], heard: tuple[str, ...]) -> None:
    """Equal facts give equal commands, also when the rows of the ledger stand in another order."""
    book = lived(plan)
    looks = view(boot=BOOT, heard=heard)
    turned = State(
        **{name: getattr(book.state, name) for name in book.state.__struct_fields__}
        | {"notifications": dict(sorted(book.state.notifications.items()))}
    )
    first, _ = passed(book, looks)
    book.state = turned
    again, _ = passed(book, looks)
    assert sorted(map(repr, first)) == sorted(map(repr, again))


@given(plans)
def test_at_rest_nothing_is_without_a_living_sender(plan: list[Deed]) -> None:
    """When passes have come to rest, whatever is unfinished waits for an eligible peer."""
    book = lived(plan)
    looks = view(boot=BOOT, heard=("a",))
    for _ in range(ROUNDS_MAX):
        commands, looks = passed(book, looks)
        for command in commands:
            book.do("a", command)
    in_force = book.state.config.hash == CONFIG.config_hash
    items = book.state.notifications.values()
    # A test is to show that this very peer can send.
    waiting = [one for one in items if not one.stage.finished and one.kind is not NoticeKind.TEST]
    assert not in_force or all(item.sender == "a" for item in waiting)
