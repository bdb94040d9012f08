"""docs/reference/config.md and the schema say the same: every key is in the table, with its true default.

The table is the only list of keys that people have, so a test keeps it true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from watchtower.config.conditions import FIELDS
from watchtower.config.kinds import SERVICE_MODELS
from watchtower.config.schema import ChannelModel, DefaultsModel, FileModel, Model, PacedModel
from watchtower.config.units import duration_text
from watchtower.config.validation import _models_in

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "config.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)
PLACEHOLDERS = {"cluster.peers": "<peer>", "http.tokens": "<token>", "escalation": "<escalation>"}
DURATIONS = {
    "hold",
    "suppress",
    "repeat",
    "interval",
    "timeout",
    "recheck",
    "partial_after",
    "after",
    "grace",
    "heartbeat",
    "retention",
    "window",
    "reset",
    "every",
    "within",
}


def _keys(model: type[Model], prefix: str) -> Iterator[tuple[str, Any]]:
    """Key paths of `model` with their fields; a mapping of models is there itself and by its keys."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = _models_in(field.annotation)
        arguments = get_args(field.annotation)
        if get_origin(field.annotation) is dict and _models_in(arguments[-1]):
            yield path, field
            yield from _keys(_models_in(arguments[-1])[0], f"{path}.{PLACEHOLDERS[path]}.")
        elif inner:
            yield from _keys(inner[0], f"{path}.")
        else:
            yield path, field


def _schema() -> list[tuple[str, Any]]:
    """Every key with its field; a key that several kinds of service share is there once for each."""
    services = [pair for model in SERVICE_MODELS.values() for pair in _keys(model, "services.<service>.")]
    return [*_keys(FileModel, ""), *_keys(ChannelModel, "notify.<channel>."), *services]


def _table() -> dict[str, str]:
    section = REFERENCE.read_text().partition("## Every key")[2].partition("\n## ")[0]
    rows = ROW.findall(section)
    assert len({key for key, *_ in rows}) == len(rows), "a key is in the table twice"
    return {key: default for key, _, default, _ in rows}


def _written(path: str, value: Any) -> str:
    if path.startswith("services.<service>.") and path.rpartition("services.<service>.")[2].split(".")[
        0
    ] in set(PacedModel.model_fields):
        return path.replace("services.<service>", "defaults")
    name = path.rpartition(".")[2]
    if name in ("jitter", "error_threshold"):
        return f"{value * 100:.0f}%"
    if name in ("high", "low"):
        return f"{value * 100:.0f}%"
    if name in DURATIONS and isinstance(value, float):
        return duration_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value[0]}:{value[1]}" if name == "listen" else str(value)


def test_every_key_of_the_schema_is_in_the_table_and_no_other() -> None:
    """A key that is added, renamed or removed must be so in the table, too."""
    grouping = {"cluster", "notify.<channel>", "services.<service>", "routes", "maintenance"}
    assert set(_table()) - grouping == {path for path, _ in _schema()}


def test_the_table_has_the_true_defaults() -> None:
    """A default that is a value stands in code marks in the table, and is that of the schema."""
    table = _table()
    for path, field in _schema():
        documented = table[path]
        if field.is_required():
            assert documented in {"required", "one of url, dns, exec, heartbeat"}, path
        elif documented.startswith("`"):
            if path == "services.<service>.starttls":
                assert field.default in (False, ""), path
                assert documented == "`false`"
            elif path == "services.<service>.confirm.peers":
                assert documented == "`all`"
            else:
                assert documented == f"`{_written(path, field.default)}`", path
        else:
            assert field.default in ("", (), {}, None), path


def test_every_key_of_defaults_is_one_of_services() -> None:
    """`defaults:` has nothing that a probed service does not have."""
    assert set(DefaultsModel.model_fields) == set(PacedModel.model_fields)


def test_every_condition_field_is_in_its_table() -> None:
    """The table of fields names the kinds that have them."""
    section = REFERENCE.read_text().partition("\n## Conditions")[2].partition("\n## ")[0]
    documented: dict[str, set[str]] = {}
    for names, kinds in re.findall(r"^\| (`[^|]+`) \| ([a-z ]+) \| .* \| .* \|$", section, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", names):
            documented[name] = set(kinds.split())
    fields = {name for offered in FIELDS.values() for name in offered}
    assert documented == {
        name: {kind for kind, offered in FIELDS.items() if name in offered} for name in fields
    }
