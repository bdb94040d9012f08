"""The real folder and the simulated disk do the same, and what a crash leaves of the latter is possible."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
from support.sim_disk import SECTOR, SimCrash, SimDisk, When

from watchtower.cluster import disk as disks
from watchtower.cluster.disk import Disk, FolderDisk, reason


@pytest.fixture(params=["folder", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """Each of the two."""
    return FolderDisk(tmp_path) if request.param == "folder" else SimDisk()


def test_a_file_is_what_was_written_into_it(disk: Disk) -> None:
    """Create replaces all of a file, longer or shorter; append adds to it, or makes it."""
    disk.append("journal", b"one ")
    disk.append("journal", b"two ")
    disk.sync("journal")
    assert disk.read("journal") == b"one two "
    disk.create("journal", b"three")
    assert disk.read("journal") == b"three"
    disk.append("journal", b" four")
    assert disk.read("journal") == b"three four"
    disk.create("journal", b"")
    assert disk.read("journal") == b""
    assert disk.read("other") is None


def test_a_rename_takes_the_place_of_the_other_file(disk: Disk) -> None:
    """What was open under a name is never written to under another one."""
    disk.create("journal", b"old")
    disk.create("journal.new", b"new")
    disk.sync("journal.new")
    disk.rename("journal.new", "journal")
    disk.sync_folder()
    assert disk.names() == ("journal",)
    disk.append("journal", b"er")
    disk.append("journal.new", b"again")
    assert disk.read("journal") == b"newer"
    assert disk.names() == ("journal", "journal.new")


def test_removing_is_done_once_and_renaming_nothing_is_an_error(disk: Disk) -> None:
    """A file that is not there can be removed, but not renamed."""
    disk.create("journal", b"x")
    disk.remove("journal")
    disk.remove("journal")
    assert disk.names() == ()
    with pytest.raises(FileNotFoundError):
        disk.rename("journal", "other")


def test_a_full_disk_says_so_in_the_systems_words(tmp_path: Path) -> None:
    """A device that takes nothing raises on append and on create."""
    (tmp_path / "journal").symlink_to("/dev/full")
    disk = FolderDisk(tmp_path)
    for write in (disk.append, disk.create):
        with pytest.raises(OSError, match="No space left") as caught:
            write("journal", b"x")
        assert reason(caught.value) == "no space left on device"
    disk.close()


def test_a_file_of_impossible_length_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length is looked at before any of it is read into memory."""
    monkeypatch.setattr(disks, "READ_BYTES_MAX", 10)
    (tmp_path / "journal").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match=r".+") as caught:
        FolderDisk(tmp_path).read("journal")
    assert caught.value.errno == errno.EFBIG


def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    """Whatever the umask."""
    FolderDisk(tmp_path).create("journal", b"x")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


# ---- the simulated disk


def images(disk: SimDisk, name: str, count: int = 300) -> set[bytes | None]:
    """What crashes may leave of a file."""
    found = set()
    for seed in range(count):
        copy = disk.copy()
        copy.crash(Random(seed))  # noqa: S311 - the same images in every run
        found.add(copy.read(name))
    return found


def test_what_was_synced_survives_every_crash() -> None:
    """Content after sync, names after sync_folder."""
    disk = SimDisk()
    disk.create("journal", b"kept")
    disk.sync("journal")
    disk.sync_folder()
    assert images(disk, "journal") == {b"kept"}


def test_what_was_not_synced_may_be_lost_torn_zeroed_or_kept() -> None:
    """All four happen, and nothing of what was synced before is touched."""
    disk = SimDisk()
    disk.create("journal", b"k" * 100)
    disk.sync("journal")
    disk.sync_folder()
    disk.append("journal", b"n" * 3 * SECTOR)
    found = images(disk, "journal")
    assert b"k" * 100 in found
    assert b"k" * 100 + b"n" * 3 * SECTOR in found
    assert any(image is not None and 100 < len(image) < 3 * SECTOR for image in found)
    assert any(image is not None and b"\0" in image for image in found)
    assert all(image is not None and image.startswith(b"k" * 100) for image in found)


def test_a_name_may_be_lost_until_the_folder_is_synced() -> None:
    """Of two renames either one, both or none may be there."""
    disk = SimDisk()
    for name in ("old", "new"):
        disk.create(name, name.encode())
        disk.sync(name)
    disk.sync_folder()
    disk.rename("old", "previous")
    disk.rename("new", "old")
    found = set()
    for seed in range(100):
        copy = disk.copy()
        copy.crash(Random(seed))  # noqa: S311 - the same images in every run
        found.add(tuple((name, copy.read(name)) for name in copy.names()))
    assert found == {
        (("new", b"new"), ("old", b"old")),
        (("new", b"new"), ("previous", b"old")),
        (("old", b"new"), ("previous", b"old")),
        (("old", b"new"),),
    }


def test_after_a_failed_sync_no_later_one_helps() -> None:
    """As on Linux: the kernel takes the pages for written, and the crash shows that they are not."""
    disk = SimDisk()
    disk.create("journal", b"old")
    disk.sync("journal")
    disk.sync_folder()
    disk.append("journal", b" new")
    disk.sync_error = True
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("journal")
    disk.sync_error = False
    disk.sync("journal")
    assert disk.read("journal") == b"old new"
    assert images(disk, "journal") == {b"old"}


@pytest.mark.parametrize(("when", "left"), [("before", {b"old"}), ("after", {b"old new"})])
def test_the_power_goes_at_the_operation_asked_for(when: When, left: set[bytes]) -> None:
    """And every operation after it raises too, until the machine starts again."""
    disk = SimDisk()
    disk.create("journal", b"old")
    disk.fail_at(2, when)
    disk.sync("journal")
    with pytest.raises(SimCrash):
        disk.append("journal", b" new")
    with pytest.raises(SimCrash):
        disk.read("journal")
    disk.restart()
    assert {disk.content("journal")} == left


def test_a_full_disk_takes_a_part() -> None:
    """A write that fails may have left some of its bytes."""
    disk = SimDisk()
    disk.full = True
    with pytest.raises(OSError, match="No space"):
        disk.create("journal", b"x" * 1000)
    assert 0 < len(disk.content("journal")) < 1000
