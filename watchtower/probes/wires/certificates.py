"""Certificates: what a shown one says, why a distrusted one is distrusted, and whom we trust.

One SSLContext per trust setting for the whole process, because creating one reads every root of the
system (tens of milliseconds). The verdict is OpenSSL's; `cryptography` only reads what is shown.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID
from msgspec import Struct, structs

from watchtower.core.targets import Trusting
from watchtower.core.text import clean
from watchtower.probes.look import CURRENT

_DAY_S: Final = 86_400
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_ISSUER: Final = (2, 19, 20, 21, 27)
_WRONG_NAME: Final = (62, 64)
_WEAK_LEAF_KEY: Final = 66
_WEAK: Final = {66: "key", 67: "key", 68: "signature"}
CHAIN_MAX: Final = 8
_SUBJECT_MAX: Final = 60
_REMEMBERED_MAX: Final = 1_024
_REMEMBERED_BYTES_MAX: Final = 8_192


class Certificate(Struct, frozen=True, kw_only=True):
    """What a certificate says of itself. Times are Unix seconds; texts are cleaned.

    `key` and `signature` are of the kind `RSA 2048 bits` and `sha256`. `above` are the others of the chain
    as the server sent them, when they were asked for.
    """

    names: tuple[str, ...]
    issuer: str
    begins_wall: float
    expires_wall: float
    subject: str = ""
    key: str = ""
    signature: str = ""
    above: tuple[Certificate, ...] = ()

    def facts(self, now_wall: float) -> dict[str, float | str]:
        """The `cert.*` facts that conditions know."""
        return {"cert.expires": self.expires_wall - now_wall, "cert.issuer": self.issuer}

    def kept(self) -> dict[str, float | str]:
        """The facts worth keeping in a Result."""
        return {"cert.expires_at": self.expires_wall, "cert.issuer": self.issuer}

    def told(self) -> dict[str, float | str]:
        """The same for a certificate that was not accepted: whose it is, and what was sent with it."""
        chain = " < ".join(one.subject for one in (self, *self.above))
        return {"cert.names": _list(self.names), **self.kept(), "cert.chain": clean(chain)}


class Pems(Struct, frozen=True, kw_only=True):
    """Paths of a service's own PEM files: who is trusted instead of the system's roots, and who we are."""

    ca: str = ""
    cert: str = ""
    key: str = ""


NO_PEMS: Final = Pems()


def pems_of(target: Trusting) -> Pems:
    """The files that a service names."""
    return Pems(ca=target.ca, cert=target.cert, key=target.key)


class Trust(ssl.SSLContext):
    """A client's context that tells the current look when a handshake begins, and on which object."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Called at the moment when TCP is connected and TLS begins."""
        look = CURRENT.get()
        if look is not None:
            # OpenSSL copies what is offered when it makes the object: one context serves every protocol.
            self.set_alpn_protocols(look.alpn)
        made = super().wrap_bio(*args, **kwargs)
        if look is not None:
            look.enter("tls")
            look.ssl_object = made
        return made


def trust(*, verify: bool, pems: Pems = NO_PEMS) -> Trust:
    """A context with the system's roots (SSL_CERT_FILE and SSL_CERT_DIR count), or one without checks.

    Raises OSError when one of `pems` cannot be used.
    """
    context = Trust(ssl.PROTOCOL_TLS_CLIENT)
    if pems.cert:
        # Whoever is asked for a passphrase would wait at a terminal that a service does not have.
        context.load_cert_chain(pems.cert, pems.key or None, password="")
    if verify and pems.ca:
        context.load_verify_locations(pems.ca)
    elif verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def shown(ssl_object: ssl.SSLObject | None, *, with_chain: bool = False) -> Certificate | None:
    """The peer's certificate of a finished handshake; None when there is none or it cannot be read."""
    try:
        der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
        if ssl_object is None or der is None:
            return None
        leaf = read(der)
        return structs.replace(leaf, above=_above(ssl_object)) if with_chain else leaf
    except ValueError:  # the handshake did not finish, or the DER is nonsense
        return None


def _above(ssl_object: ssl.SSLObject) -> tuple[Certificate, ...]:
    """The chain as it was sent, without the first. Python has a public name for it from 3.13 on only."""
    unverified = getattr(getattr(ssl_object, "_sslobj", None), "get_unverified_chain", None)
    sent = unverified() if unverified is not None else None
    return tuple(
        told(x509.load_pem_x509_certificate(one.public_bytes().encode()))
        for one in (sent or ())[1 : CHAIN_MAX + 1]
    )


def read(der: bytes) -> Certificate:
    """The certificate in `der`. Raises ValueError for nonsense."""
    return _remembered(der) if len(der) <= _REMEMBERED_BYTES_MAX else _read(der)


def _read(der: bytes) -> Certificate:
    return told(x509.load_der_x509_certificate(der))


# A server shows the same bytes at nearly every look, and the same bytes always say the same.
_remembered: Final = lru_cache(_REMEMBERED_MAX)(_read)


def told(parsed: x509.Certificate) -> Certificate:
    """What `parsed` says. Raises ValueError for nonsense."""
    try:
        return _as_told(parsed)
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion) as error:
        raise ValueError(str(error)) from error


def _as_told(parsed: x509.Certificate) -> Certificate:
    return Certificate(
        names=_names(parsed),
        issuer=clean(parsed.issuer.rfc4514_string()),
        begins_wall=parsed.not_valid_before_utc.timestamp(),
        expires_wall=parsed.not_valid_after_utc.timestamp(),
        subject=clean(parsed.subject.rfc4514_string(), _SUBJECT_MAX),
        key=_key(parsed),
        signature=_signature(parsed),
    )


def _key(parsed: x509.Certificate) -> str:
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "of an unknown kind"
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size} bits"
        case dsa.DSAPublicKey():
            return f"DSA {key.key_size} bits"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


def _signature(parsed: x509.Certificate) -> str:
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "of an unknown kind"
    return algorithm.name if algorithm else "of its own kind"


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
        return _not_yet(seen, now_wall)
    if code in _WRONG_NAME:
        return f"certificate is not for {name}" + (f" but for {_list(seen.names)}" if seen else "")
    if code == _SELF_SIGNED or code in _UNKNOWN_ISSUER:
        return _unknown_issuer(seen, is_own=code == _SELF_SIGNED)
    if code in _WEAK:
        return _weak(code, seen)
    return f"certificate is not accepted: {getattr(error, 'verify_message', '') or error}"


def _expired(seen: Certificate | None, now_wall: float) -> str:
    if seen is None:
        return "certificate has expired"
    if seen.expires_wall <= now_wall:
        return f"certificate expired {_ago(now_wall - seen.expires_wall)}, on {_date(seen.expires_wall)}"
    old = next((one for one in seen.above if one.expires_wall <= now_wall), None)
    if old is None:
        return f"a certificate of the chain above the one for {_list(seen.names)} has expired"
    return f"the authority {old.subject} above the certificate expired on {_date(old.expires_wall)}"


def _not_yet(seen: Certificate | None, now_wall: float) -> str:
    if seen is None:
        return "certificate is not valid yet"
    if seen.begins_wall > now_wall:
        return f"certificate is not valid yet, only from {_date(seen.begins_wall)}"
    young = next((one for one in seen.above if one.begins_wall > now_wall), None)
    if young is None:
        return f"a certificate of the chain above the one for {_list(seen.names)} is not valid yet"
    return (
        f"the authority {young.subject} above the certificate is valid only from {_date(young.begins_wall)}"
    )


def _unknown_issuer(seen: Certificate | None, *, is_own: bool) -> str:
    if is_own:
        return "certificate is self-signed" + (f" (for {_list(seen.names)})" if seen else "")
    if seen is None:
        return "certificate has an unknown issuer"
    if not seen.above:
        issuer = clean(seen.issuer, _SUBJECT_MAX)
        return f"certificate has an unknown issuer: {issuer} (not trusted here, no intermediate was sent)"
    top = seen.above[-1]
    if top.subject == clean(top.issuer, _SUBJECT_MAX):
        return f"certificate leads to {top.subject}, which is not trusted here"
    issuer = clean(top.issuer, _SUBJECT_MAX)
    return f"certificate leads to {top.subject}, whose issuer {issuer} is unknown"


def _weak(code: int, seen: Certificate | None) -> str:
    what = _WEAK[code]
    if seen is None:
        return f"the {what} of a certificate is too weak"
    if code == _WEAK_LEAF_KEY:
        return f"certificate's key is too weak: {seen.key}"
    if what == "signature":
        signed = ", ".join(f"{one.subject} {one.signature}" for one in (seen, *seen.above))
        return f"a signature of the chain is too weak: {signed}"
    keys = ", ".join(f"{one.subject} {one.key}" for one in seen.above)
    return f"an authority's key is too weak: {keys}"


def _ago(seconds: float) -> str:
    return f"{seconds / _DAY_S:.0f} days ago" if seconds > 2 * _DAY_S else f"{seconds / 3600:.0f} h ago"


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
