"""The sinks as a process of their own: what cluster tests and the demo rely on."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
from pathlib import Path

import requests


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
                smtp.sendmail("a@example.com", ["b@example.com"], "Subject: three\r\n\r\nx")
            received = requests.get(f"{control}/received", timeout=5).json()
            assert [json.loads(item["body"])["text"] for item in received["slack"]] == ["one", "two"]
            assert "Subject: three" in received["mail"][0]["body"]
            requests.post(f"{control}/clear", timeout=5)
            assert requests.get(f"{control}/received", timeout=5).json() == {"slack": [], "mail": []}
        finally:
            process.terminate()
        assert process.wait(10) == 0
