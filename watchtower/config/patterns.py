"""Refuses regular expressions that could keep a peer busy: long ones and repeats of repeats.

Python's matcher backtracks, so `(a+)+` on a hostile body takes exponential time. This is a plain look at the
text of the pattern, not a proof: products of repeats side by side stay polynomial in the 8 KiB searched.
"""

from __future__ import annotations

import re
import warnings

from watchtower.config.problems import Wrong
from watchtower.core.conditions import PATTERN_MAX

_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\()|(?P<close>\))|(?P<repeat>[*+]|\{\d*,\d*\}|\{\d{2,}\})|.",
    re.DOTALL,
)


def check_pattern(pattern: str) -> None:
    """Raises Wrong (offsets in `pattern`) for one that does not compile or may not end."""
    if len(pattern) > PATTERN_MAX:
        raise Wrong(
            f"a pattern of more than {PATTERN_MAX} characters", "shorten it", start=0, width=len(pattern)
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except re.error as error:
        fix = "see Python's `re` for the syntax"
        raise Wrong(f"no regular expression: {error.msg}", fix, start=error.pos or 0) from None
    except (RecursionError, OverflowError, Warning):
        raise Wrong("no usable regular expression", "simplify it", start=0, width=len(pattern)) from None
    start = _nested_repeat(pattern)
    if start is not None:
        fix = "repeat only what holds no repeat itself: `(a+)+` is `a+`"
        raise Wrong("a repeat of a repeat may take for ever on a hostile answer", fix, start=start)


def _nested_repeat(pattern: str) -> int | None:
    """Where a group that holds a repeat or an alternative is itself repeated."""
    groups = [False]
    closed = False
    for token in _TOKEN.finditer(pattern):
        if token["open"]:
            groups.append(False)
        elif token["close"] and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            continue
        elif token["repeat"]:
            if closed:
                return token.start()
            groups[-1] = True
        elif token[0] == "|":
            groups[-1] = True
        closed = False
    return None
