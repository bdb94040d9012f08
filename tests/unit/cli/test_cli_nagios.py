"""The Nagios line and its exit codes: what a monitoring system of somebody else reads.

Tables for the form, properties for what foreign text may do to it.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.cli.nagios import LINE_MAX, Health, Measure, line, worst


@pytest.mark.parametrize(
    ("health", "code"),
    [(Health.OK, 0), (Health.WARNING, 1), (Health.CRITICAL, 2), (Health.UNKNOWN, 3)],
)
def test_states_are_the_exit_codes_of_nagios(health: Health, code: int) -> None:
    """The number of a state is what the process exits with."""
    assert health.value == code


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        ((), Health.OK),
        ((Health.OK, Health.OK), Health.OK),
        ((Health.OK, Health.UNKNOWN), Health.UNKNOWN),
        ((Health.UNKNOWN, Health.WARNING), Health.WARNING),
        ((Health.UNKNOWN, Health.CRITICAL, Health.WARNING), Health.CRITICAL),
    ],
)
def test_what_is_known_to_be_bad_outweighs_what_is_not_known(
    healths: tuple[Health, ...], expected: Health
) -> None:
    """CRITICAL before WARNING before UNKNOWN before OK, whatever their numbers."""
    assert worst(healths) is expected


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ((), "HTTP OK - fine"),
        ((Measure(label="t", value=0.0812, unit="s", maximum=10),), "HTTP OK - fine | t=0.0812s;;;0;10"),
        ((Measure(label="a", value=3), Measure(label="b", value=0)), "HTTP OK - fine | a=3;;;0 b=0;;;0"),
        ((Measure(label="first byte", value=1.5),), "HTTP OK - fine | 'first byte'=1.5;;;0"),
        ((Measure(label="a'=b|c", value=1),), "HTTP OK - fine | abc=1;;;0"),
    ],
)  # fmt: skip
def test_the_line_has_the_form_of_the_guidelines(measures: tuple[Measure, ...], expected: str) -> None:
    """Subject, state, text, then performance data with unit, minimum and maximum."""
    assert line("HTTP", Health.OK, "fine", measures) == expected


@given(st.text(max_size=3 * LINE_MAX))
def test_foreign_text_stays_in_its_place(text: str) -> None:
    """Whatever a service says: one line, limited, and only our own bar begins the performance data."""
    shown = line("HTTP", Health.CRITICAL, text, [Measure(label="time", value=1.0)])
    assert shown.isprintable()
    assert len(shown) < LINE_MAX + 100
    assert shown.count("|") == 1
    assert shown.endswith("| time=1;;;0")
