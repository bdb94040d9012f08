"""What the house test measures in code: length, nesting, names, handlers, sets read in order, cycles.

Decides how a measure is taken, on syntax trees and comments alone; it reads no file and knows no limit.
The limits stand in tests/house/test_house_rules.py; tests/house/test_house_measures.py checks these measures.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
    ast.Match,
)
BANNED_NAMES = {"manager", "helper", "helpers", "util", "utils"}
ORDERLESS = {"set", "frozenset"}
ORDERED_READERS = {"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter"}
WORDS = re.compile(r"[a-z]{2,}", re.IGNORECASE)
IGNORE = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)(?:\s*:\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*|\[[\w,\s-]+\])?(?P<why>.*)"
)


def lines_of(node: FunctionNode) -> int:
    """Lines from `def` to the end, docstring left out: explaining must not cost."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def nesting_of(body: list[ast.stmt]) -> int:
    """Deepest nest of blocks; `elif` and `else` do not deepen, an inner function starts anew."""
    return max((depth_of(statement) for statement in body), default=0)


def depth_of(statement: ast.stmt) -> int:
    """Nest of blocks that one statement opens: 0 for a plain one."""
    if not isinstance(statement, BLOCKS):
        return 0
    if isinstance(statement, ast.Match):
        return 1 + max(nesting_of(case.body) for case in statement.cases)
    inside = nesting_of(statement.body)
    after = list(getattr(statement, "orelse", [])) + list(getattr(statement, "finalbody", []))
    handlers = [nesting_of(handler.body) for handler in getattr(statement, "handlers", [])]
    elif_only = len(after) == 1 and isinstance(statement, ast.If) and isinstance(after[0], ast.If)
    beside = depth_of(after[0]) - 1 if elif_only else nesting_of(after)
    return 1 + max([inside, beside, *handlers])


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches Exception, BaseException, or everything."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {node.id for node in caught if isinstance(node, ast.Name)}
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def has_reason(comment: str) -> bool:
    """Whether a comment has at least two words beside the codes of an ignore."""
    ignore = IGNORE.search(comment)
    return len(WORDS.findall(ignore["why"] if ignore else comment)) >= 2


def is_vague(name: str) -> bool:
    """Whether a name is handle_data or has one of the empty words in it."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return name == "handle_data" or not BANNED_NAMES.isdisjoint(words)


def defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a file itself gives: classes, functions, parameters, variables.

    Methods of an HTMLParser are left out: that library looks for `handle_data` and its like.
    """
    named_by_library = {
        id(method)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "HTMLParser" in map(ast.unparse, node.bases)
        for method in node.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if id(node) not in named_by_library:
                yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, node.lineno


def assignments(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Plain names and what is assigned to them within a scope."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif (
            isinstance(node, ast.AnnAssign | ast.NamedExpr)
            and isinstance(node.target, ast.Name)
            and node.value
        ):
            yield node.target.id, node.value


def is_set(node: ast.expr, sets: frozenset[str]) -> bool:
    """Whether an expression is a set at sight: a literal, a call, set algebra, a name of one."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in ORDERLESS
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return is_set(left, sets) or is_set(right, sets)
        case ast.Name(id=name):
            return name in sets
        case _:
            return False


def read_in_order(scope: ast.AST) -> Iterator[ast.expr]:
    """Expressions whose order reaches the outcome: loops, comprehensions, list(), join(), unpacking."""
    for node in ast.walk(scope):
        match node:
            case ast.For() | ast.AsyncFor():
                yield node.iter
            case ast.ListComp() | ast.DictComp():
                yield from (generator.iter for generator in node.generators)
            case ast.Call(func=ast.Name(id=name)) if name in ORDERED_READERS:
                yield from node.args
            case ast.Call(func=ast.Attribute(attr="join" | "extend")):
                yield from node.args
            case ast.Starred():
                yield node.value


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """Cycles of a graph, each cut open where it was found so that the next one shows."""
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1]
            yield " <- ".join(cycle)
            graph[cycle[1]].discard(cycle[0])
        else:
            return


def sets_read_in_order(tree: ast.Module) -> Iterator[int]:
    """Lines of a module where a set's order reaches an outcome; names are followed within one function."""
    yield from (node.lineno for node in read_in_order(tree) if is_set(node, frozenset()))
    for scope in ast.walk(tree):
        if isinstance(scope, FunctionNode):
            sets = frozenset(name for name, value in assignments(scope) if is_set(value, frozenset()))
            yield from (node.lineno for node in read_in_order(scope) if is_set(node, sets))


def per_process_calls(tree: ast.Module) -> Iterator[int]:
    """Lines with calls that answer differently in each process: clocks, id(), and hash() outside __hash__."""
    own_hashes = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, FunctionNode) and node.name == "__hash__"
        for call in ast.walk(node)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="now" | "utcnow" | "today")):
                yield node.lineno
            case ast.Call(func=ast.Name(id="hash" | "id")) if id(node) not in own_hashes:
                yield node.lineno
