"""Explains YAML syntax errors: the known traps of this file format, each with the fix.

YAML's own messages speak of tokens; people need to know what to put in quotes. Nothing of the offending
line is quoted here, since it may hold a secret.
"""

from __future__ import annotations

import re
from typing import Final

from ruamel.yaml.error import MarkedYAMLError

from watchtower.config.problems import Problem

_QUOTE_BRACES: Final = (
    "`${` inside [ ] or { } ends up as YAML syntax",
    'put the whole value in quotes: "${VAR}", or write it on a line of its own',
)
_TABS: Final = ("a tab where YAML wants spaces", "indent with spaces")
_COLON: Final = (
    "a second `: ` in one value",
    "put the whole value in quotes, as in 'body contains \"ok: true\"'",
)
_BRACKET_FIRST: Final = (
    "a value that starts with [ is a list, and text follows the list",
    "conditions start with a word, as in `status == 200`; quote other text that starts with [",
)
_QUOTE_FIRST: Final = (
    "text follows the closing quote",
    "quotes must go round the whole value, as in '\"a\" == b'",
)
_INDENT: Final = (
    "this line does not fit the indentation above it",
    "indent keys of one mapping alike; check the line before it, too",
)

_KNOWN: Final = (
    ("'\\t'", _TABS),
    ("mapping values are not allowed", _COLON),
    ("undefined alias", ("a value that starts with * is an alias", 'write it in quotes: "*..."')),
    (
        "another document",
        ("a second document starts here (`---`)", "one file is one document; remove the line"),
    ),
    ("expected <block end>", _INDENT),
    ("could not find expected ':'", _INDENT),
)


def explain(error: MarkedYAMLError, text: str) -> Problem:
    """The syntax error as a problem with a place and a fix."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n")
    # At the end of the file the mark lies behind the last line; point at the last text there is.
    while line > 0 and (line >= len(lines) or not lines[line].strip()):
        line -= 1
        column = len(lines[line].rstrip())
    what, fix = _advice(error, lines[line], column)
    return Problem(line=line + 1, column=column + 1, width=1, path="(YAML)", what=what, fix=fix)


def _advice(error: MarkedYAMLError, line: str, column: int) -> tuple[str, str]:
    problem = str(error.problem or "")
    opened = error.context_mark.line + 1 if error.context_mark is not None else 0
    special = re.search(r"found character '([^\\])' that cannot start", problem)
    is_tag = "scanning a tag" in str(error.context or "")
    if special or is_tag:
        char = special[1] if special else "!"
        return f"a value may not start with {char} unless it is quoted", f'write it in quotes: "{char}..."'
    if "expected ',' or" in problem:
        return _flow(problem, opened, line, column)
    if "quoted scalar" in str(error.context or ""):
        return f"the quote opened on line {opened} is not closed", "close it with the same quote"
    if "but found '<scalar>'" in problem or "expected '<document start>'" in problem:
        return _after_value(line, column)
    for needle, advice in _KNOWN:
        if needle in problem:
            return advice
    return f"not YAML: {problem or error.context or 'unreadable'}"[:160], "see the line above it, too"


def _after_value(line: str, column: int) -> tuple[str, str]:
    before = line[:column].rstrip()
    if before.endswith("]"):
        return _BRACKET_FIRST
    if before.endswith(('"', "'")):
        return _QUOTE_FIRST
    return _INDENT


def _flow(problem: str, opened: int, line: str, column: int) -> tuple[str, str]:
    if problem.endswith("got '{'") and line[:column].endswith("$"):
        return _QUOTE_BRACES
    bracket = "]" if "']'" in problem else "}"
    if problem.endswith("got ':'") and line[:column].count(":") and line[:column].rstrip()[-1:].isalnum():
        return (
            f"`{bracket}` or a comma is missing: the list or mapping opened on line {opened} goes on here",
            f"close it with {bracket}; quote a value that has `: ` in it",
        )
    if "'<scalar>'" in problem and line[:column].rstrip().endswith(('"', "'")):
        return _QUOTE_FIRST
    return (
        f"`{bracket}` or a comma is missing: the list or mapping opened on line {opened} goes on here",
        f"close it with {bracket}, and quote values that contain [ ] {{ }} or a comma",
    )
