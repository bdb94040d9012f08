"""What is done to a stopped peer's data folder: let it begin, rescue what one survivor has, restore a backup.

`bootstrap` lifts the quarantine of a blank peer. After `rescue` and `restore` this peer alone is the
cluster, with a history of its own (another disk, terms far above the old ones): the others start with empty
folders and are taken in by `watchtower cluster resize`. Done on two hosts they make two clusters. The
folder's lock shows that the peer is stopped; what was in it is kept aside, never deleted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.cluster import backup
from watchtower.cluster.disk import Disk, reason
from watchtower.cluster.identity import IDENTITY
from watchtower.cluster.journal import Journal
from watchtower.cluster.journal_file import JOURNAL, JOURNAL_PREVIOUS, Head, LogEntry, Reading
from watchtower.cluster.replica import after
from watchtower.cluster.snapshot import SNAPSHOT, SNAPSHOT_PREVIOUS, Content, SnapshotStore, encode
from watchtower.cluster.storage import EMPTY, Folder, Storage, open_folder
from watchtower.core.applying import membership
from watchtower.core.commands import NewerVersion, Resize
from watchtower.core.model import COMMAND_VERSION, State
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

_FILES: Final = (JOURNAL, JOURNAL_PREVIOUS, SNAPSHOT, SNAPSHOT_PREVIOUS)
_LEAP: Final = 1_000
"""So many terms the new history begins above the old one: no entry of the one looks like one of the other."""
_NO_OP: Final = b"\1"

NewId = Callable[[], str]


class Begun(Struct, frozen=True, kw_only=True):
    """What a peer will start from. `uncertain`: entries whose commit it could not know, taken as well.

    `kept_as` are the files that hold what was in the folder before, `findings` what was found there.
    """

    folder: str
    state: State
    uncertain: int = 0
    kept_as: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def folder_of(settings: Settings) -> Path:
    """The data folder of the peer that `settings` are for."""
    return (Path(settings.storage_path) / settings.me).absolute()


def bootstrap(settings: Settings, *, new_id: NewId) -> str:
    """Let this peer vote though its disk is empty and not all configured peers are there. Its folder.

    With a majority of such peers the cluster begins, and the others are refilled when they come. Raises
    ClusterError when this peer has run before: then it may have promised what it no longer knows.
    """
    with _folder(settings) as folder:
        storage = _open(folder, settings, new_id)
        journal = storage.journal
        if storage.snapshots.exists or len(journal) > 1 or journal.quarantine not in ("", EMPTY):
            raise ClusterError(
                f"{folder.disk.place} is not blank: this peer has run before. If the other peers are lost "
                "for good, `watchtower cluster rescue` begins with what is here"
            )
        journal.set_quarantine("")
        journal.flush()
        return folder.disk.place


def rescue(settings: Settings, *, new_id: NewId) -> Begun:
    """Make this peer the only member, with everything it has: the others are lost for good.

    Also the end of the log whose commit this peer cannot know becomes state: it may hold what others had
    acknowledged. Raises ClusterError when there is nothing to rescue.
    """
    with _folder(settings, must_exist=True) as folder:
        storage = _open(folder, settings, new_id)
        content = storage.snapshots.load()
        applied = content.last[1] if content is not None else 0
        rest = [entry for entry in storage.journal[:] if entry[1] > applied]
        state = _replayed(content.state if content is not None else State(), rest)
        _refuse_unfit(state, settings, folder.disk.place)
        if settings.me not in state.members:
            raise ClusterError(
                f"{settings.me} is no member by its own ledger (members: {', '.join(state.members)}): "
                "rescue on one that is"
            )
        committed = storage.journal.getRaftCommitIndex()
        uncertain = sum(index > committed for command, index, _ in rest if command[:1] != _NO_OP)
        alone = _alone(state, settings.me)
        kept_as = _keep(folder.disk, ".before-rescue")
        _begin(folder.disk, settings, alone, _last(storage), new_id)
        return Begun(
            folder=folder.disk.place,
            state=alone,
            uncertain=uncertain,
            kept_as=kept_as,
            findings=storage.findings,
        )


def restore(settings: Settings, raw: bytes, *, new_id: NewId) -> Begun:
    """Begin with the state of a backup, with this peer as the only member.

    Raises ClusterError when the folder is not empty, or the backup is damaged or of another cluster.
    """
    state = backup.decode(raw)
    with _folder(settings) as folder:
        names = [name for name in folder.disk.names() if name != "lock"]
        if names:
            raise ClusterError(
                f"{folder.disk.place} is not empty ({', '.join(names[:3])}): move it away first, a restore "
                "overwrites nothing"
            )
        _refuse_unfit(state, settings, "the backup")
        alone = _alone(state, settings.me)
        _begin(folder.disk, settings, alone, (_NO_OP, state.entries, state.entries), new_id)
        return Begun(folder=folder.disk.place, state=alone)


# ---- the folder


@contextmanager
def _folder(settings: Settings, *, must_exist: bool = False) -> Iterator[Folder]:
    """The locked folder. Raises ClusterError, with what to do, when it cannot be had or used."""
    path = folder_of(settings)
    if must_exist and not (path / JOURNAL).exists() and not (path / SNAPSHOT).exists():
        raise ClusterError(
            f"there is nothing in {path}: run this on the survivor, as the user and in the folder that its "
            "peer runs in (or with an absolute `storage.path`)"
        )
    _refuse_other_user(path)
    folder = open_folder(settings.storage_path, settings.me)
    try:
        yield folder
    except OSError as error:
        raise ClusterError(f"{path} cannot be written: {reason(error)}") from error
    finally:
        folder.close()


def _refuse_other_user(path: Path) -> None:
    """Files of another user could not be read by the peer afterwards."""
    owned = next((place for place in (path, path.parent) if place.exists()), None)
    if owned is not None and owned.stat().st_uid != os.geteuid():
        raise ClusterError(
            f"{owned} belongs to another user, whom the peer runs as: run this as that user "
            f"(sudo -u '#{owned.stat().st_uid}' watchtower cluster ...)"
        )


def _open(folder: Folder, settings: Settings, new_id: NewId) -> Storage:
    """The files, checked and repaired as at a start."""
    return Storage(folder.disk, cluster=settings.cluster.name, peer=settings.me, alone=False, new_id=new_id)


def _last(storage: Storage) -> LogEntry:
    """The last entry, in the newest term that this peer knows."""
    index = storage.journal[-1][1] if len(storage.journal) else 0
    return _NO_OP, index, storage.journal.getCurrentTerm()


def _keep(disk: Disk, suffix: str) -> tuple[str, ...]:
    """Copies of the files, under names that nothing reads; an earlier copy stays."""
    names = disk.names()
    number = next(n for n in range(1, 1_000) if not any(f"{name}{suffix}{n}" in names for name in _FILES))
    kept = []
    for name in (name for name in _FILES if name in names):
        copy = f"{name}{suffix}{number}"
        disk.create(copy, disk.read(name) or b"")
        disk.sync(copy)
        kept.append(copy)
    disk.sync_folder()
    return tuple(kept)


# ---- the state


def _replayed(state: State, entries: Sequence[LogEntry]) -> State:
    """The state after all `entries`, as a replica would apply them. Raises ClusterError for newer ones."""
    for command, _, _ in entries:
        try:
            state = after(state, command)
        except NewerVersion as newer:
            raise ClusterError(f"{newer}: rescue with the version of watchtower that wrote it") from newer
    return state


def _refuse_unfit(state: State, settings: Settings, where: str) -> None:
    if not state.cluster:
        raise ClusterError(
            f"{where} holds nothing of a cluster: this peer never heard of one. Use another peer's"
        )
    if state.cluster != settings.cluster.name:
        raise ClusterError(
            f"{where} is of cluster {state.cluster!r}, the file names {settings.cluster.name!r}"
        )
    if state.gate > COMMAND_VERSION:
        raise ClusterError(f"{where} was written by a newer watchtower: use that version")


def _alone(state: State, me: str) -> State:
    """The state with `me` as its only member, in a generation that the history it leaves can never reach.

    A peer follows whoever knows newer members, so none of that history may ever look newer than this one.
    """
    alone = membership.resized(state, Resize(members=(me,), members_gen=state.members_gen))
    return replace(alone, members_gen=alone.members_gen + _LEAP)


# ---- a new history


def _begin(disk: Disk, settings: Settings, state: State, last: LogEntry, new_id: NewId) -> None:
    """Write `state` as the beginning of a history after `last`, and look that it is read back so.

    In this order, a crash anywhere leaves either the old history or the new state behind.
    """
    cluster, me = settings.cluster.name, settings.me
    _, index, old_term = last
    term = old_term + _LEAP
    ends = [(_NO_OP, index + 1, term), (_NO_OP, index + 2, term)]
    head = Head(cluster=cluster, peer=me, disk_id=new_id(), generation=0, count=0)
    reading = Reading(head=head, entries=ends, term=term, commit_index=index + 2)
    journal = Journal(disk, reading)
    store = SnapshotStore(disk, cluster, journal, exists=False)
    store.write(encode(Content(cluster=cluster, last=ends[1], before=ends[0], state=state)))
    disk.remove(IDENTITY)
    disk.sync_folder()
    journal.flush()
    for name in (JOURNAL_PREVIOUS, SNAPSHOT_PREVIOUS):
        disk.remove(name)
    disk.sync_folder()
    _check(disk, settings, state)


def _check(disk: Disk, settings: Settings, state: State) -> None:
    """Open it as the peer will, which also writes the new identity."""
    storage = Storage(
        disk, cluster=settings.cluster.name, peer=settings.me, alone=True, new_id=lambda: "unused"
    )
    content = storage.snapshots.load()
    if content is None or content.state != state or storage.journal.quarantine:
        raise ClusterError(f"what was written to {disk.place} does not read back: is the disk well?")
