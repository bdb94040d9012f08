"""One peer's Sender beside the one ledger, stepped by hand, with no socket.

The clock is set by hand; whether a proposal is applied, lost or late is each test's own choice. Nothing
here decides what is right.
"""

from __future__ import annotations

from itertools import count

from support.core_support import Book, instant, service, settings

from watchtower.core.commands import Answer, Claim, Settle
from watchtower.core.model import Notification, Outcome
from watchtower.core.settings import Settings
from watchtower.delivery.orders import Orders, Sending
from watchtower.delivery.sender import Sender
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending

ACCEPTED = Ending(outcome=Outcome.ACCEPTED, detail="HTTP 200", receipt="C1/1.2")
NOT_SENT = Ending(outcome=Outcome.NOT_SENT, detail="connection refused")
LOST = Ending(outcome=Outcome.AMBIGUOUS, detail="sent, then no answer in time")
BUSY = Ending(outcome=Outcome.REJECTED, detail="HTTP 429", retry_after_s=30.0)
WRONG = Ending(outcome=Outcome.REJECTED, detail="HTTP 404", is_permanent=True)
SILENT = Found(trace=Trace.UNKNOWN, detail="no answer in time")
ABSENT = Found(trace=Trace.ABSENT)
PRESENT = Found(trace=Trace.PRESENT, receipt="C1/1.2")


class Bench:
    """One peer's sender, stepped by hand."""

    def __init__(self, book: Book | None = None, me: str = "a", wanted: Settings | None = None) -> None:
        self.book = book or Book()
        self.me = me
        self.settings = wanted or settings(service("web"), me=me)
        self.boot = 100.0
        numbers = count(1)
        self.sender = Sender(me, lambda: f"{me}-claim-{next(numbers)}")

    @property
    def session(self) -> int:
        """The peer's session in the ledger."""
        return self.book.state.row(self.me).session

    def step(self, after_s: float = 0.0) -> Orders:
        """One step, `after_s` seconds later."""
        self.boot += after_s
        return self.sender.step(self.book.state, self.session, self.settings, instant(self.boot))

    def apply(self, command: Claim | Settle) -> Answer:
        """The proposal is applied and answered."""
        answer = self.book.do(self.me, command)
        self.sender.answered(command, answer, instant(self.boot))
        return answer

    def lose(self, command: Claim | Settle) -> None:
        """The proposal's fate stays unknown."""
        self.sender.answered(command, None, instant(self.boot))

    def claimed(self, after_s: float = 0.0) -> Sending:
        """Claim what is due and get the order to send it; a search that must come first finds nothing out."""
        (claim,) = self.step(after_s).claims
        assert self.apply(claim).ok
        orders = self.step()
        return self.searched(orders).sends[0] if orders.searches else orders.sends[0]

    def searched(self, orders: Orders, found: Found = SILENT) -> Orders:
        """The one search that was ordered ends; the orders that follow."""
        (search,) = orders.searches
        assert orders.sends == ()
        self.sender.searched(search, found)
        return self.step()

    def ended(self, order: Sending, ending: Ending) -> Settle:
        """The send ends; the settlement that is proposed."""
        self.sender.ended(order, ending, instant(self.boot))
        (settle,) = self.step().settles
        return settle

    def item(self, order: Sending) -> Notification:
        """The ordered notification as it stands in the ledger."""
        return self.book.item(order.item)
