"""A disk in memory that crashes, fills up, fails and rots like a real one, with dice from outside.

It keeps what programs see (volatile) and what a power cut leaves (durable) apart. A crash may keep, tear,
zero or lose what was not synced, file by file, and may keep any of the names given since the last
`sync_folder`. After a failed sync the bytes look fine until the crash, as on Linux. Not a test itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from random import Random
from typing import Final, Literal

SECTOR: Final = 512

When = Literal["before", "during", "after"]


class SimCrash(Exception):  # noqa: N818 - it is no error of the program, the machine is off
    """The machine is off: every operation raises it until `crash` has been called."""


class _File:
    """One file's content as programs see it, and as the disk has it."""

    def __init__(self) -> None:
        self.data = b""
        self.synced = b""
        self.is_lost = False
        """A sync failed: the kernel thinks that all is written, and no later sync writes it."""
        self.is_bad = False
        """It cannot be read, until it is written anew."""


class SimDisk:
    """A Disk. `operations` counts those that change something; `syncs` those that wait for the disk.

    `full`: writes take a part and raise ENOSPC. `sync_error`: syncs raise EIO. `on_sync` is called at every
    sync, so that a simulation can let time pass.
    """

    def __init__(self, dice: Random | None = None) -> None:
        self.place = "the simulated disk"
        self.full = False
        self.sync_error = False
        self.on_sync: Callable[[], None] | None = None
        self.operations = 0
        self.syncs = 0
        self.bytes_written = 0
        self._dice = dice or Random(0)  # noqa: S311 - the same faults in every run
        self._names: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._renames: list[tuple[str, str | None, _File | None]] = []
        """Changes of names since the last sync_folder: what went away, what came, and its file."""
        self._fail_at = 0
        self._fail_when: When = "during"
        self._is_off = False

    # ---- the Disk

    def read(self, name: str) -> bytes | None:
        """All of a file; None when there is none."""
        self._check_power()
        file = self._names.get(name)
        if file is not None and file.is_bad:
            raise _error(errno.EIO)
        return None if file is None else file.data

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file."""
        file = self._names.get(name)
        old = file.data if file is not None else b""
        self._write(name, old, data)

    def create(self, name: str, data: bytes) -> None:
        """Make `data` the whole content of a file, in place."""
        self._write(name, b"", data)

    def sync(self, name: str) -> None:
        """Bring a file's content onto the disk."""
        file = self._names.get(name)
        if file is None:
            raise _error(errno.ENOENT)

        def effect() -> None:
            self._wait()
            if self.sync_error:
                file.is_lost = True
                raise _error(errno.EIO)
            if not file.is_lost:
                file.synced = file.data

        self._do(effect)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        if old not in self._names:
            raise _error(errno.ENOENT)

        def effect() -> None:
            file = self._names.pop(old)
            self._names[new] = file
            self._renames.append((old, new, file))

        self._do(effect)

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""

        def effect() -> None:
            if self._names.pop(name, None) is not None:
                self._renames.append((name, None, None))

        self._do(effect)

    def sync_folder(self) -> None:
        """Bring the names onto the disk."""

        def effect() -> None:
            self._wait()
            if self.sync_error:
                raise _error(errno.EIO)
            self._durable = dict(self._names)
            self._renames.clear()

        self._do(effect)

    def names(self) -> tuple[str, ...]:
        """The files there are."""
        self._check_power()
        return tuple(sorted(self._names))

    # ---- the machine

    def fail_at(self, number: int, when: When = "during") -> None:
        """Let the power go at the operation that is `number` from now, 1 for the next; 0 for none."""
        self._fail_at = self.operations + number if number else 0
        self._fail_when = when

    def power_off(self) -> None:
        """Let the power go now."""
        self._is_off = True

    def crash(self, dice: Random | None = None) -> None:
        """Leave what a power cut leaves, by the dice, and let the machine start again."""
        dice = dice or self._dice
        names = dict(self._durable)
        is_ordered = dice.random() < 0.5
        kept = dice.randint(0, len(self._renames))
        for number, (old, new, file) in enumerate(self._renames):
            if number < kept if is_ordered else dice.random() < 0.5:
                names.pop(old, None)
                if new is not None and file is not None:
                    names[new] = file
        for file in dict.fromkeys(names.values()):
            file.data = file.synced = _remains(file, dice)
            file.is_lost = False
        self._names, self._durable = names, dict(names)
        self._renames.clear()
        self._fail_at, self._is_off = 0, False

    def restart(self) -> None:
        """The process was killed, the machine goes on: everything written is still seen, synced or not."""
        self._fail_at, self._is_off = 0, False

    def copy(self) -> SimDisk:
        """Another disk with the same content, synced or not, that shares only the dice with this one."""
        other = SimDisk(self._dice)
        files = {id(file): file for file in (*self._names.values(), *self._durable.values())}
        files |= {id(file): file for _, _, file in self._renames if file is not None}
        copies = {}
        for key, file in files.items():
            copies[key] = copy(file)
        other._names = {name: copies[id(file)] for name, file in self._names.items()}
        other._durable = {name: copies[id(file)] for name, file in self._durable.items()}
        other._renames = [
            (old, new, copies[id(file)] if file is not None else None) for old, new, file in self._renames
        ]
        other._is_off = self._is_off
        return other

    # ---- damage, for tests

    def put(self, name: str, data: bytes) -> None:
        """Make `data` the durable content of a file, without counting."""
        file = _File()
        file.data = file.synced = data
        self._names[name] = self._durable[name] = file

    def lose(self, name: str) -> None:
        """Lose a file, without counting."""
        self._names.pop(name, None)
        self._durable.pop(name, None)

    def wipe(self) -> None:
        """Lose everything."""
        self._names, self._durable = {}, {}
        self._renames.clear()

    def spoil(self, name: str) -> None:
        """Make a file unreadable, as a bad sector does."""
        self._names[name].is_bad = True

    def flip(self, name: str, place: int, bit: int = 0) -> None:
        """Flip one bit of a file."""
        data = bytearray(self.content(name))
        data[place] ^= 1 << bit
        self.put(name, bytes(data))

    def zero(self, name: str, begin: int, end: int) -> None:
        """Zero a part of a file."""
        data = bytearray(self.content(name))
        data[begin:end] = bytes(len(data[begin:end]))
        self.put(name, bytes(data))

    def cut(self, name: str, size: int) -> None:
        """Cut a file off."""
        self.put(name, self.content(name)[:size])

    def content(self, name: str) -> bytes:
        """What is in a file just now, power or not."""
        return self._names[name].data

    # ---- within

    def _check_power(self) -> None:
        if self._is_off:
            raise SimCrash

    def _wait(self) -> None:
        self.syncs += 1
        if self.on_sync is not None:
            self.on_sync()

    def _do(self, effect: Callable[[], None], part: Callable[[], None] | None = None) -> None:
        """Count, and let the power go before, amid or after the effect when it is time."""
        self._check_power()
        self.operations += 1
        if self.operations != self._fail_at:
            effect()
            return
        if self._fail_when == "during" and part is not None:
            part()
        elif self._fail_when == "after":
            with suppress(OSError):  # a disk may be full and lose power too
                effect()
        self._is_off = True
        raise SimCrash

    def _write(self, name: str, old: bytes, data: bytes) -> None:
        def put(content: bytes) -> None:
            file = self._names.get(name)
            if file is None:
                file = self._names[name] = _File()
                self._renames.append((name, name, file))
            file.data, file.is_bad = content, False
            self.bytes_written += len(data)

        def part() -> None:
            put(old + data[: self._dice.randint(0, len(data))])

        def effect() -> None:
            if self.full:
                part()
                raise _error(errno.ENOSPC)
            put(old + data)

        self._do(effect, part)


def _remains(file: _File, dice: Random) -> bytes:
    """What a power cut leaves of a file."""
    old, new = file.synced, file.data
    if old == new:
        return old
    fate = dice.randrange(4)
    if fate == 0 or file.is_lost:
        return old
    if fate == 1:
        return new
    kept = dice.randint(0, len(new))
    torn = new[:kept] + old[kept:]
    if fate == 2 or not torn:
        return torn
    return _with_lost_sectors(torn, old, dice)


def _with_lost_sectors(torn: bytes, old: bytes, dice: Random) -> bytes:
    """Some sectors behind the common beginning never reached the disk: old content, or zeros."""
    data = bytearray(torn)
    pairs = enumerate(zip(torn, old, strict=False))
    common = next((place for place, (one, other) in pairs if one != other), min(len(torn), len(old)))
    for begin in range(common // SECTOR * SECTOR, len(data), SECTOR):
        if dice.random() < 0.5:
            end = min(begin + SECTOR, len(data))
            first = max(begin, common)
            lost = old[first:end]
            data[first:end] = lost + bytes(end - first - len(lost))
    return bytes(data)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
