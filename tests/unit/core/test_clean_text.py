"""core/text.py: what foreign text may never carry on, whatever it is.

Tables for each kind of poison, and hypothesis for the promises that hold of any text.
"""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.core.model import EVIDENCE_TEXT_MAX
from watchtower.core.text import clean, sight


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("HTTP 200 in 81 ms", "HTTP 200 in 81 ms"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("a\x00b\x1b[31mred", "ab[31mred"),
        ("pay\u202eevil\u202c me\u200b", "payevil me"),
        ("half \ud800 of a pair", "half of a pair"),
        ("  much   space  ", "much space"),
        ("http://ann:s3cret@db.example/x", "http://***@db.example/x"),
        ("http://tok@db.example/x", "http://***@db.example/x"),
        ("http://ann:p@ss@db.example/x", "http://***@db.example/x"),
        ("cannot reach 'ann:s3cret@db.example'", "cannot reach '***@db.example'"),
        ("http://db.example/@ann", "http://db.example/@ann"),
        ("mail ann@db.example about it", "mail ann@db.example about it"),
        ("/x?token=abc&n=1", "/x?token=***&n=1"),
        ("/x?n=1&api_key=abc#top", "/x?n=1&api_key=***#top"),
        ("/x?X-Amz-Security-Token=abc&code=abc&barcode=7", "/x?X-Amz-Security-Token=***&code=***&barcode=7"),
    ],
)
def test_poison_is_taken_out(raw: str, wanted: str) -> None:
    """Line breaks become spaces, what cannot be seen goes, credentials are hidden, the rest stays."""
    assert clean(raw) == wanted


def test_a_long_text_says_that_it_was_cut() -> None:
    """A text over the limit ends in an ellipsis and is exactly as long as allowed."""
    cut = clean("x" * 500, 20)
    assert cut == "x" * 19 + "…"


@given(st.text(max_size=400), st.integers(min_value=1, max_value=200))
def test_any_text_ends_up_on_one_visible_line(raw: str, limit: int) -> None:
    """No text at all gets a control character or a line break through, or is longer than the limit."""
    cleaned = clean(raw, limit)
    assert len(cleaned) <= limit
    assert not [char for char in cleaned if unicodedata.category(char)[0] == "C"]
    assert len(cleaned.splitlines()) <= 1


@given(st.text(max_size=400))
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    """A cleaned text passes unchanged, so that evidence may be cleaned wherever it enters."""
    once = clean(raw)
    assert clean(once) == once


@pytest.mark.parametrize("poison", ["a" * 2_000_000, "a:" * 1_000_000, "://" * 700_000, "?" * 2_000_000])
def test_a_hostile_length_costs_little(poison: str) -> None:
    """Megabytes made to slow a pattern down are cleaned in a blink."""
    begun = time.process_time()
    assert len(clean(poison)) <= EVIDENCE_TEXT_MAX
    assert time.process_time() - begun < 0.5


def test_no_printable_character_is_changed() -> None:
    """The short way for text that is printable as it is loses nothing that the long way would take out."""
    for code in range(0x110000):
        character = chr(code)
        if character.isprintable() and not character.isspace():
            assert clean(f"a{character}b") == f"a{character}b"
            assert unicodedata.category(character)[0] != "C"


@pytest.mark.parametrize(
    ("opinion", "text", "is_suspect", "says"),
    [
        ("down", "timeout after 10 s", False, "down: timeout after 10 s"),
        ("up", "", False, "up"),
        ("up", "connection refused", True, "up, but its latest look failed: connection refused"),
        ("down", "connection refused", True, "down: connection refused (looks again)"),
        ("up", "", True, "up (looks again)"),
    ],
)
def test_an_opinion_that_is_not_settled_says_so(opinion: str, text: str, is_suspect: bool, says: str) -> None:
    """The word is of the older looks, the text of the latest: never side by side as if they were one."""
    assert sight(opinion, text, is_suspect=is_suspect) == says
