"""The shape of a service that is looked at by a program of this machine, and how its words are read.

There is no shell: words are taken as they are. Whether the program exists is asked where it will run.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Final

from msgspec.structs import replace
from pydantic import AfterValidator, BeforeValidator, Field

from watchtower.config.problems import Wrong
from watchtower.config.schema import (
    LINES_MAX,
    SEVERAL,
    PacedModel,
    ServiceModel,
    judging,
    list_of_one,
    read_by,
)
from watchtower.core.conditions import Condition
from watchtower.core.secret import Secret
from watchtower.core.targets import ExecTarget

WORDS_MAX: Final = 64
_WORD_MAX: Final = 4_096
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_SHELLS_OWN: Final = re.compile(r"[|&;<>`]|\$\(")
_EXAMPLE: Final = "write it like [/usr/lib/nagios/plugins/check_load, -w, '5,4,3', -c, '9,8,7']"


def read_word(text: str) -> str:
    """One word of a command. Raises Wrong."""
    if len(text) > _WORD_MAX or "\0" in text:
        raise Wrong("too long, or a null character", f"a word has at most {_WORD_MAX} characters")
    return text


def read_variable_value(text: str) -> Secret:
    """The value of a variable of the environment; any may be a credential. Raises Wrong."""
    return Secret(read_word(text))


def read_variable_name(text: str) -> str:
    """The name of a variable of the environment. Raises Wrong."""
    if not _VARIABLE.fullmatch(text):
        raise Wrong("this is no name of a variable", "letters, digits and _, as in `PGPASSWORD`")
    return text


def parse_exec_target(text: str) -> ExecTarget:
    """Target of `exec:/path/to/plugin -w 5`, parted into words as by a shell. Raises Wrong."""
    command = text.partition(":")[2]
    command = command.removeprefix("//") if command.startswith("///") else command
    try:
        words = tuple(read_word(word) for word in shlex.split(command))
    except ValueError as error:
        if isinstance(error, Wrong):
            raise
        raise Wrong("a quote is not closed", "close it, or write the words as a list: exec: [...]") from None
    if not 1 <= len(words) <= WORDS_MAX:
        raise Wrong(
            f"a command has 1 to {WORDS_MAX} words", "write it like exec:/usr/lib/nagios/plugins/check_load"
        )
    return _target(_checked(words))


def _checked(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words[0].startswith("/"):
        raise Wrong("a program is named by its whole path, no PATH is searched", _EXAMPLE)
    return words


def _target(words: tuple[str, ...]) -> ExecTarget:
    return ExecTarget(program=words[0], arguments=tuple(Secret(word) for word in words[1:]))


def _one_word(value: object) -> object:
    """A single value is a program without arguments, never a line for a shell."""
    if isinstance(value, str):
        if _SHELLS_OWN.search(value):
            fix = "put the line into a script, or write [/bin/sh, -c, '...']"
            raise Wrong("there is no shell that would understand this", fix)
        if len(value.split()) > 1:
            raise Wrong("several words in one text, and there is no shell to part them", _EXAMPLE)
    return list_of_one(value)


Command = Annotated[
    tuple[Annotated[str, read_by(read_word)], ...],
    BeforeValidator(_one_word),
    Field(min_length=1, max_length=WORDS_MAX),
    AfterValidator(_checked),
]
ExecLines = Annotated[tuple[Annotated[Condition, judging("exec")], ...], SEVERAL, LINES_MAX]


class ExecModel(ServiceModel, PacedModel):
    """A program, written as `exec: [/path, argument, ...]`."""

    exec: Command
    env: Annotated[dict[str, Annotated[Secret, read_by(read_variable_value)]], Field(max_length=50)] = {}
    expect: ExecLines = ()
    warn: ExecLines = ()

    def target(self) -> ExecTarget:
        """The program with its arguments and variables."""
        return replace(_target(self.exec), env=tuple(sorted(self.env.items())))


class ExecUrlModel(ServiceModel, PacedModel):
    """A program, written as an exec: URL."""

    url: Annotated[ExecTarget, read_by(parse_exec_target)]
    expect: ExecLines = ()
    warn: ExecLines = ()

    def target(self) -> ExecTarget:
        """The program with its arguments, as the URL says."""
        return self.url
