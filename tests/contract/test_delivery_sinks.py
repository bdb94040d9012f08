"""The sinks as a process of their own: what cluster tests and the demo rely on."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from support.sinks import HttpSink


def test_the_sinks_run_as_a_process_and_change_their_mode_on_request() -> None:
    """One line of ports, modes by POST, everything that arrived by GET, a clean end on SIGTERM."""
    tests = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-m", "support.sinks"], cwd=tests, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ports = json.loads(process.stdout.readline())
            control = f"http://127.0.0.1:{ports['control']}"
            slack = f"http://127.0.0.1:{ports['slack']}/services/T/B/X"
            assert requests.post(slack, json={"text": "one"}, timeout=5).text == "ok"
            assert requests.post(f"{control}/mode", json={"slack": "500"}, timeout=5).json()["slack"] == "500"
            assert requests.post(slack, json={"text": "two"}, timeout=5).status_code == 500
            assert requests.post(f"{control}/mode", json={"slack": "nonsense"}, timeout=5).status_code == 400
            with smtplib.SMTP("127.0.0.1", ports["smtp"], timeout=5) as smtp:
                smtp.sendmail(
                    "a@example.com",
                    ["b@example.com"],
                    "Subject: three\r\nMessage-ID: <m1@example.com>\r\n\r\nx",
                )
            received = requests.get(f"{control}/received", timeout=5).json()
            assert [json.loads(item["body"])["text"] for item in received["slack"]] == ["one", "two"]
            assert "Subject: three" in received["mail"][0]["body"]
            marked = {"X-Watchtower-Delivery-Id": "ab12"}
            requests.post(f"{control}/mode", json={"slack": "reset"}, timeout=5)
            with pytest.raises(requests.ConnectionError):
                requests.post(slack, json={}, headers=marked, timeout=5)
            taken = requests.get(f"{control}/deliveries", timeout=5).json()
            assert [len(times) for times in taken["slack"].values()] == [1]
            assert list(taken["mail"]) == ["<m1@example.com>"]
            found = requests.get(slack, params={"delivery_id": "ab12"}, timeout=5)
            assert (found.status_code, found.json()["delivery_id"]) == (200, "ab12")
            assert requests.get(slack, params={"delivery_id": "cd34"}, timeout=5).status_code == 404
            requests.post(f"{control}/clear", timeout=5)
            assert requests.get(f"{control}/received", timeout=5).json() == {"slack": [], "mail": []}
        finally:
            process.terminate()
        assert process.wait(10) == 0


def test_what_a_sink_took_and_what_it_refused() -> None:
    """Taken late or without an answer is taken; a refusal is not, and a search of refusals finds nothing."""
    with HttpSink() as sink:
        sink.late_s = 0.3
        marked = {"X-Watchtower-Delivery-Id": "ab12"}
        for mode in ("500", "429", "404"):
            sink.set_mode(mode)
            requests.post(sink.url, json={}, headers=marked, timeout=5)
        assert sink.memory.taken() == {}
        sink.set_mode("late")
        answer = requests.post(sink.url, json={}, headers=marked, timeout=5)
        assert (answer.status_code, answer.elapsed.total_seconds() >= 0.3) == (200, True)
        assert len(sink.memory.taken()["ab12"]) == 1
        assert len(sink.received) == 4
