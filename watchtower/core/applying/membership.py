"""Who the cluster is: the ledger's members, how they change, and what a file that names others means.

The ledger alone says who counts in Raft; a file says where peers are and who judges services. Members
change one at a time, and only once every member that stays runs with the membership before: then old and
new majorities always overlap. Nothing here proposes anything.
"""

from __future__ import annotations

from msgspec.structs import replace

from watchtower.core.commands import Resize
from watchtower.core.model import State
from watchtower.core.settings import ClusterSettings


def resize_refusal(state: State, command: Resize) -> str:
    """Why the members may not become those of `command`; "" when they may."""
    old, new = set(state.members), set(command.members)
    if command.members_gen != state.members_gen:
        return f"membership {command.members_gen} is not the current {state.members_gen}"
    if len(old ^ new) != 1 or len(new) != len(command.members) or not new:
        return "members change one at a time: add one, or remove one"
    behind = [name for name in sorted(old & new) if state.row(name).members_gen != state.members_gen]
    return f"not confirmed the current members yet: {', '.join(behind)}" if behind else ""


def resized(state: State, command: Resize) -> State:
    """The state with the members of `command`; of a removed peer nothing is left but its session's number."""
    peers = {name: row for name, row in state.peers.items() if name in command.members}
    removed = max((row.session for name, row in state.peers.items() if name not in peers), default=0)
    return replace(
        state,
        members=tuple(sorted(command.members)),
        members_gen=state.members_gen + 1,
        resized_wall=command.at_wall,
        session_base=max(state.session_base, removed),
        peers=peers,
        # Who judges has changed, and with it what a majority is.
        rev_base=state.rev_base + 1,
    )


def voters(state: State, named: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the peers `named` by the file that are members: nobody else can have a vote.

    A member that is dead or sick stays one, so a verdict is never reached by fewer than it should be.
    """
    return tuple(name for name in named if name in state.members) or named


def version_of_all(state: State) -> int:
    """The newest command version that a live session of every member knows; 0 when one has none."""
    rows = [state.row(name) for name in state.members]
    return min((row.command_version if row.boot_id else 0 for row in rows), default=0)


def majority(state: State) -> int:
    """Smallest number of members that is more than half of them."""
    return len(state.members) // 2 + 1


# ---- a file and the ledger


def foreign_ledger(state: State, cluster: ClusterSettings) -> str:
    """Why the ledger on this disk is not that of `cluster`; "" when it is, or is still empty."""
    if state.cluster in ("", cluster.name):
        return ""
    return (
        f"the ledger belongs to cluster {state.cluster} with peers {', '.join(state.members)}, but the file "
        f"names {cluster.name} with {', '.join(cluster.peer_names)}: correct the file, or give this peer "
        "another storage path"
    )


def mismatch(state: State, cluster: ClusterSettings) -> str:
    """How the file's peers differ from the ledger's members; "" when they do not. Nobody stops for it."""
    if not state.cluster or set(state.members) == set(cluster.peer_names):
        return ""
    return (
        f"the file names {', '.join(cluster.peer_names)}, the cluster has {', '.join(state.members)}: "
        "finish `watchtower cluster resize`"
    )


def outsider(state: State, cluster: ClusterSettings, me: str) -> str:
    """Why `me` follows but takes no part: it is no member (yet, or any more); "" when it is one."""
    if not state.cluster or me in state.members:
        return ""
    return f"{me} is not a member: {mismatch(state, cluster)}"
