"""Mail through apprise's plugin for its URLs and its login, with a message and an SMTP dialogue of our own.

Every attempt at a notification carries the same Message-ID and refers to the same root, so that mail
programs thread an incident and may drop a repeat. The fence stands after DATA was granted, before the
first byte of the message: a server discards what never ended. A reply code is a refusal, silence after
the message is ambiguous, anything before it is not sent.
"""

from __future__ import annotations

import re
import smtplib
import warnings
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Any, Final

from watchtower.core.model import Outcome
from watchtower.delivery import witness
from watchtower.delivery.message import Message, clean
from watchtower.delivery.shapes import mail_parts
from watchtower.delivery.witness import Ending

CONNECT_TIMEOUT_S: Final = 4.0
REPLY_TIMEOUT_S: Final = 6.0
GOODBYE_TIMEOUT_S: Final = 1.0
with warnings.catch_warnings():
    # apprise looks for a module that Python 3.13 dropped; its own business, and not worth a warning.
    warnings.simplefilter("ignore", DeprecationWarning)
    from apprise.plugins.email.base import NotifyEmail
    from apprise.plugins.email.smtp import AppriseSMTPController, SMTPSecureMode

OWN_HEADERS: Final = frozenset(
    ("message-id", "date", "from", "to", "subject", "references", "in-reply-to", "auto-submitted", "list-id",
     "mime-version", "content-type", "content-transfer-encoding", "x-watchtower-delivery-id")
)  # fmt: skip
_POLICY: Final = SMTP.clone(cte_type="7bit")
_LEADING_DOT: Final = re.compile(rb"(?m)^\.")


class Refused(Exception):  # noqa: N818 - it is an answer of the server, not a fault
    """The server answered with a code that is not the wanted one."""

    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


class Mail(NotifyEmail):  # type: ignore[no-untyped-call] # apprise is untyped
    """One mailbox that receives one Message."""

    request_rate_per_sec = 0
    message: Message | None = None
    ended: Ending | None = None

    @property
    def is_plaintext(self) -> bool:
        """True when neither login nor mail is encrypted on the way."""
        return bool(self.secure_mode == SMTPSecureMode.INSECURE)

    def send(self, *_args: Any, **_kwargs: Any) -> bool:
        """One SMTP dialogue; its ending is in `ended`. Never raises for reasons of the server."""
        recorder = witness.current()
        if self.message is None or recorder is None:
            return False
        exchange = recorder.begin()
        try:
            self.ended = self._converse(recorder, self.message)
        except Refused as error:
            self.ended = _refusal(error.code, recorder.shown(error.text))
        except smtplib.SMTPResponseException as error:
            self.ended = _refusal(error.smtp_code, recorder.shown(_bytes(error.smtp_error)))
        except (OSError, smtplib.SMTPException) as error:
            exchange.error = _why(error)
            self.ended = recorder.ending(is_accepted=False)
        return self.ended.outcome is Outcome.ACCEPTED

    def _converse(self, recorder: witness.Recorder, message: Message) -> Ending:
        mail = letter(message, self)
        session = AppriseSMTPController(
            host=self.smtp_host,
            port=int(self.port or 0),
            secure_mode=str(self.secure_mode),
            user=self.user,
            password=self.password,
            verify_certificate=self.verify_certificate,
            socket_connect_timeout=CONNECT_TIMEOUT_S,  # type: ignore[arg-type] # apprise declares it too narrowly
        )
        with session as entered:
            smtp: Any = entered._socket  # noqa: SLF001 - the controller offers only a True or False of its own
            smtp.sock.settimeout(REPLY_TIMEOUT_S)
            recorder.watch(smtp.sock)
            try:
                hand_over(smtp, str(self.from_addr[1]), str(self.targets[0][1]), mail, recorder)
            except (witness.Fenced, OSError):
                # Nothing may follow, not even QUIT: half a message must never be ended.
                smtp.close()
                raise
            # From here on it is accepted, however long the goodbye takes.
            recorder.settled = Ending(
                outcome=Outcome.ACCEPTED, detail="accepted", receipt=message_id(message)
            )
            smtp.sock.settimeout(GOODBYE_TIMEOUT_S)
        return recorder.settled


def hand_over(
    smtp: smtplib.SMTP, sender: str, recipient: str, mail: EmailMessage, recorder: witness.Recorder
) -> None:
    """MAIL, RCPT, DATA and the message (RFC 5321 section 3.3).

    Raises Refused for a reply that is a refusal, Fenced when the fence refused, OSError or
    smtplib.SMTPException when the connection failed.
    """
    smtp.ehlo_or_helo_if_needed()
    _want("25", smtp.mail(sender))
    _want("25", smtp.rcpt(recipient))
    _want("354", smtp.docmd("DATA"))
    body = _LEADING_DOT.sub(b"..", mail.as_bytes())
    recorder.pass_fence(smtp.sock)
    smtp.send(body if body.endswith(b"\r\n") else body + b"\r\n")
    smtp.send(b".\r\n")
    _want("25", smtp.getreply())


def _want(prefix: str, reply: tuple[int, bytes]) -> None:
    """`25` stands for 250 and 251. -1 is smtplib's word for a server that hung up."""
    if reply[0] == -1:
        raise smtplib.SMTPServerDisconnected("the server hung up")
    if not str(reply[0]).startswith(prefix):
        raise Refused(*reply)


def _refusal(code: int, text: str) -> Ending:
    """4yz passes, 5yz stays (RFC 5321 section 4.2.1); a lost login (535) is permanent too."""
    return Ending(
        outcome=Outcome.REJECTED,
        detail=f"SMTP {code}: {text}",
        is_permanent=500 <= code < 600,
    )


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server offers no STARTTLS or no login"
    return "the server hung up" if _is_hangup(error) else witness.phrase(error)


def _is_hangup(error: Exception) -> bool:
    return isinstance(error, smtplib.SMTPServerDisconnected) and error.__context__ is None


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


# ---- the message


def letter(message: Message, plugin: NotifyEmail) -> EmailMessage:
    """The mail itself: deterministic ids, threading, automatic-mail marks, a text and an HTML part."""
    parts = mail_parts(message)
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = clean(parts.subject, 200)
    mail["From"] = _address(plugin.from_addr[0] or "watchtower", plugin.from_addr[1])
    mail["To"] = _address(plugin.targets[0][0] or "", plugin.targets[0][1])
    if plugin.reply_to:
        mail["Reply-To"] = ", ".join(sorted(plugin.reply_to))
    mail["Date"] = formatdate(message.at_wall, usegmt=True)
    mail["Message-ID"] = message_id(message)
    root = f"<{message.thread}@{domain(message)}>"
    mail["In-Reply-To"] = root
    mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail["List-Id"] = f"<alerts.{domain(message)}>"  # RFC 2919
    mail["X-Watchtower-Delivery-Id"] = message.delivery_id
    for name, value in plugin.headers.items():
        if name.lower() not in OWN_HEADERS:
            mail[name] = clean(value, 500)
    mail.set_content(parts.text, cte="quoted-printable")
    mail.add_alternative(parts.html, subtype="html", cte="quoted-printable")
    return mail


def message_id(message: Message) -> str:
    """The same for every attempt, from every peer."""
    return f"<{message.delivery_id}@{domain(message)}>"


def domain(message: Message) -> str:
    """`prod.watchtower.invalid`: unique to the cluster, and never a host of anybody (RFC 2606)."""
    name = re.sub(r"[^a-z0-9-]+", "-", message.cluster.lower()).strip("-") or "cluster"
    return f"{name}.watchtower.invalid"


def _address(name: object, address: object) -> Address:
    return Address(display_name=clean(str(name), 80), addr_spec=str(address))
