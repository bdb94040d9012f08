"""What the peers saw, in words: the cause most of them name, the score, the votes with who dissents.

Everything a service said is cut and cleaned here; nothing is judged.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from watchtower.core.model import EVIDENCE_TEXT_MAX, Evidence, Opinion
from watchtower.core.settings import Settings
from watchtower.delivery.message import LINE_MAX, Sight, clean
from watchtower.delivery.rendering.names import NAME_MAX

CAUSE_MAX: Final = 48
SIGHTS_MAX: Final = 9
_FAILING: Final = (Opinion.DOWN, Opinion.DEGRADED)


def cause(evidence: tuple[Evidence, ...]) -> str:
    """What most of the failing peers saw; of equally many, the first."""
    texts = [clean(item.text, CAUSE_MAX) for item in evidence if item.opinion in _FAILING]
    return Counter(text for text in texts if text).most_common(1)[0][0] if any(texts) else ""


def score(evidence: tuple[Evidence, ...]) -> str:
    """`2/3 peers` that see it failing."""
    failing = sum(item.opinion in _FAILING for item in evidence)
    return f"{failing}/{len(evidence)} peers" if evidence else ""


def votes(evidence: tuple[Evidence, ...]) -> str:
    """`a, b: down; dissent: c up`, and `c up (looks again)` when its latest look failed too."""
    groups: dict[tuple[Opinion, bool], list[str]] = {}
    for item in evidence:
        is_shaky = item.suspect and item.opinion not in _FAILING
        groups.setdefault((item.opinion, is_shaky), []).append(clean(item.peer, NAME_MAX))
    agreeing = [
        f"{', '.join(peers)}: {opinion}" for (opinion, _), peers in groups.items() if opinion in _FAILING
    ]
    dissent = [
        f"{', '.join(peers)} {opinion}{' (looks again)' * is_shaky}"
        for (opinion, is_shaky), peers in groups.items()
        if opinion not in _FAILING
    ]
    tail = [f"dissent: {', '.join(dissent)}"] if agreeing and dissent else dissent
    return clean("; ".join([*agreeing, *tail]), LINE_MAX)


def sights(evidence: tuple[Evidence, ...], settings: Settings) -> tuple[Sight, ...]:
    """What each peer saw, and from where."""
    zones = {peer.name: peer.zone for peer in settings.cluster.peers}
    return tuple(
        Sight(
            peer=clean(item.peer, NAME_MAX),
            zone=clean(zones.get(item.peer, ""), NAME_MAX),
            opinion=item.opinion.value,
            text=clean(item.text, EVIDENCE_TEXT_MAX),
            latency_ms=item.latency_ms,
            suspect=item.suspect,
        )
        for item in evidence[:SIGHTS_MAX]
    )
