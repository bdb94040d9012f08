"""Files of any kind: Settings or a ConfigError, never another exception, never a secret in it.

Content is made of known words, so that the deep checks are reached, and of text that is no YAML at all.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from watchtower.config.kinds import SERVICE_MODELS
from watchtower.config.loader import load
from watchtower.config.schema import ClusterModel, FileModel, HttpServerModel, Model
from watchtower.errors import ConfigError

MODELS: list[type[Model]] = [FileModel, ClusterModel, HttpServerModel, *SERVICE_MODELS.values()]
WORDS = [
    *sorted({name for model in MODELS for name in model.model_fields}),
    *("a", "b", "raft", "failures", "scope", "token", "https://h", "tcp://h:1", "30s", "true", "1d"),
    *("status == 200", "${HOME}", "${file:/dev/null}", "${", "${X:-y}", "peer/a", "json.a ~ ("),
    *("10.0.0.1:1", "slack://x"),
]
CONTENT = st.recursive(
    st.sampled_from(WORDS) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)
TOP = st.dictionaries(st.sampled_from([*FileModel.model_fields, "x"]), CONTENT, max_size=5)
LINES = st.lists(
    st.builds(
        lambda depth, word, rest: "  " * depth + word + rest,
        st.integers(0, 3),
        st.sampled_from([*WORDS, "- ", "{", "[", '"', "|", "#"]),
        st.sampled_from([":", ": ", "", " x", ": {a: b", ": [a", ': "', ": &a", ": *a", ": !t", ": |", "\t"]),
    ),
    max_size=8,
).map("\n".join)
SECRET = "Zq7Xv9Kp2Rw4"
PLACES = [
    "cluster: {name: a, secret: %s, peers: {a: {}}}",
    "cluster:\n  secrt: %s\n  secret: [%s, %s]",
    "notify: {a: %s}",
    "notify:\n  a: slack://%s/x?retry=1\n  b: {url: 'json://u:%s@h/?wait=1', fallback: nobody}\n  c: [%s]",
    "http:\n  ping_key: %s!\n  ping_key: %s\n  tokens: {a: %s, b: {scope: x, token: %s, tokn: %s}}",
    "services:\n  a: https://u:%s@h:99999\n  b: {url: htps://%s@h, body: [%s]}\n  b: postgres://u:%s@h/x",
    "services:\n  a:\n    url: ftp://%s/@h\n    headers:\n      A: [%s]\n      B: {c: %s}",
    "services:\n  a:\n    url: https://h/?key=%s&x=1\n    headers: {A: Bearer %s}\n    bogus: 1 # %s",
    "services:\n  a: https://u:p?%s@h /%s@x\n  b: {url: 'ftp://u:p#%s@h', expect: x}",
    "notify:\n  a: b: %s",
    "notify:\n  a: %s\n b: %s",
    "notify:\n  a: [%s\n  b: '%s'",
    "notify:\n  a: '%s\n  b: %s",
    "http: {ping_key: &%s x, tokens: !%s {}}",
    "http:\n  ping_key: &%s x\n  tokens: *%s\n  bogus: 1",
    "http:\n  ping_key: &%s\n  tokens: !%s\n    a: b\n",
    "http:\n  ping_key: |\n    %s\n    %s\n  tokens: >-\n    %s",
    "http:\n  ping_key: @%s",
    "http:\n  ping_key: %%%s",
    "http:\n  ping_key: 'x' %s",
]


def _load(text: str, environ: dict[str, str]) -> str:
    """The text of the ConfigError, or "" for Settings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.yaml"
        path.write_text(text, encoding="utf-8", errors="replace", newline="")
        try:
            load(path, peer="a", environ=environ)
        except ConfigError as error:
            return str(error)
    return ""


def _dumped(content: object) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.yaml"
        YAML(typ="safe", pure=True).dump(content, path)
        return path.read_text()


@settings(deadline=None)
@given(TOP)
def test_any_content_is_settings_or_a_config_error(content: dict[str, object]) -> None:
    """Known keys with anything at all below them."""
    text = _load(_dumped(content), {"HOME": "/x"})
    assert not text or text.endswith(("error", "errors"))


@settings(deadline=None)
@given(LINES | st.text(max_size=80))
@example("? [a]\n: b")
@example("a: &a\n  b: *a")
@example("\ufeff")
@example("%YAML 1.1\n---\nservices: {}")
@example("--- |\n x\n...\n")
@example("\r;")
@example("services:\r  web: httpq://x\r")
def test_any_text_is_settings_or_a_config_error(text: str) -> None:
    """YAML, nearly YAML and no YAML."""
    report = _load(text, {})
    assert not report or report.endswith(("error", "errors"))


@pytest.mark.parametrize("template", PLACES)
def test_secrets_never_reach_a_report(template: str) -> None:
    """Wherever a secret was written, under right and wrong keys, in YAML and what is none."""
    report = _load(template.replace("%s", SECRET).replace("%%", "%"), {})
    assert report
    assert SECRET not in report


@pytest.mark.parametrize("template", PLACES)
def test_expanded_values_never_reach_a_report(template: str) -> None:
    """The same places with the secret in the environment: the report has the variable's name at most."""
    for reference in ("${V}", '"${V}"'):
        report = _load(template.replace("%s", reference).replace("%%", "%"), {"V": SECRET})
        assert SECRET not in report
