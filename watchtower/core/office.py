"""Who should hold the alerting lease: why this peer had better not.

The lease's safety does not rest on this (any peer may claim it); it keeps the office with a peer
that runs the config in force, whose clock is sane, that trusts its own network and judges services itself.
"""

from __future__ import annotations

from watchtower.core.judging.eligibility import CLOCK_OFFSET_MAX_S, FRESH_S, clock_error_s, ineligible
from watchtower.core.model import Instant, State
from watchtower.core.settings import Settings
from watchtower.core.view import View


def may_claim(state: State, settings: Settings, view: View, now: Instant, *, doubt: str) -> str:
    """Why this peer should not be the alerter; "" when it may. `doubt` is its own doubt, if any.

    When nobody else could take over, a peer with another config or in doubt is better than none.
    """
    if abs(clock_error_s(view.me, view)) > CLOCK_OFFSET_MAX_S:
        return "its clock is off"
    others = {
        name: state.row(name)
        for name in state.members
        if name != view.me and ineligible(state, name, view, now) is None
    }
    if others and settings.config_hash != state.config.hash:
        return "its config is not in force"
    if doubt and any(not row.doubt for row in others.values()):
        return "it doubts itself"
    witnesses = settings.cluster.witness_names
    if view.me not in witnesses:
        return ""
    if now.boot - view.started_boot < FRESH_S:
        return "it is a witness, and has not listened long enough to know that nobody else can"
    could = any(name not in witnesses and (doubt or not row.doubt) for name, row in others.items())
    return "it is a witness" if could else ""
