"""Real clusters on loopback for the contract tests of watchtower.cluster: ports, settings, peers, waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self

from watchtower.clock import SystemClock
from watchtower.cluster.raft import Cluster
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage, open_folder
from watchtower.cluster.thread import RaftThread
from watchtower.core.commands import Found, Join
from watchtower.core.model import State
from watchtower.core.secret import Secret
from watchtower.core.settings import ClusterSettings, HttpSettings, PeerSettings, Settings

SECRET = "4f1c0a7be2d94d0f8a6b3c5d7e9f1a2b"
OTHER_SECRET = "ffffffffffffffffffffffffffffffff"


def free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def settings_of(
    me: str,
    peers: dict[str, int],
    storage: Path,
    *,
    cluster: str = "test",
    secrets: tuple[str, ...] = (SECRET,),
) -> Settings:
    """Settings of peer `me` among `peers` (name -> raft port on loopback)."""
    return Settings(
        me=me,
        config_hash="h",
        cluster=ClusterSettings(
            name=cluster,
            secrets=tuple(Secret(text) for text in secrets),
            peers=tuple(
                PeerSettings(name=name, raft_host="127.0.0.1", raft_port=port, http_url="")
                for name, port in peers.items()
            ),
        ),
        http=HttpSettings(),
        channels={},
        services={},
        storage_path=str(storage),
    )


def remember(settings: Settings) -> None:
    """Make a data folder whose peer votes at once, as one of a cluster that has begun."""
    folder = open_folder(settings.storage_path, settings.me)
    storage = Storage(
        folder.disk, cluster=settings.cluster.name, peer=settings.me, alone=False, new_id=lambda: "disk"
    )
    storage.journal.set_quarantine("")
    storage.journal.flush()
    folder.close()


class Peer:
    """One Cluster with a record of what it told the application."""

    def __init__(self, settings: Settings, boot_id: str = "boot1") -> None:
        self.settings = settings
        self.name = settings.me
        self.boot_id = boot_id
        self.applied: list[tuple[State, int]] = []
        self.fatal: list[str] = []
        replica = Replica()
        self.raft = RaftThread(settings, SystemClock(), replica, lambda: f"{settings.me}-{boot_id}")
        self.cluster = Cluster(
            settings,
            boot_id,
            self.raft,
            replica,
            on_applied=lambda state, index: self.applied.append((state, index)),
            on_fatal=self.fatal.append,
        )

    @property
    def is_leader(self) -> bool:
        """True when this peer believes to be Raft leader."""
        return self.cluster.status().role == "leader"

    @property
    def knows_leader(self) -> bool:
        """True when this peer knows a leader."""
        return bool(self.cluster.status().leader)

    async def found(self) -> None:
        """Write the members into the ledger."""
        members = self.settings.cluster.peer_names
        await self.commit(
            lambda: self.cluster.submit(
                Found(cluster=self.settings.cluster.name, members=members, at_wall=1.0), timeout_s=1.0
            )
        )

    async def join(self) -> None:
        """Get a session."""
        command = Join(boot_id=self.boot_id, version="0", command_version=1, at_wall=1.0)
        await self.commit(lambda: self.cluster.submit(command, timeout_s=1.0))

    async def commit(self, submit: Callable[[], object], within_s: float = 15.0) -> None:
        """Call `submit` until it is answered: a new leader may have to be found first."""
        deadline = asyncio.get_running_loop().time() + within_s
        while await submit() is None:  # type: ignore[misc] # the default binds the name
            assert asyncio.get_running_loop().time() < deadline, f"{self.name} could not commit"
            await asyncio.sleep(0.02)  # noqa: TID251 - polling with a deadline


async def until(condition: Callable[[], object], within_s: float = 15.0, what: str = "") -> None:
    """Wait until `condition()` is true; fail after `within_s`."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s: {what or condition}"
        await asyncio.sleep(0.02)  # noqa: TID251 - polling with a deadline


class Trio:
    """Three peers a, b, c in this process, founded and in agreement when entered."""

    def __init__(self, storage: Path) -> None:
        self.ports = dict(zip("abc", free_ports(3), strict=True))
        self.storage = storage
        self.peers: dict[str, Peer] = {}

    def make(self, name: str, boot_id: str = "boot1") -> Peer:
        """Peer `name`, not started."""
        peer = Peer(settings_of(name, self.ports, self.storage), boot_id)
        self.peers[name] = peer
        return peer

    async def __aenter__(self) -> Self:
        for name in self.ports:
            await self.make(name).cluster.start()
        await until(self.agreed, what="a leader that all know")
        await self.leader.found()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(peer.cluster.stop() for peer in self.peers.values()))

    def agreed(self) -> bool:
        """True when all peers know the same one leader."""
        leaders = {peer.cluster.status().leader for peer in self.peers.values()}
        return len(leaders) == 1 and "" not in leaders

    @property
    def leader(self) -> Peer:
        """The peer that all call leader."""
        return next(peer for peer in self.peers.values() if peer.is_leader)

    @property
    def followers(self) -> list[Peer]:
        """The others."""
        return [peer for peer in self.peers.values() if not peer.is_leader]

    def equal(self) -> bool:
        """True when all peers hold the same state."""
        states = [peer.cluster.state for peer in self.peers.values()]
        return all(state == states[0] for state in states)
