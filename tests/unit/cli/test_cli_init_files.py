"""What `watchtower init` writes: a file that loads, secrets that only their owner reads, nothing lost.

The files are real and are read back by the loader that peers use.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.cli.writing import Answers, _quoted, _service_name, explain, write
from watchtower.config.loader import load
from watchtower.core.targets import HttpTarget
from watchtower.errors import ConfigError

CHANNEL = "slack://T0000AAAA/B0000AAAA/abcdefghijklmnopqrstuvwx/#ops"


def answers(**other: str) -> Answers:
    """Usual answers, with some of them different."""
    usual = {
        "name": "prod",
        "peers": "10.0.1.10, 10.0.2.10 10.0.3.10:7777",
        "watch": "https://shop.example.com/healthz",
        "alert": CHANNEL,
    }
    return Answers(**(usual | other))


def test_the_file_loads_on_every_peer(tmp_path: Path) -> None:
    """All three peers read it, and find what was answered."""
    write(answers(), tmp_path / "watchtower.yaml", force=False)
    for peer in ("a", "b", "c"):
        settings = load(tmp_path / "watchtower.yaml", peer=peer, environ={})
        assert settings.me == peer
    assert [p.raft_port for p in settings.cluster.peers] == [7700, 7700, 7777]
    assert settings.cluster.peer("b").http_url == "http://10.0.2.10:8080"
    assert settings.services["shop"].target == HttpTarget(url="https://shop.example.com/healthz")
    assert settings.channels["chat"].url.reveal() == CHANNEL
    assert settings.http.ping_key is not None


def test_peers_on_one_machine_get_ports_of_their_own(tmp_path: Path) -> None:
    """For trying things out: each address differs, and each peer takes its port from the environment."""
    peers = "127.0.0.1:7701,127.0.0.1:7702,127.0.0.1:7703"
    written = write(answers(peers=peers), tmp_path / "watchtower.yaml", force=False)
    urls = [peer.http_url for peer in written.settings.cluster.peers]
    assert urls == ["http://127.0.0.1:8080", "http://127.0.0.1:8081", "http://127.0.0.1:8082"]
    second = load(written.config, peer="b", environ={"HTTP_PORT": "8081"})
    assert second.http.listen_port == 8081
    assert "HTTP_PORT=8082 watchtower run --config watchtower.yaml --peer c" in explain(
        written, None, as_json=False, test_skipped=True
    )


def test_secrets_are_apart_and_private(tmp_path: Path) -> None:
    """Nothing in the file itself is secret, and what is secret has mode 0600."""
    written = write(answers(), tmp_path / "watchtower.yaml", force=False)
    text = written.config.read_text(encoding="utf-8")
    assert len(written.secret_files) == 4
    for file in written.secret_files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text(encoding="utf-8").strip() not in text


def test_without_a_channel_the_file_is_good_too(tmp_path: Path) -> None:
    """Nobody is told then, and the file shows how to change that."""
    written = write(answers(alert=""), tmp_path / "watchtower.yaml", force=False)
    assert written.settings.channels == {}
    assert "# chat: slack://" in written.config.read_text(encoding="utf-8")


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    """A second call changes no file, not even the secrets; with force it writes new ones."""
    written = write(answers(), tmp_path / "watchtower.yaml", force=False)
    before = {file: file.read_text(encoding="utf-8") for file in written.secret_files}
    with pytest.raises(ConfigError, match="--force"):
        write(answers(name="other"), tmp_path / "watchtower.yaml", force=False)
    assert {file: file.read_text(encoding="utf-8") for file in written.secret_files} == before
    again = write(answers(name="other"), tmp_path / "watchtower.yaml", force=True)
    assert again.settings.cluster.name == "other"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"peers": "10.0.1.10, 10.0.2.10"}, "odd number"),
        ({"peers": ""}, "peer address"),
        ({"peers": "10.0.1.10:0"}, "port"),
        ({"watch": "gopher://x"}, "scheme"),
        ({"alert": "not a url"}, "notification URL"),
        ({"alert": "nosuch://x"}, "no notification service"),
    ],
)
def test_an_answer_that_cannot_be_used_writes_nothing(
    tmp_path: Path, wrong: dict[str, str], says: str
) -> None:
    """The mistake is named, and the folder stays empty."""
    with pytest.raises(ConfigError, match=says):
        write(answers(**wrong), tmp_path / "watchtower.yaml", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Not A Name", "", "a: b", "x\ny: z"])
def test_a_name_that_the_loader_refuses_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """A bad cluster name is told like any mistake, and a second try needs no --force."""
    with pytest.raises(ConfigError):
        write(answers(name=name), tmp_path / "watchtower.yaml", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://shop.example.com/healthz", "shop"),
        ("https://www.shop.example.com", "shop"),
        ("https://user:pw@API.example.com:8443/x", "api"),
        ("tcp://10.0.0.5:5432", "10-0-0-5"),
        ("dns:www.example.com", "example"),
        ("https://cluster.example.com", "first"),
        ("http://[::1]:8080", "first"),
    ],
)
def test_a_service_is_named_after_its_host(url: str, name: str) -> None:
    """The name is one that the loader takes, and never a part of a password."""
    assert _service_name(url) == name


@given(st.text(max_size=60))
def test_what_people_type_stays_a_value(text: str) -> None:
    """No answer can add a key to the file or ask for expansion."""
    quoted = _quoted(text)
    assert "\n" not in quoted
    assert "${" not in quoted.replace("$${", "")
