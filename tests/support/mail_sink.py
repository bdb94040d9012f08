"""An SMTP server that records mails with their time and changes its behaviour at run time.

In a test: `with MailSink() as sink`. What it does is what its mode says; it judges no mail. With `tls` it
speaks STARTTLS (TLS from the first byte when `implicit`), with `login` it takes mail from that user alone,
and after TLS alone; every login it saw stands in `logins`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from support.sink_log import HANG_S, LATE_S, Log, Received, hung_up, until
from support.sink_memory import Memory

MAIL_MODES = ("ok", "late", "550", "451", "hang", "reset", "refuse")


class MailSink:
    """An SMTP server that records mails and refuses, hangs or resets on demand."""

    def __init__(
        self,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.log = Log()
        self.logins: list[tuple[str, str]] = []
        self.memory = Memory()
        self.mode = "ok"
        self.late_s = LATE_S
        self.port = port
        self._tls = tls
        self._is_implicit = implicit
        self._login = login
        self._controller: Controller | None = None
        self._released: asyncio.Event | None = None
        self._transports: set[asyncio.BaseTransport] = set()

    @property
    def received(self) -> list[Received]:
        """Every mail whose content arrived completely."""
        return list(self.log.items)

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails, parsed."""
        parsed = [
            message_from_bytes(item.body.encode("latin-1"), policy=policy.default) for item in self.received
        ]
        return [mail for mail in parsed if isinstance(mail, EmailMessage)]

    def set_mode(self, mode: str) -> None:
        """Behave like `mode` from now on; `refuse` closes the port, anything else opens it."""
        if mode not in MAIL_MODES:
            raise ValueError(f"no mode {mode!r}; there are {', '.join(MAIL_MODES)}")
        self.mode = mode
        if mode == "refuse":
            self._close()
        elif self._controller is None:
            self._open()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _open(self) -> None:
        # aiosmtpd probes its own port by number, so a free one is chosen here.
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self._controller = Controller(_Hooks(self), hostname="127.0.0.1", port=self.port, **self._options())
        self._controller.start()

    def _options(self) -> dict[str, Any]:
        """What aiosmtpd is told of TLS and of the login."""
        options: dict[str, Any] = {}
        if self._tls:
            options["ssl_context" if self._is_implicit else "tls_context"] = self._tls
            options["require_starttls"] = not self._is_implicit
        if self._login:
            # aiosmtpd does not see TLS that began before it, so whether a login is needed is asked in RCPT.
            options["auth_require_tls"] = bool(self._tls) and not self._is_implicit
            options["authenticator"] = self._admitted
        return options

    def _admitted(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        """Whether it is the user and the password."""
        login = (given.login.decode(), given.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == self._login, handled=False)

    def _close(self) -> None:
        if self._controller is not None:
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._controller.loop).result(5)
            self._controller.stop()
            self._controller = None

    async def _hang_up(self) -> None:
        if self._released is not None:
            self._released.set()
        await hung_up(self._transports)

    # ---- what aiosmtpd calls

    async def addressed(self, server: SMTP, envelope: Envelope, address: str) -> str:
        """Refuse every mailbox in mode 550."""
        if server.transport is not None:
            self._transports.add(server.transport)
        if self._login and not (server.session and server.session.authenticated):
            return "530 Authentication required"
        if self.mode == "550":
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def sent(self, server: SMTP, envelope: Envelope) -> str:
        """Record the mail, then answer as the mode says."""
        if self.mode == "451":
            return "451 try again later"
        raw, at_wall = envelope.original_content or b"", time.time()
        self.memory.take(str(message_from_bytes(raw, policy=policy.default)["Message-ID"] or ""), at_wall)
        self.log.add(
            Received(
                at_wall=at_wall,
                path=",".join(envelope.rcpt_tos),
                headers={"mail-from": envelope.mail_from or ""},
                body=raw.decode("latin-1"),
                mode=self.mode,
            )
        )
        if self.mode == "reset" and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        if self.mode in ("hang", "late"):
            self._released = asyncio.Event()
            await until(self._released, HANG_S if self.mode == "hang" else self.late_s)
        return "250 accepted"


class _Hooks:
    """What aiosmtpd finds by name. Nothing else is here: for every mail it reads every attribute."""

    def __init__(self, sink: MailSink) -> None:
        self._sink = sink

    async def handle_RCPT(  # noqa: N802 - the name that is looked for
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        return await self._sink.addressed(server, envelope, address)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - see above
        return await self._sink.sent(server, envelope)
