"""What a reload may not change, and whose ledger a disk holds."""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import settings

from watchtower.core.membership import foreign_ledger
from watchtower.core.model import State


def test_a_ledger_of_another_cluster_is_named() -> None:
    """A ledger with another name is foreign; an empty one, or one with other members, is not."""
    cluster = settings().cluster
    own = State(cluster=cluster.name, members=cluster.peer_names)
    assert foreign_ledger(State(), cluster) == ""
    assert foreign_ledger(own, cluster) == ""
    assert foreign_ledger(replace(own, members=("x", "y", "z")), cluster) == ""
    assert "belongs to cluster old" in foreign_ledger(replace(own, cluster="old"), cluster)
