"""The keys of every service that may speak TLS: whom we believe, and as whom we come.

Paths are read here, never the files: permissions.py tries those. What an address may say is elsewhere.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from msgspec.structs import replace

from watchtower.config import http_targets
from watchtower.config.problems import Wrong
from watchtower.config.schema import Clash, Flag, ServiceModel, read_by
from watchtower.core.targets import Trusting

File = Annotated[str, read_by(http_targets.read_file)]
T = TypeVar("T", bound=Trusting)


class TrustingModel(ServiceModel):
    """Whom we believe, and as whom we come."""

    verify: Flag = True
    ca: File = ""
    cert: File = ""
    key: File = ""

    how_to_speak_tls: ClassVar[str] = ""
    """What to change in a service that says nothing over TLS."""

    def speaks_tls(self) -> bool:
        """Whether anything is said over TLS."""
        return True

    def clashes(self) -> list[Clash]:
        """Keys that do not go together."""
        found = super().clashes()
        if self.key and not self.cert:
            found.append((("key",), Wrong("a key without its certificate", "add `cert:` beside it")))
        if self.ca and not self.verify:
            what = "`verify: false` accepts every certificate, whoever signed it"
            found.append((("ca",), Wrong(what, "remove one of the two")))
        unused = [key for key in ("ca", "cert", "server_name") if getattr(self, key, "")]
        if unused and not self.speaks_tls():
            found.append(((unused[0],), Wrong("nothing is said over TLS here", self.how_to_speak_tls)))
        return found

    def trusting(self, target: T) -> T:
        """The target with what these keys say."""
        return replace(target, verify=self.verify, ca=self.ca, cert=self.cert, key=self.key)
