"""Services that are looked at by a program: what the file says becomes words, and nothing more."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from support.config_support import load_text

from watchtower.config.loader import service_from_url
from watchtower.config.masking import mask_url
from watchtower.core.secret import Secret
from watchtower.core.targets import ExecTarget
from watchtower.errors import ConfigError
from watchtower.probes.permissions import missing_programs


def _words(target: object) -> list[str]:
    assert isinstance(target, ExecTarget)
    return [target.program, *(argument.reveal() for argument in target.arguments)]


def test_a_list_becomes_a_program_with_arguments(tmp_path: Path) -> None:
    """Words stay as they are, `${}` is put in, variables are sorted, and none of it can be printed."""
    text = """
    services:
      disk: {exec: [/opt/check_disk, -w, '10%', "a b; $HOME"]}
      bare: {exec: /opt/check}
      queue:
        exec: [/opt/check queue, "--host=${SECRET}"]
        env: {B: "2", A: "${SECRET}"}
        expect: [exit in 0 1, perf.queue < 100, not body contains stuck]
    """
    services = load_text(tmp_path, text, environ={"SECRET": "hunter2"}).services
    assert _words(services["disk"].target) == [
        "/opt/check_disk",
        "-w",
        "10%",
        "a b; $HOME",
    ]
    assert _words(services["bare"].target) == ["/opt/check"]
    target = services["queue"].target
    assert isinstance(target, ExecTarget)
    assert _words(target) == ["/opt/check queue", "--host=hunter2"]
    assert target.env == (("A", Secret("hunter2")), ("B", Secret("2")))
    assert services["queue"].kind == "exec"
    assert "hunter2" not in repr(services["queue"])
    assert msgspec.structs.fields(ExecTarget)[0].name == "program"


def test_what_was_put_into_arguments_is_hidden(tmp_path: Path) -> None:
    """A password among the arguments, alone or as a part of one, is known to the probe as a secret."""
    text = """
    services:
      a: {exec: [/opt/check, -p, "${PW}", "--as=${USER}:${PW}!", plain]}
      b: exec:/opt/check -p ${PW} x
      c: {url: "exec:/opt/check --pw=${PW}"}
      d: {exec: [/opt/check, plain]}
    """
    services = load_text(tmp_path, text, environ={"PW": "hunter2", "USER": "monitor"}).services
    hidden = {}
    for name, service in services.items():
        assert isinstance(service.target, ExecTarget)
        hidden[name] = {value.reveal() for value in service.target.hidden}
    assert hidden == {"a": {"hunter2", "monitor"}, "b": {"hunter2"}, "c": {"hunter2"}, "d": set()}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("exec:/opt/check", ["/opt/check"]),
        ("exec:///opt/check -w 5", ["/opt/check", "-w", "5"]),
        ("exec:/opt/check 'a b' \"c d\" e\\ f $HOME *", ["/opt/check", "a b", "c d", "e f", "$HOME", "*"]),
    ],
)
def test_a_url_is_parted_into_words(url: str, words: list[str]) -> None:
    """As a shell parts them; nothing else of a shell happens."""
    assert _words(service_from_url(url).target) == words


def test_a_wrong_command_line_shows_no_arguments() -> None:
    """The text of a mistake names the program alone: arguments may be passwords."""
    with pytest.raises(ConfigError) as caught:
        service_from_url("exec:check_mysql -p hunter2")
    assert "check_mysql" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert mask_url("exec:/opt/check -p hunter2") == "exec:/opt/check ***"


def test_what_is_missing_here_is_told(tmp_path: Path) -> None:
    """A program may be there on the other peers, so it is a warning, one for each."""
    fine, plain = tmp_path / "fine", tmp_path / "plain"
    for path in (fine, plain):
        path.write_text("#!/bin/sh\n")
    fine.chmod(0o755)
    text = f"""
    services:
      a: {{exec: {fine}}}
      b: {{exec: {tmp_path}/none}}
      c: {{exec: {plain}}}
      d: {{exec: {tmp_path}}}
      e: tcp://127.0.0.1:1
    """
    warnings = missing_programs(load_text(tmp_path, text))
    assert warnings == [
        f"services.b: {tmp_path}/none does not exist here; its looks will be unknown.",
        f"services.c: {plain} is not executable for this user; its looks will be unknown.",
        f"services.d: {tmp_path} is no file; its looks will be unknown.",
    ]
    assert os.access(fine, os.X_OK)


def test_many_missing_programs_are_summed_up(tmp_path: Path) -> None:
    """A thousand of them do not become a thousand lines."""
    lines = "\n".join(f"      s{n}: {{exec: /nowhere/at/all}}" for n in range(30))
    warnings = missing_programs(load_text(tmp_path, f"\n    services:\n{lines}\n"))
    assert len(warnings) == 21
    assert warnings[-1] == "... and 10 more programs."
