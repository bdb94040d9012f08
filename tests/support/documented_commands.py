"""Command lines of watchtower as documents, units and images show them.

Decides what in a text is a call of `watchtower` and takes it apart into verb and options. It never runs one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

FENCE = re.compile(r"^```(?:console|sh|bash|shell)?\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:^|\s|bin/)watchtower (?P<rest>(?:[a-z-]|--).*)$")
ENDS = re.compile(r"\s(?:[|&;#>].*|\\)$")


def calls_in_document(text: str) -> Iterator[list[str]]:
    """Arguments of each `watchtower ...` call in the shell blocks of a Markdown document."""
    for block in FENCE.finditer(text):
        yield from calls_in_script(block["code"])


def calls_in_script(text: str) -> Iterator[list[str]]:
    """Arguments of each `watchtower ...` call in lines of a shell script, up to the next command."""
    for line in text.replace("\\\n", " ").splitlines():
        if found := CALL.search(line):
            yield shlex.split(ENDS.sub("", re.split(r"\s(?:&&|\|\||[|;#>])", found["rest"])[0]))


def unknown_words(arguments: list[str], root: click.Command) -> list[str]:
    """Verbs and options of one call that the command line does not have; empty when all are known."""
    command = root
    for number, word in enumerate(arguments):
        if word.startswith("--"):
            known = {name for option in command.params for name in option.opts + option.secondary_opts}
            if word.partition("=")[0] not in known | {"--help"}:
                return arguments[: number + 1]
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return arguments[: number + 1]
            command = command.commands[word]
    return []
