"""Routing: which channels hear of a subject.

A service's own list wins; everything else goes to the first channel of the file.
"""

from __future__ import annotations

import pytest
from support.core_support import peer_services, service, settings

from watchtower.core.routing import channels

CONFIG = settings(
    service("web", alert=("mail", "pager")),
    service("api"),
    *peer_services(),
    channels={"chat": "", "mail": "", "pager": ""},
)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("web", ("mail", "pager")),
        ("api", ("chat",)),
        ("peer/b", ("chat",)),
        ("cluster", ("chat",)),
        ("no longer configured", ("chat",)),
    ],
)
def test_who_hears(subject: str, expected: tuple[str, ...]) -> None:
    """`alert:` of the service, else the first channel."""
    assert channels(subject, CONFIG) == expected


def test_without_channels_nobody_hears() -> None:
    """Watching without telling is possible: no channel, no notification."""
    assert channels("web", settings(service("web"), channels={})) == ()
