"""What tests of several kinds of look share: an authority of their own, for one test or a module of them.

A test that asks for it gets it; nothing here happens to the others.
"""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """The authority of a module's own server, which every Prober of the module trusts, and no other."""
    folder = tmp_path_factory.mktemp("authority")
    authority = Authority(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        patch.setenv("SSL_CERT_DIR", str(folder / "none"))
        yield authority
