"""The pinned pysyncobj: another one says so instead of misbehaving."""

from __future__ import annotations

import pytest

from watchtower.cluster import inside
from watchtower.errors import ClusterError


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we rely on was read in one version; another one is told in words."""
    monkeypatch.setattr(inside, "VERSION", "0.3.18")
    with pytest.raises(ClusterError, match=r"pysyncobj 0\.3\.18 is installed.*pip install"):
        inside.check_version()
