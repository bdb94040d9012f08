"""Hundreds of services behind one dead need: what a pass proposes first, and what it costs in quiet."""

from __future__ import annotations

import time

from msgspec.structs import replace
from support.core_support import PEERS, Book, down, instant, peer_services, service, settings, view

from watchtower.core.commands import Command, Enqueue, Open
from watchtower.core.decide import COMMANDS_MAX, decide
from watchtower.core.judging import verdicts
from watchtower.core.policies import Why
from watchtower.core.settings import Need, Settings
from watchtower.core.view import View

MANY = 500


class Storm:
    """A gateway and all behind it are down since a moment; the gateway stands last in the file."""

    def __init__(self, many: int, *, gateway_needs: tuple[Need, ...] = ()) -> None:
        need = (Need(names=("gateway",)),)
        sites = [service(f"site-{number:05}", needs=need) for number in range(many)]
        gateway = service("gateway", needs=gateway_needs)
        self.config: Settings = settings(*sites, gateway, service("line"), *peer_services())
        self.book = Book()
        names = [one.name for one in (*sites, gateway)]
        for peer in PEERS:
            for begin in range(0, len(names), 200):
                self.book.report(peer, {name: down() for name in names[begin : begin + 200]}, full=False)
        self.boot = 100.0
        self.view: View = self.seen(view("a", 90.0), 90.0)

    def seen(self, before: View, boot: float) -> View:
        """The verdicts of a pass."""
        heard = replace(before, heard_boot=dict.fromkeys(PEERS, boot))
        standings = verdicts.observe(self.book.state, self.config, heard, instant(boot))
        return replace(heard, standings=standings)

    def decided(self) -> tuple[Command, ...]:
        """What one pass proposes; a quarter of a second goes by, and all of it is applied."""
        self.view = self.seen(self.view, self.boot)
        commands = decide(self.book.state, self.config, self.view, instant(self.boot))
        for command in commands:
            self.book.must("a", command)
        self.boot += 0.25
        return commands


def test_the_cause_comes_first_and_alone() -> None:
    """The very first command opens the gateway's incident and tells it; nothing else is ever told."""
    storm = Storm(MANY)
    first = storm.decided()
    assert len(first) <= COMMANDS_MAX
    assert isinstance(first[0], Open)
    assert (first[0].service, len(first[0].drafts)) == ("gateway", 1)
    while storm.decided():
        pass
    assert [item.service for item in storm.book.state.notifications.values()] == ["gateway"]
    rows = storm.book.state.incidents.values()
    assert sum(one.withheld is not None and one.withheld.root == 1 for one in rows) == MANY


def test_a_cause_that_was_held_does_not_wait_for_the_records_of_what_it_hides() -> None:
    """It has a need of its own, which is well: after a second it is told, in the midst of the storm."""
    storm = Storm(MANY, gateway_needs=(Need(names=("line",)),))
    told: list[Command] = []
    while not told:
        told = [command for command in storm.decided() if isinstance(command, Enqueue)]
    rows = storm.book.state.incidents
    assert len(rows) < MANY, "not all are open yet"
    assert storm.boot - 100.0 <= 2.0
    assert rows[1].service == "gateway"
    assert all(one.withheld for one in rows.values() if one.number > 1)


def test_a_pass_in_which_nothing_changes_is_cheap() -> None:
    """Half a thousand folded incidents, looked through four times a second: some milliseconds at most."""
    storm = Storm(MANY)
    while storm.decided():
        pass
    spent_s = []
    for _ in range(20):
        begun_s = time.process_time()
        assert decide(storm.book.state, storm.config, storm.view, instant(storm.boot)) == ()
        spent_s.append(time.process_time() - begun_s)
    assert min(spent_s) < 0.02, "a hundred times what it may cost would be a tenth of all time"


def test_when_the_cause_is_over_all_are_held_and_those_that_stay_are_told() -> None:
    """Nobody is told while they have time to follow; then only what is still down."""
    storm = Storm(3)
    while storm.decided():
        pass
    for peer in PEERS:
        storm.book.report(peer, {"gateway": None}, full=False)
    until = storm.boot + 4.0
    while storm.boot < until:
        storm.decided()
    held = [one.withheld for one in storm.book.state.incidents.values() if one.is_open]
    assert [why and why.why for why in held] == [Why.HELD] * 3
    for peer in PEERS:
        storm.book.report(peer, {"site-00001": None}, full=False)
    until = storm.boot + 4.0
    while storm.boot < until:
        storm.decided()
    late = [item for item in storm.book.state.notifications.values() if item.service.startswith("site")]
    assert {item.service for item in late} == {"site-00000", "site-00002"}
    assert all(item.notice.reason.endswith("; gateway (#1) is over, this is not") for item in late)
