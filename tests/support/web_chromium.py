"""A real Chromium, driven over its DevTools protocol: open a page, evaluate, wait, take a picture.

Speaks the protocol over a WebSocket, so that tests need no driver program and no further package.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def chromium_path() -> str | None:
    """Where Chromium is, None when this machine has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class RefusedError(AssertionError):
    """The browser could not do what it was told, as while it goes from one page to the next."""


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command and its result; console errors met on the way are kept as complaints."""
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": params})
        async with asyncio.timeout(20):
            while True:
                said = await self._socket.receive_json()
                if said.get("id") == self._sent:
                    if "error" in said:
                        raise RefusedError(f"{method}: {said['error']}")
                    return dict(said.get("result", {}))
                if said.get("method") == "Log.entryAdded":
                    self.complaints.append(said["params"]["entry"]["text"])
                if said.get("method") == "Runtime.exceptionThrown":
                    self.complaints.append(str(said["params"]["exceptionDetails"]))

    async def open(self, url: str) -> None:
        """Go to `url` and wait until its document is there."""
        await self.call("Page.navigate", url=url)
        await self.wait(f"location.href === {url!r} && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RefusedError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def wait(self, expression: str, within_s: float = 15.0) -> None:
        """Wait until the expression is true."""
        async with asyncio.timeout(within_s):
            while not await self._holds(expression):  # noqa: ASYNC110 - the page sends no event
                await asyncio.sleep(0.05)  # noqa: TID251 - paces the look at a condition with a deadline

    async def _holds(self, expression: str) -> bool:
        try:
            return bool(await self.evaluate(expression))
        except RefusedError:
            return False  # between two pages there is nothing to ask; the deadline decides

    async def picture(self) -> bytes:
        """The visible part of the page as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def chromium(size: tuple[int, int] = (1280, 1000)) -> AsyncIterator[Tab]:
    """A browser with one tab; it ends, with all its children, when the block does."""
    program = chromium_path()
    assert program is not None
    folder = tempfile.mkdtemp()
    process = await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        f"--user-data-dir={folder}",
        f"--window-size={size[0]},{size[1]}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await _port(Path(folder) / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            address = pages[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=64 * 1024 * 1024) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _port(file: Path) -> int:
    """The port that Chromium wrote down once it listened."""
    async with asyncio.timeout(30):
        while (port := _written(file)) is None:  # noqa: ASYNC110 - the browser sends no event
            await asyncio.sleep(0.05)  # noqa: TID251 - paces the look at a condition with a deadline
    return port


def _written(file: Path) -> int | None:
    text = file.read_text() if file.exists() else ""
    return int(text.split()[0]) if text.strip() else None
