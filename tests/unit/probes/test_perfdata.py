"""What plugins write, as the guidelines of the Monitoring Plugins have it, and what they should not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.probes.programs.perfdata import LABEL_MAX, METRICS_MAX, Metric, parse_metrics, parse_output


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("/=2643MB;5948;5958;0;5968", ("/", 2643.0, "MB", "5948", "5958", 0.0, 5968.0)),
        ("load1=0.260;5.000;10.000;0;", ("load1", 0.26, "", "5.000", "10.000", 0.0, None)),
        ("time=0.009505s;;;0.000000;10.000000", ("time", 0.009505, "s", "", "", 0.0, 10.0)),
        ("size=613B;;;0", ("size", 613.0, "B", "", "", 0.0, None)),
        ("pl=0%;80;100;;", ("pl", 0.0, "%", "80", "100", None, None)),
        ("'Disk C: used'=12.5GB", ("Disk C: used", 12.5, "GB", "", "", None, None)),
        ("'it''s'=1c", ("it's", 1.0, "c", "", "", None, None)),
        ("temp=-5;@-10:0;~:30", ("temp", -5.0, "", "@-10:0", "~:30", None, None)),
        ("users=U", ("users", None, "", "", "", None, None)),
        ("r=.5;10:;:20", ("r", 0.5, "", "10:", ":20", None, None)),
        ("t=21.5°C", ("t", 21.5, "°C", "", "", None, None)),
        ("a=1;", ("a", 1.0, "", "", "", None, None)),
        ("a=1;;;;", ("a", 1.0, "", "", "", None, None)),
    ],
)
def test_what_the_guidelines_allow(text: str, metric: tuple[Any, ...]) -> None:
    """Label, value, unit, thresholds and bounds, each where it belongs."""
    names = ("label", "value", "unit", "warn", "crit", "low", "high")
    assert parse_metrics(text) == ((Metric(**dict(zip(names, metric, strict=True))),), 0)


@pytest.mark.parametrize(
    "text",
    [
        "load",
        "load=",
        "=5",
        "load=abc",
        "load=1,5",
        "load=1e5",
        "load=0x10",
        "load=nan",
        "load=inf",
        "load=--1",
        "load=1;2;3;4;5;6",
        "load=1;a",
        "load=1;;;U",
        "'open=1",
        "''=1",
        "load==1",
        f"{'x' * (LABEL_MAX + 1)}=1",
        f"x={'9' * 40}",
        "a=1MB2",
        "perf.a=1'x'",
    ],
)
def test_what_they_do_not_allow_is_refused(text: str) -> None:
    """Nothing is guessed, and the metric beside the wrong one is read all the same."""
    assert parse_metrics(text) == ((), 1)
    metrics, refused = parse_metrics(f"before=1 {text} after=2")
    assert metrics[0] == Metric(label="before", value=1.0)
    assert refused >= 1


def test_several_lines_have_two_places_for_metrics() -> None:
    """Behind the bar of the first line, and behind the bar of the long text, to the end."""
    said = parse_output(
        "DISK OK - free | /=1MB;2;3\n/ 15272 MB (77%)\n/boot 68 MB | /boot=68MB\n/home=69357MB\n"
    )
    assert (said.line, said.more) == ("DISK OK - free", "/ 15272 MB (77%)\n/boot 68 MB")
    assert [(metric.label, metric.value) for metric in said.metrics] == [
        ("/", 1.0),
        ("/boot", 68.0),
        ("/home", 69357.0),
    ]


def test_a_label_counts_once_and_there_are_not_too_many() -> None:
    """The first of a label stays; beyond the bound they are counted only."""
    metrics, refused = parse_metrics("a=1 a=2 " + " ".join(f"m{n}=1" for n in range(METRICS_MAX)))
    assert len(metrics) == METRICS_MAX
    assert (metrics[0].value, refused) == (1.0, 2)


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a program writes, the answer is bounded and made of what was there."""
    said = parse_output(text)
    assert len(said.metrics) <= METRICS_MAX
    for metric in said.metrics:
        assert metric.label.replace("'", "''") in text
    assert "\n" not in said.line


@given(
    st.dictionaries(
        st.text("abcXYZ/ :'%", min_size=1, max_size=12).filter(lambda label: label == label.strip()),
        st.floats(-1e9, 1e9).map(lambda value: round(value, 3)),
        max_size=20,
    )
)
def test_what_is_written_properly_is_read_back(values: dict[str, float]) -> None:
    """Quoted as the guidelines say, every label and value comes back."""
    written = " ".join(
        f"'{label.replace(chr(39), chr(39) * 2)}'={value:.3f}" for label, value in values.items()
    )
    metrics, refused = parse_metrics(written)
    assert {metric.label: metric.value for metric in metrics} == values
    assert refused == 0


@pytest.mark.parametrize("piece", ["'", "' ", "a=", "a=1;", "a=1;1", "1"])
def test_hostile_text_costs_little(piece: str) -> None:
    """No pattern goes back and forth over it."""
    begun = time.process_time()
    parse_output("|a=" + piece * (16_384 // len(piece)))
    assert time.process_time() - begun < 0.5
