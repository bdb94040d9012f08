"""The files of deploy/ against each other and against the program they start.

Decides that ports, paths, names and options agree: an image, a compose file, a unit and two example
configurations tell one story. It starts nothing.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.documented_commands import unknown_words
from support.house_source import ROOT

from watchtower.cli.main import main
from watchtower.config.loader import load

DEPLOY = ROOT / "deploy"
DATA = "/var/lib/watchtower"
CONFIG = "/etc/watchtower/watchtower.yaml"
CONFIGS = ("watchtower.example.yaml", "watchtower.compose.yaml")
RAFT_PORT = "7700"
HTTP_PORT = "8080"


def yaml_of(name: str) -> Any:
    """A YAML file of deploy/ as plain values, anchors resolved."""
    return YAML(typ="safe", pure=True).load((DEPLOY / name).read_text(encoding="utf-8"))


def instructions(keyword: str) -> list[str]:
    """What the Dockerfile says after each occurrence of an instruction, lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [
        line.removeprefix(keyword).strip() for line in text.splitlines() if line.startswith(f"{keyword} ")
    ]


def unit() -> configparser.RawConfigParser:
    """The systemd unit; of keys given twice the last one counts here."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # keys of a unit are case-sensitive
    parser.read(DEPLOY / "systemd" / "watchtower.service", encoding="utf-8")
    return parser


def peers_of_compose() -> dict[str, Any]:
    """The containers of compose.yaml that are peers."""
    services = yaml_of("compose.yaml")["services"]
    return {name: service for name, service in services.items() if "environment" in service}


def test_the_image_starts_a_call_that_exists() -> None:
    """ENTRYPOINT and CMD of the Dockerfile form a known call with the configuration's path."""
    (entrypoint,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    arguments = json.loads(command)
    assert json.loads(entrypoint) == ["watchtower"]
    assert unknown_words(arguments, main) == []
    assert arguments == ["run", "--config", CONFIG]


def test_the_unit_starts_a_call_that_exists() -> None:
    """ExecStart forms a known call; the peer's name comes from the environment file."""
    program, *arguments = shlex.split(unit()["Service"]["ExecStart"])
    assert program == "/opt/watchtower/bin/watchtower"
    assert unknown_words(arguments, main) == []
    assert arguments == ["run", "--config", CONFIG, "--peer", "${WATCHTOWER_PEER}"]


def test_the_image_copies_what_exists_and_is_let_in() -> None:
    """Each COPY source from the repository exists and is named by the ignore file."""
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [word.removeprefix("./") for copy in instructions("COPY") for word in copy.split()[:-1]]
    assert sources
    assert [name for name in sources if not (ROOT / name).exists() or f"!{name}" not in let_in] == []


def test_the_image_runs_without_privilege_and_keeps_its_data() -> None:
    """The last stage has a user that is not root, and one volume for the data of the peer."""
    assert instructions("USER") == ["10001:10001"]
    assert instructions("VOLUME") == [DATA]


def test_image_and_tests_use_the_same_python() -> None:
    """Both stages start from the Python that pyproject.toml names as the oldest one."""
    oldest = re.search(
        r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert oldest is not None
    assert {line.split()[0] for line in instructions("FROM")} == {f"python:{oldest[1]}-slim-bookworm"}


def test_ports_agree() -> None:
    """Image, health check, compose file and both configurations name the same two ports."""
    assert instructions("EXPOSE") == [f"{RAFT_PORT} {HTTP_PORT}"]
    (healthcheck,) = instructions("HEALTHCHECK")
    assert f"http://127.0.0.1:{HTTP_PORT}/livez" in healthcheck
    for service in peers_of_compose().values():
        assert [port.rpartition(":")[2] for port in service["ports"]] == [HTTP_PORT]
    for name in CONFIGS:
        config = yaml_of(name)
        assert config["http"]["listen"].endswith(f":{HTTP_PORT}")
        for peer in config["cluster"]["peers"].values():
            assert peer["raft"].endswith(f":{RAFT_PORT}")
            assert peer["http"].endswith(f":{HTTP_PORT}")


def test_compose_starts_the_peers_of_its_configuration() -> None:
    """Each configured peer has a container with its own port and volume, reached by its name."""
    config, containers = yaml_of("watchtower.compose.yaml"), peers_of_compose()
    assert list(config["cluster"]["peers"]) == list(containers)
    for name, service in containers.items():
        assert service["environment"] == {"WATCHTOWER_PEER": name}
        assert service["volumes"] == [f"./watchtower.compose.yaml:{CONFIG}:ro", f"{name}:{DATA}"]
        assert config["cluster"]["peers"][name]["raft"] == f"{name}:{RAFT_PORT}"
    assert len({service["ports"][0] for service in containers.values()}) == len(containers)
    assert list(yaml_of("compose.yaml")["volumes"]) == list(containers)


def test_compose_hands_over_the_secret_that_the_configuration_reads() -> None:
    """The secret's file is mounted where `${file:...}` looks, and is never committed."""
    compose = yaml_of("compose.yaml")
    (name,) = compose["secrets"]
    assert yaml_of("watchtower.compose.yaml")["cluster"]["secret"] == f"${{file:/run/secrets/{name}}}"
    file_name = compose["secrets"][name]["file"].removeprefix("./")
    assert file_name in (DEPLOY / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert all(service["secrets"] == [name] for service in peers_of_compose().values())


def test_compose_peers_have_limits_and_no_privilege() -> None:
    """Each container has a memory and process limit, rotated logs, no capability, and a read-only root."""
    for service in peers_of_compose().values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert {"mem_limit", "pids_limit", "logging", "stop_grace_period"} <= set(service)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_loads_for_each_of_its_peers(name: str, tmp_path: Path) -> None:
    """Both example files are valid as they stand, once their secret and variables exist."""
    secret = tmp_path / "secret"
    secret.write_text("0f9b7c52d1a84e63b5f0c6e2a7d91834\n", encoding="utf-8")
    text = (DEPLOY / name).read_text(encoding="utf-8")
    filled = tmp_path / name
    filled.write_text(re.sub(r"\$\{file:[^}]+\}", f"${{file:{secret}}}", text), encoding="utf-8")
    environ = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), "T0-B0-x") | {"PING_KEY": "q" * 32}
    for peer in yaml_of(name)["cluster"]["peers"]:
        settings = load(filled, peer=peer, environ=environ)
        assert settings.me == peer
        assert settings.storage_path == DATA
        assert set(yaml_of(name)["services"]) < set(settings.services)


@pytest.mark.parametrize("name", CONFIGS)
def test_data_goes_where_the_host_keeps_it(name: str) -> None:
    """The configured data folder is the image's volume and the unit's state directory."""
    assert yaml_of(name)["storage"]["path"] == DATA
    assert f"/var/lib/{unit()['Service']['StateDirectory']}" == DATA


def test_the_unit_is_hardened_and_comes_back() -> None:
    """The unit restarts for ever, has limits, and may write nowhere but in its state directory."""
    service = unit()["Service"]
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["Restart"] == "always"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["StateDirectoryMode"] == "0700"
    assert {"MemoryMax", "TasksMax", "LimitNOFILE"} <= set(service)
