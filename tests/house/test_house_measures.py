"""The measures of the house test on small pieces of code: a rule that never bites is worse than none.

Decides nothing about the project; it shows that each measure finds what offends and passes what does not.
"""

from __future__ import annotations

import ast

import pytest
from support.house_measures import (
    FunctionNode,
    cycles,
    has_reason,
    is_broad,
    is_vague,
    lines_of,
    nesting_of,
    per_process_calls,
    sets_read_in_order,
)


def only_function(code: str) -> FunctionNode:
    """The function that a piece of code consists of."""
    node = ast.parse(code).body[0]
    assert isinstance(node, FunctionNode)
    return node


@pytest.mark.parametrize(
    ("code", "depth"),
    [
        ("def f():\n  return 1", 0),
        ("def f():\n  if a:\n    pass\n  elif b:\n    pass\n  elif c:\n    pass\n  else:\n    pass", 1),
        ("def f():\n  for a in b:\n    if a:\n      while c:\n        pass", 3),
        ("def f():\n  try:\n    pass\n  except OSError:\n    if a:\n      pass\n  finally:\n    pass", 2),
        ("def f():\n  match a:\n    case 1:\n      with b:\n        pass", 2),
        ("def f():\n  if a:\n    pass\n  else:\n    if b:\n      pass\n    c()", 2),
        ("def f():\n  if a:\n    def g():\n      if b:\n        pass", 1),
    ],
)
def test_nesting_counts_blocks(code: str, depth: int) -> None:
    """Blocks within blocks count; elif and a function of its own do not."""
    assert nesting_of(only_function(code).body) == depth


def test_length_leaves_the_docstring_out() -> None:
    """A function is as long as its code: three lines of docstring cost nothing."""
    assert lines_of(only_function('def f():\n  """One.\n\n  Two.\n  """\n  a = 1\n  return a')) == 3


@pytest.mark.parametrize(
    "code",
    [
        "for a in {1, 2}:\n  pass",
        "b = list(set(a))",
        "b = ','.join({x for x in a})",
        "b = [x for x in set(a) | c]",
        "b = [*frozenset(a)]",
        "def f(a):\n  b = set(a)\n  for c in b:\n    pass",
    ],
)
def test_a_set_read_in_order_is_found(code: str) -> None:
    """Loops, lists, joins and unpacking of a set are found, also by way of a local name."""
    assert list(sets_read_in_order(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "for a in sorted({1, 2}):\n  pass",
        "b = any(x for x in set(a))",
        "b = len(set(a))",
        "b = {x for x in set(a)}",
        "def f(a):\n  b = set(a)\n\ndef g(b):\n  for c in b:\n    pass",
    ],
)
def test_a_set_without_order_passes(code: str) -> None:
    """Sorting, counting and asking for membership are what sets are for."""
    assert not list(sets_read_in_order(ast.parse(code)))


@pytest.mark.parametrize(
    ("comment", "enough"),
    [
        ("", False),
        ("# noqa: S104", False),
        ("# noqa: S104, E501", False),
        ("# type: ignore[attr-defined]", False),
        ("# noqa: BLE001 - task root, logs and counts", True),
        ("# type: ignore[attr-defined]  # private name of the library", True),
        ("# task root: logs and counts", True),
    ],
)
def test_a_reason_is_more_than_codes(comment: str, enough: bool) -> None:
    """Codes alone are no reason."""
    assert has_reason(comment) is enough


@pytest.mark.parametrize(
    ("caught", "broad"),
    [
        ("except:", True),
        ("except Exception:", True),
        ("except (OSError, BaseException):", True),
        ("except OSError:", False),
    ],
)
def test_a_broad_handler_is_known(caught: str, broad: bool) -> None:
    """Catching everything is seen in each of its spellings."""
    tree = ast.parse(f"try:\n  pass\n{caught}\n  pass")
    (handler,) = (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
    assert is_broad(handler) is broad


def test_vague_names_are_found_as_whole_words() -> None:
    """The empty words count as words of a name, not as parts of other words."""
    names = ["ConnectionManager", "parse_utils", "handle_data", "utility", "contextmanager", "managed"]
    assert [name for name in names if is_vague(name)] == names[:3]


def test_every_cycle_is_found() -> None:
    """Two separate cycles are both named, and a graph without any names none."""
    assert len(list(cycles({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}))) == 2
    assert not list(cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


def test_calls_that_differ_between_processes_are_found() -> None:
    """A clock and hash() are found; a __hash__ method may use hash()."""
    assert list(per_process_calls(ast.parse("a = datetime.now()\nb = hash(a)"))) == [1, 2]
    assert not list(per_process_calls(ast.parse("class A:\n  def __hash__(self):\n    return hash(1)")))
