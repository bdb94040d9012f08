"""delivery/redaction.py: no secret part of a channel URL survives in a log line, a traceback or a detail."""

from __future__ import annotations

import base64
import logging

import pytest
from msgspec.structs import replace
from support.core_support import settings

from watchtower.core import links
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery.redaction import MASK, Redactor, quiet

CANARY = "CANARY0123456789abcdef"
URLS = [
    f"slack://T1JJ3T3L2/A1BRTD4JD/{CANARY}/#ops",
    f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{CANARY}",
    f"slack://{CANARY}/#ops",
    f"mailtos://ops:{CANARY}@smtp.example.com/?to=ops@example.com",
    f"json://hooks.example.com/in?+Authorization=Bearer%20{CANARY}",
    f"json://user:{CANARY}@hooks.example.com/in",
    f"pagerduty://{CANARY}",
    f"ntfys://ntfy.example.com/topic?token={CANARY}",
    f"tgram://123456789:{CANARY}/12315544/",
]


def channel(url: str) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0])


@pytest.mark.parametrize("url", URLS)
def test_no_secret_part_survives(url: str) -> None:
    """As the whole URL, alone in a sentence, and in the form the HTTP library would print."""
    redactor = Redactor([channel(url)])
    for text in (url, f"invalid token ({CANARY}) was given", f"/services/T1JJ3T3L2/{CANARY} refused"):
        shown = redactor.redact(text)
        assert CANARY not in shown
        assert MASK in shown


def test_the_header_of_a_login_is_masked() -> None:
    """A provider that repeats what it was sent repeats base64."""
    header = base64.b64encode(f"user:{CANARY}".encode()).decode()
    assert Redactor([channel(URLS[5])]).redact(f"bad header Basic {header}") == f"bad header Basic {MASK}"


def test_what_is_no_secret_stays_readable() -> None:
    """Hosts, channel names and addresses are needed to act on a log line."""
    redactor = Redactor([channel(URLS[3]), channel(URLS[0])])
    text = "smtp.example.com refused ops@example.com on #ops"
    assert redactor.redact(text) == text


def test_credentials_of_unknown_urls_are_masked_too() -> None:
    """Any `user:password@` in any URL goes, known or not."""
    assert Redactor().redact("at https://bob:pw@x.example/y") == f"at https://{MASK}@x.example/y"


def test_log_records_are_masked_with_arguments_and_traceback() -> None:
    """The filter works on the finished record: message, arguments and exception text."""
    redactor = Redactor([channel(URLS[0])])
    error = ValueError(f"POST {URLS[0]} failed")
    info = (ValueError, error, None)
    record = logging.LogRecord("apprise", logging.WARNING, "f", 1, "bad token %s", (CANARY,), info)
    assert redactor.filter(record)
    assert CANARY not in logging.Formatter().format(record)


def test_the_noisy_libraries_never_print_at_debug() -> None:
    """At DEBUG apprise and urllib3 print whole webhook URLs, so DEBUG of the root never reaches them."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        quiet(Redactor())
        quiet(Redactor())
        for name in ("apprise", "requests", "urllib3", "urllib3.connectionpool", "urllib3.util.retry"):
            logger = logging.getLogger(name)
            assert not logger.isEnabledFor(logging.DEBUG), name
            assert len([one for one in logger.filters if isinstance(one, Redactor)]) == 1
        assert not logging.getLogger("apprise").isEnabledFor(logging.INFO)
    finally:
        root.setLevel(before)


@pytest.mark.parametrize("slash", ["/", "\\/", "%2F", "%2f"])
def test_a_link_to_act_by_is_masked(slash: str) -> None:
    """Whoever reads what a provider said of our message must not be able to act by it."""
    plain = settings()
    with_secret = replace(plain, cluster=replace(plain.cluster, secrets=(Secret("s" * 32),)))
    for incident in range(1, 40):
        word = links.code(with_secret, incident)
        url = f"https://w.example{slash}base{slash}a{slash}{incident}{slash}"
        shown = Redactor().redact(f'400 {{"echo": "Acknowledge: {url}{word}#silence"}}')
        assert shown == f'400 {{"echo": "Acknowledge: {url}{MASK}#silence"}}'
    assert Redactor().redact("see https://w.example/a/b/c and /data/12/x") == (
        "see https://w.example/a/b/c and /data/12/x"
    )
