"""What is read from a certificate, and what a hostile one may not do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from watchtower.probes.wires.certificates import distrust, read

ONE, TWO = x509.ObjectIdentifier("1.2.3.4.1"), x509.ObjectIdentifier("1.2.3.4.2")


class Refused(Exception):  # noqa: N818 - stands for ssl.SSLCertVerificationError, which cannot be built
    """An error with OpenSSL's number."""

    def __init__(self, code: int) -> None:
        super().__init__("words of OpenSSL")
        self.verify_code = code


def made(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A certificate in DER for CN=shop with two extensions that nobody knows."""
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(ONE, b"\x05\x00"), critical=False)
        .add_extension(x509.UnrecognizedExtension(TWO, b"\x05\x00"), critical=False)
        .sign(key, algorithm)
    )
    return built.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("key", "shown", "signature"),
    [
        (rsa.generate_private_key(65537, 2048), "RSA 2048 bits", "sha256"),
        (ec.generate_private_key(ec.SECP256R1()), "EC secp256r1", "sha256"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", "of its own kind"),
    ],
)
def test_key_and_signature_are_told(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    shown: str,
    signature: str,
) -> None:
    """What makes a certificate strong or weak has a name."""
    certificate = read(made(key))
    assert (certificate.key, certificate.signature) == (shown, signature)
    assert (certificate.subject, certificate.names) == ("CN=shop", ("shop",))


def test_an_extension_that_is_there_twice_is_nonsense() -> None:
    """A hostile certificate is not readable, which is a ValueError and no other."""
    der = made(ec.generate_private_key(ec.SECP256R1()))
    assert der.count(b"\x2a\x03\x04\x02") == 1
    with pytest.raises(ValueError, match=r"1\.2\.3\.4\.1"):
        read(der.replace(b"\x2a\x03\x04\x02", b"\x2a\x03\x04\x01"))
    with pytest.raises(ValueError, match=r".+"):
        read(b"\x30\x03\x02\x01\x01")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (9, "certificate is not valid yet"),
        (10, "certificate has expired"),
        (18, "certificate is self-signed"),
        (20, "certificate has an unknown issuer"),
        (62, "certificate is not for shop"),
        (66, "the key of a certificate is too weak"),
        (68, "the signature of a certificate is too weak"),
        (26, "certificate is not accepted: words of OpenSSL"),
    ],
)
def test_every_reason_has_words_without_a_second_look(code: int, text: str) -> None:
    """When nothing could be seen of the certificate, OpenSSL's number still has a meaning."""
    assert distrust(Refused(code), "shop", None, 0.0) == text


def test_a_weak_authority_and_a_weak_signature_are_named() -> None:
    """The chain is told with its keys or its signatures, because OpenSSL does not say which."""
    above = read(made(ec.generate_private_key(ec.SECP256R1())))
    seen = type(above)(
        names=("shop",),
        issuer="CN=x",
        begins_wall=0,
        expires_wall=9e9,
        subject="CN=a",
        signature="sha1",
        above=(above,),
    )
    assert distrust(Refused(67), "shop", seen, 1.0) == "an authority's key is too weak: CN=shop EC secp256r1"
    signed = "a signature of the chain is too weak: CN=a sha1, CN=shop sha256"
    assert distrust(Refused(68), "shop", seen, 1.0) == signed
