"""Probe workers as real processes: killed, stopped, starved, hung, grown, reloaded; nothing is ever down."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.core_support import service, settings
from support.looking import condition
from support.watching import UNKNOWN, UP

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Result
from watchtower.core.secret import Secret
from watchtower.core.settings import ProbeSettings, Service, Settings
from watchtower.core.targets import ExecTarget, HttpTarget, TcpTarget
from watchtower.probes.working import keeper
from watchtower.probes.working.workers import Workers

pytestmark = pytest.mark.timeout(60)

Web = Callable[[str], HttpTarget]


class Rig:
    """Running workers and everything they saw."""

    def __init__(self, *services: Service, count: int = 1, **probe: Any) -> None:
        self._probe = {"workers": count, "per_host": 50, **probe}
        self.results: list[Result] = []
        self.first: tuple[str, ...] = ()
        self.links: tuple[str, ...] = ()
        self.unanswered: list[str] = []
        self._news = asyncio.Event()
        self.workers = Workers(
            self.settings(*services),
            SystemClock(),
            self._on_result,
            first=lambda: self.first,
            links=lambda: self.links,
            on_unanswered=self.unanswered.append,
        )

    def settings(self, *services: Service) -> Settings:
        """Settings with these services and this rig's limits."""
        return settings(*services, probe=ProbeSettings(**self._probe))

    def _on_result(self, found: Result) -> None:
        self.results.append(found)
        self._news.set()

    @property
    def pids(self) -> list[int]:
        """Of the processes that live now."""
        return [one.pid for one in self.workers.stats.workers if one.pid]

    async def until(self, holds: Callable[[], object], what: str, within_s: float = 25.0) -> None:
        """Wait until `holds`; fails naming `what` when it takes too long."""
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), 0.02)
                    self._news.clear()
        except TimeoutError:
            stats, trouble = self.workers.stats, self.workers.trouble()
            pytest.fail(f"not within {within_s} s: {what}; {stats}, {trouble}, {self.results[-3:]}")

    async def until_seen(self, *names: str) -> None:
        """Until a new result of each of these has come."""
        self.results.clear()
        await self.until(lambda: {one.service for one in self.results} >= set(names), f"results of {names}")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        """Run them for the length of a block; no process is left afterwards."""
        task = asyncio.create_task(self.workers.run())
        try:
            yield self
            assert not task.done()
        finally:
            last = self.pids
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not [pid for pid in last if lives(pid)]


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers `/x` with a body of 8,192 x."""

    def do_GET(self) -> None:
        body = self.path.removeprefix("/").encode() * 8_192
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[Web]:
    """An HTTP server on loopback; a target for each text it is to answer with."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield lambda text: HttpTarget(url=f"http://127.0.0.1:{server.server_address[1]}/{text}")
    server.shutdown()
    server.server_close()


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine, with its fixtures."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


def often(name: str, target: HttpTarget | TcpTarget, **fields: Any) -> Service:
    """A service that is looked at five times a second."""
    return service(name, target, **{"interval_s": 0.2, "timeout_s": 2.0, **fields})


@on_a_loop
async def test_a_look_that_waits_long_is_told_while_it_waits(web: Web) -> None:
    """Who does not answer is named a second after the look began, not when it has failed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        hanging = often("hanging", HttpTarget(url=url), interval_s=10.0, timeout_s=10.0)
        async with Rig(hanging, often("good", web("x"))).running() as rig:
            await rig.until(lambda: rig.unanswered, "the first word of it")
            assert rig.unanswered == ["hanging"]
            assert "hanging" not in {one.service for one in rig.results}


@on_a_loop
async def test_services_are_shared_out_and_each_is_looked_at_once_an_interval(web: Web) -> None:
    """Three workers, each with some of the services and none with another's; the counters add up."""
    services = [often(f"s{number}", web("x")) for number in range(12)]
    async with Rig(*services, count=3).running() as rig:
        await rig.until_seen(*(one.name for one in services))
        assert len(set(rig.pids)) == 3
        begun, results = rig.workers.stats.started_total, len(rig.results)
        await rig.until(lambda: len(rig.results) >= results + 120, "ten results of each")
        assert 100 <= rig.workers.stats.started_total - begun <= 160
        assert {one.opinion for one in rig.results} == {UP}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@on_a_loop
async def test_a_killed_worker_is_told_at_once_and_replaced(web: Web, number: signal.Signals) -> None:
    """It is trouble until another one speaks and twelve seconds more; blind only while nobody speaks."""
    async with Rig(often("web", web("x"))).running() as rig:
        await rig.until_seen("web")
        first = rig.pids
        os.kill(first[0], number)
        await rig.until(lambda: rig.workers.trouble().is_blind, "blind", within_s=1.0)
        assert rig.workers.trouble().reason == f"its probe worker was ended by signal {number.value}"
        await rig.until(lambda: rig.pids not in ([], first), "another process")
        await rig.until_seen("web")
        assert not rig.workers.trouble().is_blind
        assert "signal" in rig.workers.trouble().reason
        assert rig.workers.stats.workers[0].restarts_total == 1
        assert {one.opinion for one in rig.results} == {UP}
        await rig.until(lambda: not rig.workers.trouble().reason, "no trouble any more", within_s=15.0)


@on_a_loop
async def test_a_stopped_worker_is_silent_after_two_seconds_and_replaced(web: Web) -> None:
    """SIGSTOP: no batch for two seconds, killed, the next one looks; counters do not go back."""
    async with Rig(often("web", web("x"))).running() as rig:
        await rig.until_seen("web")
        first, started = rig.pids, rig.workers.stats.started_total
        os.kill(first[0], signal.SIGSTOP)
        await rig.until(lambda: rig.workers.trouble().is_blind, "blind", within_s=4.0)
        assert "has said nothing for 2 s" in rig.workers.trouble().reason
        await rig.until_seen("web")
        assert not lives(first[0])
        assert rig.workers.stats.started_total >= started
        assert {one.opinion for one in rig.results} == {UP}


@on_a_loop
async def test_a_worker_without_descriptors_says_so_and_is_well_again_with_them(web: Web) -> None:
    """Starved by prlimit: looks prove nothing, the reason is told; given back, they are good again."""
    async with Rig(often("web", web("x"))).running() as rig:
        await rig.until_seen("web")
        resource.prlimit(rig.pids[0], resource.RLIMIT_NOFILE, (3, 4096))
        await rig.until(lambda: rig.workers.trouble().reason, "trouble", within_s=5.0)
        assert "no free file descriptor" in rig.workers.trouble().reason
        assert not rig.workers.trouble().is_blind
        rig.results.clear()
        await rig.until(
            lambda: any(one.opinion is UNKNOWN for one in rig.results), "looks that prove nothing"
        )
        assert {one.opinion for one in rig.results} <= {UP, UNKNOWN}
        resource.prlimit(rig.pids[0], resource.RLIMIT_NOFILE, (1024, 4096))
        await rig.until(lambda: rig.results[-1].opinion is UP, "good again", within_s=5.0)
        assert rig.workers.stats.workers[0].restarts_total == 0


@on_a_loop
async def test_an_endless_expression_costs_its_own_service_and_nobody_else(web: Web) -> None:
    """Each look at it is stopped and proves nothing; the worker lives, the others are looked at in time."""
    endless = condition("body ~ endless", "body", "~", "a*a*a*a*a*b")
    services = [often("bad", web("a"), expect=(endless,)), often("good", web("a"))]
    async with Rig(*services).running() as rig:
        await rig.until_seen("bad", "good")
        pids = rig.pids
        rig.results.clear()
        await rig.until(lambda: sum(one.service == "good" for one in rig.results) >= 10, "ten good looks")
        bad = [one for one in rig.results if one.service == "bad"]
        assert {(one.opinion, one.kind) for one in bad} == {(UNKNOWN, Kind.INCONCLUSIVE)}
        assert bad[0].text == "its condition did not come to an end in 100 ms: body ~ endless"
        assert rig.pids == pids


@on_a_loop
async def test_a_worker_that_stands_still_shows_where_and_is_replaced(
    web: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A loop that never comes back, in code that nobody can interrupt, is killed like any silent worker."""
    monkeypatch.setattr(keeper, "COMMAND", hung_after(seconds=1.0))
    async with Rig(often("web", web("x"))).running() as rig:
        await rig.until_seen("web")
        first = rig.pids
        await rig.until(lambda: rig.workers.trouble().is_blind, "blind", within_s=8.0)
        await rig.until(lambda: rig.pids not in ([], first), "another process")
        await rig.until_seen("web")
    assert "in stand_still" in capfd.readouterr().err


@on_a_loop
async def test_programs_of_a_worker_that_is_killed_end_with_it() -> None:
    """What a stopped worker had started is not left behind."""
    program = ExecTarget(program="/bin/sleep", arguments=(Secret("600"),))
    async with Rig(service("job", program, interval_s=60.0, timeout_s=60.0)).running() as rig:
        await rig.until(lambda: rig.pids and grandchildren(rig.pids[0]), "a program")
        first, (started,) = rig.pids, grandchildren(rig.pids[0])
        os.kill(first[0], signal.SIGSTOP)
        await rig.until(lambda: not lives(first[0]) and has_ended(started), "both ended", within_s=6.0)


@on_a_loop
async def test_a_worker_that_grows_is_replaced(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over its bound of memory it ends, said and counted."""
    async with Rig(often("web", web("x")), concurrency=1).running() as rig:
        await rig.until_seen("web")
        assert 20 << 20 < rig.workers.stats.workers[0].rss_bytes < 150 << 20
        monkeypatch.setattr(keeper, "RSS_BYTES_MAX", 10 << 20)
        await rig.until(lambda: rig.workers.stats.workers[0].restarts_total >= 1, "a restart")
        monkeypatch.undo()
        assert re.search(r"has grown to \d+ MiB, over its 10 MiB", rig.workers.trouble().reason)
        await rig.until_seen("web")


@on_a_loop
async def test_a_reload_reaches_the_worker(web: Web) -> None:
    """New services are looked at, gone ones are not, in the same process."""
    async with Rig(often("old", web("x")), often("both", web("x"))).running() as rig:
        await rig.until_seen("old", "both")
        pids = rig.pids
        rig.workers.reload(rig.settings(often("both", web("x")), often("new", web("x"))))
        await rig.until_seen("new")
        await rig.until_seen("new", "both")
        assert {one.service for one in rig.results} == {"new", "both"}
        assert rig.pids == pids


@on_a_loop
async def test_what_fails_is_looked_at_first(web: Web) -> None:
    """A new life begins with the services that were named, before the hundreds of others."""
    services = [service(f"s{number}", web("x"), interval_s=60.0) for number in range(300)]
    rig = Rig(*services)
    rig.first = ("s7", "s150", "s299")
    async with rig.running():
        await rig.until(lambda: len(rig.results) >= 30, "thirty results")
        assert {one.service for one in rig.results[:5]} >= set(rig.first)


@on_a_loop
async def test_a_look_out_of_turn_reaches_the_worker(web: Web) -> None:
    """`probe_now` does not wait for the interval."""
    async with Rig(service("web", web("x"), interval_s=600.0)).running() as rig:
        await rig.until_seen("web")
        rig.workers.probe_now(("web", "nobody"))
        await rig.until_seen("web")


@on_a_loop
async def test_a_worker_ends_with_its_peer(web: Web) -> None:
    """The end of the line is enough, even for one that was stopped meanwhile; nothing is left to reap."""
    async with Rig(often("web", web("x")), count=2).running() as rig:
        await rig.until(lambda: len(rig.pids) == 2, "two processes")


@on_a_loop
async def test_starting_and_stopping_at_any_moment_leaves_nothing(web: Web) -> None:
    """Cancelled while a process starts, speaks, dies or starts again: no process, no descriptor is left."""
    before = open_files()
    for delay_s in (0.0, 0.001, 0.05, 0.3, 0.9, 1.2):
        rig = Rig(often("web", web("x")))
        task = asyncio.create_task(rig.workers.run())
        await asyncio.wait([task], timeout=delay_s)
        for pid in rig.pids[: int(delay_s * 10) % 2]:
            os.kill(pid, signal.SIGKILL)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert children() == []
    assert open_files() <= before


def test_a_worker_imports_nothing_that_looking_does_not_take() -> None:
    """One more process on every host: neither servers, nor the file, nor what talks to people or to Raft."""
    program = "import sys, watchtower.probes.working.worker; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    loaded = set(run.stdout.split())
    unwanted = {
        *("aiohttp", "apprise", "pydantic", "jinja2", "rich", "click", "pysyncobj", "prometheus_client"),
        *("ruamel", "sqlite3", "watchtower.config", "watchtower.cluster", "watchtower.delivery"),
        *(
            "watchtower.history",
            "watchtower.web",
            "watchtower.peer",
            "watchtower.app",
            "watchtower.probes.weighing.vantage",
        ),
    }
    assert loaded & unwanted == set()


def hung_after(seconds: float) -> tuple[str, ...]:
    """The command of a worker whose loop stands still some time after its start."""
    program = (
        "import asyncio, hashlib, threading\n"
        "from watchtower.probes.working import worker\n"
        "def stand_still():\n"
        "    while True: pass\n"
        "begin = worker.Worker._begin\n"
        "def hanging(self, *rest):\n"
        "    begin(self, *rest)\n"
        f"    asyncio.get_running_loop().call_later({seconds}, stand_still)\n"
        "worker.Worker._begin = hanging\n"
        "worker.main()\n"
    )
    return (keeper.COMMAND[0], "-c", program)


def lives(pid: int) -> bool:
    """Whether there is such a process, dead ones that nobody has reaped included."""
    return Path(f"/proc/{pid}").exists()


def grandchildren(pid: int) -> list[int]:
    """What this process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or is a zombie that its new parent has still to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def open_files() -> int:
    """Descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def children() -> list[str]:
    """Processes whose parent is this one, dead ones included."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
