"""`needs:`, `alerting.hold` and `alerting.suppress`: every shape, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.config_support import load_text

from watchtower.core.settings import Alerting, Need
from watchtower.errors import ConfigError

FOUR = """
  a: tcp://192.0.2.1:80
  b: tcp://192.0.2.2:80
  c: tcp://192.0.2.3:80
"""


def needs_of(tmp_path: Path, written: str) -> tuple[Need, ...]:
    """What `needs:` written like this becomes."""
    text = f"services:{FOUR}  web: {{url: http://192.0.2.4, needs: {written}}}"
    return load_text(tmp_path, text, peer=None).services["web"].needs


def test_every_shape_of_needs(tmp_path: Path) -> None:
    """A name, a list of all, one of some, so many of some, and how it is without."""
    a = Need(names=("a",))
    assert needs_of(tmp_path, "a") == (a,)
    assert needs_of(tmp_path, "[a, b]") == (a, Need(names=("b",)))
    assert needs_of(tmp_path, "{any_of: [a, b]}") == (Need(names=("a", "b")),)
    assert needs_of(tmp_path, "[{k_of: {2: [a, b, c]}}]") == (Need(names=("a", "b", "c"), at_least=2),)
    assert needs_of(tmp_path, "[{service: a, degraded: no pictures}]") == (
        Need(names=("a",), degraded="no pictures"),
    )
    assert needs_of(tmp_path, "[{any_of: [a, b], degraded: slow}]") == (
        Need(names=("a", "b"), degraded="slow"),
    )
    assert needs_of(tmp_path, "[]") == ()


def test_a_heartbeat_may_need_and_be_needed(tmp_path: Path) -> None:
    """Needs are for every kind of service."""
    text = (
        "http: {ping_key: abcdefghijklmnopqrstuvwx}\n"
        "services:\n"
        "  db: tcp://192.0.2.1:80\n"
        "  backup: {heartbeat: 1d, needs: db}\n"
        "  audit: {heartbeat: 1d, needs: backup}\n"
    )
    services = load_text(tmp_path, text, peer=None).services
    assert services["audit"].needs == (Need(names=("backup",)),)
    assert services["backup"].needs == (Need(names=("db",)),)


def test_hold_and_suppress(tmp_path: Path) -> None:
    """Five seconds and half an hour, unless the file says otherwise; 0s switches either off."""
    plain, said = Alerting(), load_text(tmp_path, "alerting: {hold: 0s, suppress: 2h}", peer=None).alerting
    assert (plain.hold_s, plain.suppress_s) == (5.0, 1800.0)
    assert (said.hold_s, said.suppress_s) == (0.0, 7200.0)


def test_a_chain_of_needs_has_a_limit(tmp_path: Path) -> None:
    """Fifty services deep is allowed, one more is not; no depth is a trouble for the reader."""
    for length, is_good in ((51, True), (52, False), (3000, False)):
        lines = ["services:", "  s0: tcp://192.0.2.1:80"]
        lines += [f"  s{n}: {{url: http://192.0.2.2, needs: s{n - 1}}}" for n in range(1, length)]
        if is_good:
            assert len(load_text(tmp_path, "\n".join(lines), peer=None).services) == length
        else:
            with pytest.raises(ConfigError, match=r"needs go 51 services deep") as caught:
                load_text(tmp_path, "\n".join(lines), peer=None)
            assert str(caught.value).endswith(": 1 error")


def test_a_circle_is_found_behind_a_tail_and_told_once(tmp_path: Path) -> None:
    """Services that merely lead to it are not at fault."""
    text = (
        "services:\n"
        "  z: {url: http://192.0.2.1, needs: a}\n"
        "  a: {url: http://192.0.2.2, needs: b}\n"
        "  b: {url: http://192.0.2.3, needs: [c, d]}\n"
        "  c: {url: http://192.0.2.4, needs: a}\n"
        "  d: http://192.0.2.5\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, peer=None)
    assert str(caught.value).count("needs go in a circle") == 1
    assert "needs go in a circle: a -> b -> c -> a" in str(caught.value)
