"""Certificates: what a shown one says, why a distrusted one is distrusted, and whom we trust.

One SSLContext per trust setting for the whole process, because creating one reads every root of the
system (tens of milliseconds). The verdict is OpenSSL's; `cryptography` only reads what is shown.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

from watchtower.core.text import clean
from watchtower.probes.look import CURRENT

_DAY_S: Final = 86_400
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_ISSUER: Final = (2, 19, 20, 21, 27)
_WRONG_NAME: Final = (62, 64)


class Certificate(Struct, frozen=True, kw_only=True):
    """What a certificate says of itself. Times are Unix seconds; texts are cleaned."""

    names: tuple[str, ...]
    issuer: str
    begins_wall: float
    expires_wall: float

    def facts(self, now_wall: float) -> dict[str, float | str]:
        """The `cert.*` facts that conditions know."""
        return {"cert.expires": self.expires_wall - now_wall, "cert.issuer": self.issuer}

    def kept(self) -> dict[str, float | str]:
        """The facts worth keeping in a Result."""
        return {"cert.expires_at": self.expires_wall, "cert.issuer": self.issuer}


class Trust(ssl.SSLContext):
    """A client's context that tells the current look when a handshake begins, and on which object."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Called by asyncio at the moment when TCP is connected and TLS begins."""
        made = super().wrap_bio(*args, **kwargs)
        look = CURRENT.get()
        if look is not None:
            look.enter("tls")
            look.ssl_object = made
        return made


def trust(*, verify: bool) -> Trust:
    """A context with the system's roots (SSL_CERT_FILE and SSL_CERT_DIR count), or one without checks."""
    context = Trust(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def shown(ssl_object: ssl.SSLObject | None) -> Certificate | None:
    """The peer's certificate of a finished handshake; None when there is none or it cannot be read."""
    try:
        der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
        return read(der) if der else None
    except ValueError:  # the handshake did not finish, or the DER is nonsense
        return None


def read(der: bytes) -> Certificate:
    """The certificate in `der`. Raises ValueError for nonsense."""
    parsed = x509.load_der_x509_certificate(der)
    return Certificate(
        names=_names(parsed),
        issuer=clean(parsed.issuer.rfc4514_string()),
        begins_wall=parsed.not_valid_before_utc.timestamp(),
        expires_wall=parsed.not_valid_after_utc.timestamp(),
    )


def _names(parsed: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(entry.value) for entry in extension if isinstance(entry, (x509.DNSName, x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = [str(entry.value) for entry in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(clean(name, 80) for name in names)


def distrust(error: BaseException, name: str, seen: Certificate | None, now_wall: float) -> str:
    """Why the certificate shown for `name` was not accepted, with what a second look saw of it.

    `error` is an ssl.SSLCertVerificationError, or aiohttp's idea of one.
    """
    code = getattr(error, "verify_code", 0)
    if code == _EXPIRED:
        return _expired(seen, now_wall)
    if code == _NOT_YET_VALID:
        return "certificate is not valid yet" + (f", only from {_date(seen.begins_wall)}" if seen else "")
    if code in _WRONG_NAME:
        return f"certificate is not for {name}" + (f" but for {_list(seen.names)}" if seen else "")
    if code == _SELF_SIGNED:
        return "certificate is self-signed" + (f" (for {_list(seen.names)})" if seen else "")
    if code in _UNKNOWN_ISSUER:
        return "certificate has an unknown issuer" + (f": {seen.issuer}" if seen else "")
    return f"certificate is not accepted: {getattr(error, 'verify_message', '') or error}"


def _expired(seen: Certificate | None, now_wall: float) -> str:
    if seen is None:
        return "certificate has expired"
    if seen.expires_wall > now_wall:
        return f"a certificate of the chain above the one for {_list(seen.names)} has expired"
    return f"certificate expired {_ago(now_wall - seen.expires_wall)}, on {_date(seen.expires_wall)}"


def _ago(seconds: float) -> str:
    return f"{seconds / _DAY_S:.0f} days ago" if seconds > 2 * _DAY_S else f"{seconds / 3600:.0f} h ago"


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
