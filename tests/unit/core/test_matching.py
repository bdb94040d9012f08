"""Matchers: what fits, what they are written like, and the advice when nothing could ever fit."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_support import peer_services, service, settings

from watchtower.core.alerting import matching
from watchtower.core.alerting.matching import (
    NoMatcher,
    facts,
    fits,
    known,
    misfit,
    read,
    read_match,
    read_text,
    shown,
)
from watchtower.core.model import Level
from watchtower.core.policies import Matcher, Severity

SHOP = replace(service("shop-api"), labels=(("team", "payments"), ("zone", "eu [1]")), group="shop")
CONFIG = settings(SHOP, service("bare"), *peer_services(), channels={"chat": ""})
FACTS = facts("shop-api", Level.DOWN, Severity.CRITICAL, CONFIG)


def test_the_facts_are_the_labels_and_what_everybody_has() -> None:
    """Labels of the service, its name and group, and how bad it is; what it lacks is not there."""
    assert FACTS == {
        "team": "payments",
        "zone": "eu [1]",
        "group": "shop",
        "service": "shop-api",
        "severity": "critical",
        "level": "down",
    }
    assert facts("cluster", Level.DEGRADED, Severity.WARNING, CONFIG) == {
        "service": "cluster",
        "severity": "warning",
        "level": "degraded",
    }


@pytest.mark.parametrize(
    ("text", "is_fit"),
    [
        ("team=payments", True),
        ("team=pay*", True),
        ("team=PAYMENTS", False),
        ("team=payment", False),
        ("team=search,pay*", True),
        ("team!=payments", False),
        ("team!=search", True),
        ("team!=search,payments", False),
        ("service=shop-???", True),
        ("service=shop-?", False),
        ("zone=eu [1]", True),
        ("zone=eu [1?", True),
        ("zone=eu [12]*", False),
        ("zone=*[1]", True),
        ("severity=critical", True),
        ("level=degraded,partial", False),
        ("owner=*", False),
        ("owner!=*", True),
        ("owner!=me", True),
    ],
)
def test_what_fits(text: str, is_fit: bool) -> None:
    """Globs are of the whole value and of its case; a label that is missing fits only what is negated."""
    assert fits(read_text(text), FACTS) is is_fit


def test_all_must_fit_and_the_first_that_does_not_is_named() -> None:
    """Matchers are joined by AND; none at all fits everything."""
    matchers = read_match({"team": ["payments"], "service": ["shop-*", "!shop-api"], "level": ["up"]})
    assert fits((), FACTS)
    assert misfit(matchers, FACTS) == Matcher(label="service", patterns=("shop-api",), is_not=True)
    assert fits(matchers[:2], FACTS)


def test_a_list_may_hold_both_what_is_wanted_and_what_is_not() -> None:
    """One of the plain values, and none of those with a `!`."""
    assert read("service", ["shop-*", "api", "!shop-test"]) == (
        Matcher(label="service", patterns=("shop-*", "api")),
        Matcher(label="service", patterns=("shop-test",), is_not=True),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("team", "this is no matcher; write it like team=payments"),
        ("=x", "this is no matcher"),
        ("team=~pay.*", "this is no matcher; write it like team=payments, service=shop-*"),
        ("team=", "a value has 1 to 200 printable characters; `*` stands for any value"),
        ("team=a,,b", "a value has 1 to 200"),
        ("team=a\x1b[31m", "a value has 1 to 200"),
        ("team!=!a", "a value is negated twice"),
        ("taem=payments", "nothing has a label `taem`; did you mean `team`?"),
        ("team=paymnets", "nothing has the team `paymnets`; did you mean `payments`?"),
        ("team!=nobody", "nothing has the team `nobody`; known here: payments"),
        ("service=shop-ap", "nothing has the service `shop-ap`; did you mean `shop-api`?"),
        ("severity=urgent", "nothing has the severity `urgent`; known here: critical, info, warning"),
        ("level=up", "nothing has the level `up`"),
        ("group=shops", "did you mean `shop`?"),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_right_word(text: str, words: str) -> None:
    """A matcher that could never fit is a mistake, because its route or silence would be dead in silence."""
    with pytest.raises(NoMatcher) as caught:
        read_text(text, known(CONFIG))
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["service=cluster", "service=peer/b", "service=channel/chat", "team=x*"])
def test_what_could_fit_one_day_is_taken(text: str) -> None:
    """Subjects that are no services, and globs, which may fit what comes later."""
    assert read_text(text, known(CONFIG))


def test_shown_is_what_can_be_read_again() -> None:
    """People see matchers in the form they write them."""
    matchers = (*read_text("team=a,b*"), *read_text("severity!=info"))
    assert shown(matchers) == "team=a,b* severity!=info"
    assert shown(()) == "everything"
    assert tuple(matcher for word in shown(matchers).split() for matcher in read_text(word)) == matchers


def test_too_many_values_are_refused() -> None:
    """A matcher has a size."""
    with pytest.raises(NoMatcher, match="1 to 20 values"):
        read("team", [str(number) for number in range(21)])


def test_a_hostile_glob_takes_no_time() -> None:
    """Silences come from requests: a glob of many stars against a long value must not hang the alerter."""
    hostile = Matcher(label="team", patterns=("*a" * 99 + "b",))
    begun = time.perf_counter()
    assert not fits((hostile,), {"team": "a" * 20_000})
    assert time.perf_counter() - begun < 2.0


WORDS = st.text(alphabet="ab*?[]-!.", min_size=1, max_size=6).filter(lambda word: not word.startswith("!"))


@given(values=st.lists(WORDS, min_size=1, max_size=3), value=st.text(alphabet="ab[]-.", max_size=6))
def test_the_negated_is_the_opposite(values: list[str], value: str) -> None:
    """Whatever the words and the value: `!=` fits exactly where `=` does not."""
    found = {"team": value}
    (plain,) = read("team", values)
    (negated,) = read("team", [f"!{word}" for word in values])
    assert fits((plain,), found) is not fits((negated,), found)
    assert matching.fits((plain,), found) is any(value == word or _like(value, word) for word in values), (
        "the plain reading of a glob"
    )


def _like(value: str, glob: str) -> bool:
    """A glob by the book: slow, short, and of another kind than the one it is held against."""
    if not glob:
        return not value
    if glob[0] == "*":
        return any(_like(value[start:], glob[1:]) for start in range(len(value) + 1))
    return bool(value) and glob[0] in ("?", value[0]) and _like(value[1:], glob[1:])
