"""The few operations on one flat folder that journal and snapshots need, so that a test can take their place.

`Disk` names them and what each promises; `FolderDisk` is the real one. Neither decides when to sync or
what a file means, and neither retries: after a failed sync the bytes of that file are not to be trusted.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

READ_BYTES_MAX: Final = 2**30
"""A longer file is none of ours; it is refused before any of it is read."""


class Disk(Protocol):
    """One folder; names are plain file names. Any method may raise OSError, and may then have done a part.

    Only what was synced is on the disk: content after `sync`, names after `sync_folder`. `place` says to
    people where it is.
    """

    place: str

    def read(self, name: str) -> bytes | None:
        """All of a file; None when there is none."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file, which is made when there is none."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Make `data` the whole content of a file, in place."""
        ...

    def sync(self, name: str) -> None:
        """Bring a file's content onto the disk."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, at once in place of whatever had it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        ...

    def sync_folder(self) -> None:
        """Bring the names onto the disk."""
        ...

    def names(self) -> tuple[str, ...]:
        """The files there are."""
        ...


class FolderDisk:
    """A folder of the real file system. Descriptors of written files stay open until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self._open: dict[str, int] = {}

    def close(self) -> None:
        """Let go of all files."""
        for name in tuple(self._open):
            self._forget(name)

    def read(self, name: str) -> bytes | None:
        """All of a file; None when there is none. Raises OSError (EFBIG) for one of impossible length."""
        try:
            with (self.path / name).open("rb") as file:
                if os.fstat(file.fileno()).st_size > READ_BYTES_MAX:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                return file.read(READ_BYTES_MAX)
        except FileNotFoundError:
            return None

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file."""
        descriptor = self._descriptor(name)
        os.lseek(descriptor, 0, os.SEEK_END)
        _write(descriptor, data)

    def create(self, name: str, data: bytes) -> None:
        """Make `data` the whole content of a file, in place."""
        descriptor = self._descriptor(name)
        os.lseek(descriptor, 0, os.SEEK_SET)
        _write(descriptor, data)
        os.ftruncate(descriptor, len(data))

    def sync(self, name: str) -> None:
        """Bring a file's content, and its length with it, onto the disk."""
        # Through the descriptor that wrote: a write error that the kernel meets later is told to that one.
        os.fdatasync(self._descriptor(name))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self._forget(old)
        self._forget(new)
        (self.path / old).replace(self.path / new)

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        self._forget(name)
        (self.path / name).unlink(missing_ok=True)

    def sync_folder(self) -> None:
        """Bring the names onto the disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self) -> tuple[str, ...]:
        """The files there are, in order."""
        return tuple(sorted(entry.name for entry in os.scandir(self.path) if entry.is_file()))

    def _descriptor(self, name: str) -> int:
        if name not in self._open:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._open[name] = os.open(self.path / name, flags, 0o600)
        return self._open[name]

    def _forget(self, name: str) -> None:
        descriptor = self._open.pop(name, -1)
        if descriptor >= 0:
            with suppress(OSError):  # whatever was not synced is not counted on
                os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of `data`; a disk that fills up takes a part first."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def reason(error: OSError) -> str:
    """What went wrong, in the system's words."""
    return (error.strerror or str(error)).lower()
