"""Conditions under arbitrary text and facts: no exception, one clean line, `not` is the opposite.

Lines are built from real fields and ops as often as from nonsense; facts are anything JSON can hold.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchtower.config.conditions import FIELDS, parse_condition
from watchtower.config.problems import Wrong
from watchtower.core.conditions import SHOWN_MAX, Condition, judge

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
_ANYTHING = _JSON | st.tuples(st.text(max_size=20), st.text(max_size=20))
_FIELD_NAMES = [
    *("status", "time", "time.dns", "time.connect", "time.tls", "body", "json", "json.error", "header.x"),
    *("cert.expires", "cert.issuer", "ip", "dns.rcode", "answers", "ttl"),
]
_FACTS = st.dictionaries(st.sampled_from(_FIELD_NAMES), _ANYTHING)
_FIELDS = st.sampled_from([*_FIELD_NAMES, "json.a", "json.a[0].b", "json[1]", "header.X", "nope"])
_OPS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "contains", "~", "exists", "=", "of"])
_VALUES = st.sampled_from(
    ["200", "2xx", "800ms", "up", "true", "null", "", '"a b"', "NOERROR", "a+", "1 2"]
) | (st.text(max_size=20))
_CLAUSE = st.builds(
    lambda negated, field, op, value: f"{'not ' if negated else ''}{field} {op} {value}",
    st.booleans(), _FIELDS, _OPS, _VALUES,
)  # fmt: skip
_LINES = st.lists(_CLAUSE, min_size=1, max_size=3).map(" or ".join) | st.text(max_size=60)
_KINDS = st.sampled_from([*FIELDS, "heartbeat"])


def _parsed(line: str, kind: str) -> Condition | None:
    try:
        return parse_condition(line, kind)
    except Wrong as error:
        wrong = error
    assert wrong.what
    assert wrong.start is None or 0 <= wrong.start <= len(line)
    return None


@given(_LINES, _KINDS, _FACTS)
def test_any_line_is_judged_or_refused(line: str, kind: str, facts: dict[str, object]) -> None:
    """Text is either a condition or Wrong within the line; judging says nothing or one printable line."""
    condition = _parsed(line, kind)
    if condition is None:
        return
    text = judge(condition, facts)
    if text is not None:
        found = text.removeprefix(condition.text)
        assert found.startswith(": ")
        assert found.isprintable()
        assert len(found) <= 2 + len(condition.clauses) * (SHOWN_MAX + 20)


@given(st.sampled_from(sorted(FIELDS)), _CLAUSE, _FACTS)
def test_not_is_the_opposite_of_what_could_be_seen(kind: str, line: str, facts: dict[str, object]) -> None:
    """A clause and its negation never both hold; both fail only where nobody could look."""
    condition = _parsed(line, kind)
    if condition is None or len(condition.clauses) > 1:
        return
    clause = condition.clauses[0]
    opposite = replace(condition, clauses=(replace(clause, negated=not clause.negated),))
    texts = judge(condition, facts), judge(opposite, facts)
    assert None in texts or "was" not in str(texts[0])[len(condition.text) :]
    assert texts != (None, None)
