"""The faults of the harness are what they say: a cut loses one direction, a slow link delays both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.networks import Networks
from support.slow_link import SlowLink
from support.small_disk import SmallDisk

HEARS = (
    "import socket, sys\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 999)); s.settimeout(0.4)\n"
    "print('listening', flush=True)\n"
    "try: print(s.recv(9).decode())\n"
    "except TimeoutError: print('nothing')\n"
)
SAYS = (
    "import socket, sys\n"
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'a word', (sys.argv[1], 999))\n"
)
CONNECTS = (
    "import socket, sys, time\n"
    "began = time.monotonic(); s = socket.socket(); s.settimeout(3)\n"
    "refused = s.connect_ex((sys.argv[1], 999)); print(time.monotonic() - began)\n"
)


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Two namespaces."""
    with Networks(("a", "b")) as made:
        yield made


def command(networks: Networks, name: str, code: str, to: str) -> list[str]:
    """A small program in a namespace, told one address."""
    return ["ip", "netns", "exec", networks.space(name), sys.executable, "-c", code, networks.address[to]]


def hears(networks: Networks, sender: str, receiver: str) -> str:
    """What `receiver` hears when `sender` says a word."""
    listening = command(networks, receiver, HEARS, receiver)
    with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        subprocess.run(command(networks, sender, SAYS, receiver), check=True)
        return process.stdout.read().strip()


def test_a_cut_loses_one_direction_until_it_is_mended(networks: Networks) -> None:
    """What a says to b vanishes, what b says to a arrives."""
    networks.cut("a", "b")
    assert (hears(networks, "a", "b"), hears(networks, "b", "a")) == ("nothing", "a word")
    networks.mend()
    assert hears(networks, "a", "b") == "a word"


def test_a_slow_link_delays_and_is_fast_again_afterwards(networks: Networks) -> None:
    """A connection attempt takes both ways of the delay, and none of it after the link is gone."""

    def connecting_s() -> float:
        done = subprocess.run(
            command(networks, "a", CONNECTS, "b"), check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    with SlowLink(networks, "a", "b", 0.1, 0.02):
        assert 0.15 < connecting_s() < 1.0
    assert connecting_s() < 0.1


def test_a_small_disk_fills_up_and_is_free_again(tmp_path: Path) -> None:
    """When it is full no byte can be written; when it is freed one can; wiped, it is empty."""
    with SmallDisk(tmp_path / "disk") as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.path / "more").write_bytes(bytes(4096))
        disk.free()
        (disk.path / "more").write_bytes(bytes(4096))
        disk.wipe()
        assert list(disk.path.iterdir()) == []
