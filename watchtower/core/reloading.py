"""What a reload may change, and what of it waits for the next start.

A file of another cluster is refused. What a process has opened already (its ports, its folder, its trust)
stays as it is until it starts again, and whoever reloads is told so.
"""

from __future__ import annotations

from watchtower.core.settings import Settings


def refusal(old: Settings, new: Settings) -> str:
    """Why `new` cannot be taken: it is another cluster. Peers may come and go; "" when it can."""
    if old.cluster.name == new.cluster.name:
        return ""
    return (
        f"the file now names cluster {new.cluster.name}, this peer runs {old.cluster.name}: "
        "a reload cannot change that"
    )


def waits_for_start(started: Settings, new: Settings) -> tuple[str, ...]:
    """Keys in which `new` differs from what this process `started` with and that a reload does not touch."""
    mine, cluster = started.cluster, new.cluster
    changed = {
        "cluster.secret": mine.secrets != cluster.secrets,
        "cluster.profile": mine.timing != cluster.timing,
        "the raft address of this peer": _listens_for_peers(started) != _listens_for_peers(new),
        "http.listen": _listens(started) != _listens(new),
        "storage.path": started.storage_path != new.storage_path,
        "probe.workers": started.probe.workers != new.probe.workers,
        "storage.history": started.history.is_on != new.history.is_on,
    }
    return tuple(key for key, differs in changed.items() if differs)


def _listens_for_peers(settings: Settings) -> tuple[str, int]:
    mine = settings.cluster.peer(settings.me)
    return mine.raft_host, mine.raft_port


def _listens(settings: Settings) -> tuple[str, int]:
    return settings.http.listen_host, settings.http.listen_port
