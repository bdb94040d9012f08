"""The certificates that were sent in libcurl's handshake, as it tells them: a list of PEM texts.

A certificate seldom changes between looks, so each is read once. What it says is certificates.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pycurl
from cryptography import x509
from msgspec.structs import replace

from watchtower.probes.curl.engine import Easy
from watchtower.probes.wires.certificates import CHAIN_MAX, Certificate, told

_REMEMBERED_MAX: Final = 2_048
_REMEMBERED_BYTES_MAX: Final = 16_384


def sent_certificate(easy: Easy) -> Certificate | None:
    """The service's certificate, which knows those above it; None when none was sent or it is nonsense."""
    sent = easy.getinfo_raw(pycurl.INFO_CERTINFO)[: CHAIN_MAX + 1]
    pems = tuple(value for fields in sent for name, value in fields if name == b"Cert")
    return _remembered(pems) if sum(map(len, pems)) <= _REMEMBERED_BYTES_MAX else _read(pems)


def _read(pems: tuple[bytes, ...]) -> Certificate | None:
    try:
        read = [told(x509.load_pem_x509_certificate(pem)) for pem in pems]
    except ValueError:
        return None
    return replace(read[0], above=tuple(read[1:])) if read else None


_remembered: Final = lru_cache(_REMEMBERED_MAX)(_read)
