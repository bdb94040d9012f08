"""`watchtower route test` as a process: who would be told, when, by which rule, and why not by the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli_support import watchtower

FILE = """
notify: {chat: json://192.0.2.9/, pager: json://192.0.2.10/, mail: json://192.0.2.11/}
alerting: {timezone: America/New_York}
escalation:
  oncall: [{notify: chat}, {after: 10m, notify: pager}, {after: 30m, notify: [pager, mail]}]
routes:
  - {match: {team: payments, severity: critical}, notify: oncall, repeat: 1h}
  - {match: {severity: info}, notify: []}
  - {match: {service: shop-*}, notify: mail, continue: true, active: [mon-fri 08:00-18:00]}
  - {match: {severity: "!critical"}, notify: chat, repeat: never}
services:
  shop-api: {url: https://shop.example.com/healthz, labels: {team: payments}}
  shop-test: {url: https://test.example.com/healthz, severity: warning}
  own: {url: https://test.example.com/healthz, alert: mail}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of many rules."""
    (tmp_path / "watchtower.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


def asked(folder: Path, *words: str) -> dict[str, Any]:
    """The answer for programs."""
    done = watchtower("route", "test", "--json", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_labels_are_routed_without_any_service(folder: Path) -> None:
    """The rule, the turns of its escalation, and the first reminders of each channel after its last turn."""
    answer = asked(folder, "team=payments")
    assert answer["rule"] == "route 1 (team=payments severity=critical)"
    assert [(call["channel"], call["after_s"], call["reminders_s"]) for call in answer["told"]] == [
        ("chat", 0, [1_800, 5_400]),
        ("pager", 600, []),
        ("pager", 1_800, [5_400, 9_000]),
        ("mail", 1_800, [5_400, 9_000]),
    ]
    assert [route["answers"] for route in answer["routes"]] == [True, None, None, None]


def test_a_service_is_routed_with_its_facts_and_time(folder: Path) -> None:
    """Degraded is one milder; hours without a zone are those of `alerting.timezone`, and so is --at."""
    monday = asked(folder, "--service", "shop-api", "--level", "degraded", "--at", "2026-03-02 08:00")
    assert (monday["facts"]["severity"], monday["at"]) == ("warning", "2026-03-02T13:00:00Z")
    assert [call["channel"] for call in monday["told"]] == ["mail", "chat"]
    assert monday["rule"] == "route 3 (service=shop-*) and route 4 (severity!=critical)"
    berlin = asked(folder, "--service", "shop-test", "--at", "2026-03-02 13:59 Europe/Berlin")
    assert berlin["routes"][2]["why_not"] == "out of its hours: mon-fri 08:00-18:00 America/New_York"
    assert [(call["channel"], call["reminders_s"]) for call in berlin["told"]] == [("chat", [])]


def test_people_see_why_each_other_route_does_not_answer(folder: Path) -> None:
    """And when one that is out of its hours answers next."""
    said = watchtower(
        "route", "test", "--service", "shop-test", "--at", "2026-03-01 12:00", cwd=folder
    ).stdout
    assert "shop-test is down (warning), Sun 2026-03-01 12:00 America/New_York" in said
    assert "team=payments does not fit: it has no team" in said
    assert "severity=info does not fit: severity is warning" in said
    assert "next from Mon 2026-03-02 08:00 America/New_York" in said
    assert "Told: route 4 (severity!=critical)" in said
    assert "at once  chat                 never" in said


def test_nobody_is_an_answer_with_a_reason(folder: Path) -> None:
    """A route that names nobody is found out here, and not in the night."""
    done = watchtower("route", "test", "--service", "shop-api", "severity=info", cwd=folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "Nobody is told: route 2 (severity=info) names nobody.",
    )


def test_a_list_of_its_own_comes_before_all_routes(folder: Path) -> None:
    """No route is asked."""
    answer = asked(folder, "--service", "own")
    assert answer["rule"] == "its own `alert:`"
    assert {route["answers"] for route in answer["routes"]} == {None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("taem=payments",), "nothing has the label `taem`; did you mean `team`?"),
        (("--service", "shop-ap"), "nothing has the service `shop-ap`; did you mean `shop-api`?"),
        (("severity=urgent",), "nothing has the severity `urgent`; known here: critical, info, warning"),
        (("team",), "'team' is no fact; write it like team=payments"),
        (("team!=payments",), "is no fact"),
        (("team=payments", "--at", "noon"), "--at: 'noon' is no time; write it like '2026-03-29 02:30'"),
        (("team=payments", "--at", "2026-03-01 12:00 Berlin"), "no such time zone"),
    ],
)
def test_slips_are_answered_with_the_right_word(folder: Path, words: tuple[str, ...], said: str) -> None:
    """Exit code 1, nothing on stdout."""
    done = watchtower("route", "test", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_a_value_that_nothing_has_is_answered_with_a_note(folder: Path) -> None:
    """It may be of a service to come, so it is routed all the same."""
    done = watchtower("route", "test", "team=paymnets", cwd=folder)
    assert done.returncode == 0
    assert "did you mean `payments`?" in done.stderr
    assert "Told: no route fits, so the first channel" in done.stdout
