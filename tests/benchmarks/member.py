"""One process with one real Cluster, driven over its standard input: an order per line, an answer per line.

`{"do": "status"}`, `{"do": "submit", "count": 500}` (one after the other), `{"do": "report", "per_s": 67,
"for_s": 60}` (as a peer reports: each on the row that the one before left). It times, and judges nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from support.raft_support import Peer, settings_of, until

from watchtower.core.commands import BeatSeen, Report
from watchtower.core.model import Kind, Opinion, Vote

HASH = "h"


class Member:
    """The orders and what they do."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        if order["do"] == "submit":
            return await self._submit(order["count"])
        if order["do"] == "report":
            return await self._report(order["per_s"], order["for_s"])
        status = self._peer.cluster.status()
        return {
            "role": status.role,
            "leader": status.leader,
            "term": status.term,
            "report_seq": self._peer.cluster.state.row(self._peer.name).report_seq,
        }

    async def _submit(self, count: int) -> dict[str, Any]:
        times_ms, unknown = [], 0
        for number in range(count):
            began = time.perf_counter()
            command = BeatSeen(service=f"job{number % 10}", at_wall=time.time())
            unknown += await self._peer.cluster.submit(command) is None
            times_ms.append(1000 * (time.perf_counter() - began))
            self._peer.applied.clear()
        return {"times_ms": times_ms, "unknown": unknown}

    async def _report(self, per_s: float, for_s: float) -> dict[str, Any]:
        loop, times_ms, unknown, refused, number = asyncio.get_running_loop(), [], 0, 0, 0
        began = loop.time()
        while loop.time() - began < for_s:
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - loop.time()))  # noqa: TID251 - paces the load
            number += 1
            sent = time.perf_counter()
            answer = await self._peer.cluster.submit(self._next_report(number))
            times_ms.append(1000 * (time.perf_counter() - sent))
            unknown += answer is None
            refused += answer is not None and not answer.ok
            self._peer.applied.clear()
        return {"times_ms": times_ms, "unknown": unknown, "refused": refused, "took_s": loop.time() - began}

    def _next_report(self, number: int) -> Report:
        row = self._peer.cluster.state.row(self._peer.name)
        opinion = Opinion.DOWN if number % 2 else Opinion.UP
        text = "connection refused by 192.0.2.10:443"
        vote = Vote(opinion=opinion, kind=Kind.OK, text=text, since_wall=time.time())
        return Report(
            seq=row.report_seq,
            full=row.report_seq == 0,
            config_hash=HASH,
            at_wall=time.time(),
            votes={f"service{number % 50:02}": vote},
        )


async def serve(name: str, ports: dict[str, int], storage: Path) -> None:
    """Begin, join, then answer orders until the input ends."""
    peer = Peer(settings_of(name, ports, storage))
    await peer.cluster.start()
    await until(lambda: peer.knows_leader, within_s=30.0, what="a leader")
    if peer.is_leader:
        await peer.found()
    await until(lambda: peer.cluster.state.members, within_s=30.0, what="the founding")
    await peer.join()
    member, loop = Member(peer), asyncio.get_running_loop()
    say({"ready": name})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        say(await member.obey(json.loads(line)))
    await peer.cluster.stop()


def say(answer: dict[str, Any]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])))
