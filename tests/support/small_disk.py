"""A small file system of its own as a peer's disk, which can be filled to the last byte and freed again.

It is a tmpfs, so it decides nothing about durability; it only runs out of space as a real disk does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SIZE_MB = 64


class SmallDisk:
    """A mounted file system at `path` within `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "tmpfs", str(self.path)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the kernel forbids mounting: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)

    def fill(self) -> None:
        """Take every byte that is left."""
        descriptor = os.open(self.path / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (2**20, 4096, 1):
                self._write_until_full(descriptor, bytes(size))
        finally:
            os.close(descriptor)

    @staticmethod
    def _write_until_full(descriptor: int, chunk: bytes) -> None:
        try:
            while os.write(descriptor, chunk):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self) -> None:
        """Give the space back."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "filler").unlink()

    def wipe(self) -> None:
        """As a new disk would be: everything on it is gone."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
