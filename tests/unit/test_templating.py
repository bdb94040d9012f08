"""Own templates: what they may say, how a slip is answered, and that none of them can do harm.

The words of the answers are in tests/unit/config/broken/templates.txt; here is what must be refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower import templating
from watchtower.templating import TemplateWrong, TooMuch, check, render

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "templates.md"

GOOD = [
    "",
    "plain text",
    "[{{ state }}] {{ title|upper }} {{ 'x' if severity == 'critical' else 'y' }}",
    "{% if runbook %}{{ runbook }}{% elif not incident %}-{% else %}none{% endif %}",
    "{% for look in evidence %}{{ loop.index }}. {{ look.peer }} {{ look.text|cut(20) }}\n{% endfor %}",
    "{% for one in evidence|first(2) %}{{ one.latency_ms|round }}{% else %}nobody{% endfor %}",
    "{% for group in groups %}{{ group.title }}: {{ group.lines|join(', ') }}{% endfor %}",
    "{% for group in groups %}{% for line in group.lines %}{{ line }}{% endfor %}{% endfor %}",
    "{{ title|default('nobody') ~ '!' }} {# a comment #} {{ evidence|length }}",
]
HARMFUL = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ title.__class__ }}",
    "{{ title|attr('__class__') }}",
    "{{ title['upper'] }}",
    "{{ title.format(evidence) }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ self.__init__ }}",
    "{% set x = title %}{{ x }}",
    "{% set x %}{{ title }}{% endset %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% for i in range(10) %}x{% endfor %}",
    "{% for a in facts %}{% for b in facts %}{% for c in facts %}x{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in evidence recursive %}{{ loop(evidence) }}{% endfor %}",
    "{% for a in title %}x{% endfor %}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'x' * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 1 // 0 }}",
    "{{ title|replace('', 'x') }}",
    "{{ title|center(1000000000) }}",
    "{{ title|join(title) }}",
    "{{ [1, 2]|length }}",
    "{{ title[1:2] }}",
    "{% filter upper %}x{% endfilter %}",
    "{% with x = title %}{{ x }}{% endwith %}",
    "{% block b %}x{% endblock %}",
    "{% raw %}{{ x }}{% endraw %}{{ nothing }}",
    "{% autoescape true %}{{ title }}{% endautoescape %}",
    "{% do title %}",
    "{{ title is defined }}",
    "{{ " + "(" * 400 + "title" + ")" * 400 + " }}",
    "{{ " + "not " * 3_000 + "title }}",
    "{% if title %}" * 60 + "{% endif %}" * 60,
    "x" * (templating.SOURCE_MAX + 1),
    "{{ titel }}",
    "{{ title",
    "{% for %}",
]


@pytest.mark.parametrize("source", GOOD)
def test_what_a_template_may_say(source: str) -> None:
    """Text, variables, filters, conditions, loops over the message's lists."""
    check(source)
    assert isinstance(render(source, templating.SAMPLE), str)


@pytest.mark.parametrize("source", HARMFUL, ids=range(len(HARMFUL)))
def test_everything_else_is_refused_when_the_file_is_read(source: str) -> None:
    """Nothing of the process can be reached, nothing runs for long or grows; none of it gets to a send."""
    with pytest.raises(TemplateWrong) as caught:
        check(source)
    assert caught.value.what
    assert caught.value.line >= 1


def test_a_slip_is_answered_with_the_line_and_the_nearest_word() -> None:
    """`file:line` is made of this, and what was meant stands below."""
    with pytest.raises(TemplateWrong) as caught:
        check("one\ntwo\n{{ sevice }}\n")
    assert (caught.value.line, caught.value.fix) == (3, "did you mean `service`?")


def test_what_is_written_is_bounded() -> None:
    """A message of a thousand rows does not become a book."""
    values = {**templating.SAMPLE, "facts": [{"label": "x" * 300, "value": "y" * 300}] * 100}
    source = "{% for a in facts %}{% for b in facts %}{{ a.value }}{{ b.value }}{% endfor %}{% endfor %}"
    check(source)
    with pytest.raises(TooMuch):
        render(source, values)


def test_a_loop_that_writes_nothing_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two loops over a hundred rows are ten thousand turns, and no more can be written down."""
    values = {**templating.SAMPLE, "facts": [{"label": "x", "value": "y"}] * 100}
    source = (
        "{% for a in facts %}{% for b in facts %}{% if a.label == 'no' %}x{% endif %}{% endfor %}{% endfor %}"
    )
    check(source)
    assert render(source, values) == ""
    monkeypatch.setattr(templating, "RENDER_MAX_S", -1.0)
    with pytest.raises(TooMuch):
        render("{{ title }}", values)


def test_filters_cannot_grow_a_text() -> None:
    """Each cuts what it is given."""
    values = {
        **templating.SAMPLE,
        "title": "x" * 1_000_000,
        "facts": [{"label": "z" * 9_000, "value": ""}] * 500,
    }
    for source in ("{{ title|upper }}", "{{ title|trim }}", "{{ title|cut(999999) }}"):
        assert len(render(source, values)) <= 4_000
    assert len(templating._join(["z" * 9_000] * 500, "x" * 100)) <= 4_000


def test_the_sample_says_something_for_every_name() -> None:
    """A template is tried with all that it may use, so that a slip shows when the file is read."""
    assert set(templating.SAMPLE) == {*templating.VARIABLES, *templating.LISTS}
    for name, fields in templating.LISTS.items():
        assert set(templating.SAMPLE[name][0]) == set(fields)


def test_the_how_to_lists_all_that_there_is() -> None:
    """Every variable, list, field and filter, and no other: it is the only list that people have."""
    text = HOW_TO.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| [^`]", text, re.MULTILINE)[: len(templating.VARIABLES)] == [
        *templating.VARIABLES
    ]
    for name, fields in templating.LISTS.items():
        (row,) = re.findall(rf"^\| `{name}` \| (`.*)\|$", text, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == [*fields]
    (said,) = re.findall(r"the filters (.*?)\. Nothing", text, re.DOTALL)
    assert {word.partition("(")[0] for word in re.findall(r"`([^`]+)`", said)} == {*templating.FILTERS}
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert "template:" in example
