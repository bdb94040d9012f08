"""docs/reference/cli.md is complete: every command, every option, nothing that is not there.

Compares the document with the command line itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from watchtower.cli.main import main

DOC = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def commands(group: click.Group, prefix: str = "watchtower") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def sections() -> dict[str, str]:
    """The document's sections by command."""
    parts = re.split(r"^## `(watchtower [^`]+)`$", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_of(command: click.Command) -> set[str]:
    """The long names of the options that people may see."""
    return {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("--")
    }


def test_every_command_has_its_section_and_no_other() -> None:
    """A new verb without a word about it fails here, and so does a word about a verb that went."""
    assert set(sections()) == {call for call, _ in commands(main)}


@pytest.mark.parametrize(("call", "command"), list(commands(main)), ids=[call for call, _ in commands(main)])
def test_every_option_is_documented(call: str, command: click.Command) -> None:
    """The option table of a command names exactly its options; shared ones stand in a list of their own."""
    shared = set(re.findall(r"`(--[a-z-]+)", DOC.read_text(encoding="utf-8").partition("## `")[0]))
    named = set(re.findall(r"`(--[a-z-]+)", sections()[call]))
    assert options_of(command) - shared == (named & options_of(command)) - shared
    assert named <= options_of(command)


@pytest.mark.parametrize("call", ["watchtower status", "watchtower probe"])
def test_exit_codes_for_nagios_are_told(call: str) -> None:
    """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    section = sections()[call]
    assert all(word in section for word in ("0 OK", "1 WARNING", "2 CRITICAL", "3 UNKNOWN"))


def test_every_command_explains_itself() -> None:
    """--help of each command and option says something."""
    for call, command in commands(main):
        assert command.help, call
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{call} {option.name}"
