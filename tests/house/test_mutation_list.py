"""The list of explained survivors: each line speaks of code that is there, and a wrong list is noticed.

Decides nothing about the reasons; `python -m tests.mutation` finds out who survives, which takes too long
for every run.
"""

from __future__ import annotations

import ast

import pytest
from mutation import survivors
from mutation.bench import FILES
from support.house_source import ROOT, refuse, text_of

CHANGE = ("ledger._join", "renewals=0,", "renewals=1,")


def functions_of_the_ledger() -> dict[str, str]:
    """The text of each function that mutmut changes, its lines joined as the list joins them."""
    texts = {}
    for name in FILES:
        source = text_of(ROOT / "watchtower" / "core" / f"{name}.py")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
                texts[f"{name.rpartition('/')[2]}.{node.name}"] = " ".join(line.strip() for line in lines)
    return texts


def test_listed_survivors_are_changes_of_code_that_is_there() -> None:
    """A line whose function was rewritten explains nothing any more: run mutmut again and list anew."""
    known = functions_of_the_ledger()
    listed = survivors.read(text_of(survivors.LIST))
    refuse(
        (f"{place}: {was}" for place, was, _ in listed if was not in known.get(place, "")),
        "listed survivors whose code is gone",
    )


def test_the_list_is_compared_both_ways() -> None:
    """A survivor without a reason and a reason without its survivor are objections, a match is none."""
    reasons = survivors.read("# told here\n\n" + survivors.line_of(CHANGE, "why") + "\n")
    assert reasons == {CHANGE: "why"}
    assert not list(survivors.objections({"m1": CHANGE}, reasons))
    (missing,) = survivors.objections({"m1": CHANGE}, {})
    assert missing.startswith("survives without a reason: m1")
    (stale,) = survivors.objections({}, reasons)
    assert stale.startswith("listed, but dead or gone")


@pytest.mark.parametrize(
    "line", ["ledger._join", "ledger._join: a => b", "ledger._join: a => b ## ", "a => b ## why"]
)
def test_a_line_without_a_reason_is_refused(line: str) -> None:
    """Each line names function, change and reason."""
    with pytest.raises(ValueError, match="line 1 is not"):
        survivors.read(line)
