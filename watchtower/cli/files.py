"""Reads the configuration file for verbs that are no peer: they need the peers, not a place among them.

A file for three peers can only be read as one of them; verbs that merely look at the file take the
first. Decides nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchtower.config.loader import load
from watchtower.core.settings import Settings


def read_settings(path: Path, peer: str | None = None) -> Settings:
    """Settings of the file at `path`. Raises ConfigError with every mistake."""
    return load(path, peer=peer, environ=os.environ)
