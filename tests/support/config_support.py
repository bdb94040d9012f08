"""A file on disk and what the loader makes of it, for tests of the configuration.

No defaults are hidden here: what a test needs, it writes into its file.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from watchtower.config.loader import load
from watchtower.core.settings import Settings

SECRET = "7c1d0a93be5f48e2a6b1c0d94e7f2a385b6c9d01e2f3a4b5"


def load_text(
    folder: Path, text: str, *, peer: str | None = "a", environ: dict[str, str] | None = None
) -> Settings:
    """Settings of a file that holds `text` without its common indentation."""
    path = folder / "watchtower.yaml"
    path.write_text(dedent(text))
    return load(path, peer=peer, environ={"SECRET": SECRET} if environ is None else environ)


THREE_PEERS = """\
cluster:
  name: prod
  secret: ${SECRET}
  peers:
    b: {raft: 10.0.2.10:7700, http: "http://10.0.2.10:8080/", zone: eu-west-1b}
    a: {raft: 10.0.1.10:7700, http: http://10.0.1.10:8080, zone: eu-west-1a}
    c: {raft: "[2001:db8::1]:7700", http: http://c.example.com, zone: hel1, provider: hetzner}
"""
