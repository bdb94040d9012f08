"""The probe worker of one of three real peers breaks: one alert about that peer, none about any service."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.arrivals import from_hook
from support.cluster_support import PEERS, Cluster, Target, running, wait_for
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(180)

SERVICES = ("s0", "s1", "s2", "s3")


class Scene:
    """Three peers that watch four services, and all they have told."""

    def __init__(self, cluster: Cluster, sink: HttpSink, targets: list[Target]) -> None:
        self.cluster = cluster
        self.sink = sink
        self.targets = targets

    def worker(self, peer: str) -> int:
        """The process id of the peer's worker; 0 while there is none."""
        pid = self.cluster.processes[peer].pid
        return next(iter(children(pid)), 0)

    def new_worker(self, peer: str, old: int) -> int:
        """The worker that has replaced `old`."""
        return wait_for(lambda: self.worker(peer) not in (0, old) and self.worker(peer), 10, "a new worker")

    def told(self) -> list[tuple[str, str]]:
        """What people were told, as (subject, transition), in order."""
        return [(one.service, one.kind) for one in map(from_hook, self.sink.received)]

    def until_told(self, peer: str, transition: str, within_s: float) -> None:
        """Until this about the peer has been told."""
        wait_for(lambda: (f"peer/{peer}", transition) in self.told(), within_s, f"{peer} {transition}")

    def votes_down(self) -> list[str]:
        """Services that any peer votes anything but up or unknown on just now."""
        shown = [self.cluster.get(peer, f"/api/v1/services/{name}") for peer in PEERS for name in SERVICES]
        return [
            f"{one['name']} {vote}"
            for one in shown
            if one
            for vote in one["votes"]
            if vote["opinion"] not in ("up", "unknown")
        ]


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[Scene]:
    """A cluster in which all is well."""
    with contextlib.ExitStack() as stack:
        targets = [Target() for _ in SERVICES]
        for target in targets:
            stack.callback(target.close)
        sink = stack.enter_context(HttpSink())
        lines = [
            f"{name}: {{url: {target.url}, interval: 1s, timeout: 1s}}"
            for name, target in zip(SERVICES, targets, strict=True)
        ]
        cluster = Cluster(folder, services="\n".join(lines), notify=f"hook: json://127.0.0.1:{sink.port}/")
        stack.enter_context(running(cluster))
        for name in SERVICES:
            cluster.wait_verdict(name, "up")
        yield Scene(cluster, sink, targets)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The same one for all faults: each is over and told as over before the next."""
    with watching(tmp_path_factory.mktemp("workers")) as watched:
        yield watched


def kill_twice(scene: Scene, peer: str) -> Callable[[], None]:
    """SIGKILL, and again as soon as there is another one."""
    first = scene.worker(peer)
    os.kill(first, signal.SIGKILL)
    os.kill(scene.new_worker(peer, first), signal.SIGKILL)
    return lambda: None


def stop(scene: Scene, peer: str) -> Callable[[], None]:
    """SIGSTOP, which nobody takes back."""
    os.kill(scene.worker(peer), signal.SIGSTOP)
    return lambda: None


def starve(scene: Scene, peer: str) -> Callable[[], None]:
    """No descriptor more than it holds already, and less."""
    pid = scene.worker(peer)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))

    def mend() -> None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    return mend


@pytest.mark.parametrize(
    ("peer", "fault", "words"),
    [
        ("a", kill_twice, "its probe worker was ended by signal 9"),
        ("b", stop, "its probe worker has said nothing for 2 s"),
        ("c", starve, "no free file descriptor"),
    ],
)
def test_one_alert_about_the_peer_and_none_about_a_service(
    scene: Scene, peer: str, fault: Callable[[Scene, str], Callable[[], None]], words: str
) -> None:
    """The others go on judging; the peer says why it doubts itself, is well by itself, and that is told."""
    before = len(scene.told())
    mend = fault(scene, peer)
    scene.until_told(peer, "firing", 15)
    assert scene.votes_down() == []
    assert {scene.cluster.verdict("a", name) for name in SERVICES} == {"up"}
    reasons = [
        one["reason"]
        for one in scene.cluster.get("a", "/api/v1/incidents")["incidents"]
        if one["service"] == f"peer/{peer}"
    ]
    assert len(reasons) == 1
    assert words in reasons[0]
    mend()
    scene.until_told(peer, "resolved", 25)
    assert scene.told()[before:] == [(f"peer/{peer}", "firing"), (f"peer/{peer}", "resolved")]


def test_a_worker_dies_with_its_peer_and_a_stopped_peer_keeps_its_worker(tmp_path: Path) -> None:
    """Eight stopped seconds cost neither a worker nor a verdict; kill -9 of a peer leaves no process."""
    with watching(tmp_path) as scene:
        worker = scene.worker("b")
        scene.cluster.signal("b", signal.SIGSTOP)
        until = time.monotonic() + 8
        wait_for(lambda: time.monotonic() > until, 10, "eight seconds")
        scene.cluster.signal("b", signal.SIGCONT)
        scene.cluster.wait_ready("b")
        assert scene.worker("b") == worker
        assert scene.votes_down() == []
        assert [one for one in scene.told() if not one[0].startswith("peer/")] == []
        scene.cluster.kill("b")
        wait_for(lambda: not Path(f"/proc/{worker}").exists(), 5, "the worker gone")


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
