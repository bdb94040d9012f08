"""Snapshots as pysyncobj wants them: written here, sent to lagging peers, taken from leaders.

The interface is that of pysyncobj's Serializer; no fork, no pickle, no file of its own. A snapshot that
cannot be written or does not check out is refused and said; nothing stops for it, and the leader sends
again. One whose last entry the log holds already is refused too: taking it would throw away entries
behind it that this peer has acknowledged.
"""

from __future__ import annotations

import logging
import zlib
from typing import Any, Final

from msgspec import Struct
from pysyncobj.config import SERIALIZER_STATE

from watchtower.cluster.disk import reason
from watchtower.cluster.frames import CHUNK_BYTES_MAX
from watchtower.cluster.inside import now_s
from watchtower.cluster.journal_file import DamageError, LogEntry
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import SNAPSHOT_BYTES_MAX, Content, SnapshotStore, decode, encode
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

Chunk = tuple[bytes, bool, bool]
"""Bytes, whether they are the first of a snapshot, whether they are the last."""
_AGAIN_S: Final = 10.0
"""So long after one that failed the next snapshot is not tried: a full disk is no reason to be busy."""
_FAST: Final = 1
"""zlib's level: a state is mostly repetition, and the link to a small witness may be slow."""
_NONE_RUNNING: Final = (SERIALIZER_STATE.NOT_SERIALIZING, None)


class _Sending(Struct):
    raw: bytes
    sent: int = 0


class SnapshotExchange:
    """Snapshots of `replica`. `state_bytes` and `stall_s` tell how long the last one was and took.

    `trouble` is "" or why the last snapshot could not be written.
    """

    def __init__(self, snapshots: SnapshotStore, replica: Replica, cluster: str) -> None:
        self._snapshots = snapshots
        self._replica = replica
        self._cluster = cluster
        self._outcome: tuple[int, int | None] = _NONE_RUNNING
        self._sending: dict[Any, _Sending] = {}
        self._incoming: list[bytes] | None = None
        self._incoming_bytes = 0
        self._taken: Content | None = None
        self._not_before_s = 0.0
        self.state_bytes = 0
        self.stall_s = 0.0
        self.trouble = ""

    # ---- writing

    def checkSerializing(self) -> tuple[int, int | None]:  # noqa: N802 - pysyncobj's name
        """How the last `serialize` ended, once. After one that failed the next has to wait."""
        outcome, self._outcome = self._outcome, _NONE_RUNNING
        if outcome is _NONE_RUNNING and now_s() < self._not_before_s:
            return SERIALIZER_STATE.SERIALIZING, None
        return outcome

    def serialize(self, data: tuple[Any, LogEntry, LogEntry, Any], id: int) -> None:  # noqa: A002 - pysyncobj's name
        """Write the replica's state as the newest snapshot; `checkSerializing` tells how it went."""
        begun_s = now_s()
        _, last, before, _ = data
        content = Content(cluster=self._cluster, last=last, before=before, state=self._replica.state)
        raw = encode(content)
        is_written = self._write(raw)
        self._not_before_s = 0.0 if is_written else now_s() + _AGAIN_S
        if is_written:
            self.state_bytes = len(raw)
            # Who is being sent the older one begins anew: after it, this log would have a gap.
            self._sending.clear()
        self._outcome = (SERIALIZER_STATE.SUCCESS if is_written else SERIALIZER_STATE.FAILED, id)
        self.stall_s = now_s() - begun_s

    def _write(self, raw: bytes) -> bool:
        try:
            self._snapshots.write(raw)
        except OSError as error:
            if self.trouble != reason(error):
                _log.error("A snapshot cannot be written: %s.", reason(error))
            self.trouble = reason(error)
            return False
        self.trouble = ""
        return True

    # ---- reading

    def deserialize(self) -> tuple[None, LogEntry, LogEntry, list[Any]]:
        """Put the newest snapshot into the replica.

        pysyncobj swallows whatever is raised here and goes on with what it had, so any failure also
        halts the replica: a peer with half a state must not answer anybody.
        """
        content, self._taken = self._taken, None
        try:
            content = content or self._snapshots.load()
        except (DamageError, ClusterError, OSError) as error:
            self._replica.halt(f"the snapshot {error}")
            raise
        if content is None:
            self._replica.halt("the snapshot is missing")
            raise ClusterError(self._replica.halted)
        self._replica.state = content.state
        return None, content.last, content.before, []

    # ---- sending

    def getTransmissionData(self, transmissionID: Any) -> Chunk | None:  # noqa: N802, N803 - pysyncobj's names
        """The next part of the newest snapshot for one peer; None when there is none to send."""
        sending = self._sending.get(transmissionID) or self._begin_sending()
        if sending is None:
            return None
        begin = sending.sent
        chunk = sending.raw[begin : begin + CHUNK_BYTES_MAX]
        sending.sent += len(chunk)
        is_last = sending.sent >= len(sending.raw)
        if is_last:
            self._sending.pop(transmissionID, None)
        else:
            self._sending[transmissionID] = sending
        return chunk, begin == 0, is_last

    def _begin_sending(self) -> _Sending | None:
        for other in self._sending.values():
            return _Sending(other.raw)
        try:
            raw = self._snapshots.raw()
        except OSError as error:
            _log.error("The snapshot cannot be read: %s.", reason(error))
            return None
        return _Sending(zlib.compress(raw, _FAST)) if raw else None

    def cancelTransmisstion(self, id: Any) -> None:  # noqa: N802, A002 - pysyncobj's names
        """A peer is gone: it begins anew."""
        self._sending.pop(id, None)

    # ---- taking

    def setTransmissionData(self, data: Chunk | None) -> bool:  # noqa: N802 - pysyncobj's name
        """Take one part of a leader's snapshot. True when all of it is here, checked and on the disk."""
        packed = self._gather(data)
        if packed is None:
            return False
        try:
            raw = _unpacked(packed)
            content = decode(raw, self._cluster)
        except (DamageError, ClusterError) as error:
            _log.warning("A snapshot that a leader sent %s: refused.", error)
            return False
        if self._snapshots.is_in_log(content.last) or not self._write(raw):
            return False
        self._taken = content
        self.state_bytes = len(raw)
        return True

    def _gather(self, data: Chunk | None) -> bytes | None:
        """The whole snapshot, once its last part is there."""
        if data is None:
            return None
        chunk, is_first, is_last = data
        if is_first:
            self._incoming, self._incoming_bytes = [], 0
        if self._incoming is None:
            return None
        self._incoming.append(chunk)
        self._incoming_bytes += len(chunk)
        if self._incoming_bytes > SNAPSHOT_BYTES_MAX:
            _log.warning(
                "A snapshot that a leader sent is longer than %d bytes: refused.", SNAPSHOT_BYTES_MAX
            )
            self._incoming = None
        if self._incoming is None or not is_last:
            return None
        raw, self._incoming = b"".join(self._incoming), None
        return raw


def _unpacked(packed: bytes) -> bytes:
    """What a leader packed. Raises DamageError when it is not whole, or longer than any snapshot may be."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, SNAPSHOT_BYTES_MAX + 1)
    except zlib.error as error:
        raise DamageError("is damaged on its way") from error
    if len(raw) > SNAPSHOT_BYTES_MAX or not unpacking.eof:
        raise DamageError("is longer than any snapshot, or not whole")
    return raw
