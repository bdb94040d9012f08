"""Local places that receive notifications: a Slack-shaped and JSON-taking HTTP sink; mail_sink.py has SMTP.

Both record everything with its time, remember every delivery id (Message-ID) they took, and change their
behaviour at run time: `ok`, `late` (taken, answered `late_s` later), `reset` (taken, the answer is lost),
`hang` (taken, never answered in time), refusals by their number, `echo` (refused with `echo_status` and what
`echo` makes of the request), `refuse` (the port is closed). The HTTP sink can be searched (sink_memory.py)
whatever its mode, unless `search_mode` says otherwise; `mode_of` overrides the mode for paths that hold a
text, and `limit` refuses with 429 what comes too soon (sink_limits.py).
In a test: `with HttpSink() as sink`, `with MailSink() as sink`. As a process with a control endpoint:
`python -m support.sinks --slack-port 0 --smtp-port 0 --control-port 0` prints one JSON line of ports, then
`GET /received`, `GET /deliveries`, `POST /mode {"slack": "500", "search": "hang", "mail": "ok"}` and
`POST /clear` work on the control port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from support.mail_sink import MailSink
from support.sink_limits import Limit
from support.sink_log import HANG_S, LATE_S, Log, Received, hung_up, turns, until
from support.sink_memory import (
    SLACK_CHANNEL,
    Memory,
    delivery_id_of,
    search_answer,
    slack_message,
    slack_updated,
)

HTTP_MODES = ("ok", "late", "500", "404", "429", "reset", "hang", "refuse", "drip", "form", "echo")
SEARCH_MODES = ("ok", "500", "hang", "reset")
RETRY_AFTER_S = 7


class HttpSink:
    """Slack webhook (`/services/...`), Slack bot (`/api/chat.postMessage`) and any JSON endpoint in one."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.log = Log()
        self.searches = Log()
        self.memory = Memory()
        self.mode = "ok"
        self.mode_of: dict[str, str] = {}
        self.limit: Limit | None = None
        self.search_mode = "ok"
        self.update_mode = "ok"
        self.lost_thread = ""
        self.refused_form = ""
        self.updates = Log()
        self.retry_after_s = RETRY_AFTER_S
        self.late_s = LATE_S
        self.redirect_to = ""
        self.echo: Callable[[Received], str] = lambda item: item.path
        self.echo_status = 503
        self.port = port
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._released: asyncio.Event | None = None
        self._transports: set[asyncio.BaseTransport] = set()

    @property
    def received(self) -> list[Received]:
        """Everything that arrived so far."""
        return list(self.log.items)

    @property
    def url(self) -> str:
        """Base URL of the sink."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def set_mode(self, mode: str) -> None:
        """Behave like `mode` from the next request on; `refuse` closes the port, anything else opens it."""
        if mode not in HTTP_MODES:
            raise ValueError(f"no mode {mode!r}; there are {', '.join(HTTP_MODES)}")
        self._call(self._apply(mode))

    def set_search_mode(self, mode: str) -> None:
        """Answer who searches like `mode` from the next request on."""
        if mode not in SEARCH_MODES:
            raise ValueError(f"no search mode {mode!r}; there are {', '.join(SEARCH_MODES)}")
        self.search_mode = mode

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._released = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._open()

    async def _stop(self) -> None:
        assert self._runner is not None
        assert self._released is not None
        self._released.set()
        # A connection that was just accepted must be known to the runner before it closes them all.
        await turns()
        await self._runner.cleanup()
        await hung_up(self._transports)

    async def _open(self) -> None:
        assert self._runner is not None
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._site = web.SockSite(self._runner, listener, ssl_context=self._tls)  # type: ignore[assignment] # the library declares it too narrowly
        assert self._site is not None
        await self._site.start()

    async def _apply(self, mode: str) -> None:
        self.mode = mode
        if mode == "refuse" and self._site is not None:
            await self._site.stop()
            self._site = None
        elif mode != "refuse" and self._site is None:
            await self._open()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        body = (await request.read()).decode("utf-8", "replace")
        found = search_answer(self.memory, request.path, request.query) if request.method == "GET" else None
        mode = self._mode_at(request.path) if found is None else self.search_mode
        item = Received(
            at_wall=time.time(), path=request.path_qs, headers=dict(request.headers), body=body, mode=mode
        )
        if found is not None:
            self.searches.add(item)
            return await self._search_answer(request, mode, *found)
        special = await self._special(request, item)
        if special is not None:
            return special
        # First remembered, then told: who saw it in the log finds it when searching.
        if _refusal(mode, body) is None and not self.redirect_to:
            ts = f"{item.at_wall:.6f}"
            self.memory.take(delivery_id_of(item.headers, body), item.at_wall, slack_message(body, ts))
        self.log.add(item)
        if mode == "echo":
            return web.Response(status=self.echo_status, text=self.echo(item))
        return await self._answer(request, mode, body)

    def _mode_at(self, path: str) -> str:
        """What this request gets: what its path is told to, else 429 where the limit is passed."""
        mode = next((mode for part, mode in self.mode_of.items() if part in path), self.mode)
        return "429" if mode == "ok" and self.limit and not self.limit.admits(path) else mode

    async def _special(self, request: web.Request, item: Received) -> web.StreamResponse | None:
        """Updates, and refusals of one form or one thread; None for everything else."""
        if request.path.endswith("/api/chat.update"):
            self.updates.add(item)
            if self.update_mode == "ok":
                return web.json_response(slack_updated(self.memory, item.body))
            return await self._answer(request, self.update_mode, item.body)
        if self.refused_form and self.refused_form in item.body:
            self.log.add(item)
            return web.Response(status=400, text="this form is not understood")
        if self.lost_thread and '"thread_ts"' in item.body:
            self.log.add(item)
            return web.json_response({"ok": False, "error": self.lost_thread})
        return None

    async def _search_answer(
        self, request: web.Request, mode: str, status: int, answer: dict[str, Any]
    ) -> web.StreamResponse:
        assert self._released is not None
        if mode == "reset":
            _reset(request)
        if mode == "hang":
            await until(self._released, HANG_S)
        if mode == "500":
            return web.Response(status=500, text="server_error")
        return web.json_response(answer, status=status)

    async def _answer(self, request: web.Request, mode: str, body: str) -> web.StreamResponse:
        assert self._released is not None
        is_bot = request.path.endswith(("/chat.postMessage", "/chat.update"))
        if self.redirect_to:
            return web.Response(status=307, headers={"Location": self.redirect_to})
        if mode == "drip":
            return await self._drip(request)
        if mode == "reset":
            _reset(request)
        if mode in ("hang", "late"):
            await until(self._released, HANG_S if mode == "hang" else self.late_s)
        refusal = _refusal(mode, body)
        if refusal is not None:
            status, text, error = refusal
            if is_bot and error:
                # Slack explains itself at length behind the word.
                why = {"messages": [f"[ERROR] {error} [json-pointer:/blocks/0/text/text]" * 3]}
                return web.json_response({"ok": False, "error": error, "response_metadata": why})
            wait_s = self.limit.wait_s(request.path) if self.limit else self.retry_after_s
            headers = {"Retry-After": str(wait_s)} if status == 429 else {}
            return web.Response(status=status, headers=headers, text=text)
        if is_bot:
            ts = self.memory.messages[0]["ts"] if self.memory.messages else ""
            return web.json_response({"ok": True, "channel": SLACK_CHANNEL["id"], "ts": ts})
        return web.Response(text="ok")

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """One byte a second for ever: every byte resets a read timeout."""
        assert self._released is not None
        response = web.StreamResponse()
        await response.prepare(request)
        deadline = time.monotonic() + HANG_S
        while time.monotonic() < deadline and not await until(self._released, 1.0):
            await response.write(b"o")
        return response


def _refusal(mode: str, body: str) -> tuple[int, str, str] | None:
    """Status and text of a refusal, and the word that Slack's API says with status 200 instead."""
    if mode == "form":
        return (400, "invalid_blocks", "invalid_blocks") if "blocks" in body else None
    refusals = {
        "429": (429, "rate_limited", ""),
        "404": (404, "no_service", "channel_not_found"),
        "500": (500, "server_error", ""),
        "echo": (503, "", ""),
    }
    return refusals.get(mode)


def _reset(request: web.Request) -> None:
    """End the connection with a RST, after the request was read."""
    transport = request.transport
    assert transport is not None
    sock = transport.get_extra_info("socket")
    # SO_LINGER on with time 0: close sends RST instead of FIN.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    # On Python 3.11.2 (Debian 12) aborting a TLS transport that was closed twice raises this.
    with contextlib.suppress(AttributeError):
        transport.abort()


# ---- as a process of its own


def _control(http: HttpSink, mail: MailSink) -> web.Application:
    """GET /received, GET /deliveries, POST /mode, POST /clear."""

    async def received(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "slack": [asdict(item) for item in http.received],
                "mail": [asdict(item) for item in mail.received],
            }
        )

    async def set_mode(request: web.Request) -> web.Response:
        wanted = await request.json()
        setters: dict[str, Callable[[str], None]] = {
            "slack": http.set_mode,
            "search": http.set_search_mode,
            "mail": mail.set_mode,
        }
        try:
            for name, mode in wanted.items():
                await asyncio.to_thread(setters[name], mode)
        except (KeyError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"slack": http.mode, "search": http.search_mode, "mail": mail.mode})

    async def deliveries(_request: web.Request) -> web.Response:
        return web.json_response({"slack": http.memory.taken(), "mail": mail.memory.taken()})

    async def clear(_request: web.Request) -> web.Response:
        for log in (http.log, http.searches, mail.log):
            log.items.clear()
        http.memory.clear()
        mail.memory.clear()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/received", received)
    app.router.add_get("/deliveries", deliveries)
    app.router.add_post("/mode", set_mode)
    app.router.add_post("/clear", clear)
    return app


async def _serve(http: HttpSink, mail: MailSink, control_port: int) -> None:
    runner = web.AppRunner(_control(http, mail), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", control_port))
    await web.SockSite(runner, listener).start()
    ports = {"slack": http.port, "smtp": mail.port, "control": listener.getsockname()[1]}
    print(json.dumps(ports), flush=True)  # noqa: T201 - the line its starter waits for
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Run both sinks and the control endpoint until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("slack", "smtp", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0)
    options = parser.parse_args()
    with HttpSink(options.slack_port) as http, MailSink(options.smtp_port) as mail:
        asyncio.run(_serve(http, mail, options.control_port))


if __name__ == "__main__":
    main()
