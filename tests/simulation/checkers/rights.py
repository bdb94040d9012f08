"""Nothing leaves without a right: each first byte is covered by a granted claim that has not run out.

So an alerter that is cut off, paused or replaced sends nothing after its lease or its claim's time, by its
own clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History, Let
from simulation.replay import Claimed, Replay

from watchtower.core.commands import Claim, decode
from watchtower.delivery.orders import BUDGET_S

ROUNDING_S: Final = 1e-6


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every message that left without a claim, after its time, or under a claim that was taken over."""
    began = _began(history)
    granted: dict[tuple[str, str], list[Claimed]] = {}
    for claim in replay.claims:
        granted.setdefault((claim.id, claim.boot), []).append(claim)
    for let in history.lets:
        if let.delivery_id not in replay.items:
            continue
        own = [one for one in granted.get((let.delivery_id, let.life), []) if one.at <= let.at]
        if not own:
            yield f"{let.at:.2f} {let.life} sends {let.delivery_id} without a claim"
            continue
        if let.is_after_office:
            yield f"{let.at:.2f} {let.life} sends {let.delivery_id}, though its lease has run out"
        yield from _late(let, own[-1], began.get((let.life, own[-1].claim_id)))
        later = [one for one in replay.claims if one.id == let.delivery_id and own[-1].at < one.at <= let.at]
        if later:
            yield f"{let.at:.2f} {let.life} sends {let.delivery_id}, which {later[0].boot} has claimed since"


def _late(let: Let, claim: Claimed, began: tuple[float, float] | None) -> Iterator[str]:
    began_boot, hold_s = began or (0.0, 0.0)
    if began is None:
        yield f"{let.at:.2f} {let.life} sends under claim {claim.claim_id}, which it never proposed"
    elif let.boot > began_boot + hold_s - BUDGET_S + ROUNDING_S:
        yield f"{let.at:.2f} {let.life} sends {let.boot - began_boot:.1f} s after it claimed {claim.id}"


def _began(history: History) -> dict[tuple[str, str], tuple[float, float]]:
    """When, on its own clock, a life proposed each claim, and for how long (a search makes it longer)."""
    began = {}
    for proposal in history.proposals:
        if '"claim_id"' in proposal.text:
            command = decode(proposal.text).command
            if isinstance(command, Claim):
                began[proposal.life, command.claim_id] = proposal.boot, command.hold_ms / 1000
    return began
