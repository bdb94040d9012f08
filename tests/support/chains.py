"""Certificates below an intermediate authority, and weak ones, for servers that show them to a probe.

The root is a test's Authority. What is sent along, how long the intermediate is valid and how weak the
keys are is for the test to say; no expectation stands here.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from support.targets import Authority, begun

PEM = serialization.Encoding.PEM


def below_intermediate(
    authority: Authority,
    folder: Path,
    *,
    is_sent: bool = True,
    begins_days: float = -10,
    ends_days: float = 10,
) -> ssl.SSLContext:
    """A server's context for localhost, below `CN=Middle`, which is sent along or not."""
    now = datetime.now(UTC)
    middle_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    middle_name = _name("Middle")
    begins, ends = now + timedelta(days=begins_days), now + timedelta(days=ends_days)
    middle = (
        begun(middle_name, authority._name, middle_key, begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority._key, hashes.SHA256())
    )
    leaf = _leaf(middle_name, key, now).sign(middle_key, hashes.SHA256())
    sent = [leaf, middle] if is_sent else [leaf]
    return _context(folder / "below.pem", sent, key)


def weak_key(authority: Authority, folder: Path) -> ssl.SSLContext:
    """A server's context for localhost with an RSA key of 1024 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    leaf = _leaf(authority._name, key, datetime.now(UTC)).sign(authority._key, hashes.SHA256())
    return _context(folder / "weak.pem", [leaf], key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _leaf(
    issuer: x509.Name, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, now: datetime
) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    return (
        x509.CertificateBuilder()
        .subject_name(_name("localhost"))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5))
        .add_extension(names, critical=False)
    )


def _context(
    file: Path, sent: list[x509.Certificate], key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> ssl.SSLContext:
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(b"".join(one.public_bytes(PEM) for one in sent) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(file)
    return context
