"""The ping key and the tokens, where no request is needed to ask.

Whole requests, cookies and scopes are tested against the running server.
"""

from __future__ import annotations

from support.web_support import NOW, PING_KEY, READ, settings

from watchtower.web.access import Access


def test_no_ping_key_matches_nothing_not_even_nothing() -> None:
    """An unset key must not be opened by an empty one."""
    access = Access(settings(ping_key=None), lambda: NOW)
    assert not access.knows_ping_key("")
    assert Access(settings(), lambda: NOW).knows_ping_key(PING_KEY)


def test_an_empty_token_logs_nobody_in() -> None:
    """Nor does one that is only a beginning of a real one."""
    access = Access(settings(), lambda: NOW)
    assert access.log_in("") is None
    assert access.log_in(READ[:-1]) is None
    assert access.log_in(READ + " ") is None
    assert access.log_in(READ) is not None
