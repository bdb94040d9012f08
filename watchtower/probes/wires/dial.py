"""One connection to one address, with as little as the kernel asks for: a socket, and one wait for it.

A peer connects some hundred times a second, and nearly always to a single address: no task, no timer and no
transport for that. Hosts with several addresses are raced elsewhere (tools.py). Reads and writes nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from errno import EINPROGRESS
from typing import Any, Final

from watchtower.probes.look import Look
from watchtower.probes.wires.resolver import AddressInfo

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""A host with several addresses: how long one may stay silent before the next is tried (RFC 8305)."""


async def dial(info: AddressInfo, look: Look) -> socket.socket:
    """A connected, non-blocking socket, to be closed by the caller. Raises OSError."""
    family, kind, proto, _, address = info
    made = look.open_socket(family, kind, proto, address)
    try:
        await _connect(made, address)
    except BaseException:  # whatever ends the wait, nobody else knows the socket
        made.close()
        raise
    return made


async def _connect(made: socket.socket, address: tuple[Any, ...]) -> None:
    made.setblocking(False)
    code = made.connect_ex(address)
    if code == EINPROGRESS:
        await writable(made)
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


async def writable(waiting: socket.socket) -> None:
    """Until the kernel says that `waiting` may be written to, or has failed."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()
    # By its number: of a socket object asyncio makes a description first, with two system calls.
    number = waiting.fileno()
    loop.add_writer(number, _wake, woken)
    try:
        await woken
    finally:
        loop.remove_writer(number)


async def readable(waiting: socket.socket) -> None:
    """Until the kernel says that `waiting` may be read from, or has failed."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()
    number = waiting.fileno()
    loop.add_reader(number, _wake, woken)
    try:
        await woken
    finally:
        loop.remove_reader(number)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
