"""Is it still the same cluster? What a reload may not change, and whose ledger this is.

Both questions are answered with a sentence for people, or "" when all is well.
"""

from __future__ import annotations

from watchtower.core.model import State
from watchtower.core.settings import ClusterSettings


def other_cluster(old: ClusterSettings, new: ClusterSettings) -> str:
    """Why `new` cannot be taken by a reload: it changes who the cluster is, not what it watches."""
    if (old.name, set(old.peer_names)) == (new.name, set(new.peer_names)):
        return ""
    return (
        f"the file now names cluster {new.name} with peers {', '.join(new.peer_names)}, but this peer "
        f"runs {old.name} with {', '.join(old.peer_names)}: a reload cannot change the cluster"
    )


def foreign_ledger(state: State, cluster: ClusterSettings) -> str:
    """Why the ledger on this disk is not that of `cluster`."""
    if state.cluster == cluster.name and set(state.members) == set(cluster.peer_names):
        return ""
    return (
        f"the ledger belongs to cluster {state.cluster} with peers {', '.join(state.members)}, but the file "
        f"names {cluster.name} with {', '.join(cluster.peer_names)}: correct the file, or give this peer "
        "another storage path"
    )
