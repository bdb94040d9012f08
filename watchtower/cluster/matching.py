"""What of a leader's entries a log has already: the part that must not be cut and added again.

Pure: a log is a sequence of (command, index, term) without gaps. Entries of equal index and term are equal,
and so is everything before them (Raft's log matching property).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from watchtower.cluster.frames import LogEntry, Message

_RESIZE: Final = b'"type":"resize"'
"""What only a command that changes the members holds (core/commands.py)."""


def without_known(log: Sequence[LogEntry], message: Message) -> Message:
    """`message` without the entries at its front that `log` has already, its previous entry moved on.

    The message itself when its previous entry does not match: then pysyncobj answers that.
    """
    previous, entries = message["prevLogIdx"], message["entries"]
    if previous is None or term_at(log, previous) != message["prevLogTerm"]:
        return message
    known = 0
    while known < len(entries) and term_at(log, entries[known][1]) == entries[known][2]:
        known += 1
    if known == 0:
        return message
    _, index, term = entries[known - 1]
    return {**message, "prevLogIdx": index, "prevLogTerm": term, "entries": entries[known:]}


def heartbeat(message: Message, verified: int, committed: int) -> Message:
    """What is left of a leader's `message` whose entries are all known up to `verified`.

    It commits no more than it verified, or than was committed here already.
    """
    leader_commit = message["commit_index"]
    commit_index = max(min(leader_commit, verified), min(leader_commit, committed))
    return {"type": message["type"], "term": message["term"], "commit_index": commit_index}


def acknowledgement(verified: int) -> Message:
    """To a leader: we hold everything up to `verified`."""
    return {"type": "next_node_idx", "next_node_idx": verified + 1, "reset": False, "success": True}


def changes_members(commands: Iterable[bytes]) -> bool:
    """True when one of the commands may change who the members are."""
    return any(_RESIZE in command for command in commands)


def term_at(log: Sequence[LogEntry], index: int) -> int | None:
    """Term of the entry at `index`; None when `log` does not have it."""
    place = index - log[0][1]
    return log[place][2] if 0 <= place < len(log) else None
