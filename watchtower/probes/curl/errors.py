"""How a transfer ended, as the exceptions that all looks have in common: failures.py words them.

libcurl's codes say little; what is told apart by errno or only by its words is read from those. What
this peer itself lacks (a file of its own, memory) becomes an OwnFaultError and never speaks of the service.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Final

import pycurl

from watchtower.probes.curl.engine import Easy
from watchtower.probes.curl.requests import Request
from watchtower.probes.failures import BrokenOffError, OwnFaultError, ProtocolError
from watchtower.probes.wires.certificates import Certificate

_OPENSSL: Final = re.compile(r"error:[0-9A-Fa-f]{8}:[^:]*:[^:]*:(?P<reason>[^:,]+)")
_VERIFIED: Final = re.compile(r"verify result: (?P<words>.+?) \((?P<number>\d+)\)")
_RESETS: Final = tuple(os.strerror(number) for number in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED))
_WRONG_NAME: Final = 62
"""X509_V_ERR_HOSTNAME_MISMATCH: libcurl compares names itself, and OpenSSL does not know of it."""
_OWN: Final = {
    pycurl.E_SSL_CACERT_BADFILE: "this peer cannot read the certificate authorities that it is to trust",
    pycurl.E_SSL_CERTPROBLEM: "this peer cannot use its client certificate",
    pycurl.E_BAD_FUNCTION_ARGUMENT: "this peer cannot use its client certificate",
    pycurl.E_OUT_OF_MEMORY: "this peer has no memory left",
    pycurl.E_FAILED_INIT: "this peer cannot begin a transfer",
}
_E_PROXY: Final = 97
_E_TOO_LARGE: Final = 100
"""CURLE_* for which pycurl has no names."""
_SOCKETS: Final = (pycurl.E_COULDNT_CONNECT, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR)
_HANDSHAKES: Final = (pycurl.E_SSL_CONNECT_ERROR, *_SOCKETS)
_TOO_LONG: Final = "not a valid HTTP answer: its head is too long"
_NO_STATUS_LINE: Final = "HTTP/0.9"
_NO_TUNNEL: Final = "CONNECT tunnel failed"
_NO_CONNECTION: Final = "Failed to connect"


class DistrustError(ssl.SSLCertVerificationError):
    """The certificate of `request` was not accepted; its fields are those that Python's ssl fills in.

    `seen` is that certificate, if libcurl has kept it: some versions verify after the handshake.
    """

    request: Request
    seen: Certificate | None


def error_of(code: int, words: str, easy: Easy) -> Exception | None:
    """What the end of a transfer means; None when all is here that was wanted."""
    intake = easy.intake
    if code == 0:
        # Whoever hangs up within the head has answered in the eyes of libcurl.
        return None if intake.has_head else BrokenOffError("the answer broke off")
    if code == pycurl.E_WRITE_ERROR:
        return None if intake.is_full and not intake.too_long else ProtocolError(_TOO_LONG)
    if code in _OWN:
        return OwnFaultError(_OWN[code])
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _distrusted(words)
    if code in _HANDSHAKES:
        return _broken_connection(code, words, easy)
    return _broken_answer(code, words)


def _broken_answer(code: int, words: str) -> Exception:
    """The end of a transfer by its code alone."""
    match code:
        case pycurl.E_OPERATION_TIMEDOUT:
            found: Exception = TimeoutError()
        case pycurl.E_COULDNT_RESOLVE_HOST | pycurl.E_COULDNT_RESOLVE_PROXY:
            found = socket.gaierror(socket.EAI_AGAIN, words)
        case pycurl.E_GOT_NOTHING:
            found = EOFError()
        case pycurl.E_PARTIAL_FILE:
            found = BrokenOffError("the answer broke off")
        case _ if code == _E_TOO_LARGE:
            found = ProtocolError(_TOO_LONG)
        case _ if code == _E_PROXY:
            found = ProtocolError(f"the proxy refuses: {words}")
        case _:
            said = "it has no status line" if _NO_STATUS_LINE in words else words or code
            found = ProtocolError(f"not a valid HTTP answer: {said}")
    return found


def _broken_connection(code: int, words: str, easy: Easy) -> Exception:
    """What sockets or TLS said. The errno is that of the last connect, and stays when that is over."""
    number = easy.getinfo(pycurl.OS_ERRNO) if code == pycurl.E_COULDNT_CONNECT else 0
    if number:
        return OSError(number, os.strerror(number))
    if code == pycurl.E_COULDNT_CONNECT and words.startswith(_NO_CONNECTION) and not easy.sockets:
        return _no_socket()
    if any(text in words for text in _RESETS):
        return ConnectionResetError()
    found = _OPENSSL.search(words)
    if found is not None or code == pycurl.E_SSL_CONNECT_ERROR:
        return _broken_handshake(found["reason"] if found else words, words)
    return _by_words(words) or _broken_answer(code, words)


def _by_words(words: str) -> Exception | None:
    if words.startswith(_NO_TUNNEL):
        return ProtocolError(f"the proxy refuses: {words.removeprefix(_NO_TUNNEL).strip(' ,')}")
    if words.startswith(_NO_CONNECTION):  # QUIC has no errno: a port that nobody listens at
        return ConnectionRefusedError()
    return None


def _no_socket() -> Exception:
    """A connect that failed without an errno was never tried: there was no socket to try it with."""
    try:
        socket.socket().close()
    except OSError as error:
        return error
    return OwnFaultError("this peer could not open a socket")


def _broken_handshake(reason: str, words: str) -> ssl.SSLError:
    """The error as Python's ssl would have raised it, whose names of reasons failures.py knows."""
    error = ssl.SSLError(1, words)
    error.reason = reason.strip().upper().replace(" ", "_").replace("SSL/TLS_ALERT", "SSLV3_ALERT")
    return error


def _distrusted(words: str) -> DistrustError:
    found = _VERIFIED.search(words)
    error = DistrustError(1, words)
    error.verify_code = int(found["number"]) if found else _WRONG_NAME
    error.verify_message = found["words"] if found else words
    return error
