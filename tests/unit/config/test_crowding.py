"""What `check` says of many services at one host."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import service, settings

from watchtower.config.crowding import crowded
from watchtower.core.settings import ProbeSettings, Service
from watchtower.core.targets import DnsTarget, HttpTarget, IcmpTarget


def farm(count: int, interval_s: float, url: str = "https://h.example/") -> list[Service]:
    """So many services of one host."""
    return [service(f"s{number}", HttpTarget(url=url), interval_s=interval_s) for number in range(count)]


def test_a_crowded_host_is_told_with_the_time_that_is_left_and_the_setting() -> None:
    """Four at a time and forty a second leave a look a tenth of a second."""
    (said,) = crowded(settings(*farm(400, 10.0), service("other")))
    assert said == (
        "400 services at h.example:443 are looked at 40 times a second by each peer. With `probe.per_host` 4 "
        "they are late or left out, never down, when a look takes over 100 ms. Should it, set "
        "`probe: {per_host: 11}`."
    )


@pytest.mark.parametrize(
    "services",
    [
        farm(40, 10.0),
        farm(400, 100.0),
        [
            *farm(100, 10.0),
            *(replace(one, name=f"t-{one.name}") for one in farm(100, 10.0, "http://h.example/")),
        ],
        [service(f"s{number}", DnsTarget(name="h.example"), interval_s=1.0) for number in range(400)],
        [],
    ],
    ids=["few", "rare", "two ports", "no place", "none"],
)
def test_what_leaves_time_enough_is_no_news(services: list[Service]) -> None:
    """Few looks, rare looks, looks at different ports, and looks at no one place."""
    assert crowded(settings(*services)) == []


def test_the_setting_helps() -> None:
    """What is advised is enough."""
    made = settings(*farm(400, 10.0))
    assert crowded(replace(made, probe=ProbeSettings(per_host=11))) == []


def test_a_host_without_a_port_is_a_place_as_well() -> None:
    """Pings have none."""
    pinged = [service(f"s{number}", IcmpTarget(host="h.example"), interval_s=1.0) for number in range(40)]
    assert crowded(settings(*pinged))[0].startswith("40 services at h.example are looked at 40 times")
