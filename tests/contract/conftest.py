"""What tests of several kinds of look share: an authority of their own.

A test that asks for it gets it; nothing here happens to the others.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.targets import Authority


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that every Prober of this test trusts, and no other."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made
