"""A cluster in namespaces under a steady stream of incidents, real channels, and a record of every fault.

`with Rig(...)` starts everything; `broken(kind, peers)` notes what a test breaks and when; `heal` brings
every peer back; `settle` waits until all is told, then judges. It breaks nothing itself (faults.py does).
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.arrivals import Arrival, Arrivals, Told, from_hook, from_mail
from support.cluster_support import FAULTY, PEERS, Cluster, wait_for
from support.judging import Fault, Judge, Judgement
from support.mail_sink import MailSink
from support.networks import Networks
from support.outages import Outages, Pace, Server
from support.sinks import HttpSink
from support.small_disk import SmallDisk

CHANNELS = ("hook", "post")
LOOK_S = 0.5
"""So often peers are asked for long lists: the sinks live in this process and must not starve."""
ANSWER_S = 0.3
"""A sink has taken a message, and answers so much later, as chat and mail do: the window for repeats."""

READY_AGAIN_S = 60.0
PACE = {
    True: Pace(pause_s=(6.0, 14.0), long_s=(5.0, 15.0), short_s=(1.0, 5.0)),
    False: Pace(pause_s=(4.0, 9.0), long_s=(4.0, 9.0), short_s=(1.0, 4.0)),
}
"""Of a long run and of a short one."""

STUCK_S = 5.0
WELL_AGAIN_S = 90.0
TOLD_AGAIN_S = 90.0


class Rig:
    """Everything of one long run. `dice` makes its choices, so a seed repeats them (not their timing)."""

    def __init__(
        self,
        folder: Path,
        *,
        names: tuple[str, ...] = PEERS,
        peer_extra: dict[str, str] | None = None,
        services: int = 8,
        seed: int = 1,
        is_long: bool = False,
    ) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - a repeatable choice of faults
        self.is_long = is_long
        self.faults: list[Fault] = []
        self.networks = Networks(names)
        self.hook, self.post = HttpSink(), MailSink()
        self.hook.late_s = self.post.late_s = ANSWER_S
        self.disks = {name: SmallDisk(folder / f"disk-{name}") for name in names}
        self._folder = folder
        self._names = names
        self._peer_extra = peer_extra
        self._services = tuple(f"s{n}" for n in range(1, services + 1))
        self._stack = contextlib.ExitStack()
        self.arrivals: Callable[[], list[Arrival]]
        self.cluster: Cluster
        self.outages: Outages

    def __enter__(self) -> Self:
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        with self._stack as stack:
            stack.enter_context(self.networks)
            for disk in self.disks.values():
                stack.enter_context(disk)
            stack.enter_context(self.hook)
            stack.enter_context(self.post)
            self.hook.set_mode("late")
            self.post.set_mode("late")
            server = Server(self.networks.gateway)
            stack.callback(server.close)
            self.arrivals = Arrivals(
                (self.hook.log.items, from_hook), (self.post.log.items, from_mail), told_by=self._told_by
            ).look
            self.outages = stack.enter_context(
                Outages(self._services, server, self.arrivals, CHANNELS, self.dice, PACE[self.is_long])
            )
            self.cluster = self._cluster(server)
            stack.callback(self.cluster.kill)
            self.cluster.start()
            self.cluster.wait_ready()
            for name in self._services:
                self.cluster.wait_verdict(name, "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _told_by(self, digest: str) -> list[Told] | None:
        """What a digest tells, by a peer that knows it to have left: until then more may come to it."""
        for name in self._names:
            doc = self.cluster.get(name, f"/api/v1/notifications/{digest}")
            if doc and "told" in doc and doc["stage"] != "pending":
                return [(one["incident"], one["service"], one["kind"]) for one in doc["told"]]
        return None

    def _cluster(self, server: Server) -> Cluster:
        gateway = self.networks.gateway
        hook, post = self.networks.forward(self.hook.port), self.networks.forward(self.post.port)
        # How soon another peer tells is the question, not how much a channel takes.
        rate = "{every: 100ms, burst: 10, hour: 10000}"
        cluster = Cluster(
            self._folder,
            services="\n".join(
                f"{name}: {{url: 'http://{gateway}:{server.port}/{name}', interval: 1s, timeout: 1s}}"
                for name in self._services
            ),
            notify=(
                f"hook: {{url: 'json://{gateway}:{hook}/', search: true, rate: {rate}}}\n"
                f"post: {{url: 'mailto://{gateway}:{post}?from=watchtower@example.test&to=ops@example.test',"
                f" rate: {rate}}}"
            ),
            # A stream of outages is what this is about: nothing counts as flapping.
            extra="defaults:\n  alert: [hook, post]\nalerting: {flap: {window: 60, high: 100%}}",
            cluster_extra=f"reference: ['tcp://{gateway}:{server.port}']",
            names=self._names,
            peer_extra=self._peer_extra,
            hosts=self.networks.address,
            prefix=self.networks.prefix(),
        )
        cluster.program = FAULTY
        return cluster

    # ---- breaking and mending

    @contextlib.contextmanager
    def broken(self, kind: str, *peers: str) -> Iterator[Fault]:
        """Note that these peers are broken from here to the end of the block."""
        fault = Fault(kind, peers, time.time())
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.ended_wall = time.time()

    def heal(self) -> None:
        """Every peer runs, reaches the others and is ready."""
        self.networks.mend()
        self.hook.set_mode("late")
        for name, disk in self.disks.items():
            disk.free()
            if name not in self.cluster.processes:
                self.cluster.start(name)
            self.cluster.signal(name, signal.SIGCONT)
        self.cluster.wait_ready(timeout_s=READY_AGAIN_S)

    def wait_well(self) -> None:
        """Until nothing is left of earlier faults: the watching is well, trusts itself and owes nothing."""
        wait_for(self._is_well, WELL_AGAIN_S, "the cluster itself to be well again", every_s=LOOK_S)

    def _is_well(self) -> bool:
        statuses = [self.cluster.status(name) for name in self._names]
        if any(not isinstance(status, dict) or status["doubt"] for status in statuses):
            return False
        subjects = [f"peer/{name}" for name in self._names]
        asked = self.cluster.alerter()
        are_up = all(self.cluster.verdict(asked, subject) == "up" for subject in subjects)
        ours = (*subjects, "cluster")
        owed = [item for item in self._unfinished(asked) if item["service"] in ours or _is_old(item)]
        return are_up and statuses[0]["cluster_verdict"] == "up" and not owed and self._are_over(ours)

    def _are_over(self, subjects: tuple[str, ...]) -> bool:
        """Whether all that was told of these, on each channel, was told as over."""
        last = {(one.channel, one.service): one.kind for one in self.arrivals() if one.service in subjects}
        return all(kind == "resolved" for kind in last.values())

    def elapse(self, short_s: float, long_s: tuple[float, float] | None = None) -> None:
        """Let `short_s` pass, in a long run what the dice say between the two of `long_s`.

        A peer that ends by itself meanwhile is a failure.
        """
        chosen_s = self.dice.uniform(*long_s) if long_s else short_s
        seconds = chosen_s if self.is_long else short_s
        until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= until, seconds + 5, "time to pass")
        self.check_alive()

    def check_alive(self) -> None:
        """No peer has ended that nobody killed."""
        for name, process in self.cluster.processes.items():
            code = process.poll()
            tail = "" if code is None else self.cluster.log(name)[-2000:]
            assert code is None, f"peer {name} ended by itself with code {code}:\n{tail}"

    def others(self, name: str) -> tuple[str, ...]:
        """All names but this one."""
        return tuple(other for other in self._names if other != name)

    def held_by(self, peer: str) -> frozenset[str]:
        """Ids of the messages that this peer has claimed and not settled, as the others know it."""
        answers = (
            self._notifications(other) for other in self.others(peer) if other in self.cluster.processes
        )
        items = next((items for items in answers if items), [])
        held = (item for item in items if item["stage"] in ("claimed", "uncertain") and item["owner"] == peer)
        return frozenset(str(item["id"]) for item in held)

    def is_told_of(self, peer: str) -> bool:
        """Whether the last word on a peer is that it is in trouble."""
        about = [one for one in self.arrivals() if one.service == f"peer/{peer}"]
        return bool(about) and about[-1].kind != "resolved"

    def term(self) -> int:
        """The Raft term by the word of any peer that answers: it grows with every change of the leader."""
        known = (self.cluster.get(name, "/api/v1/cluster") for name in self._names)
        return next(int(document["term"]) for document in known if isinstance(document, dict))

    def wait_for_message(self, timeout_s: float = 12.0) -> str:
        """The peer that sends the next message to the webhook, the moment it has arrived; "" if none does."""
        known = len(self.hook.log.items)
        with contextlib.suppress(AssertionError):
            items = self.hook.log.wait_for(known + 1, timeout_s)
            return str(items[known].json["delivery"]["peer"])
        return ""

    # ---- the end

    def settle(self) -> Judgement:
        """Begin no further outage, wait until everything is over and told, then judge the run up to now."""
        self.outages.pause()
        wait_for(lambda: self.outages.is_calm, TOLD_AGAIN_S * 2, "every outage over and told as over", LOOK_S)
        asked = self.cluster.alerter()
        what = f"all finished; open: {self._open(asked)}"
        wait_for(lambda: self._is_finished(asked), TOLD_AGAIN_S, what, LOOK_S)
        judge = Judge(self.outages.log, self.arrivals(), self.faults)
        judgement = judge.judge(CHANNELS)
        judgement.violations.extend(self._ledger_disagrees(asked))
        return judgement

    def write_down(self) -> None:
        """The whole run as JSON beside the peers' logs, for whoever has to find out what happened."""
        things = {"outages": self.outages.log, "faults": self.faults, "arrivals": self.arrivals()}
        told = {name: [asdict(one) for one in ones] for name, ones in things.items()}  # type: ignore[attr-defined] # three lists of dataclasses
        (self._folder / "run.json").write_text(json.dumps(told, indent=1))

    def _is_finished(self, asked: str) -> bool:
        incidents = self.cluster.get(asked, "/api/v1/incidents?state=open")
        return (
            not self._unfinished(asked) and isinstance(incidents, dict) and incidents.get("incidents") == []
        )

    def _open(self, asked: str) -> list[str]:
        incidents = self.cluster.get(asked, "/api/v1/incidents?state=open") or {}
        return [f"{one['service']} {one['reason']}" for one in incidents.get("incidents", [])]

    def _unfinished(self, asked: str) -> list[dict[str, Any]]:
        stages = ("pending", "claimed", "uncertain")
        return [item for item in self._notifications(asked) if item["stage"] in stages]

    def _notifications(self, asked: str) -> list[dict[str, Any]]:
        answer = self.cluster.get(asked, "/api/v1/notifications?limit=200")
        items: list[dict[str, Any]] = answer["notifications"] if isinstance(answer, dict) else []
        return items

    def _every_notification(self, asked: str) -> Iterator[dict[str, Any]]:
        """All that the ledger still keeps, page by page."""
        cursor = ""
        while cursor is not None:
            page = self.cluster.get(asked, f"/api/v1/notifications?limit=200&cursor={cursor}")
            yield from page["notifications"]
            cursor = page["next"]

    def _ledger_disagrees(self, asked: str) -> Iterator[str]:
        """What the ledger calls delivered and no sink has seen."""
        # What a digest told is known by its id and a path; a digest of which all was over tells nothing.
        ids = (arrival.id.strip("<>").partition("@")[0] for arrival in self.arrivals())
        arrived = {one.partition("/")[0] for one in ids}
        for item in self._every_notification(asked):
            if item["stage"] == "delivered" and item["id"] not in arrived:
                yield f"lost: {item['id']} ({item['kind']} of {item['service']}) is called delivered"


def _is_old(item: dict[str, Any]) -> bool:
    """Whether a message has waited longer than it takes to send it, as for a claim to run out."""
    created_wall = datetime.fromisoformat(item["created_at"]).timestamp()
    return time.time() - created_wall > STUCK_S
