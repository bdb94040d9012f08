"""The house rules that no linter knows, each as one test that lists every offender.

Decides the limits (sizes, nesting), the words that are not wanted, and what a comment must say. How the
tree is read stands in tests/support/house_source.py; who may import whom is import-linter's part.
Patterns are written with a character class so that this file does not offend against itself.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.house_measures import (
    IGNORE,
    cycles,
    defined_names,
    has_reason,
    is_broad,
    is_vague,
    per_process_calls,
    sets_read_in_order,
)
from support.house_source import (
    Function,
    comments,
    functions,
    imports,
    module_of,
    python_files,
    refuse,
    text_files,
    text_of,
    tree_of,
    where,
)

FILE_LINES = 400
TEST_FILE_LINES = 550
FUNCTION_LINES_P95 = 30
FUNCTION_LINES = 60
NESTING_P95 = 3
NESTING = 4

UNFINISHED = re.compile(r"TO[D]O|FIX[M]E|\bXX[X]\b|NotImplemented[E]rror")
MACHINE = re.compile(
    r"/wor[k]/|/far[m]/|/tmp/ven[v]|/roo[t]/|pypi\.or[g]|pythonhosted\.or[g]|deb\.debian\.or[g]"
)
MAKING = re.compile(
    r"\b(the|this) issu[e]\b|\bissu[e] #?\d+|\bas requeste[d]\b|\bthe brie[f]\b|\bthe founde[r]\b"
    r"|\b(this|earlier|next|coding) sessio[n] of (the|this) project\b|\bAI assistan[t]\b",
    re.IGNORECASE,
)


def all_functions() -> list[Function]:
    """Every function of the package."""
    return [function for path in python_files("watchtower") for function in functions(path)]


def test_files_are_short() -> None:
    """No Python file of the package is longer than 400 lines, and no file of the tests than 550."""
    for folder, limit in (("watchtower", FILE_LINES), ("tests", TEST_FILE_LINES)):
        sizes = {path: len(text_of(path).splitlines()) for path in python_files(folder)}
        refuse(
            (f"{where(path)}: {lines} lines" for path, lines in sizes.items() if lines > limit),
            f"files longer than {limit} lines",
        )


def test_functions_are_short() -> None:
    """19 of 20 functions of the package have at most 30 lines, docstring aside, and none more than 60."""
    check_limits({f.place: f.lines for f in all_functions()}, FUNCTION_LINES_P95, FUNCTION_LINES, "lines")


def test_functions_are_flat() -> None:
    """19 of 20 functions of the package nest at most 3 blocks, and none more than 4."""
    check_limits({f.place: f.nesting for f in all_functions()}, NESTING_P95, NESTING, "nested blocks")


def check_limits(sizes: dict[str, int], usual: int, hard: int, unit: str) -> None:
    """Refuse sizes over the hard limit, and sizes over the usual one when more than 1 in 20 is."""
    over = {place: size for place, size in sizes.items() if size > usual}
    limit = hard if len(over) <= 0.05 * len(sizes) else usual
    rule = f"more than {limit} {unit} (usual {usual}, never over {hard})"
    rule += f"; {len(over)} of {len(sizes)} are over {usual}"
    refuse((f"{place}: {size} {unit}" for place, size in over.items() if size > limit), rule)


def test_there_are_no_import_cycles() -> None:
    """No module of the package imports itself by a detour."""
    files = python_files("watchtower")
    known = frozenset(module_of(path) for path in files)
    graph = {module_of(path): set(imports(path, known)) - {module_of(path)} for path in files}
    refuse(cycles(graph), "import cycles")


def test_a_broad_except_says_why() -> None:
    """`except Exception` carries on its own line the reason why everything is caught there."""
    offenders = (
        offender for path in python_files("watchtower", "tests") for offender in unexplained_handlers(path)
    )
    refuse(offenders, "broad except without a comment that names the reason")


def unexplained_handlers(path: Path) -> Iterator[str]:
    """Places of broad handlers whose own line has no comment, or one without a reason."""
    said = dict(comments(path))
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.ExceptHandler) or not is_broad(node):
            continue
        if not has_reason(said.get(node.lineno, "")):
            yield where(path, node.lineno)


def test_every_ignore_carries_a_reason() -> None:
    """Each noqa and each ignored type error says why, on the same line."""
    refuse(
        (
            f"{where(path, line)}: {comment}"
            for path in python_files("watchtower", "tests")
            for line, comment in comments(path)
            if IGNORE.search(comment) and not has_reason(comment)
        ),
        "ignores without a reason",
    )


def test_files_open_with_what_they_decide() -> None:
    """Every file of the package but an `__init__` opens with two lines or more, every test file with one."""
    for folder, least in (("watchtower", 2), ("tests", 1)):
        refuse(
            (
                where(path)
                for path in python_files(folder)
                if path.name != "__init__.py"
                and len((ast.get_docstring(tree_of(path)) or "").splitlines()) < least
            ),
            f"files that do not open with a docstring of {least} lines or more",
        )


def test_every_test_says_its_behaviour() -> None:
    """Every test function has a docstring."""
    refuse(
        (
            function.place
            for path in python_files("tests")
            for function in functions(path)
            if function.node.name.startswith("test_") and not ast.get_docstring(function.node)
        ),
        "tests without a docstring",
    )


def test_test_files_have_names_of_their_own() -> None:
    """No two test files share a name, and no test folder is a package."""
    names = Counter(path.name for path in python_files("tests") if path.name.startswith("test_"))
    twice = [name for name, count in names.items() if count > 1]
    packages = [where(path) for path in python_files("tests") if path.name == "__init__.py"]
    refuse([*twice, *packages], "test files with a name in use, and __init__.py files below tests/")


def test_names_are_nouns_of_the_trade() -> None:
    """Nothing is called manager, helper, utils or handle_data."""
    refuse(
        (
            f"{where(path, line)}: {name}"
            for path in python_files("watchtower", "tests")
            for name, line in [(path.stem, 1), *defined_names(tree_of(path))]
            if is_vague(name)
        ),
        "names that say nothing",
    )


def lines_with(pattern: re.Pattern[str], files: Iterable[Path]) -> Iterator[str]:
    """Every line of the files in which the pattern is found, with its place."""
    for path in files:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if pattern.search(line) and "github.com" not in line:
                yield f"{where(path, number)}: {line.strip()[:100]}"


def test_nothing_is_left_for_later() -> None:
    """No file holds a note about unfinished work."""
    refuse(lines_with(UNFINISHED, text_files()), "notes about unfinished work")


def test_no_path_of_the_machine_it_was_written_on() -> None:
    """No file names a folder of somebody's machine or the host of a package index."""
    refuse(lines_with(MACHINE, text_files()), "machine paths and package index hosts")


def test_the_project_speaks_of_itself_alone() -> None:
    """No file tells how it came to be written."""
    refuse(lines_with(MAKING, text_files()), "talk about how the project was made")


def test_core_never_reads_a_set_in_order() -> None:
    """The core never iterates over a set: its order differs between processes, and peers would diverge."""
    refuse(
        {
            where(path, line)
            for path in python_files("watchtower/core")
            for line in sets_read_in_order(tree_of(path))
        },
        "iteration over a set in the core (sort it first)",
    )


def test_core_asks_no_clock_and_no_hash() -> None:
    """The core calls no now(), today(), id() or hash(), which differ between processes; __hash__ may."""
    refuse(
        (
            where(path, line)
            for path in python_files("watchtower/core")
            for line in per_process_calls(tree_of(path))
        ),
        "clocks and per-process values in the core",
    )


def test_one_method_is_replicated() -> None:
    """One method of ours is replicated and no other, so every entry passes the same door."""
    found = [
        where(path, node.lineno)
        for path in python_files("watchtower")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
        and any("replicated" in ast.unparse(d) for d in node.decorator_list)
    ]
    refuse(found if len(found) > 1 else [], "more than one replicated method")
