"""What a reload may change, and what it says takes effect at the next start."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import service, settings

from watchtower.core.reloading import refusal, waits_for_start
from watchtower.core.secret import Secret
from watchtower.core.settings import WAN, HistorySettings, HttpSettings, PeerSettings, ProbeSettings

OLD = settings()
CLUSTER = OLD.cluster


def moved(name: str) -> tuple[PeerSettings, ...]:
    """The peers, one of them at another address."""
    return tuple(
        replace(peer, raft_host="elsewhere") if peer.name == name else peer for peer in CLUSTER.peers
    )


def test_another_cluster_is_refused_and_other_peers_are_not() -> None:
    """The name is who we are; peers may come and go, because the ledger alone says who counts."""
    assert "cannot change" in refusal(OLD, replace(OLD, cluster=replace(CLUSTER, name="other")))
    assert refusal(OLD, replace(OLD, cluster=replace(CLUSTER, peers=CLUSTER.peers[:2]))) == ""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cluster": replace(CLUSTER, secrets=(Secret("new"), Secret("not a secret")))}, "cluster.secret"),
        ({"cluster": replace(CLUSTER, timing=WAN)}, "cluster.profile"),
        ({"cluster": replace(CLUSTER, peers=moved(OLD.me))}, "the raft address of this peer"),
        ({"http": HttpSettings(listen_port=9090)}, "http.listen"),
        ({"storage_path": "elsewhere"}, "storage.path"),
        ({"history": HistorySettings(is_on=False)}, "storage.history"),
        ({"probe": ProbeSettings(workers=2)}, "probe.workers"),
    ],
)
def test_what_is_open_already_waits_for_the_next_start(change: dict[str, Any], expected: str) -> None:
    """Each such key is named when it differs from what the process started with."""
    assert waits_for_start(OLD, replace(OLD, **change)) == (expected,)


def test_everything_else_is_taken_at_once() -> None:
    """Services, tokens, zones, witnesses and where others are need no restart; several keys are all named."""
    zones = tuple(replace(peer, zone="x", witness=peer.name == "c") for peer in moved("b"))
    bounds = ProbeSettings(concurrency=9, per_host=9)
    changed = {"services": {"web": service("web")}, "probe": bounds}
    new = replace(OLD, cluster=replace(CLUSTER, peers=zones), **changed)
    assert waits_for_start(OLD, new) == ()
    other = next(name for name in CLUSTER.peer_names if name != OLD.me)
    assert waits_for_start(OLD, replace(OLD, cluster=replace(CLUSTER, peers=moved(other)))) == ()
    both = replace(new, storage_path="x", http=HttpSettings(listen_port=1))
    assert waits_for_start(OLD, both) == ("http.listen", "storage.path")
