"""A target for looks at TCP and DNS, in a process of its own: accepts and closes, answers every question.

Listens on all addresses of the port it was given, TCP and UDP, and counts in a file of two 64-bit numbers:
connections accepted, questions answered. Any name has the address 192.0.2.1. It judges nothing.

    python -m benchmarks.answering PORT FILE
"""

from __future__ import annotations

import mmap
import select
import socket
import struct
import sys
from pathlib import Path

COUNTS = struct.Struct("<QQ")
BACKLOG = 4096
DATAGRAM_BYTES_MAX = 1500
HEADER = struct.Struct(">HHHHHH")
ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton("192.0.2.1")
RESPONSE = 0x8180
IP_PKTINFO = 8
"""Of Linux; the socket module does not name it."""
ANCILLARY_BYTES = socket.CMSG_SPACE(12)


def answer(question: bytes) -> bytes:
    """The response to a question about any name; b"" to what is none."""
    end = HEADER.size
    while end < len(question) and question[end]:
        end += 1 + question[end]
    end += 5
    if end > len(question):
        return b""
    number = HEADER.unpack_from(question)[0]
    return HEADER.pack(number, RESPONSE, 1, 1, 0, 0) + question[HEADER.size : end] + ANSWER


def _accept(listener: socket.socket) -> int:
    """Accept and close whoever waits; how many they were."""
    count = 0
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return count
        connection.close()
        count += 1


def _reply(endpoint: socket.socket) -> int:
    """Answer every question that waits, from the address that was asked; how many they were."""
    count = 0
    while True:
        try:
            question, about, _, asker = endpoint.recvmsg(DATAGRAM_BYTES_MAX, ANCILLARY_BYTES)
        except BlockingIOError:
            return count
        # struct in_pktinfo: interface, the local address, the address in the header.
        asked = about[0][2][8:12]
        source = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4s", 0, asked, asked))
        endpoint.sendmsg([answer(question)], [source], 0, asker)
        count += 1


def serve(port: int, counts: mmap.mmap) -> None:
    """Answer until killed."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    for sock in (listener, endpoint):
        sock.setblocking(False)
        sock.bind(("0.0.0.0", port))
    listener.listen(BACKLOG)
    waiting = select.epoll()
    waiting.register(listener, select.EPOLLIN)
    waiting.register(endpoint, select.EPOLLIN)
    accepted = answered = 0
    while True:
        for number, _ in waiting.poll():
            if number == listener.fileno():
                accepted += _accept(listener)
            else:
                answered += _reply(endpoint)
        COUNTS.pack_into(counts, 0, accepted, answered)


if __name__ == "__main__":
    with Path(sys.argv[2]).open("r+b") as file:
        serve(int(sys.argv[1]), mmap.mmap(file.fileno(), COUNTS.size))
