"""A storm of independent failures: few messages, every service in one of them, at little cost.

The real decide, the real ledger and the real Sender of the alerter; the channel takes everything at once.
"""

from __future__ import annotations

import time
from typing import Final

from msgspec.structs import replace
from support.core_support import (
    NEVER_FLAPS,
    PEERS,
    Book,
    down,
    instant,
    peer_services,
    service,
    settings,
    view,
)

from watchtower.core.applying import digests, outbox
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.commands import encode
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import NoticeKind, Notification, Outcome, Vote
from watchtower.core.settings import Alerting, Settings
from watchtower.delivery.sender import Sender
from watchtower.delivery.witness import Ending

MANY: Final = 500
PASS_S: Final = 0.25
STEP_S: Final = 0.05


class Storm:
    """So many services that fail together, their alerter, and what its channel gets."""

    def __init__(self, many: int = MANY) -> None:
        self.names = [f"site-{number:05}" for number in range(many)]
        services = (*map(service, self.names), *peer_services())
        self.config: Settings = settings(*services, alerting=Alerting(flap=NEVER_FLAPS))
        self.book = Book()
        numbers = iter(range(1_000_000))
        self.sender = Sender("a", lambda: f"claim-{next(numbers)}")
        self.boot = 100.0
        self.view = view("a", 90.0)
        self.messages: list[Notification] = []
        self.told: list[Notification] = []
        self.steps_s: list[float] = []
        self.passes_s: list[float] = []

    def fail(self, vote: Vote | None) -> None:
        """Every peer sees all of them so."""
        for peer in PEERS:
            for begin in range(0, len(self.names), 200):
                part = dict.fromkeys(self.names[begin : begin + 200], vote)
                self.book.report(peer, part, full=False)

    def run(self, seconds: float) -> None:
        """Passes four times a second, steps of the sender in between."""
        for turn in range(round(seconds / STEP_S)):
            if turn % round(PASS_S / STEP_S) == 0:
                self._pass()
            self._step()
            self.boot += STEP_S

    def _pass(self) -> None:
        heard = replace(self.view, heard_boot=dict.fromkeys(PEERS, self.boot))
        standings = verdicts.observe(self.book.state, self.config, heard, instant(self.boot))
        self.view = replace(heard, standings=standings)
        began = time.process_time()
        commands = decide(self.book.state, self.config, self.view, instant(self.boot))
        self.passes_s.append(time.process_time() - began)
        for command in commands:
            encode(self.book.entry("a", command))
            self.book.must("a", command)

    def _step(self) -> None:
        """Everything that is ordered is done at once."""
        for _ in range(10):
            state, now = self.book.state, instant(self.boot)
            began = time.process_time()
            orders = self.sender.step(state, state.row("a").session, self.config, now)
            self.steps_s.append(time.process_time() - began)
            for claim in orders.claims:
                self.sender.answered(claim, self.book.do("a", claim), now)
            for settle in orders.settles:
                self.sender.answered(settle, self.book.do("a", settle), now)
            for order in orders.sends:
                self.messages.append(order.item)
                is_one = order.item.kind.is_of_incident
                self.told += [order.item] if is_one else digests.worth_telling(state, order.item)
                self.sender.ended(order, Ending(outcome=Outcome.ACCEPTED, detail=""), now)
            if not (orders.claims or orders.settles or orders.sends):
                return


def test_five_hundred_at_once_are_few_messages() -> None:
    """Alerts within seconds, the first at once, each service named once; and so are the recoveries."""
    storm = Storm()
    storm.run(1.0)
    storm.fail(down())
    began = storm.boot
    storm.run(1.0)
    assert storm.messages, "the first alert leaves within a second"
    storm.run(9.0)
    assert {item.service for item in storm.told} == set(storm.names)
    assert len(storm.told) == MANY
    assert len(storm.messages) <= 10
    assert not any(outbox.is_to_be_told(storm.book.state, x) for x in storm.book.state.notifications.values())
    before = len(storm.messages)
    storm.fail(None)
    storm.run(9.0)
    ends = [item.service for item in storm.told if item.kind is NoticeKind.RESOLVED]
    assert sorted(ends) == storm.names
    assert len(storm.messages) - before <= 10
    assert storm.boot - began < 40.0


def test_two_thousand_that_wait_cost_little() -> None:
    """A channel that takes nothing: what waits is in digests, and neither a pass nor a step grows long."""
    storm = Storm(2_000)
    storm.run(0.5)
    rest = ChannelRow(rest_until_wall=instant(storm.boot).wall + 900.0, rest_s=900.0)
    storm.book.state = replace(storm.book.state, channels={"chat": rest})
    storm.fail(down())
    storm.run(8.0)
    assert storm.messages == []
    waiting = [item for item in storm.book.state.notifications.values() if not item.stage.finished]
    assert {item.kind for item in waiting} == {NoticeKind.DIGEST}
    assert sum(len(item.members) for item in waiting) == 2_000
    assert storm.book.state.shed == 0
    # Measured at 0.002 s a step; a step that looks at every pair of them would take seconds.
    assert sorted(storm.steps_s)[len(storm.steps_s) // 2] < 0.1
