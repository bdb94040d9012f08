"""What a reload may not change, and whose ledger a disk holds."""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import settings

from watchtower.core.membership import foreign_ledger, other_cluster
from watchtower.core.model import State


def test_a_reload_cannot_change_the_cluster() -> None:
    """The same name and peers pass; another name or another peer set is refused with both in the text."""
    cluster = settings().cluster
    assert other_cluster(cluster, replace(cluster, reference=("tcp://192.0.2.1:53",))) == ""
    assert "other" in other_cluster(cluster, replace(cluster, name="other"))
    assert "cannot change" in other_cluster(cluster, replace(cluster, peers=cluster.peers[:2]))


def test_a_ledger_of_another_cluster_is_named() -> None:
    """A ledger with another name or other members is foreign."""
    cluster = settings().cluster
    own = State(cluster=cluster.name, members=cluster.peer_names)
    assert foreign_ledger(own, cluster) == ""
    assert "belongs to cluster old" in foreign_ledger(replace(own, cluster="old"), cluster)
    assert "another storage path" in foreign_ledger(replace(own, members=("x", "y", "z")), cluster)
