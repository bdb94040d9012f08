"""Every way to get the file wrong that we know of, with the whole text that a person then reads.

`WATCHTOWER_REWRITE=1 pytest tests/unit/config/test_broken_files.py` writes the texts anew; review the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watchtower.config.loader import load
from watchtower.errors import ConfigError

BROKEN = Path(__file__).parent / "broken"
ENVIRON = {
    "SECRET": "7c1d0a93be5f48e2a6b1c0d94e7f2a385b6c9d01e2f3a4b5",
    "TOKEN": "hunter2-token",
    "SLACK_TOKENS": "hunter2/hunter2",
    "SMTP_USER": "hunter2",
}


def _report(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(BROKEN)
    first_line = path.read_text().partition("\n")[0]
    peer = first_line.removeprefix("# peer:").strip() if first_line.startswith("# peer:") else "a"
    with pytest.raises(ConfigError) as caught:
        load(path.name, peer=peer or None, environ=ENVIRON)
    return f"{caught.value}\n"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_file_is_answered_with_the_golden_text(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All errors of a file at once, each with place, line, caret, key path and advice, word for word."""
    report = _report(path, monkeypatch)
    golden = path.with_suffix(".txt")
    if os.environ.get("WATCHTOWER_REWRITE"):
        golden.write_text(report)
    assert report == golden.read_text()


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_report_shows_no_secret(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files call every secret `hunter2`, written down or put in; no report repeats one of them."""
    report = _report(path, monkeypatch)
    assert "hunter2" not in report.lower()
    assert ENVIRON["SECRET"] not in report


def test_every_golden_text_has_its_file() -> None:
    """No text is left over from a file that is gone, and there are many files."""
    names = {path.stem for path in BROKEN.glob("*.yaml")}
    assert {path.stem for path in BROKEN.glob("*.txt")} == names
    assert len(names) >= 20
