"""Incidents that hang together: a database with what needs it, and the digests of a storm, as messages.

Made of the same cluster `prod` as delivery_support. Decides nothing about how they should read.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from support import delivery_support as made

from watchtower.core.model import (
    Evidence,
    Incident,
    Level,
    Notice,
    NoticeKind,
    Notification,
    Opinion,
    ServiceRow,
    Stage,
    State,
    Step,
)
from watchtower.core.policies import Acknowledgement, Severity, Why, Withheld
from watchtower.core.settings import Alerting, Need, Service, Settings
from watchtower.core.targets import TcpTarget
from watchtower.delivery.message import Message
from watchtower.delivery.render import render

BEGAN = made.BEGAN_WALL
REFUSED = tuple(
    Evidence(peer=peer, opinion=Opinion.DOWN, text="connection refused", latency_ms=2.0) for peer in "abc"
)


def settings(dependents: int, *, timezone: str = "Europe/Berlin") -> Settings:
    """`orders-db`, so many shops that need it, and `mail` that needs nothing."""
    base = made.settings(public_url="https://status.example.com")
    names = [f"shop-{number:03}" for number in range(1, dependents + 1)]
    services = {
        "orders-db": _service("orders-db", title="Orders DB"),
        "mail": _service("mail"),
        "dns": replace(_service("dns"), severity=Severity.WARNING),
        **{
            name: replace(
                _service(name),
                needs=(Need(names=("orders-db",), degraded="no new orders" if name == "shop-001" else ""),),
            )
            for name in names
        },
    }
    return replace(base, services=services, alerting=Alerting(timezone=timezone))


def _service(name: str, title: str = "") -> Service:
    return Service(
        name=name, target=TcpTarget(host="192.0.2.9", port=5432), voters=("a", "b", "c"), title=title
    )


def incident(number: int, service: str, level: Level = Level.DOWN, **fields: object) -> Incident:
    """An open incident."""
    made_of = {
        "reason": "3 of 3 peers see it down",
        "since_wall": BEGAN,
        "opened_wall": BEGAN + 14,
        "evidence": REFUSED,
        "timeline": (Step(at_wall=BEGAN + 14, level=level, reason="3 of 3 peers see it down"),),
    }
    return Incident(number=number, service=service, level=level, **{**made_of, **fields})  # type: ignore[arg-type] # fields of a row


def member(number: int, service: str, kind: NoticeKind = NoticeKind.FIRING, **notice: object) -> Notification:
    """One notification that a digest tells."""
    made_of = {
        "level": Level.UP if kind is NoticeKind.RESOLVED else Level.DOWN,
        "reason": "3 of 3 peers see it down",
        "since_wall": BEGAN,
        "at_wall": BEGAN + 20,
        "evidence": REFUSED,
    }
    return Notification(
        id=f"{number:016x}",
        order=number,
        incident=number,
        service=service,
        kind=kind,
        channel="chat",
        lane=f"{service} chat",
        sender="a",
        notice=Notice(**{**made_of, **notice}),  # type: ignore[arg-type] # fields of a row
        stage=Stage.DIGESTED,
        digest="0123456789abcdef",
    )


def state(incidents: list[Incident], members: list[Notification] | None = None) -> State:
    """The ledger with these incidents open and these notifications."""
    return State(
        cluster="prod",
        incidents={one.number: one for one in incidents},
        services={
            one.service: ServiceRow(incident=one.number, open=True) for one in incidents if one.is_open
        },
        notifications={one.id: one for one in members or ()},
    )


def cause_with_dependents() -> Message:
    """The database fails; two of its three shops are folded into its incident. Berlin is an hour ahead."""
    folded = Withheld(why=Why.SUPPRESSED, text="caused by Orders DB", root=7)
    incidents = [
        incident(7, "orders-db"),
        incident(8, "shop-001", withheld=folded),
        incident(9, "shop-002", withheld=folded),
        incident(3, "orders-db", closed_wall=BEGAN - 7_000, since_wall=BEGAN - 7_600),
    ]
    item = made.notification(service="orders-db", incident=7, notice_evidence=REFUSED)
    return render(item, state(incidents), settings(3))


def dependent_told_late() -> Message:
    """A shop that was hidden for as long as may be: its cause is named."""
    ack = Acknowledgement(by="lena", note="failing over", at_wall=BEGAN + 300)
    incidents = [incident(7, "orders-db"), incident(8, "shop-002", ack=ack)]
    item = made.notification(
        NoticeKind.REMINDER, service="shop-002", incident=8, notice_at_wall=BEGAN + 1_800
    )
    return render(item, state(incidents), settings(3))


def database_recovers() -> Message:
    """One of what needed it did not come back."""
    incidents = [incident(7, "orders-db", closed_wall=BEGAN + 900), incident(8, "shop-002")]
    item = made.notification(NoticeKind.RESOLVED, service="orders-db", incident=7, notice_at_wall=BEGAN + 900)
    return render(item, state(incidents), settings(3))


def _digest(incidents: list[Incident], members: list[Notification], dependents: int) -> Message:
    item = Notification(
        id="0123456789abcdef",
        order=9_999,
        incident=0,
        service="*",
        kind=NoticeKind.DIGEST,
        channel="chat",
        lane="* chat",
        sender="a",
        notice=Notice(
            level=Level.DOWN,
            reason="the channel takes 1 message a second",
            since_wall=BEGAN,
            at_wall=BEGAN + 30,
        ),
        attempt=1,
        members=tuple(one.id for one in members),
    )
    return render(item, state(incidents, members), settings(dependents))


def storm() -> Message:
    """500 services behind one database, two that fail by themselves, one that came back."""
    names = [f"shop-{number:03}" for number in range(1, 500)]
    incidents = [incident(1, "orders-db"), *(incident(at, name) for at, name in enumerate(names, 2))]
    incidents += [incident(601, "mail"), incident(602, "dns")]
    members = [member(one.number, one.service) for one in incidents]
    members.append(member(603, "shop-600", NoticeKind.RESOLVED, at_wall=BEGAN + 75))
    members[-2] = replace(
        members[-2], notice=replace(members[-2].notice, severity=Severity.WARNING, level=Level.DEGRADED)
    )
    return _digest(incidents, members, 499)


def digest_after_its_cause_was_told() -> Message:
    """The database itself was told before by a message of its own."""
    names = [f"shop-{number:03}" for number in range(1, 13)]
    incidents = [incident(1, "orders-db"), *(incident(at, name) for at, name in enumerate(names, 2))]
    return _digest(incidents, [member(one.number, one.service) for one in incidents[1:]], 12)


def digest_of_recoveries() -> Message:
    """Everything comes back at once."""
    names = ["orders-db", *(f"shop-{number:03}" for number in range(1, 13))]
    members = [
        member(at, name, NoticeKind.RESOLVED, at_wall=BEGAN + 252 + at) for at, name in enumerate(names, 1)
    ]
    return _digest([], members, 12)


CASES: dict[str, Callable[[], Message]] = {
    "cause_with_dependents": cause_with_dependents,
    "dependent_told_late": dependent_told_late,
    "database_recovers": database_recovers,
    "digest_storm": storm,
    "digest_after_its_cause": digest_after_its_cause_was_told,
    "digest_of_recoveries": digest_of_recoveries,
}
