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
from watchtower.core.targets import AmqpTarget, LoginTarget, MysqlTarget, PostgresTarget, RedisTarget, Target
from watchtower.errors import ConfigError
from watchtower.probes.permissions import unreadable_files
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
        ("mysql://db", MysqlTarget(host="db", port=3306, user="root")),
        (
            "mariadb://probe:p:q@db:3307/shop",
            MysqlTarget(host="db", port=3307, user="probe", password=Secret("p:q"), database="shop"),
        ),
        ("redis://cache", RedisTarget(host="cache", port=6379)),
        (
            "rediss://:pw@cache/3",
            RedisTarget(host="cache", port=6379, password=Secret("pw"), database=3, tls=True),
        ),
        ("amqp://mq", AmqpTarget(host="mq", port=5672, user="guest", password=Secret("guest"))),
        (
            "AMQPS://probe:pw@mq/%2Fshop",
            AmqpTarget(host="mq", port=5671, user="probe", password=Secret("pw"), vhost="/shop", tls=True),
        ),
        ("amqp://probe@mq", AmqpTarget(host="mq", port=5672, user="probe")),
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
  shop: {url: "mysql://probe:${PW}@db/shop", query: "select '${PW}'", tls: true, verify: false}
  cache:
    url: rediss://db
    password: ${PW}
    query: GET '${PW}'
    server_name: cache.example.com
    ca: /etc/ca.pem
    cert: /c.pem
    key: /k.pem
  mails: {url: "amqp://probe:${PW}@db", queue: mails, publish: true}
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
    assert services["shop"].target == MysqlTarget(
        host="db",
        port=3306,
        user="probe",
        password=Secret(PASSWORD),
        database="shop",
        tls=True,
        verify=False,
        query=Secret(f"select '{PASSWORD}'"),
    )
    assert services["cache"].target == RedisTarget(
        host="db",
        port=6379,
        password=Secret(PASSWORD),
        tls=True,
        server_name="cache.example.com",
        ca="/etc/ca.pem",
        cert="/c.pem",
        key="/k.pem",
        query=Secret(f"GET '{PASSWORD}'"),
    )
    assert services["mails"].target == AmqpTarget(
        host="db", port=5672, user="probe", password=Secret(PASSWORD), queue="mails", publish=True
    )


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
        "redis://:hunter2@db/main",
        "{url: redis://db, query: AUTH 'hunter2}",
        "{url: amqp://u:hunter2@mq/a/b, password: hunter2}",
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


def test_amqp_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is refused with the command that helps; the other kinds need nothing."""
    monkeypatch.setattr("watchtower.config.extras.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'watchtower-ha\[amqp\]'"):
        service_from_url("amqp://mq")
    for url in ("postgres://db", "mysql://db", "redis://db"):
        assert service_from_url(url)


def test_files_that_cannot_be_read_are_told_beforehand(tmp_path: Path) -> None:
    """`check` warns of them, as it does for http."""
    told = unreadable_files(of_file(tmp_path, FILE))
    assert [line.partition(":")[0] for line in told] == ["services.cache.ca", "services.cache.cert"]
