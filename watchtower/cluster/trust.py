"""Who belongs to the cluster: everybody who knows its secret, and nobody else.

From each secret the cluster's CA key is derived (HKDF-SHA256, RFC 5869, to an Ed25519 seed), the same on
every peer; each peer mints its own leaf certificate with its name in the SAN. Nothing expires: the secret
is the trust, and a wrong clock must not lock a peer out. All secrets are trusted, the first one is
presented, so a secret is rotated in three rolling steps. Keys never reach a file that outlives the call.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from watchtower.core.secret import Secret
from watchtower.errors import ClusterError

_SUFFIX: Final = "watchtower"
_BEGIN: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_END: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
_CA_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "watchtower cluster")])


class Trust:
    """The TLS contexts of one peer of one cluster, and the names it reads from certificates.

    Raises ClusterError when there is no secret, or when the peer's name fits into no certificate.
    """

    def __init__(self, *, cluster: str, peer: str, secrets: tuple[Secret, ...]) -> None:
        if not secrets:
            raise ClusterError("cluster.secret is missing: peers cannot trust each other without it")
        self._cluster = cluster
        authorities = [_authority(cluster, secret) for secret in secrets]
        roots = "".join(dict.fromkeys(_pem(certificate) for _, certificate in authorities))
        identity = _identity(*authorities[0], self._san(peer))
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER, roots, identity)
        # Each connection is judged anew: a resumed session would outlive the rotation of a secret.
        self.server.num_tickets = 0
        self.client = self._context(ssl.PROTOCOL_TLS_CLIENT, roots, identity)

    def peer_name(self, tls: ssl.SSLObject | ssl.SSLSocket | None) -> str | None:
        """The peer whose certificate authenticated this connection; None when it shows none of our kind."""
        if tls is None:
            return None
        certificate: Any = tls.getpeercert() or {}
        ending = self._san("")
        names = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
        if len(names) != 1 or not names[0].endswith(ending):
            return None
        return names[0].removesuffix(ending) or None

    def _san(self, peer: str) -> str:
        return f"{peer}.{self._cluster}.{_SUFFIX}"

    @staticmethod
    def _context(protocol: int, roots: str, identity: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The chain proves the cluster; which peer it is, `peer_name` reads and the links compare exactly.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=roots)
        with _as_file(identity) as path:
            context.load_cert_chain(path)
        return context


def _authority(cluster: str, secret: Secret) -> tuple[Ed25519PrivateKey, x509.Certificate]:
    """Key and certificate of the cluster's CA: equal inputs give equal bytes on every peer."""
    info = b"cluster ca/" + cluster.encode()
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"watchtower", info=info).derive(
        secret.reveal().encode()
    )
    key = Ed25519PrivateKey.from_private_bytes(seed)
    may_sign = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(_CA_NAME, key, serial=1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(may_sign, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None)
    )
    return key, certificate


def _identity(ca_key: Ed25519PrivateKey, ca: x509.Certificate, san: str) -> bytes:
    """A fresh leaf certificate for `san` and its key, as PEM."""
    key = Ed25519PrivateKey.generate()
    try:
        name = x509.DNSName(san)
    except ValueError as error:
        raise ClusterError(
            f"the names in {san!r} fit into no certificate: use ASCII letters and digits"
        ) from error
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "watchtower peer")])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(subject, key, serial=x509.random_serial_number())
        .issuer_name(ca.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(ca_key, None)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _pem(certificate).encode() + private


def _builder(subject: x509.Name, key: Ed25519PrivateKey, *, serial: int) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=subject if serial == 1 else None,
        public_key=key.public_key(),
        serial_number=serial,
        not_valid_before=_BEGIN,
        not_valid_after=_END,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path that reads `content` while the block runs: memory where the system can, else a private file.

    The ssl module takes certificates from paths only.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create(_SUFFIX, os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix=_SUFFIX) as folder:  # made 0700 by mkdtemp
        path = Path(folder) / "identity.pem"
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield str(path)
