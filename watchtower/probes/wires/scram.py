"""SCRAM-SHA-256 (RFC 5802, 7677), the side that has the password: proves it without saying it.

Pure but for the nonce it is given. The server is not trusted: it must prove that it knows the password
too, and may not ask for more rounds than ROUNDS_MAX, which would keep this process busy for as long as it
likes. Knows no protocol that carries it; wires/postgres.py does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from functools import lru_cache
from typing import Final

from watchtower.probes.failures import ProtocolError, RefusalError

MECHANISM: Final = "SCRAM-SHA-256"
ROUNDS_MAX: Final = 100_000
"""PostgreSQL asks for 4,096 unless told otherwise; a hundred thousand take some 40 ms."""
_SALT_BYTES_MAX: Final = 1_024
_KEYS_KEPT: Final = 1_024


class Exchange:
    """One login: `first()`, then `proof()` of what the server says, then `check()` of what it says last."""

    def __init__(self, password: str, nonce: str) -> None:
        self._password = prepared(password)
        self._nonce = nonce
        self._bare = f"n=,r={nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """What we say first; the protocol itself has named the user."""
        return f"n,,{self._bare}".encode()

    def proof(self, challenge: bytes) -> bytes:
        """The answer to the server's challenge. Raises ProtocolError, RefusalError."""
        said = _attributes(challenge)
        try:
            salt, rounds = base64.b64decode(said.get("s", ""), validate=True), int(said.get("i", ""))
        except (binascii.Error, ValueError):
            raise ProtocolError("its SCRAM challenge is none") from None
        nonce = said.get("r", "")
        if not nonce.startswith(self._nonce) or nonce == self._nonce or len(salt) > _SALT_BYTES_MAX:
            raise ProtocolError("its SCRAM challenge is not for us")
        if not 1 <= rounds <= ROUNDS_MAX:
            raise RefusalError(f"asks for {said['i'][:20]} rounds of SCRAM, more than {ROUNDS_MAX}")
        client_key, server_key = _keys(self._password, salt, rounds)
        bare = f"c=biws,r={nonce}"
        whole = b",".join((self._bare.encode(), challenge, bare.encode()))
        self._signature = hmac.digest(server_key, whole, "sha256")
        mask = hmac.digest(hashlib.sha256(client_key).digest(), whole, "sha256")
        proven = bytes(left ^ right for left, right in zip(client_key, mask, strict=True))
        return f"{bare},p={base64.b64encode(proven).decode()}".encode()

    def check(self, last: bytes) -> None:
        """Raise ProtocolError unless the server has proven that it knows the password as well."""
        try:
            proven = base64.b64decode(_attributes(last).get("v", ""), validate=True)
        except binascii.Error:
            proven = b""
        if not self._signature or not hmac.compare_digest(proven, self._signature):
            raise ProtocolError("cannot prove that it knows the password: not the server it should be")


@lru_cache(maxsize=_KEYS_KEPT)
def _keys(password: bytes, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
    """Client key and server key. Kept: they are all that a login costs, and salts stay."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, rounds)
    return hmac.digest(salted, b"Client Key", "sha256"), hmac.digest(salted, b"Server Key", "sha256")


def _attributes(words: bytes) -> dict[str, str]:
    pieces = words.decode("utf-8", "replace").split(",")
    return {piece[0]: piece[2:] for piece in pieces if piece[1:2] == "="}


def prepared(password: str) -> bytes:
    """The password as SASLprep (RFC 4013) has it; one that breaks its rules stays as it is, as in libpq."""
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    is_refused = any(stringprep.in_table_c21_c22(char) or stringprep.in_table_a1(char) for char in normal)
    return (password if is_refused else normal).encode()
