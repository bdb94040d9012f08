"""Where the certificate authorities of this system are, for a libcurl that brings none of its own.

SSL_CERT_FILE and SSL_CERT_DIR count, as they do for every program that uses OpenSSL. Nothing is read here.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from msgspec import Struct

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # BSD, macOS
)


class Roots(Struct, frozen=True, kw_only=True):
    """A file with all authorities, and a folder with one file for each; "" where there is none."""

    file: str = ""
    folder: str = ""


def roots() -> Roots:
    """The authorities that are trusted unless a service names its own.

    A file alone where there is one: libcurl remembers what it read from a file, but not from a folder.
    """
    file, folder = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    if file or folder:
        return Roots(file=file, folder=folder)
    paths = ssl.get_default_verify_paths()
    found = next((path for path in (paths.cafile, *_BUNDLES) if path and Path(path).is_file()), "")
    return Roots(file=found, folder="" if found else paths.capath or "")
