"""Three real processes whose way to Slack is cut, whose Slack hangs or is down: who tells people, and when.

Slack is asked for by its own names over TLS, through a proxy of each peer; mail is real SMTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from support.cluster_support import Cluster, Target, running, wait_for
from support.ways_to_slack import Ways, deliveries, ways_to_slack, webhook

pytestmark = pytest.mark.timeout(400)

RESCUED_WITHIN_S = 10.0
FALLBACK_WITHIN_S = 60.0
"""A critical alert that Slack has not taken for so long goes to the fallback."""

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
    targets = {name: Target() for name in ("hung", "refused", "silent", "down")}
    alert = {"hung": "[hung, mail]", "refused": "refused", "silent": "silent", "down": "down"}
    services = "\n".join(
        f"{name}: {{url: {target.url}, interval: 2s, alert: {alert[name]}}}"
        for name, target in targets.items()
    )
    with ways_to_slack(folder) as ways:
        notify = f"mail: {ways.mailbox}\n" + "\n".join(
            f"{name}: {{url: '{webhook(name)}', fallback: mail}}" for name in targets
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
    assert "down" in str(rig.ways.mail.mails[-1].get_body(("plain",)))
