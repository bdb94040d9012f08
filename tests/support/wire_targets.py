"""TCP, TLS and DNS targets on loopback that can be opened and closed like the HTTP one."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
from support.cluster_support import free_ports
from support.sink_trust import make_ca


class TcpTarget:
    """Accepts connections and closes them at once."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Listen (again)."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the accept, which a mere close would leave listening.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        """Nothing to say on plain TCP."""


class TlsTarget(TcpTarget):
    """Completes a TLS handshake with a certificate of a test CA."""

    def __init__(self, folder: Path) -> None:
        self._context = make_ca(folder).context
        super().__init__()

    def _welcome(self, connection: socket.socket) -> None:
        connection.settimeout(2)
        with self._context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)


class DnsTarget:
    """Answers every A question for one name over UDP; silent while closed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.port = free_ports(1)[0]
        self._socket: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Answer (again)."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", self.port))
        self._socket.settimeout(0.2)
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        udp, self._socket = self._socket, None
        if udp is not None:
            udp.close()

    def _serve(self, udp: socket.socket) -> None:
        while self._socket is udp:
            try:
                wire, sender = udp.recvfrom(4096)
                question = dns.message.from_wire(wire)
                answer = dns.message.make_response(question)
                answer.flags |= dns.flags.AA | dns.flags.RA
                answer.answer.append(dns.rrset.from_text(self._name, 60, "IN", "A", "192.0.2.10"))
                udp.sendto(answer.to_wire(), sender)
            except TimeoutError:
                continue
            except OSError:
                return
