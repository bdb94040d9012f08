"""Prints problems for people: file, line, column, key path, what is wrong, the line itself, what to do.

It sorts and numbers them; what may be shown of a line is masking.py's business.
"""

from __future__ import annotations

from typing import Final

from watchtower.config.masking import Masks
from watchtower.config.problems import Problem

PRINTED_MAX: Final = 100


def report(name: str, problems: list[Problem], masks: Masks) -> str:
    """The whole text of a ConfigError for the file called `name`."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    count = len(ordered)
    blocks = [_block(name, problem, masks) for problem in ordered[:PRINTED_MAX]]
    if count > PRINTED_MAX:
        blocks.append(f"... and {count - PRINTED_MAX} more")
    noun = "error" if count == 1 else "errors"
    return "\n\n".join([*blocks, f"{name}: {count} {noun}"])


def _block(name: str, problem: Problem, masks: Masks) -> str:
    text, caret, width = masks.shown(problem.line, problem.column, problem.width)
    gutter = f"{problem.line:>5} | "
    blank = " " * 5 + " | "
    lines = [f"{name}:{problem.line}:{problem.column}: {problem.path}: {problem.what}"]
    if text.strip():
        lines += [gutter + text, blank + " " * caret + "^" * width]
    if problem.fix:
        lines.append(" " * 5 + " = " + problem.fix)
    return "\n".join(lines)
