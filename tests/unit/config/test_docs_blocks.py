"""Every configuration shown in README.md, docs/ and deploy/ loads as it stands.

A fenced `yaml` block counts when it has `services:` or `cluster:` at its top level. A block that is only a
piece of a file says `# fragment` on its first line, and must then really not be a whole one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower.config.loader import load
from watchtower.errors import ConfigError

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
BLOCK = re.compile(r"^(?P<indent> *)```ya?ml[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
WHOLE = re.compile(r"^(services|cluster):", re.MULTILINE)
FRAGMENT = "# fragment"
STRONG = "7c1d0a93be5f48e2a6b1c0d94e7f2a385b6c9d01e2f3a4b5"


def _blocks() -> list[tuple[str, str]]:
    blocks = []
    for page in PAGES:
        content = page.read_text()
        for match in BLOCK.finditer(content):
            lines = match["text"].splitlines()
            text = "\n".join(line.removeprefix(match["indent"]) for line in lines)
            place = f"{page.relative_to(ROOT)}:{content[: match.start()].count(chr(10)) + 1}"
            if WHOLE.search(text) or text.startswith(FRAGMENT):
                blocks.append((place, text))
    return blocks


def _load(folder: Path, text: str) -> None:
    """Loads `text` where every variable is set and every file is there."""
    secret_file = folder / "file"
    secret_file.write_text(STRONG)
    text = re.sub(r"\$\{file:[^}]*\}", f"${{file:{secret_file}}}", text)
    names = set(re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)", text))
    path = folder / "watchtower.yaml"
    path.write_text(text)
    first_peer = re.search(r"^  peers:\n    ([a-z0-9._-]+):", text, re.MULTILINE)
    load(path, peer=first_peer[1] if first_peer else None, environ=dict.fromkeys(names, STRONG))


BLOCKS = _blocks()


@pytest.mark.parametrize(("place", "text"), BLOCKS, ids=[place for place, _ in BLOCKS])
def test_a_documented_config_loads(tmp_path: Path, place: str, text: str) -> None:
    """What people copy from the docs works; a fragment is marked only where it must be."""
    if not text.startswith(FRAGMENT):
        _load(tmp_path, text)
        return
    if WHOLE.search(text):
        with pytest.raises(ConfigError):
            _load(tmp_path, text)


def test_the_reference_shows_whole_files() -> None:
    """The pages are found and searched: the reference has at least three whole files."""
    whole = [place for place, text in BLOCKS if place.startswith("docs/reference/config.md")]
    assert len(whole) >= 3
