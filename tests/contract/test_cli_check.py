"""`watchtower init` and `watchtower check` as processes: from four answers to a file that is good.

What makes a file good is tested with config/; here stands what a person sees and the exit codes.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from support.cli_support import watchtower
from support.sinks import HttpSink

from watchtower.config.worst_case import OVERHEAD_S

ANSWERS = ("--name", "prod", "--watch", "http://127.0.0.1:1/healthz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good file for three peers and a channel on loopback that nobody serves."""
    peers = "127.0.0.1:7701,127.0.0.1:7702,127.0.0.1:7703"
    done = watchtower(
        "init", *ANSWERS, "--peers", peers, "--alert", "json://127.0.0.1:1/", "--no-test", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_good_file_is_described(folder: Path) -> None:
    """Peers, channels, and how soon the service would be found down."""
    done = watchtower("check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "good. Cluster prod" in done.stdout
    assert "127.0.0.1:7703" in done.stdout
    doc = json.loads(watchtower("check", "--json", cwd=folder).stdout)
    services = {service["name"]: service for service in doc["services"]}
    assert services["127-0-0-1"]["alert"] == ["chat"]
    assert services["127-0-0-1"]["detection_s"] > 30
    assert services["127-0-0-1"]["refusal_s"] < services["127-0-0-1"]["detection_s"]
    assert set(services) == {"127-0-0-1", "peer/a", "peer/b", "peer/c"}
    assert [load["looks_per_s"] for load in doc["load"]] == [{"http": 0.033, "peer": 0.4}] * 3
    assert doc["warnings"] == []
    assert "peer 0.4, http 0.033" in done.stdout


def test_who_would_be_told_and_what_proves_it_is_shown(folder: Path) -> None:
    """The whole chain of an escalation, whether the routes chose it; of a ping the host, never the rest."""
    (folder / "watchtower.yaml").write_text(
        "notify: {chat: 'json://127.0.0.1:1/', mail: 'json://127.0.0.1:2/'}\n"
        "escalation:\n  oncall: [{after: 0m, notify: chat}, {after: 10m, notify: mail}]\n"
        "routes: [{match: {team: shop}, notify: oncall}, {match: {team: none}, notify: []}]\n"
        "services:\n"
        "  shop: {url: 'http://127.0.0.1:1/', labels: {team: shop}}\n"
        "  own: {url: 'http://127.0.0.1:1/', alert: oncall}\n"
        "  other: http://127.0.0.1:1/\n"
        "  quiet: {url: 'http://127.0.0.1:1/', labels: {team: none}}\n"
        "watchdog:\n"
        "  ping: https://hc.example.com/a-secret-of-many-signs\n"
        "  drill: {every: monday 10:00, channel: chat}\n"
    )
    done = watchtower("check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line]
    rows = {line.split()[0]: line.rpartition("  ")[2] for line in lines}
    assert rows["shop"] == "oncall: chat, 10m mail (by route)"
    assert rows["own"] == "oncall: chat, 10m mail"
    assert (rows["other"], rows["quiet"]) == ("chat (no route)", "nobody")
    assert "the alerter pings hc.example.com every 1m" in done.stdout
    assert "Fire drill on chat: 0 10 * * mon UTC, to be acknowledged within 15m." in done.stdout
    assert "a-secret" not in done.stdout
    shop = json.loads(watchtower("check", "--json", cwd=folder).stdout)["services"][0]
    assert (shop["alert"], shop["later"]) == (["chat"], [{"channel": "mail", "after_s": 600.0}])
    assert shop["alert_reason"].startswith("route 1")


def test_what_is_too_much_for_this_machine_is_a_warning(folder: Path) -> None:
    """It names the setting, and the file stays good."""
    file = folder / "watchtower.yaml"
    lines = "".join(f"  s{n}: {{url: 'http://127.0.0.1:1/', interval: 10s}}\n" for n in range(300))
    text = file.read_text(encoding="utf-8").replace("services:\n", f"services:\n{lines}")
    file.write_text(text, encoding="utf-8")
    done = watchtower("check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Set `probe: {concurrency: " in done.stdout
    assert "set `probe: {per_host: 8}`" in done.stdout
    said = json.loads(watchtower("check", "--json", cwd=folder).stdout)
    assert (said["ok"], len(said["warnings"])) == (True, 2)


def test_all_mistakes_are_told_with_their_lines(folder: Path) -> None:
    """Two mistakes, two places, exit code 1; `check` and `run` tell them alike."""
    file = folder / "watchtower.yaml"
    wrong = (
        file.read_text(encoding="utf-8")
        .replace("storage:", "storge:")
        .replace("cluster:", "cluster:\n  nme: x")
    )
    file.write_text(wrong, encoding="utf-8")
    done = watchtower("check", cwd=folder)
    assert done.returncode == 1
    assert "did you mean `storage`?" in done.stderr
    assert "did you mean `name`?" in done.stderr
    assert done.stderr.rstrip().endswith("watchtower.yaml: 2 errors")
    started = watchtower("run", "--peer", "a", cwd=folder)
    assert (started.returncode, started.stderr) == (1, done.stderr)
    assert json.loads(watchtower("check", "--json", cwd=folder).stdout)["ok"] is False


def test_connecting_tells_ports_names_and_channels_apart(folder: Path) -> None:
    """Our own ports are bound, the others tried, and a name that does not exist makes the exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as running:
        port = running.getsockname()[1]
        file = folder / "watchtower.yaml"
        text = file.read_text(encoding="utf-8").replace("127.0.0.1:7702", f"127.0.0.1:{port}")
        file.write_text(
            text.replace("listen: 0.0.0.0:${HTTP_PORT:-8080}", f"listen: 127.0.0.1:{port}"), encoding="utf-8"
        )
        done = watchtower("check", "--connect", "--peer", "a", "--json", cwd=folder)
        found = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
        assert found["peer b raft"]["ok"] is True
        assert "in use" in found["peer a http (this machine)"]["text"]
        assert found["channel chat"]["ok"] is True
        file.write_text(text.replace("http://127.0.0.1:1/", "http://nowhere.invalid/"), encoding="utf-8")
        done = watchtower("check", "--connect", "--json", cwd=folder)
    assert done.returncode == 1
    found = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["name nowhere.invalid"]["ok"] is False


def test_a_test_message_arrives_and_says_that_it_is_one(tmp_path: Path) -> None:
    """The verb init sends it by itself, check when asked to."""
    with HttpSink() as sink:
        alert = f"json://127.0.0.1:{sink.port}/"
        done = watchtower("init", *ANSWERS, "--peers", "127.0.0.1", "--alert", alert, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "A test message was accepted" in done.stdout
        assert watchtower("check", "--send", cwd=tmp_path).returncode == 0
        assert len(sink.received) == 2
        assert all("Test message" in received.json["title"] for received in sink.received)


def test_a_channel_that_can_be_searched_is_searched_for_the_test_message(tmp_path: Path) -> None:
    """A receiver that has it, and one that does not answer: only the first is as `search` wants it."""
    with HttpSink() as sink:
        alert = f"json://127.0.0.1:{sink.port}/"
        (tmp_path / "watchtower.yaml").write_text(
            f"notify:\n  hook: {{url: '{alert}', search: true}}\nservices:\n  web: http://127.0.0.1:1/\n",
            encoding="utf-8",
        )
        good = watchtower("check", "--send", "--json", cwd=tmp_path)
        sink.set_search_mode("500")
        bad = watchtower("check", "--send", "--json", cwd=tmp_path)
    for done, is_well in ((good, True), (bad, False)):
        found = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
        assert found["search on hook"]["ok"] is is_well, found
    assert (good.returncode, bad.returncode) == (0, 1)


def test_a_test_message_that_fails_is_explained(tmp_path: Path) -> None:
    """The files are good all the same, so the exit code is 0; check --send then says 1."""
    done = watchtower(
        "init", *ANSWERS, "--peers", "127.0.0.1", "--alert", "json://127.0.0.1:1/secret-path", cwd=tmp_path
    )
    assert done.returncode == 0
    assert "did NOT arrive" in done.stdout
    assert "connection refused" in done.stdout
    assert "secret-path" not in done.stdout + done.stderr
    assert watchtower("check", "--send", cwd=tmp_path).returncode == 1


def test_programs_and_schedules_are_told(tmp_path: Path) -> None:
    """A missing program is a warning; a schedule stands in its own words, and is missed in its own time."""
    (tmp_path / "watchtower.yaml").write_text(
        "services:\n"
        "  disk: {exec: [/nowhere/check_disk]}\n"
        "  backup: {heartbeat: 15 3 * * *, tz: Europe/Berlin, grace: 30m}\n"
        "http: {ping_key: abcdefabcdefabcdef}\n"
    )
    done = watchtower("check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Warning: services.disk: /nowhere/check_disk does not exist here" in done.stdout
    assert "15 3 * * * Europe/Berlin" in " ".join(done.stdout.split())
    doc = json.loads(watchtower("check", "--json", cwd=tmp_path).stdout)
    assert [service["detection_s"] for service in doc["services"]][1] == 25 * 3600 + 1800 + OVERHEAD_S
    listed = watchtower("heartbeat", "list", cwd=tmp_path).stdout
    assert "# backup: 15 3 * * * Europe/Berlin, missing after 30m more" in listed
    (call,) = json.loads(watchtower("heartbeat", "list", "--json", cwd=tmp_path).stdout)
    assert (call["cron"], call["tz"], call["period_s"]) == ("15 3 * * *", "Europe/Berlin", None)


def test_a_channel_that_cannot_work_is_an_error_with_its_line(folder: Path) -> None:
    """Without the network, all of them at once, and no part of a URL is printed."""
    file = folder / "watchtower.yaml"
    file.write_text(
        "notify:\n"
        "  chat: {url: 'foo://bar-secret'}\n"
        "  team: slack://T1JJ3T3L2\n"
        "  good: json://127.0.0.1:1/\n"
        "  mail: mailto://nohost\n"
        "  talk:\n"
        "    url: discord://webhook\n"
        "services: {web: 'http://127.0.0.1:1/'}\n"
    )
    done = watchtower("check", cwd=folder)
    assert done.returncode == 1
    for place in (":2: notify.chat: ", ":3: notify.team: ", ":5: notify.mail: ", ":6: notify.talk: "):
        assert f"watchtower.yaml{place}" in done.stderr
    assert done.stderr.rstrip().endswith("watchtower.yaml: 4 errors")
    assert "bar-secret" not in done.stderr + done.stdout
    assert json.loads(watchtower("check", "--json", cwd=folder).stdout)["ok"] is False


def test_what_does_nothing_is_a_warning(folder: Path) -> None:
    """Each may be meant, so the file stays good."""
    (folder / "watchtower.yaml").write_text(
        "notify: {chat: 'json://127.0.0.1:1/'}\n"
        "routes: [{match: {service: lost}, notify: []}, {match: {service: 'nope-*'}, notify: chat}]\n"
        "maintenance: [{match: {service: web}, start: 2024-01-01 10:00, end: 2024-01-01 11:00}]\n"
        "services: {web: 'http://127.0.0.1:1/', lost: 'http://127.0.0.1:1/'}\n"
    )
    done = watchtower("check", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == [
        "nobody is told when lost is down, though that is critical: see `routes` and `alert`.",
        "maintenance[0] (service=web) is over: remove it.",
        "routes[1] (service=nope-*) fits nothing that this file watches.",
    ]
