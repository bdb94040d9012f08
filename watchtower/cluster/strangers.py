"""Connections that were turned away: counted all, logged seldom.

Each kind of caller gets at most one line per ten seconds, so that a scanner can neither fill the log nor
hide from it. Nothing a stranger sent is ever written down.
"""

from __future__ import annotations

import logging
import ssl
import time
from typing import Final

_log = logging.getLogger(__name__)
_QUIET_S: Final = 10.0
_CALLERS_MAX: Final = 256
_BROKE_OFF: Final = (
    "it broke off the TLS handshake: no peer at all, or one with another cluster secret or cluster name"
)
_REASONS: Final = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate does not come from our cluster secret and cluster name",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate: another cluster secret or cluster name",
    "TLSV1_ALERT_DECRYPT_ERROR": "it does not trust our certificate: another cluster secret or cluster name",
}


class Strangers:
    """Counts and logs who was turned away."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: dict[str, float] = {}
        self._unlogged = 0

    def turn_away(self, who: str, why: str) -> None:
        """Note one refused connection: `who` is an address or a quoted peer name, `why` one plain clause."""
        self.count += 1
        now = time.monotonic()
        key = f"{who}: {why}"
        if now - self._logged.get(key, -_QUIET_S) < _QUIET_S:
            self._unlogged += 1
            return
        if len(self._logged) >= _CALLERS_MAX:
            self._logged = {known: at for known, at in self._logged.items() if now - at < _QUIET_S}
        if len(self._logged) >= _CALLERS_MAX:
            self._unlogged += 1
            return
        self._logged[key] = now
        _log.warning("Refused %s: %s (%d more not logged).", who, why, self._unlogged)
        self._unlogged = 0


def handshake_reason(error: Exception) -> str:
    """Why a TLS handshake failed, in words of ours only."""
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", f"no TLS of our kind ({error.reason or 'broken off'})")
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return "it did not finish the TLS handshake in time"
    return _BROKE_OFF
