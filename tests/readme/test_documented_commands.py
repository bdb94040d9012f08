"""Every `watchtower ...` call that a document shows exists, with each of its options.

Decides nothing about what the calls do; the tests of the command line do that.
"""

from __future__ import annotations

import click
import pytest
from support.documented_commands import calls_in_document, calls_in_script, unknown_words
from support.house_source import ROOT, refuse, text_files, where

from watchtower.cli.main import main

DOCUMENTS = [path for path in text_files() if path.suffix == ".md"]


def test_documented_calls_exist() -> None:
    """Verbs and options in the shell blocks of README and docs are known to the command line."""
    refuse(
        (
            f"{where(path)}: watchtower {' '.join(wrong)}"
            for path in DOCUMENTS
            for call in calls_in_document(path.read_text(encoding="utf-8"))
            if (wrong := unknown_words(call, main))
        ),
        "calls that the command line does not know",
    )


def test_the_readme_shows_calls() -> None:
    """The reader of documents finds at least the demo, so the rule above does not pass on nothing."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ["demo"] in list(calls_in_document(readme))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (".venv/bin/watchtower run --config a.yaml --peer b", []),
        ("watchtower runn --config a.yaml", ["runn"]),
        ("sudo watchtower run --pier b && true", ["run", "--pier"]),
    ],
)
def test_an_unknown_word_is_found(line: str, wrong: list[str]) -> None:
    """A wrong verb and a wrong option are named; a right call passes."""

    @click.group
    def root() -> None:
        """A command line like ours."""

    @root.command
    @click.option("--config")
    @click.option("--peer")
    def run(config: str, peer: str) -> None:
        """Do nothing."""

    (call,) = calls_in_script(line)
    assert unknown_words(call, root) == wrong
