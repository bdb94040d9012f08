"""Reads the configuration file for verbs that are no peer: they need the file, not a place in it.

A file for three peers can only be read as one of them. Verbs that merely look at it take the first, so
that people need not name one. Decides nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchtower.config.document import parse, plain
from watchtower.config.loader import load
from watchtower.core.settings import Settings


def read_settings(path: Path, peer: str | None = None) -> Settings:
    """Settings of the file at `path`, as `peer` or its first one. Raises ConfigError."""
    return load(path, peer=peer or _first_peer(path), environ=os.environ)


def _first_peer(path: Path) -> str | None:
    """The peer that stands first in the file; None when there is none, and `load` will say what is wrong."""
    try:
        tree, _ = parse(path.read_text(encoding="utf-8-sig"))
        content = plain(tree) if tree is not None else None
    except (OSError, ValueError):
        return None
    cluster = content.get("cluster") if isinstance(content, dict) else None
    peers = cluster.get("peers") if isinstance(cluster, dict) else None
    return next(iter(peers), None) if isinstance(peers, dict) else None
