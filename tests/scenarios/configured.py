"""A scenario's YAML through the real loader: what an operator would write is what the scenario runs.

The cluster and its peers are added, since a script names its peers itself.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from watchtower.config.loader import load
from watchtower.core.settings import Settings

SECRET = "kN3vX8qTz1LmR5wYbC7dE9fG2hJ4sP6u"


def configured(text: str, peer: str, peers: tuple[str, ...], config_hash: str) -> Settings:
    """The settings of `peer` by the YAML in `text`. Raises ConfigError."""
    rows = "".join(
        f"    {name}: {{raft: '192.0.2.{number}:7700', http: 'http://192.0.2.{number}:8080'}}\n"
        for number, name in enumerate(peers, 1)
    )
    cluster = f"cluster:\n  name: test\n  secret: {SECRET}\n  peers:\n{rows}"
    with TemporaryDirectory() as folder:
        path = Path(folder, "watchtower.yaml")
        path.write_text(cluster + text)
        return replace(load(path, peer=peer, environ={}), config_hash=config_hash)
