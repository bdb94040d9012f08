"""The grammar of conditions: what a line becomes, and where a mistake is.

What a condition means against facts is tests/unit/core/test_conditions.py.
"""

from __future__ import annotations

import pytest

from watchtower.config.conditions import FIELDS, parse_condition
from watchtower.config.problems import Wrong
from watchtower.core.conditions import Clause


@pytest.mark.parametrize(
    ("line", "clause"),
    [
        ("status == 200", Clause(field="status", op="==", value=200.0)),
        ("status==200", Clause(field="status", op="==", value=200.0)),
        ("  status  in  200, 2XX ", Clause(field="status", op="in", value=(200.0, "2xx"))),
        ("time<800ms", Clause(field="time", op="<", value=0.8)),
        ("not time >= 1h30m", Clause(field="time", op=">=", value=5400.0, negated=True)),
        ("cert.expires > 21d", Clause(field="cert.expires", op=">", value=1_814_400.0)),
        ("json.db == up", Clause(field="json.db", op="==", value="up")),
        ("json[0].x-y == 5", Clause(field="json[0].x-y", op="==", value=5.0)),
        ("json.a == 007", Clause(field="json.a", op="==", value="007")),
        ("json.a == -1.5", Clause(field="json.a", op="==", value=-1.5)),
        ("json.a == true", Clause(field="json.a", op="==", value=True)),
        ('json.a == "true"', Clause(field="json.a", op="==", value="true")),
        ("json.a in true 5 x", Clause(field="json.a", op="in", value=("true", 5.0, "x"))),
        ("json.a exists", Clause(field="json.a", op="exists", value="")),
        ("header.X-Api == v 1", Clause(field="header.x-api", op="==", value="v 1")),
        ("body contains hello world", Clause(field="body", op="contains", value="hello world")),
        ("body contains 'this or that'", Clause(field="body", op="contains", value="this or that")),
        (r'body contains "say \"hi\" \\o"', Clause(field="body", op="contains", value=r'say "hi" \o')),
        ("body contains don't", Clause(field="body", op="contains", value="don't")),
        ("body ~ ^a{2}[(+*]$", Clause(field="body", op="~", value="^a{2}[(+*]$")),
        ('json["a.b c"].d == 5', Clause(field='json["a.b c"].d', op="==", value=5.0)),
        ('json["x == y"] exists', Clause(field='json["x == y"]', op="exists", value="")),
        ("ip == 2001:DB8:0::1", Clause(field="ip", op="==", value="2001:db8::1")),
        ("ip in 10.1.2.3/8, 192.0.2.1", Clause(field="ip", op="in", value=("10.0.0.0/8", "192.0.2.1"))),
        ("time.first_byte < 1s", Clause(field="time.first_byte", op="<", value=1.0)),
        ("body contains salt and pepper", Clause(field="body", op="contains", value="salt and pepper")),
        ("body contains 'a and status == 5'", Clause(field="body", op="contains", value="a and status == 5")),
        ("body contains 'this or'", Clause(field="body", op="contains", value="this or")),
        ("body ~ 'a or b'", Clause(field="body", op="~", value="a or b")),
    ],
)
def test_a_line_becomes_a_clause(line: str, clause: Clause) -> None:
    """Fields, ops and values by the type of the field."""
    condition = parse_condition(line, "http")
    assert condition.clauses == (clause,)
    assert condition.text == line.strip()


def test_or_joins_clauses() -> None:
    """`or` outside quotes splits; `not` belongs to its clause alone."""
    condition = parse_condition("not status == 200 or body contains 'a or b' or json.x exists", "http")
    assert [(clause.field, clause.negated) for clause in condition.clauses] == [
        ("status", True),
        ("body", False),
        ("json.x", False),
    ]


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("statsu == 200", "statsu"),
        ("status == 200 or tiem < 5s", "tiem"),
        ("status = 200", "="),
        ("status is 200", "is"),
        ("time < 800", "800"),
        ("status in 200 abc", "abc"),
        ("status contains 2", "contains"),
        ("json.a < up", "up"),
        ("body contains x and status == 200", "and"),
        ("body contains x and not json.a exists", "and"),
        ("body contains x || time < 5s", "||"),
        ("body contains x or", "or"),
        ("or body contains x", "or"),
        ("status == 200 or or body contains x", "or"),
        ("ip == 10.0.0.0/8", "10.0.0.0/8"),
        ("ip in 10.0.0.1 db", "db"),
        ("status in [200 204]", "[200 204]"),
        ("status not in 200", "not"),
        ("body ~ a(b", "("),
        ("body ~ x(a*b)*", "*"),
        ("body ~ (a|aa)+", "+"),
        ("body ~ (?:(?:a)?){40}(b+)*", "*"),
    ],
)
def test_a_mistake_is_marked_where_it_is(line: str, marked: str) -> None:
    """The offset and width of Wrong cut the very word out of the line."""
    with pytest.raises(Wrong) as caught:
        parse_condition(line, "http")
    start = caught.value.start
    assert start is not None
    assert line[start : start + caught.value.width] == marked


def test_mistakes_do_not_quote_the_line() -> None:
    """A condition may hold what `${}` put in, so its mistakes speak without it."""
    for line in (
        "hunter2 == 1",
        "status == hunter2",
        "status hunter2 1",
        "body ~ (hunter2",
        "time < hunter2",
    ):
        with pytest.raises(Wrong) as caught:
            parse_condition(line, "http")
        assert "hunter2" not in caught.value.what + caught.value.fix


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_every_field_of_a_kind_can_be_used(kind: str) -> None:
    """Each field that advice offers is accepted, and refused by kinds that do not offer it."""
    values = {
        "status": "200",
        "dns.rcode": "NOERROR",
        "ttl": "60",
        "exit": "2",
        "perf.<label>": "-2.5",
        "ip": "2001:db8::1",
        "grpc.status": "SERVING",
        "grpc.code": "OK",
        "role": "primary",
        **dict.fromkeys(("lost", "rows", "messages", "consumers"), "3"),
    }
    fields = {field for offered in FIELDS.values() for field in offered}
    for field in fields:
        name = field.replace("<path>", "a.b[0]").replace("<name>", "x-a").replace("<label>", "/var:x%")
        value = "5s" if field.startswith("time") or field == "cert.expires" else values.get(field, "x")
        line = f"{name} == {value}"
        if field in FIELDS[kind]:
            assert parse_condition(line, kind).clauses[0].field == name
        else:
            with pytest.raises(Wrong):
                parse_condition(line, kind)


@pytest.mark.parametrize("line", ["", "   ", "x" * 301])
def test_empty_and_endless_lines_are_refused(line: str) -> None:
    """A condition has something to say, briefly."""
    with pytest.raises(Wrong):
        parse_condition(line, "http")
