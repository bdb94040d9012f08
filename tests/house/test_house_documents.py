"""House rules of the documents: links lead somewhere, paths exist, decisions are listed, commands agree.

Decides what a document may point at. It never judges the wording; tests/readme/ runs what the README says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from support.house_source import ROOT, refuse, text_files, text_of, where

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\((?P<goal>[^)\s]+)\)|!\[[^\]\n]*\]\((?P<image>[^)\s]+)\)")
FENCE = re.compile(r"^(?P<mark>```+|~~~+).*?^(?P=mark)\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*#*$", re.MULTILINE)
NAMED_PATH = re.compile(r"`(?P<path>(?:watchtower|tests|docs|deploy|\.ci)/[\w./@-]*)`")
NAMED_TEST = re.compile(r"`(?P<file>tests/[\w./-]+\.py)::(?P<name>\w+)`")
CHECKER = re.compile(r"`sim: (?P<name>\w+)`")
DECISIONS = ROOT / "docs" / "decisions"
INDEX_NAMES = {"README.md", "index.md"}


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return [path for path in text_files() if path.suffix == ".md"]


def prose_of(path: Path) -> str:
    """A document without its fenced code, line numbers kept."""
    return FENCE.sub(lambda fence: "\n" * fence.group().count("\n"), text_of(path))


def anchors(path: Path) -> set[str]:
    """The anchors that headings of a document make, as code hosts build them."""
    titles = (match["title"] for match in HEADING.finditer(prose_of(path)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_lead_somewhere() -> None:
    """Every relative link of a document names a file that exists, and an anchor that is in it."""
    refuse((offender for path in documents() for offender in dead_links(path)), "dead links")


def dead_links(path: Path) -> Iterator[str]:
    """Relative links of one document that lead nowhere."""
    for match in LINK.finditer(prose_of(path)):
        goal = match["goal"] or match["image"]
        if re.match(r"[a-z]+:", goal):
            continue
        file_part, _, anchor = goal.partition("#")
        target = (path.parent / file_part).resolve() if file_part else path
        missing_anchor = (
            anchor and target.suffix == ".md" and target.exists() and anchor not in anchors(target)
        )
        if not target.exists() or missing_anchor:
            yield f"{where(path)}: {goal}"


def test_paths_in_documents_exist() -> None:
    """Every path of this repository that a document names in code type exists."""
    refuse(
        (
            f"{where(path)}: {match['path']}"
            for path in documents()
            for match in NAMED_PATH.finditer(prose_of(path))
            if not (ROOT / match["path"]).exists()
        ),
        "paths that do not exist",
    )


def test_tests_and_checkers_in_documents_exist() -> None:
    """A promise is only as good as the test that it names."""
    refuse((missing for path in documents() for missing in missing_tests(path)), "tests that do not exist")


def missing_tests(path: Path) -> Iterator[str]:
    """Tests and checkers of the simulation that one document names and nobody has written."""
    prose = prose_of(path)
    for match in NAMED_TEST.finditer(prose):
        file = ROOT / match["file"]
        if not file.exists() or f"def {match['name']}(" not in text_of(file):
            yield f"{where(path)}: {match['file']}::{match['name']}"
    for match in CHECKER.finditer(prose):
        if not (ROOT / "tests" / "simulation" / "checkers" / f"{match['name']}.py").exists():
            yield f"{where(path)}: sim: {match['name']}"


def test_every_decision_is_listed() -> None:
    """The index of docs/decisions links to each decision beside it."""
    written = {path.name for path in DECISIONS.glob("*.md")}
    listed = {
        match["goal"].partition("#")[0]
        for name in INDEX_NAMES & written
        for match in LINK.finditer(text_of(DECISIONS / name))
        if match["goal"]
    }
    refuse(written - INDEX_NAMES - listed, "decisions that no index lists")


def test_ci_runs_the_command_of_the_readme() -> None:
    """The README's test command is the one that .ci/run calls, so what people run is what is checked."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    command = script[-1].removesuffix(' "$@"')
    assert command.endswith("-m tests"), command
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
