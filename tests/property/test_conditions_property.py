"""Conditions under arbitrary text and facts: no exception, one clean line, `not` is the opposite.

Lines are built from real fields and ops as often as from nonsense; facts are anything JSON can hold.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchtower.config.conditions import FIELDS, LENGTH_MAX, parse_condition
from watchtower.config.problems import Wrong
from watchtower.core.conditions import SHOWN_MAX, Clause, Condition, judge

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


_PLAIN = st.text("abcz019 =<>~.'", min_size=1, max_size=15).map(str.strip).filter(bool)
_TYPED: dict[str, st.SearchStrategy[Clause]] = {
    "json": st.builds(
        lambda keys, value: Clause(field="json" + "".join(keys), op="==", value=value),
        st.lists(st.text("ab .'=<[]", min_size=1, max_size=5).map('["{}"]'.format), min_size=1, max_size=3),
        _PLAIN,
    ),
    "body": st.builds(
        Clause, field=st.just("body"), op=st.sampled_from(["==", "!=", "contains"]), value=_PLAIN
    ),
    "status": st.builds(
        Clause, field=st.just("status"), op=st.just("in"),
        value=st.lists(st.integers(100, 599).map(float), min_size=1, max_size=4).map(tuple),
    ),
    "time": st.builds(
        Clause, field=st.sampled_from(["time", "time.tls", "cert.expires"]), op=st.sampled_from(["<", ">="]),
        value=st.integers(1, 10**6).map(float),
    ),
    "ip": st.builds(
        Clause, field=st.just("ip"), op=st.just("in"),
        value=st.lists(st.ip_addresses().map(str), min_size=1, max_size=3).map(tuple),
    ),
}  # fmt: skip


def _written(clause: Clause) -> str:
    """The clause as a careful person writes it: text in quotes."""
    if isinstance(clause.value, tuple):
        value = " ".join(f"{item:.0f}" if isinstance(item, float) else item for item in clause.value)
    elif isinstance(clause.value, float):
        value = f"{clause.value:.0f}s"
    else:
        value = '"' + str(clause.value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{'not ' if clause.negated else ''}{clause.field} {clause.op} {value}"


@given(st.lists(st.tuples(st.booleans(), st.one_of(*_TYPED.values())), min_size=1, max_size=4))
def test_what_is_written_carefully_is_read_as_it_was_meant(parts: list[tuple[bool, Clause]]) -> None:
    """Clauses become a line and the line becomes those clauses, whatever stands inside the quotes."""
    clauses = tuple(replace(clause, negated=negated) for negated, clause in parts)
    line = " or ".join(map(_written, clauses))
    if len(line) <= LENGTH_MAX:
        assert parse_condition(line, "http").clauses == clauses


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
