"""Rotating the cluster's secret: every pair of steps that two real peers may meet in, over real links."""

from __future__ import annotations

import asyncio
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from support.raft_support import OTHER_SECRET, SECRET, Peer, free_ports, settings_of, until

STEPS = {
    "old": (SECRET,),
    "old, new": (SECRET, OTHER_SECRET),
    "new, old": (OTHER_SECRET, SECRET),
    "new": (OTHER_SECRET,),
}
FAR_APART = {("old", "new, old"), ("old", "new"), ("old, new", "new")}
"""Steps that are no neighbours: one side presents what the other does not accept yet, or any more."""


@pytest.mark.parametrize("pair", list(combinations_with_replacement(STEPS, 2)), ids=" with ".join)
def test_neighbouring_steps_link_and_others_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Two peers within one step of each other agree on a leader; further apart they refuse each other."""

    async def scenario() -> None:
        ports = dict(zip("ab", free_ports(2), strict=True))
        peers = [
            Peer(settings_of(name, ports, tmp_path, secrets=STEPS[step]))
            for name, step in zip("ab", pair, strict=True)
        ]
        for peer in peers:
            await peer.cluster.start()
        try:
            if pair in FAR_APART:
                # It takes one of the two to refuse.
                await until(lambda: any(peer.cluster.status().rejected_connections for peer in peers))
                assert not any(any(peer.cluster.status().links.values()) for peer in peers)
            else:
                await until(lambda: all(peer.knows_leader for peer in peers))
                assert not any(peer.cluster.status().rejected_connections for peer in peers)
        finally:
            for peer in peers:
                await peer.cluster.stop()

    asyncio.run(scenario())
