"""What one HTTP request costs its client: aiohttp's session beside pycurl in the engine of the probes.

Both ask the same nginx for 1 KiB on fresh connections, in slots of 100 ms, each in a process of its own, turn
by turn; certificates are verified by both. CPU is the kernel's count of that process, from after the warm-up.
No look, verdict or peer is in it: this is what decision 0031 rests on.

    python -m tests.benchmarks http_engines [--rate 100 --seconds 10 --turns 3]
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pycurl
from benchmarks.figures import machine
from benchmarks.probe_targets import Targets
from benchmarks.prometheus import require
from support.cluster_support import TESTS

from watchtower.core.targets import HttpTarget
from watchtower.probes.curl.engine import Engine
from watchtower.probes.curl.requests import first_request
from watchtower.probes.curl.roots import Roots

ENGINES = ("aiohttp", "pycurl")
SLOT_S = 0.1
WARM_UP_S = 2.0
Ask = Callable[[str], Awaitable[None]]


async def paced(ask: Ask, urls: list[str], rate: int, seconds: float) -> float:
    """CPU milliseconds of a request."""
    loop = asyncio.get_running_loop()
    asking: set[asyncio.Task[None]] = set()
    in_slot, began, before_s, count = max(1, round(rate * SLOT_S)), loop.time(), 0.0, 0
    for slot in range(round((WARM_UP_S + seconds) / SLOT_S)):
        if slot == round(WARM_UP_S / SLOT_S):
            before_s, count = time.process_time(), 0
        await asyncio.sleep(began + slot * SLOT_S - loop.time())  # noqa: TID251 - this is the pace
        for _ in range(in_slot):
            task = asyncio.ensure_future(ask(urls[count % len(urls)]))
            asking.add(task)
            task.add_done_callback(asking.discard)
            count += 1
    await asyncio.gather(*asking)
    return (time.process_time() - before_s) / count * 1000


async def by_aiohttp(urls: list[str], ca_file: str, options: argparse.Namespace) -> float:
    """The cheapest shape of aiohttp: one session, one context, nothing kept."""
    trust = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def ask(url: str) -> None:
            async with session.get(url, ssl=trust, allow_redirects=False) as answer:
                assert len(await answer.read()) == 1024

        return await paced(ask, urls, options.rate, options.seconds)


async def by_pycurl(urls: list[str], ca_file: str, options: argparse.Namespace) -> float:
    """The engine as the probes use it."""
    engine = Engine()
    requests = {url: first_request(HttpTarget(url=url), Roots(file=ca_file), "benchmark") for url in urls}

    async def ask(url: str) -> None:
        easy = engine.take(requests[url].next_options())
        code, words = await engine.run(easy, ca_file)
        assert (code, easy.getinfo(pycurl.RESPONSE_CODE)) == (0, 200), words
        assert len(easy.intake.body()) == 1024
        engine.give_back(easy)

    try:
        return await paced(ask, urls, options.rate, options.seconds)
    finally:
        engine.close()


def main(arguments: list[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="http_engines", description=__doc__)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--ca", default="", help=argparse.SUPPRESS)
    parser.add_argument("--url", action="append", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        by = by_aiohttp if options.child == "aiohttp" else by_pycurl
        sys.stdout.write(f"{asyncio.run(by(options.url, options.ca, options))}\n")
        return 0
    require("nginx", "openssl")
    print_table(options)
    return 0


def print_table(options: argparse.Namespace) -> None:
    """The median of all turns, for HTTP and HTTPS."""
    lines = ["| | aiohttp, CPU ms | pycurl, CPU ms | aiohttp / pycurl |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, Targets(Path(folder)).serving() as targets:
        for kind in ("http", "https"):
            urls = [targets.url(kind, number) for number in range(20)]
            rows = [
                [child(engine, urls, targets, options) for engine in ENGINES] for _ in range(options.turns)
            ]
            old, new = (statistics.median(column) for column in zip(*rows, strict=True))
            lines.append(f"| {kind}, {options.rate}/s | {old:.3f} | {new:.3f} | {old / new:.2f} |")
    sys.stdout.write("\n".join([*lines, "", machine(), ""]))


def child(engine: str, urls: list[str], targets: Targets, options: argparse.Namespace) -> float:
    """One turn of one engine, in a process of its own."""
    command = [
        sys.executable, "-m", "benchmarks.http_engines", "--child", engine, "--ca", str(targets.certificate),
        "--rate", str(options.rate), "--seconds", str(options.seconds),
        *(word for url in urls for word in ("--url", url)),
    ]  # fmt: skip
    return float(subprocess.run(command, cwd=TESTS, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
