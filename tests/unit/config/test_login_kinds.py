"""Addresses and keys of services that are logged in to, and what nobody may see of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.web_support import world

from watchtower.config.loader import load, service_from_url
from watchtower.config.masking import mask_url
from watchtower.core.secret import Secret
from watchtower.core.settings import Settings
from watchtower.core.targets import LoginTarget, PostgresTarget, Target
from watchtower.errors import ConfigError
from watchtower.web.documents import instance, service_detail

PASSWORD = "hunter2-№"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (
            "postgres://db.internal",
            PostgresTarget(host="db.internal", port=5432, user="postgres", database="postgres"),
        ),
        (
            "postgresql://probe:pa%2Fss%40@[::1]:5433/my%20orders",
            PostgresTarget(
                host="::1", port=5433, user="probe", password=Secret("pa/ss@"), database="my orders"
            ),
        ),
        ("postgres://probe@db", PostgresTarget(host="db", port=5432, user="probe", database="probe")),
    ],
)
def test_a_url_becomes_a_target(url: str, target: Target) -> None:
    """Each scheme has its usual port, user and place."""
    service = service_from_url(url)
    assert service.target == target
    assert service.kind == type(target).__name__.removesuffix("Target").lower()


def of_file(tmp_path: Path, text: str, password: str = PASSWORD) -> Settings:
    """The settings of a file whose `${PW}` is the password."""
    config = tmp_path / "w.yaml"
    config.write_text(text)
    return load(config, peer=None, environ={"PW": password})


FILE = """
services:
  orders: {url: "postgres://db/orders", user: probe, password: "${PW}", tls: true, query: "select '${PW}'"}
  ledger: postgres://probe:${PW}@db/ledger
"""


def test_keys_of_a_file_arrive_in_the_targets(tmp_path: Path) -> None:
    """What a service says of its own ends up where the probe reads it."""
    services = of_file(tmp_path, FILE).services
    orders, ledger = services["orders"].target, services["ledger"].target
    login = PostgresTarget(
        host="db", port=5432, user="probe", password=Secret(PASSWORD), database="orders", tls=True
    )
    assert orders == replace(login, query=Secret(f"select '{PASSWORD}'"))
    assert ledger == replace(login, database="ledger", tls=False)


def test_nobody_sees_a_password(tmp_path: Path) -> None:
    """Neither the settings in a log, nor a page, a metric's label or an answer of the API."""
    settings = of_file(tmp_path, FILE)
    assert PASSWORD not in repr(settings)
    for service in settings.services.values():
        assert isinstance(service.target, LoginTarget)
        assert instance(service.target) == f"db:{service.target.port}"
        made = world()
        snap = msgspec.structs.replace(
            made.snap,
            settings=replace(made.snap.settings, services={**made.snap.settings.services, "shop": service}),
        )
        assert PASSWORD.encode() not in msgspec.json.encode(service_detail(snap, "shop"))


@pytest.mark.parametrize(
    "service",
    [
        "postgres://u:hunter2@db/a/b",
        "postgres://u:hunter2@db?password=hunter2",
        "postgres://u:hunter2@db:99999/x",
        "postgres://u:%ffhunter2@db/x",
        "{url: postgres://u@db, password: hunter2, passwort: hunter2}",
        "{url: postgres://u:hunter2@db, password: hunter2}",
        "{url: postgres://u@db, query: select 'hunter2', rows: 1}",
        "{url: tcp://db:5432, password: hunter2}",
    ],
)
def test_no_mistake_shows_a_password(tmp_path: Path, service: str) -> None:
    """The report of a broken file shows the line, without what is secret in it."""
    with pytest.raises(ConfigError) as caught:
        of_file(tmp_path, f"services:\n  db: {service}\n")
    assert "services.db" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in mask_url("postgres://u:hunter2@db/x")


def test_a_url_that_is_none_says_why() -> None:
    """At the command line, where no file has a line to show."""
    with pytest.raises(ConfigError, match="ends with its path") as caught:
        service_from_url("postgres://u:hunter2@db/x?sslmode=require")
    assert "hunter2" not in str(caught.value)
