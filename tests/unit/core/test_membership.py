"""What a reload may not change, and whose ledger a disk holds."""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import settings

from watchtower.core.membership import foreign_ledger, other_cluster
from watchtower.core.model import State


def test_a_reload_cannot_change_the_cluster() -> None:
    """Another name is refused; peers may come and go, because the ledger alone says who counts."""
    cluster = settings().cluster
    assert other_cluster(cluster, replace(cluster, reference=("tcp://192.0.2.1:53",))) == ""
    assert "cannot change" in other_cluster(cluster, replace(cluster, name="other"))
    assert other_cluster(cluster, replace(cluster, peers=cluster.peers[:2])) == ""


def test_a_ledger_of_another_cluster_is_named() -> None:
    """A ledger with another name is foreign; an empty one, or one with other members, is not."""
    cluster = settings().cluster
    own = State(cluster=cluster.name, members=cluster.peer_names)
    assert foreign_ledger(State(), cluster) == ""
    assert foreign_ledger(own, cluster) == ""
    assert foreign_ledger(replace(own, members=("x", "y", "z")), cluster) == ""
    assert "belongs to cluster old" in foreign_ledger(replace(own, cluster="old"), cluster)
