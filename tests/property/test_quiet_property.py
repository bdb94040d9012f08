"""What people wish, services do and channels refuse, at random: every promise about who hears what holds."""

from __future__ import annotations

from hypothesis import given, settings
from support.policy_walk import Plan, Walk, plans


@settings(max_examples=10, deadline=None)
@given(plans)
def test_whatever_happens_people_hear_what_they_must_and_nothing_they_must_not(plan: Plan) -> None:
    """Nothing announced stays unresolved, order is kept, quiet is quiet, and what is open is told at last.

    Decide is asked again after every step: it never repeats what was applied.
    """
    walk = Walk(plan)
    walk.run()
    walk.check_rest()
