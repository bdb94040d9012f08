"""What people from elsewhere write in conditions, and how it is written here.

Only advice: the grammar is conditions.py's. It matters most where a slip would be taken for text and the
condition would never do what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from watchtower.config.problems import Wrong

QUOTED: Final = r"\"(?:\\.|[^\"\\])*\"|'[^']*'"
OPAQUE: Final = rf"\[\"[^\"]*\"\]|(?<![^\s,=~<>])(?:{QUOTED})"
"""What stands in quotes, as a value or as a key of a JSON path: no word in it joins anything."""
_JOINED: Final = re.compile(
    rf"{OPAQUE}|\s(?P<word>and|AND|&&|\|\||OR|;)\s+(?:not\s+)?(?P<field>[a-z]+)[\w.\[\]/-]*\s*"
    r"(?:==|!=|<|>|~|in\s|contains\s|exists)"
)
_LONELY: Final = re.compile(rf"{OPAQUE}|(?P<or>^\s*or\b|\sor\s+(?=or\s)|\sor\s*$)")
_OPS: Final = {
    "is": "write == for equal",
    "equals": "write == for equal",
    "eq": "write == for equal",
    "=": "write == for equal",
    "===": "write == for equal",
    "ne": "write != for not equal",
    "<>": "write != for not equal",
    "=<": "write <= for at most",
    "=>": "write >= for at least",
    "lt": "write < for less",
    "gt": "write > for more",
    "=~": "write ~ for a regular expression",
    "matches": "write ~ for a regular expression",
    "!~": "put `not` in front and use ~: `not body ~ ...`",
    "not": "`not` stands in front of the field: `not status in 200 204`",
    "does": "`not` stands in front of the field: `not body contains ...`",
    "includes": "write `contains`",
    "has": "write `contains`",
    "between": "write two lines, one with >= and one with <=",
}
_FIELDS: Final = {
    "NOT": "write `not` in small letters",
    "OR": "write `or` in small letters",
    "and": "a list of lines means that all of them must hold",
    "AND": "a list of lines means that all of them must hold",
    "not": "once, in front of a condition, as in `not status == 500`",
    "or": "`or` stands between two conditions",
}


def check_line(text: str, fields: Sequence[str]) -> None:
    """Raises Wrong for words that join conditions in other languages, and an `or` that joins nothing."""
    stems = {re.split(r"[.\[]", name, maxsplit=1)[0] for name in fields}
    for match in _JOINED.finditer(text):
        if match["word"] and match["field"] in stems:
            start, end = match.span("word")
            word = match["word"].lower()
            is_or = word in {"or", "||"}
            fix = "write ` or ` in small letters" if is_or else "make it two lines: all of a list must hold"
            raise Wrong(
                "conditions are not joined so",
                f"{fix}; in quotes if it is text",
                start=start,
                width=end - start,
            )
    for match in _LONELY.finditer(text):
        if match["or"]:
            start = match.start("or") + len(match["or"]) - len(match["or"].lstrip())
            raise Wrong(
                "nothing stands beside this `or`",
                "write a condition there, or quote the text",
                start=start,
                width=2,
            )


def op_advice(word: str) -> str:
    """How the comparison `word` is written here; "" when it is none that we know of."""
    return _OPS.get(word.lower(), "")


def field_advice(word: str) -> str:
    """What to do about a word where a field should be; "" when there is nothing special to say."""
    if re.fullmatch(r"[\d.]+", word):
        return "the field comes first, as in `status == 200`"
    return _FIELDS.get(word, "")
