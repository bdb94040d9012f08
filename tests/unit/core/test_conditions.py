"""Judging conditions against facts: what holds, and what is said when it does not.

Conditions are written in the grammar of config/conditions.py, as people write them.
"""

from __future__ import annotations

import pytest

from watchtower.config.conditions import parse_condition
from watchtower.core.conditions import SHOWN_MAX, Clause, Condition, judge

FACTS: dict[str, object] = {
    "status": 503,
    "time": 2.314,
    "time.dns": 0.0042,
    "time.connect": 0.0312,
    "time.tls": 0.8,
    "body": "<h1>Service down</h1>",
    "json": {
        "db": "down",
        "n": 5,
        "pi": 3.25,
        "yes": True,
        "nil": None,
        "text": "5",
        "tags": ["a", 2, True],
        "items": [{"name": "x"}, {"name": "y"}],
        "deep": {"er": {"est": "here"}},
        "a.b c": {"[0]": 7},
    },
    "header.content-type": "text/html; charset=utf-8",
    "header.x-depth": "12",
    "cert.expires": 12.4 * 86_400,
    "cert.issuer": "Example CA",
    "ip": "192.0.2.7",
}
DNS_FACTS: dict[str, object] = {
    "time": 0.05,
    "dns.rcode": "NOERROR",
    "answers": ("192.0.2.10", "192.0.2.11"),
    "ttl": 300,
}


@pytest.mark.parametrize(
    "line",
    [
        "status == 503",
        "status != 200",
        "status == 5xx",
        "status in 200 503",
        "status in 2xx, 5xx",
        "status >= 500",
        "not status == 200",
        "status == 200 or status == 503",
        "status == 200 or time < 3s",
        "time < 3s",
        "time <= 2314ms",
        "time > 800ms",
        "time.dns < 5ms",
        "time.tls == 800ms",
        "body contains Service down",
        'body contains "Service down"',
        "body ~ Serv.ce",
        "body ~ (?i)SERVICE",
        "not body contains up",
        "body != up",
        "body exists",
        "json.db == down",
        'json["a.b c"]["[0]"] == 7',
        'json["deep"].er["est"] == here',
        'not json["a.b c"][0] exists',
        "ip in 192.0.2.0/24",
        "ip in 10.0.0.0/8 192.0.2.7",
        "not ip in 192.0.3.0/24 2001:db8::/32",
        "json.db in up down",
        "json.db ~ ^d",
        "json.db contains ow",
        "json.n == 5",
        "json.n > 4.5",
        "json.n != 6",
        "json.text == 5",
        'json.text == "5"',
        "json.text < 6",
        "json.pi == 3.25",
        "json.yes == true",
        "json.nil == null",
        "json.nil exists",
        "json.tags contains a",
        "json.tags contains 2",
        "json.tags contains true",
        "json.tags ~ ^a$",
        "json.tags[1] == 2",
        "json.items[1].name == y",
        "json.deep.er.est == here",
        "not json.nowhere exists",
        "not json.nowhere == up",
        "header.content-type contains text/html",
        "header.Content-Type ~ ^text/",
        "header.x-depth < 100",
        "header.x-depth == 12",
        "not header.x-missing exists",
        "cert.expires > 12d",
        "cert.expires < 13d",
        "cert.issuer == Example CA",
        "ip == 192.0.2.7",
        "ip in 192.0.2.6 192.0.2.7",
    ],
)
def test_conditions_that_hold(line: str) -> None:
    """What holds is None, whatever field, op and way of writing."""
    assert judge(parse_condition(line, "http"), FACTS) is None


@pytest.mark.parametrize(
    "line",
    [
        "dns.rcode == NOERROR",
        "dns.rcode == noerror",
        "dns.rcode in NXDOMAIN NOERROR",
        "answers contains 192.0.2.10",
        "answers in 192.0.2.10 192.0.2.11 192.0.2.12",
        "answers == 192.0.2.11 192.0.2.10",
        "answers != 192.0.2.10",
        "answers ~ ^192\\.0\\.2\\.",
        "answers exists",
        "ttl >= 60",
        "ttl < 10m",
        "time < 100ms",
    ],
)
def test_dns_conditions_that_hold(line: str) -> None:
    """Answers are a set: their order, case and final dots mean nothing."""
    assert judge(parse_condition(line, "dns"), DNS_FACTS) is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("status == 200", "was 503"),
        ("status == 2xx", "was 503"),
        ("status in 200 204", "was 503"),
        ("not status == 5xx", "was 503"),
        ("status == 200 or status == 204", "was 503"),
        ("status == 200 or json.db == up", 'was 503, was "down"'),
        ("time < 800ms", "was 2.31s"),
        ("time.tls < 500ms", "was 800ms"),
        ("time.dns < 1ms", "was 4.2ms"),
        ("body contains ok", 'was "<h1>Service down</h1>"'),
        ("json.db == up", 'was "down"'),
        ("json.n == 6", "was 5"),
        ('json.n == "5"', "was 5"),
        ("json.yes == false", "was true"),
        ("json.yes > 0", "was true"),
        ("json.nil == up", "was null"),
        ("json.db > 5", 'was "down"'),
        ("json.nowhere == up", "no such path"),
        ("json.nowhere exists", "no such path"),
        ("json.nowhere != up", "no such path"),
        ("json.items[7].name == y", "no such path"),
        ("json.items.name == y", "no such path"),
        ("json.deep == y", "was an object"),
        ("json.items == y", "was a list of 2"),
        ("not json.db exists", 'was "down"'),
        ("header.x-missing == 1", "no such header"),
        ("cert.expires > 21d", "was 12.4d"),
        ("ip == 10.0.0.1", "was 192.0.2.7"),
    ],
)
def test_a_failure_says_what_was_found(line: str, found: str) -> None:
    """The text is the condition as written, a colon and the actual value."""
    assert judge(parse_condition(line, "http"), FACTS) == f"{line}: {found}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("dns.rcode == NXDOMAIN", "was NOERROR"),
        ("answers in 192.0.2.10", "was 192.0.2.10 192.0.2.11"),
        ("answers == 192.0.2.10", "was 192.0.2.10 192.0.2.11"),
        ("answers contains 10.0.0.1", "was 192.0.2.10 192.0.2.11"),
        ("ttl < 60", "was 300"),
    ],
)
def test_a_dns_failure_says_what_was_found(line: str, found: str) -> None:
    """DNS facts are shown as dig would show them."""
    assert judge(parse_condition(line, "dns"), DNS_FACTS) == f"{line}: {found}"


def test_no_answers_are_not_a_subset() -> None:
    """An empty answer is no match for `in`, `contains` and `exists`."""
    for line in ("answers in 192.0.2.10", "answers contains 192.0.2.10", "answers exists"):
        assert judge(parse_condition(line, "dns"), {"answers": ()}) == f"{line}: was no answers"


@pytest.mark.parametrize(
    ("line", "facts", "found"),
    [
        ("json.db == up", {}, "not JSON"),
        ("not json.db == up", {}, "not JSON"),
        ("json.db == up", {"json.error": "line 1\x1b[31m: bad"}, "not JSON (line 1?[31m: bad)"),
        ("cert.expires > 21d", {}, "no certificate"),
        ("not cert.expires > 21d", {}, "no certificate"),
        ("time.tls < 1s", {}, "not known"),
        ("not time.tls < 1s", {"time.tls": None}, "not known"),
    ],
)
def test_what_nobody_could_see_never_holds(line: str, facts: dict[str, object], found: str) -> None:
    """A fact that could not be had fails the condition, even behind `not`."""
    assert judge(parse_condition(line, "http"), facts) == f"{line}: {found}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (86_400 * 2.0, "2.0d"),
        (3600 * 5.0, "5.0h"),
        (-3600 * 3.0, "expired 3.0h ago"),
        (-86_400 * 9.0, "expired 9.0d ago"),
    ],
)
def test_lifetimes_are_shown_in_days_or_hours(seconds: float, shown: str) -> None:
    """A certificate's rest of life is readable, also when it is over."""
    text = judge(parse_condition("cert.expires > 21d", "http"), {"cert.expires": seconds})
    assert text == f"cert.expires > 21d: was {shown}"


def test_hostile_values_are_cleaned_and_cut() -> None:
    """Control characters do not survive and nothing is repeated at length."""
    body = "\x1b]0;owned\x07 line\r\nnext\u202e " + "x" * 100_000
    text = judge(parse_condition("body == up", "http"), {"body": body})
    assert text is not None
    shown = text.removeprefix('body == up: was "').removesuffix('"')
    assert shown.isprintable()
    assert shown.startswith("?]0;owned? line next? xxx")
    assert shown.endswith("…")
    assert len(shown) == SHOWN_MAX


def test_a_regular_expression_sees_8_kib_only() -> None:
    """What lies behind the first 8 KiB of a body is not searched."""
    condition = parse_condition("body ~ needle", "http")
    assert judge(condition, {"body": " " * 8_000 + "needle"}) is None
    assert judge(condition, {"body": " " * 8_200 + "needle"}) is not None


@pytest.mark.parametrize("pattern", ["(", "a" * 5000])
def test_an_unusable_pattern_fails_instead_of_raising(pattern: str) -> None:
    """The grammar refuses such patterns; if one comes by another way, it matches nothing."""
    condition = Condition(text="body ~ ?", clauses=(Clause(field="body", op="~", value=pattern),))
    assert judge(condition, {"body": "a" * 6000}) is not None


def test_huge_integers_do_no_harm() -> None:
    """A JSON number of thousands of digits can neither be compared nor printed, and need not be."""
    facts = {"json": {"n": 10**6000}}
    assert judge(parse_condition("json.n < 5", "http"), facts) == "json.n < 5: was a huge number"
    assert judge(parse_condition("json.n == 5", "http"), facts) == "json.n == 5: was a huge number"
