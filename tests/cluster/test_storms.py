"""Hundreds of services fail at once, and a Slack that takes one message a second: few messages, all named.

The sink refuses with 429 what comes sooner, and nothing is taken until the time that it asks for is over;
the alerter is killed in the middle.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.cluster_support import Cluster, running, wait_for
from support.sink_limits import Limit
from support.sink_log import Received
from support.sinks import HttpSink
from support.storms import Crowd, Listeners, followed, links_in, named_in, owed
from support.wire_targets import TcpTarget

pytestmark = pytest.mark.timeout(600)

MESSAGES_MAX = 10
FIRST_WITHIN_S = 2.0
ASKED_TO_WAIT_S = 10.0
"""Longer than it takes another peer to come to office."""

ASKED = "asked"

Measured = Callable[[str], None]


class Storm:
    """One cluster, one crowd, one limited sink."""

    def __init__(self, folder: Path, count: int, *, needs: bool) -> None:
        self.root, self.crowd, self.sink = TcpTarget(), Crowd(count), HttpSink()
        root = f"db: {{url: 'tcp://127.0.0.1:{self.root.port}', interval: 10s}}\n"
        self.lines = (root if needs else "") + self.crowd.lines(", needs: [db]" if needs else "")
        self.names = [*self.crowd.names, *(["db"] if needs else [])]
        self.folder = folder

    def cluster(self) -> Cluster:
        """The peers, told of the sink."""
        notify = f"chat: slack://T00000000/B00000000/{'x' * 24}/?server={self.sink.url}"
        return Cluster(self.folder, services=self.lines, notify=notify)

    def taken(self) -> list[Received]:
        """What the sink took."""
        return [item for item in self.sink.received if item.mode == "ok"]

    def fail(self) -> float:
        """Everything is gone at once."""
        self.root.close()
        self.crowd.close()
        return time.time()

    def unnamed(self, cluster: Cluster) -> set[str]:
        """Services that no message names, nor what a message links to."""
        taken = self.taken()
        left = set(self.names) - named_in(" ".join(item.body for item in taken), self.names)
        for page in followed(links_in(taken), cluster) if left else ():
            left -= named_in(page, left)
        return left


@contextlib.contextmanager
def storm_of(count: int, folder: Path, *, needs: bool) -> Iterator[Storm]:
    """A crowd of that size, behind one dependency or not."""
    made = Storm(folder, count, needs=needs)
    try:
        yield made
    finally:
        made.root.close()
        made.crowd.close()


def all_are(cluster: Cluster, verdict: str, count: int) -> bool:
    """Whether so many services have this verdict, peers aside, as one peer shows it."""
    for peer in tuple(cluster.processes):
        answer = cluster.get(peer, "/api/v1/status", timeout_s=10.0)
        if isinstance(answer, dict) and "services" in answer:
            names = [one["name"] for one in answer["services"] if one["verdict"] == verdict]
            return len([name for name in names if not name.startswith("peer/")]) >= count
    return False


def run(storm: Storm, measured: Measured, *, kill_when: str, recovers: bool) -> Received:
    """The storm from its first second to the last message, what must hold, and the first message.

    The alerter is killed when another peer knows that a message was `accepted` or `rejected`, or at once
    when the sink was ASKED, and nobody else knows what it said.
    """
    count = len(storm.names)
    with storm.sink as sink:
        cluster = storm.cluster()
        with running(cluster, timeout_s=60):
            wait_for(lambda: all_are(cluster, "up", count), 60, "all are up", every_s=0.3)
            sink.limit = Limit(retry_after_s=ASKED_TO_WAIT_S)
            heard = Listeners(cluster)
            began = storm.fail()
            sink.log.wait_for(1, 60)
            if kill_when != ASKED:
                wait_for(lambda: is_known(cluster, kill_when), 30, f"known to be {kill_when}")
            cluster.kill(cluster.alerter())
            wait_for(lambda: all_are(cluster, "down", count), 60, "all are down", every_s=0.3)
            wait_for(lambda: not storm.unnamed(cluster), 90, "every service is named or linked", every_s=1.0)
            wait_for(lambda: not owed(cluster), 60, "nothing is owed", every_s=0.5)
            taken = storm.taken()
            first_s = taken[0].at_wall - heard.first_down_wall
            measured(
                f"{count} services, alerter killed when {kill_when}: {len(taken)} messages within "
                f"{taken[-1].at_wall - began:.1f} s, first bytes {first_s:+.2f} s after the first verdict, "
                f"{len(sink.limit.refused)} refused by 429, {len(sink.limit.hammered)} too soon"
            )
            assert len(taken) <= MESSAGES_MAX
            assert first_s < FIRST_WITHIN_S
            assert sink.limit.hammered == [], "Retry-After is kept, whoever sends"
            if recovers:
                recover(storm, cluster, measured, len(taken))
    return taken[0]


def is_known(cluster: Cluster, outcome: str) -> bool:
    """Whether a peer that is not the alerter shows an attempt that ended so."""
    other = next(peer for peer in cluster.names if peer != cluster.alerter())
    answer = cluster.get(other, "/api/v1/notifications?limit=200", timeout_s=10.0)
    ends = {attempt["outcome"] for item in answer["notifications"] for attempt in item["attempts"]}
    return outcome in ends


def recover(storm: Storm, cluster: Cluster, measured: Measured, told: int) -> None:
    """What comes back is told by few messages as well."""
    storm.root.open()
    storm.crowd.open()
    began = time.time()
    wait_for(lambda: all_are(cluster, "up", len(storm.names)), 90, "all are up again", every_s=0.3)
    wait_for(lambda: len(storm.taken()) > told and not owed(cluster), 90, "all was told", every_s=0.5)
    more = storm.taken()[told:]
    measured(f"recovered: {len(more)} messages within {more[-1].at_wall - began:.1f} s")
    assert len(more) <= MESSAGES_MAX


SIZES = [60, pytest.param(500, marks=pytest.mark.full)]


@pytest.mark.parametrize("count", SIZES)
def test_a_dead_dependency(count: int, tmp_path: Path, full: bool, measured: Measured) -> None:
    """The cause is told first, what it takes along is folded into it, nothing is lost with the alerter."""
    with storm_of(count, tmp_path, needs=True) as storm:
        assert "[DOWN] db " in run(storm, measured, kill_when="accepted", recovers=full).json["text"]


@pytest.mark.parametrize("count", SIZES)
def test_services_that_fail_at_once(count: int, tmp_path: Path, full: bool, measured: Measured) -> None:
    """Nothing says that they belong together: digests keep the messages few, and Retry-After is kept."""
    with storm_of(count, tmp_path, needs=False) as storm:
        run(storm, measured, kill_when="rejected", recovers=full)


@pytest.mark.full
@pytest.mark.parametrize("needs", [True, False])
def test_the_alerter_dies_while_it_sends(needs: bool, tmp_path: Path, measured: Measured) -> None:
    """What was on its way is told again by another peer, with everything that came since."""
    with storm_of(500, tmp_path, needs=needs) as storm:
        run(storm, measured, kill_when=ASKED, recovers=True)
