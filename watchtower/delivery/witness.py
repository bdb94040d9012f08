"""What really happened on the wire while apprise was sending, and the fence before the first byte.

apprise answers True or False, so "refused" and "accepted, but the answer was lost" look alike.
Two hooks (requests' HTTPAdapter.send and urllib3's HTTPConnection.request) tell them apart for
calls made under a Recorder; every other call in the process is untouched. The second hook runs
after connect and TLS, right before the first request byte: there the fence may still refuse.
Nothing here decides what to do about an ending.
"""

from __future__ import annotations

import contextlib
import inspect
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Final

import requests.adapters
import urllib3.connection
import urllib3.exceptions
from msgspec import Struct

from watchtower.core.model import Outcome
from watchtower.core.text import clean
from watchtower.errors import DeliveryError

BODY_MAX: Final = 65_536
BODY_SHOWN: Final = 120
RETRY_AFTER_MAX_S: Final = 900.0
_TEMPORARY_STATUS: Final = (408, 425, 429)


class Fenced(OSError):  # noqa: N818 - it is a decision, not a fault
    """The fence refused: the claim has run out or is somebody else's by now. Nothing was sent."""


class Ending(Struct, frozen=True, kw_only=True):
    """How one attempt ended: the outcome, a redactable line for people, and what the provider asked for.

    `is_permanent`: trying the same again will be refused again (a wrong token, an unknown mailbox).
    """

    outcome: Outcome
    detail: str
    is_permanent: bool = False
    is_fenced: bool = False
    retry_after_s: float = 0.0
    receipt: str = ""


class Exchange(Struct):
    """One request under a recorder. `status` 0 means that no answer was seen."""

    has_left: bool = False
    is_fenced: bool = False
    status: int = 0
    retry_after_s: float = 0.0
    body: str = ""
    error: str = ""


class Recorder:
    """Records the exchanges of one attempt, and holds its fence.

    `fence` is asked right before the first byte of every exchange; it answers whether sending is
    still allowed, from any thread. `abandon` may be called from another thread at any time. Of an
    answer at most `body_max` bytes are read; `redact` takes the secrets out of it, before it is cut.
    """

    def __init__(
        self, fence: Callable[[], bool], body_max: int = BODY_MAX, redact: Callable[[str], str] = str
    ) -> None:
        self._fence = fence
        self._redact = redact
        self.body_max = body_max
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._socket: socket.socket | None = None
        self.exchanges: list[Exchange] = []
        self.settled: Ending | None = None

    @property
    def last(self) -> Exchange:
        """The latest exchange; an empty one before any began."""
        return self.exchanges[-1] if self.exchanges else Exchange()

    def shown(self, answer: bytes) -> str:
        """The beginning of a provider's answer as one harmless line.

        Redacted first: of a secret that the cut went through, nobody would recognise the rest.
        """
        return clean(self._redact(answer.decode("utf-8", "replace"))[: BODY_SHOWN * 4], BODY_SHOWN)

    def begin(self) -> Exchange:
        """A new exchange, still connecting."""
        self.exchanges.append(Exchange())
        return self.last

    def watch(self, sock: socket.socket | None) -> None:
        """Remember the socket in use, so that `abandon` can end a hanging thread."""
        self._socket = sock

    def pass_fence(self, sock: socket.socket | None) -> None:
        """Call right before the first byte. Raises Fenced, after which no byte may be written."""
        with self._lock:
            if not self.exchanges:
                self.begin()
            if self._is_abandoned or not self._fence():
                self.last.is_fenced = True
                raise Fenced("the claim ran out before the first byte")
            self._socket = sock
            self.last.has_left = True

    def abandon(self) -> Ending:
        """Give the attempt up: what has not begun to leave never will, what has is ambiguous."""
        with self._lock:
            self._is_abandoned = True
            has_left = any(exchange.has_left for exchange in self.exchanges)
            sock, settled = self._socket, self.settled
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if settled is not None:
            return settled
        if has_left:
            return Ending(outcome=Outcome.AMBIGUOUS, detail="no answer within the time budget")
        return Ending(outcome=Outcome.NOT_SENT, detail="no connection within the time budget")

    def ending(self, *, is_accepted: bool, receipt: str = "") -> Ending:
        """The verdict over the attempt. `is_accepted` is what the plugin said.

        The last exchange decides, except that a lost answer anywhere makes the attempt ambiguous.
        """
        if is_accepted:
            shown = f"HTTP {self.last.status}" if self.last.status else "accepted"
            return Ending(outcome=Outcome.ACCEPTED, detail=shown, receipt=receipt)
        lost = next((exchange for exchange in self.exchanges if _is_lost(exchange)), None)
        if lost is not None:
            return Ending(outcome=Outcome.AMBIGUOUS, detail=f"sent, then {lost.error or 'no answer'}")
        last = self.last
        if last.is_fenced:
            return Ending(outcome=Outcome.NOT_SENT, detail="the claim ran out before sending", is_fenced=True)
        if not last.status:
            return Ending(outcome=Outcome.NOT_SENT, detail=last.error or "the plugin sent nothing")
        return Ending(
            outcome=Outcome.REJECTED,
            detail=f"HTTP {last.status}: {last.body}".rstrip(": "),
            is_permanent=400 <= last.status < 500 and last.status not in _TEMPORARY_STATUS,
            retry_after_s=last.retry_after_s,
        )


def _is_lost(exchange: Exchange) -> bool:
    """Bytes may have left, and nothing says that they were refused."""
    if not exchange.has_left or exchange.status >= 300:
        return False
    return not exchange.status or bool(exchange.error)


_recorder: ContextVar[Recorder | None] = ContextVar("watchtower_recorder", default=None)


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Everything requests sends within the block, in this thread, is seen by `recorder`."""
    token = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(token)


def current() -> Recorder | None:
    """The recorder of the calling context, if any."""
    return _recorder.get()


# ---- the hooks

_installed = threading.Lock()
_is_installed = False


def install() -> None:
    """Put both hooks in place, once per process.

    Raises DeliveryError when a library no longer has a hook point: without it an attempt's outcome
    could not be told, and an alert could be repeated or lost in silence.
    """
    global _is_installed  # noqa: PLW0603 - the hooks are a property of the process
    with _installed:
        if _is_installed:
            return
        _assert_hook_points()
        _hook_adapter()
        _hook_connection()
        _is_installed = True


def _assert_hook_points() -> None:
    points = (
        ("requests", version("requests"), requests.adapters.HTTPAdapter, "send", "request"),
        ("urllib3", version("urllib3"), urllib3.connection.HTTPConnection, "request", "method"),
        ("urllib3", version("urllib3"), urllib3.connection.HTTPConnection, "connect", "self"),
    )
    for library, release, owner, name, parameter in points:
        function = owner.__dict__.get(name)
        if not callable(function) or parameter not in inspect.signature(function).parameters:
            raise DeliveryError(
                f"{library} {release} has no {owner.__name__}.{name} as watchtower knows it, so the outcome "
                f"of a delivery could not be told; install a {library} release that has it"
            )
    if "request" in urllib3.connection.HTTPSConnection.__dict__:
        raise DeliveryError(
            f"urllib3 {version('urllib3')} sends HTTPS requests past the fence; install another release"
        )


def _hook_adapter() -> None:
    original = requests.adapters.HTTPAdapter.send

    def send(
        self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        recorder = _recorder.get()
        if recorder is None:
            return original(self, request, *args, **kwargs)
        exchange = recorder.begin()
        try:
            response = original(self, request, *args, **kwargs)
            exchange.status = response.status_code
            exchange.retry_after_s = retry_after_s(response.headers.get("Retry-After", ""), time.time())
            exchange.body = recorder.shown(_read(response, recorder.body_max))
        except (OSError, urllib3.exceptions.HTTPError) as error:
            exchange.error = phrase(error)
            raise
        return response

    requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign] # a hook is put in on purpose


def _read(response: requests.Response, body_max: int) -> bytes:
    """The body, at most `body_max` bytes of it, left in the response for the plugin to read."""
    body = b""
    for chunk in response.iter_content(16_384):
        body += chunk
        if len(body) > body_max:
            response.close()
            break
    response._content = body[:body_max]  # noqa: SLF001 - requests has no public way to bound a body
    response._content_consumed = True  # noqa: SLF001 - the hook point is private
    return body


def _hook_connection() -> None:
    original = urllib3.connection.HTTPConnection.request

    def request(self: urllib3.connection.HTTPConnection, *args: Any, **kwargs: Any) -> None:
        recorder = _recorder.get()
        if recorder is not None:
            if self.sock is None:
                # Plain HTTP would connect only while sending; a refused connection must stay "not sent".
                self.connect()
            recorder.pass_fence(self.sock)
        original(self, *args, **kwargs)

    urllib3.connection.HTTPConnection.request = request  # type: ignore[method-assign] # a hook is put in on purpose


# ---- words for what was seen


def retry_after_s(value: str, now_wall: float) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110 section 10.2.3), at most 15 minutes; 0 if none."""
    if not value:
        return 0.0
    try:
        seconds = float(value) if value.strip().isdigit() else _until(value, now_wall)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 1.0), RETRY_AFTER_MAX_S)


def _until(date: str, now_wall: float) -> float:
    return parsedate_to_datetime(date).timestamp() - now_wall


_PHRASES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (Fenced, "the claim ran out"),
    (ssl.SSLCertVerificationError, "the certificate is not trusted"),
    (ssl.SSLError, "the TLS handshake failed"),
    (socket.gaierror, "the name does not resolve"),
    (urllib3.exceptions.NameResolutionError, "the name does not resolve"),
    (ConnectionRefusedError, "connection refused"),
    (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (ConnectionResetError, "the connection was reset"),
    (BrokenPipeError, "the connection was closed"),
    (ConnectionError, "the connection was closed"),
    (urllib3.exceptions.ProtocolError, "the connection broke off"),
    (urllib3.exceptions.ProxyError, "the proxy refused"),
    (TimeoutError, "no answer in time"),
)


def phrase(error: BaseException) -> str:
    """The cause of `error` in fixed words: exception texts contain URLs, and so secrets."""
    chain = list(_causes(error))
    for kind, words in _PHRASES:
        if any(isinstance(cause, kind) for cause in chain):
            return words
    return type(chain[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue = [error]
    while queue and len(seen) < 20:
        cause = queue.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        queue += [item for item in inner if isinstance(item, BaseException)]
