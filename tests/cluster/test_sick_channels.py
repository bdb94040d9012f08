"""Three real processes whose way to Slack is cut, whose Slack hangs or is down: who tells people, and when.

Slack is asked for by its own names over TLS, through a proxy of each peer; mail is real SMTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from support.cluster_support import Cluster, Target, running, wait_for
from support.ways_to_slack import Ways, deliveries, ways_to_slack, webhook

pytestmark = pytest.mark.timeout(400)

RESCUED_WITHIN_S = 10.0
FALLBACK_WITHIN_S = 60.0
"""A critical alert that Slack has not taken for so long goes to the fallback."""

QUIET_S = 15.0
"""So long nothing else comes after the one summary."""

UNFINISHED = ("pending", "claimed", "uncertain")
OUT = ("out-1", "out-2", "out-3")
"""The services whose Slack is down for all peers."""

Measured = Callable[[str], None]


class Rig:
    """The cluster, one target for each test, and the outside."""

    def __init__(self, cluster: Cluster, ways: Ways, targets: dict[str, Target]) -> None:
        self.cluster, self.ways, self.targets = cluster, ways, targets

    def mails(self, service: str) -> list[tuple[float, str]]:
        """When which subjects arrived by mail about the service."""
        pairs = zip(self.ways.mail.received, self.ways.mail.mails, strict=False)
        told = [(item.at_wall, str(mail["Subject"])) for item, mail in pairs]
        return [(at_wall, subject) for at_wall, subject in told if f"] {service} (" in subject]

    def opened_wall(self, service: str) -> float:
        """When the latest incident of the service was opened, by the alerter's clock."""
        incidents = self.cluster.get("a", f"/api/v1/incidents?service={service}")["incidents"]
        return datetime.fromisoformat(incidents[0]["opened_at"]).timestamp()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A cluster with a service and a webhook for each test."""
    folder = tmp_path_factory.mktemp("sick")
    channels = ("hung", "refused", "silent", "down", "out")
    targets = {name: Target() for name in (*channels[:-1], *OUT)}
    alert = {name: name for name in channels} | {"hung": "[hung, mail]"} | dict.fromkeys(OUT, "out")
    services = "\n".join(
        f"{name}: {{url: {target.url}, interval: 2s, alert: {alert[name]}}}"
        for name, target in targets.items()
    )
    with ways_to_slack(folder) as ways:
        notify = f"mail: {ways.mailbox}\n" + "\n".join(
            f"{name}: {{url: '{webhook(name)}', fallback: mail}}" for name in channels
        )
        cluster = Cluster(folder, services=services, notify=notify)
        cluster.environ = ways.environ
        with running(cluster):
            for name in targets:
                cluster.wait_verdict(name, "up")
            yield Rig(cluster, ways, targets)
    for target in targets.values():
        target.close()


def test_a_hung_slack_does_not_delay_mail(rig: Rig, measured: Measured) -> None:
    """Slack takes the request and never answers; mail, told of in the same entry, does not wait for it."""
    rig.ways.slack.mode_of["hunghung"] = "hang"
    rig.targets["hung"].close()
    wait_for(lambda: rig.ways.asked("hung") and rig.mails("hung"), 20, "both were asked")
    asked, told = rig.ways.asked("hung")[0].at_wall, rig.mails("hung")[0][0]
    measured(f"mail {told - asked:+.2f} s after the first byte at the hung Slack")
    assert told - asked < 1.0
    assert told - rig.opened_wall("hung") < 2.0, "the time of an incident is in whole seconds"


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_one_peers_way_to_slack_is_cut(rig: Rig, how: str, measured: Measured) -> None:
    """The peer that would tell cannot; another one does, by Slack and not by mail, and once."""
    cut = rig.cluster.alerter()
    rig.ways.cut(cut, how)
    try:
        rig.targets[how].close()
        (told, *more) = wait_for(lambda: rig.ways.arrived(how), 30, "told by Slack")
        rescued_s = told.at_wall - rig.opened_wall(how)
        (item,) = wait_for(
            lambda: [one for one in deliveries(rig.cluster, how) if one["stage"] == "delivered"],
            10,
            "settled",
        )
    finally:
        rig.ways.cut(cut, "")
    measured(f"{how}: by Slack from another peer {rescued_s:.1f} s after the incident opened")
    assert item["attempts"][-1]["peer"] != cut
    assert rescued_s < RESCUED_WITHIN_S
    assert (more, rig.mails(how)) == ([], [])


def test_slack_is_down_for_good(rig: Rig) -> None:
    """A webhook that is gone is no matter of waiting: mail at once, and it says why."""
    rig.ways.slack.mode_of["downdown"] = "404"
    rig.targets["down"].close()
    wait_for(lambda: rig.mails("down"), 20, "told by mail")
    asked, told = rig.ways.asked("down")[0].at_wall, rig.mails("down")[0][0]
    assert told - asked < 2.0
    bodies = [
        part.get_content() for mail in rig.ways.mail.mails if (part := mail.get_body(("plain",))) is not None
    ]
    (why,) = [line for body in bodies for line in body.splitlines() if "Sent here" in line]
    assert "because down cannot work as configured: " in why
    assert "404" in why


@pytest.mark.full
@pytest.mark.parametrize("fault", ["503", "cut"])
def test_slack_is_down_for_a_while(rig: Rig, fault: str, measured: Measured) -> None:
    """Mail within the limit of a critical alert, each service once; one summary on Slack when it is back."""
    slack_down(rig, fault)
    before, mailed = len(rig.ways.arrived("out")), [len(rig.mails(name)) for name in OUT]
    for name in OUT:
        rig.targets[name].close()
    try:
        for name, count in zip(OUT, mailed, strict=True):
            wait_for(
                lambda name=name, count=count: len(rig.mails(name)) > count,  # type: ignore[misc] # the defaults bind the names
                FALLBACK_WITHIN_S + 30,
                f"mail about {name}",
            )
        delays_s = [rig.mails(name)[-1][0] - rig.opened_wall(name) for name in OUT]
        measured(f"{fault}: by mail {min(delays_s):.1f} to {max(delays_s):.1f} s after the incidents opened")
        assert max(delays_s) < FALLBACK_WITHIN_S + 5
    finally:
        slack_down(rig, "")
    back_wall = time.time()
    wait_for(lambda: len(rig.ways.arrived("out")) > before, 90, "a summary on Slack")
    summary = rig.ways.arrived("out")[before]
    measured(f"{fault}: summary {summary.at_wall - back_wall:.1f} s after Slack was back")
    wait_for(lambda: time.time() > summary.at_wall + QUIET_S, 30, "quiet")
    assert len(rig.ways.arrived("out")) == before + 1
    assert all(name in summary.body for name in OUT)
    assert [len(rig.mails(name)) for name in OUT] == [count + 1 for count in mailed]
    recovered(rig)


def recovered(rig: Rig) -> None:
    """All is well again, and told to the end."""
    for name in OUT:
        rig.targets[name].open()
    for name in OUT:
        rig.cluster.wait_verdict(name, "up", timeout_s=30)
    wait_for(lambda: all(deliveries(rig.cluster, name, "resolved") for name in OUT), 30, "recovered")
    wait_for(lambda: not waiting(rig), 60, "nothing of this channel is owed")


def waiting(rig: Rig) -> list[dict[str, Any]]:
    """What is still to be told by the webhook."""
    items = rig.cluster.get("a", "/api/v1/notifications?limit=200")["notifications"]
    return [item for item in items if item["channel"] == "out" and item["stage"] in UNFINISHED]


def slack_down(rig: Rig, fault: str) -> None:
    """Slack answers 503, or no peer has a way to it; "" is well."""
    rig.ways.slack.mode_of["out" * 8] = "500" if fault == "503" else "ok"
    for peer in rig.ways.proxies:
        rig.ways.cut(peer, "refused" if fault == "cut" else "")
