"""A fault plan: what befalls the simulated cluster and when, as data; drawn from a seed, kept in a text file.

A line is `12.50 pause alerter for 6.00`: when, what, whom, and as a fault needs it how long and how much.
Whom may be a role (`alerter`, `leader`, `follower`), looked up when the time has come, so that a plan hits
what it means to hit. Nothing here touches a world; acts.py does what a line says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

FAULTS_S: Final = 60.0
IDEAL_FAULTS_S: Final = 30.0
"""Runs on the ideal log are shorter."""
HEALING_S: Final = 60.0
TRIES: Final = 10
FIRST_S: Final = 5.0
"""The cluster is founded by then: it is not the founding that is put to the test."""
ROLES: Final = ("alerter", "alerter", "leader", "follower", "sender")
SERVICES: Final = ("web", "api", "db", "cache")
CHANNELS: Final = ("chat", "hook", "mail")


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that happens. `for_s` 0: it is over at once. `much`: seconds, a rate, whatever it needs."""

    at: float
    kind: str
    who: tuple[str, ...] = ()
    for_s: float = 0.0
    much: float = 0.0

    def line(self) -> str:
        """The fault as a line of text."""
        parts = [f"{self.at:.2f}", self.kind, *self.who]
        if self.for_s:
            parts += ["for", f"{self.for_s:.2f}"]
        if self.much:
            parts += ["much", f"{self.much:g}"]
        return " ".join(parts)


class Shape(Struct, frozen=True, kw_only=True):
    """What kind of cluster it is: `witness` names the peer that is one, `profile` how far apart all are."""

    witness: str = ""
    profile: str = "lan"


class Plan(Struct, frozen=True, kw_only=True):
    """A seed, the number of peers, the faults in order of time. `expects`: which checker it once failed."""

    seed: int
    peers: int
    faults: tuple[Fault, ...]
    expects: str = ""
    without: tuple[str, ...] = ()
    """Rules of the product that are switched off (guard_off.py, mutants.py)."""
    shape: Shape = Shape()
    level: str = "raft"
    """`raft`, or `ideal` for the ideal log."""

    def text(self) -> str:
        """The plan as a readable file."""
        head = [f"seed {self.seed}", f"peers {self.peers}"]
        head += [f"level {self.level}"] if self.level != "raft" else []
        head += [f"witness {self.shape.witness}"] if self.shape.witness else []
        head += [f"profile {self.shape.profile}"] if self.shape.profile != "lan" else []
        head += [f"without {' '.join(self.without)}"] if self.without else []
        head += [f"expects {self.expects}"] if self.expects else []
        return "\n".join([*head, *(fault.line() for fault in self.faults)]) + "\n"


def parse(text: str) -> Plan:
    """The plan that `Plan.text` wrote; lines that begin with # are comments."""
    head: dict[str, list[str]] = {}
    faults: list[Fault] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0][0].isdigit():
            faults.append(_fault(words))
        else:
            head[words[0]] = words[1:]
    return Plan(
        seed=int(head["seed"][0]),
        peers=int(head["peers"][0]),
        faults=tuple(faults),
        expects=" ".join(head.get("expects", [])),
        without=tuple(head.get("without", [])),
        level=head.get("level", ["raft"])[0],
        shape=Shape(witness=" ".join(head.get("witness", [])), profile=head.get("profile", ["lan"])[0]),
    )


def _fault(words: list[str]) -> Fault:
    numbers = {"for": 0.0, "much": 0.0}
    rest = words[2:]
    while len(rest) >= 2 and rest[-2] in numbers:
        numbers[rest[-2]] = float(rest[-1])
        rest = rest[:-2]
    return Fault(
        at=float(words[0]), kind=words[1], who=tuple(rest), for_s=numbers["for"], much=numbers["much"]
    )


def load(path: Path) -> Plan:
    """The plan in a file."""
    return parse(path.read_text())


def tries(plan: Plan) -> tuple[Plan, ...]:
    """The plan with its own seed and the next ones.

    What a missing rule breaks depends on luck as well, and any change of the product changes that luck.
    """
    return tuple(replace(plan, seed=plan.seed + number) for number in range(TRIES))


# ---- drawing


class Draw:
    """The dice of one plan, with the few throws that the kinds need."""

    def __init__(self, random: Random, peers: tuple[str, ...]) -> None:
        self.random = random
        self.peers = peers

    def role(self) -> str:
        """Somebody: mostly whoever matters just then."""
        return self.random.choice((*ROLES, *self.peers))

    def pair(self) -> tuple[str, ...]:
        """Two different peers."""
        return tuple(self.random.sample(self.peers, 2))

    def span(self, short_s: float, long_s: float) -> float:
        """A duration, more often short than long."""
        return round(short_s * float((long_s / short_s) ** self.random.random()), 2)

    def kind(self, kind: str, at: float) -> Fault:
        """One fault of a kind at a time."""
        return replace(KINDS[kind](self), at=round(at, 2), kind=kind)


def _on(who: tuple[str, ...] = (), for_s: float = 0.0, much: float = 0.0) -> Fault:
    return Fault(at=0.0, kind="", who=who, for_s=for_s, much=round(much, 4))


KINDS: Final[dict[str, Callable[[Draw], Fault]]] = {
    "reset": lambda d: _on(d.pair()),
    "lossy": lambda d: _on(d.pair(), d.span(2, 12)),
    "one-way": lambda d: _on(d.pair(), d.span(0.5, 12)),
    "delay": lambda d: _on(d.pair(), d.span(2, 20), d.span(0.02, 0.9)),
    "isolate": lambda d: _on((d.role(),), d.span(0.8, 25)),
    "split": lambda d: _on(tuple(d.random.sample(d.peers, len(d.peers) // 2)), d.span(0.8, 20)),
    "deaf": lambda d: _on((d.role(),), d.span(0.8, 15)),
    "mute": lambda d: _on((d.role(),), d.span(0.8, 15)),
    "ring": lambda d: _on((), d.span(2, 20)),
    "leader-only": lambda d: _on(("leader", "follower"), d.span(2, 20)),
    "crash": lambda d: _on((d.role(),), d.span(0.3, 12)),
    "crash-in-write": lambda d: _on((d.role(),), d.span(0.3, 8), d.random.randint(1, 12)),
    "power-cut": lambda d: _on((), d.span(0.3, 3)),
    "majority-lost": lambda d: _on((d.role(),), d.span(2, 20)),
    "pause": lambda d: _on((d.role(),), d.span(0.5, 20)),
    "app-blocked": lambda d: _on((d.role(),), d.span(0.5, 9)),
    "slow-disk": lambda d: _on((d.role(),), d.span(2, 15), d.span(0.005, 1.0)),
    "full-disk": lambda d: _on((d.role(),), d.span(0.5, 12)),
    "sync-error": lambda d: _on((d.role(),), d.span(0.3, 8)),
    "clock-step": lambda d: _on((d.role(),), d.span(3, 20), d.random.choice((-3600, -20, -2, 2, 20, 3600))),
    "drift": lambda d: _on((d.role(),), 0.0, d.random.uniform(-5e-4, 5e-4)),
    "wipe": lambda d: _on((d.role(),), d.span(0.3, 6)),
    "damage": lambda d: _on((d.role(),), d.span(0.3, 6)),
    "drain": lambda d: _on((d.role(),), d.span(4, 20)),
    "transfer": lambda d: _on(("leader",)),
    "resize": lambda d: _on((d.random.choice(d.peers),), d.span(6, 25), d.random.choice((0, 1))),
    "compact": lambda d: _on((d.role(),)),
    "restart": lambda d: _on((d.role(),), d.span(0.3, 4)),
    "rolling-restart": lambda d: _on((), d.span(0.3, 2), d.span(2, 6)),
    "config": lambda d: _on((), 0.0, d.span(0.5, 6)),
    "refuse": lambda d: _on(_channel(d), d.span(1, 20)),
    "forbid": lambda d: _on(_channel(d), d.span(1, 12)),
    "hang": lambda d: _on(_channel(d), d.span(1, 15)),
    "swallow": lambda d: _on(_channel(d), d.span(1, 15)),
    "lose-answer": lambda d: _on(_channel(d), d.span(0.5, 8)),
    "rate-limit": lambda d: _on(_channel(d), d.span(1, 10), d.random.choice((3, 8, 20))),
    "no-way-out": lambda d: _on((*_channel(d)[:1], d.role()), d.span(2, 20)),
    "fail": lambda d: _on((d.random.choice(SERVICES), d.random.choice(("refuses", "hangs"))), d.span(4, 40)),
    "degrade": lambda d: _on((d.random.choice(SERVICES),), d.span(4, 40)),
    "worsen": lambda d: _on((d.random.choice(SERVICES),), d.span(10, 40)),
    "flap": lambda d: _on((d.random.choice(SERVICES),), d.span(5, 30), d.span(0.7, 6)),
    "sick": lambda d: _on((d.role(), d.random.choice(SERVICES)), d.span(5, 40)),
    "sick-all": lambda d: _on((d.role(),), d.span(5, 30), d.random.choice((0, 1))),
    "no-beat": lambda d: _on((), d.span(5, 30)),
}
"""Every kind of fault, and how one of it is drawn."""

WITNESSES: Final = 0.15
FAR_APART: Final = 0.08
"""The shares of plans with a witness among the peers, and with the timing of peers far apart."""
STORMS: Final = 0.15
"""The share of plans in which fault follows upon fault."""
TARGET_KINDS: Final = ("fail", "degrade", "worsen", "flap", "sick")
TELLING_KINDS: Final = ("refuse", "hang", "swallow", "lose-answer", "rate-limit", "forbid", "no-way-out")
ALERTER_KINDS: Final = ("crash", "isolate", "pause", "restart", "crash-in-write", "mute", "deaf", "full-disk")


def _channel(draw: Draw) -> tuple[str, ...]:
    """A channel, for everybody or (one time in four) for some peer only."""
    channel = draw.random.choice(CHANNELS)
    return (channel, draw.role()) if draw.random.random() < 0.25 else (channel,)


def draw_plan(seed: int, peers: int, level: str = "raft") -> Plan:
    """The plan of a seed: incidents, the same few kinds again and again, and blows to whoever tells."""
    faults_s = FAULTS_S if level == "raft" else IDEAL_FAULTS_S
    random = Random(f"plan {seed} {peers}")  # noqa: S311 - a plan is repeated by its seed
    draw = Draw(random, names(peers))
    faults = [
        draw.kind(random.choice(TARGET_KINDS), random.uniform(FIRST_S, faults_s * 0.75)) for _ in range(3)
    ]
    # Each plan dwells on a few kinds, so that the same fault meets its own consequences.
    dwelt = random.sample(sorted(KINDS), 5)
    count = random.randint(4, 10) if random.random() > STORMS else random.randint(12, 25)
    faults += [draw.kind(random.choice(dwelt), random.uniform(FIRST_S, faults_s - 2)) for _ in range(count)]
    kinds = sorted(KINDS)
    # One kind comes in turn, so that none is left out of a long row of seeds.
    extra = [*random.choices(kinds, k=random.randint(1, 3)), random.choice(RARE), kinds[seed % len(kinds)]]
    faults += [draw.kind(kind, random.uniform(FIRST_S, faults_s - 2)) for kind in extra]
    if random.random() < 0.7:
        faults += _blow(draw, random, faults_s)
    if random.random() < 0.25:
        faults += _left_behind(draw, random, faults_s)
    if random.random() < 0.2:
        faults += _forgotten(draw, random, faults_s)
    shape = Shape(
        witness=draw.peers[-1] if random.random() < WITNESSES else "",
        profile="wan" if random.random() < FAR_APART else "lan",
    )
    ordered = tuple(sorted(faults, key=lambda one: one.at))
    return Plan(seed=seed, peers=peers, faults=ordered, shape=shape, level=level)


def _blow(draw: Draw, random: Random, faults_s: float) -> list[Fault]:
    """Something breaks while its channel is in trouble, and the alerter is struck with the news unsaid."""
    at = random.uniform(FIRST_S, faults_s * 0.6)
    service = random.choice(SERVICES)
    news = Fault(at=round(at, 2), kind="fail", who=(service, "refuses"), for_s=draw.span(15, 30))
    trouble = draw.kind(random.choice(TELLING_KINDS), at + 0.5)
    trouble = replace(
        trouble, who=(CHANNEL_OF[service],), for_s=max(trouble.for_s, 12.0), much=trouble.much or 8
    )
    if trouble.kind == "no-way-out":
        trouble = replace(trouble, who=(CHANNEL_OF[service], "alerter"))
    strike = replace(draw.kind(random.choice(ALERTER_KINDS), at + random.uniform(4, 9)), who=("alerter",))
    return [news, trouble, replace(strike, for_s=max(strike.for_s, 6.0))]


def _left_behind(draw: Draw, random: Random, faults_s: float) -> list[Fault]:
    """The leader is cut off with entries that nobody else has, and comes back to a log that was compacted."""
    at = round(random.uniform(FIRST_S, faults_s * 0.5), 2)
    lost = replace(draw.kind(random.choice(("isolate", "mute", "pause")), at), who=("leader",))
    lost = replace(lost, for_s=random.uniform(8, 16))
    return [lost, *(Fault(at=round(at + s, 2), kind="compact", who=("leader",)) for s in (4.0, 7.0))]


def _forgotten(draw: Draw, random: Random, faults_s: float) -> list[Fault]:
    """A peer comes back without memory while another one, whose word it needs, is in trouble of its own."""
    at = random.uniform(FIRST_S, faults_s * 0.7)
    one, other = draw.pair()
    wiped = replace(draw.kind(random.choice(("wipe", "damage")), at), who=(one,))
    trouble = draw.kind(random.choice(TROUBLES), max(FIRST_S, at + random.uniform(-3, 2)))
    return [wiped, replace(trouble, who=(other,))]


TROUBLES: Final = (
    "full-disk",
    "sync-error",
    "slow-disk",
    "pause",
    "mute",
    "deaf",
    "crash",
    "restart",
    "drain",
)
RARE: Final = (
    "config",
    "rolling-restart",
    "ring",
    "no-beat",
    "wipe",
    "damage",
    "drain",
    "transfer",
    "resize",
)
"""Kinds that happen once in a plan at most, or are refused often: drawn once more."""
CHANNEL_OF: Final = {"web": "chat", "api": "hook", "db": "mail", "cache": "chat"}


def names(peers: int) -> tuple[str, ...]:
    """The names of so many peers."""
    return tuple("abcde"[:peers])
