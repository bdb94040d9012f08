"""Links in messages by which whoever got one may act on its incident: how they are made and checked.

A code is a truncated HMAC over the incident's number, under a key that every peer derives from a secret of
the cluster: any peer can check it, nobody keeps it. Whether a link is still good is not decided here
(docs/decisions/0048-acting-on-alerts.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.settings import CHANNEL_PREFIX, Settings

CODE_BYTES: Final = 12
CODE_CHARS: Final = 16
ACTING_SCOPES: Final = ("write", "admin")
_SALT: Final = b"watchtower acting links"


def code(settings: Settings, incident: int) -> str:
    """What proves that its bearer was told of `incident`; "" where there is no secret to prove it with."""
    keys = _keys(settings)
    return _code(keys[0], settings.cluster.name, incident) if keys else ""


def is_code(settings: Settings, incident: int, presented: str) -> bool:
    """True for the code of `incident` under any secret that counts. Takes the same time whatever is wrong."""
    offered = presented.encode("utf-8", "replace")[: CODE_CHARS + 1]
    found = False
    for key in _keys(settings):
        known = _code(key, settings.cluster.name, incident).encode()
        found |= hmac.compare_digest(known, offered)
    return found


def may_silence(subject: str) -> bool:
    """Not a drill, which is to be confirmed, and not the trouble of a channel, which must stay loud."""
    return not subject.startswith((DRILL_PREFIX, CHANNEL_PREFIX))


def _code(key: bytes, cluster: str, incident: int) -> str:
    full = hmac.digest(key, f"{cluster}\n{incident}".encode(), "sha256")
    return base64.urlsafe_b64encode(full[:CODE_BYTES]).decode()


def _keys(settings: Settings) -> list[bytes]:
    """A key for each secret of the cluster, the first makes codes; else one for each token that may act."""
    known = [secret.reveal() for secret in settings.cluster.secrets]
    if not known:
        known = [one.token.reveal() for one in settings.http.tokens if one.scope in ACTING_SCOPES]
    return [_derived(secret.encode()) for secret in known]


def _derived(secret: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) to one block."""
    extracted = hmac.digest(_SALT, secret, hashlib.sha256)
    return hmac.digest(extracted, b"acting links v1\x01", hashlib.sha256)
