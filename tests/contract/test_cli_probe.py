"""`watchtower probe` as a process against a real server: the line, the exit code, the JSON.

The server is the standard library's, on loopback.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_support import watchtower
from support.mail_sink import MailSink
from support.real_servers import nginx
from support.redis_server import redis
from support.rpc_servers import grpc_server
from support.targets import Authority, closed_port
from websockets.sync.server import ServerConnection, serve

LINE = re.compile(
    r"HTTP (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+ \| time=[\d.]+s;;;0;10( time_\w+=[\d.]+s;;;0)+"
)


def tls_server(pem: Path) -> str:
    """An nginx server with this certificate."""
    return (
        f"server {{ listen {{0}} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; "
        "location / { return 200 ok; } }"
    )


class Health(http.server.BaseHTTPRequestHandler):
    """Answers `/ok` well, everything else with 503."""

    def do_GET(self) -> None:
        """One answer."""
        body = b'{"db": "up"}'
        self.send_response(200 if self.path == "/ok" else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a running server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "options", "code", "says"),
    [
        ("/ok", (), 0, "HTTP OK - HTTP 200 in"),
        ("/ok", ("--expect", "json.db == up", "--warn", "time < 30s"), 0, "HTTP OK"),
        ("/ok", ("--warn", "time < 1ms or time < 0ms"), 1, "HTTP WARNING - time < 1ms or time < 0ms: was"),
        ("/broken", (), 2, "HTTP CRITICAL - HTTP 503"),
        ("/ok", ("--expect", "json.db == down"), 2, 'HTTP CRITICAL - json.db == down: was "up"'),
    ],
)
def test_a_look_is_a_line_and_an_exit_code(
    url: str, path: str, options: tuple[str, ...], code: int, says: str
) -> None:
    """The first line has the form of Nagios with the phases as performance data."""
    done = watchtower("probe", url + path, *options)
    first = done.stdout.splitlines()[0]
    assert (done.returncode, done.stderr) == (code, ""), done.stdout + done.stderr
    assert first.startswith(says)
    assert LINE.fullmatch(first), first


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ftp://127.0.0.1",), "no probe knows this scheme"),
        (("http://127.0.0.1", "--expect", "staus == 200"), "did you mean `status`?"),
        (("http://127.0.0.1", "--set", "timeout=1s"), "--set timeout: this is an option of its own"),
        (("http://127.0.0.1", "--set", "expect"), "--set expect: the value is missing"),
        (("heartbeat:1h",), "a heartbeat has no URL"),
        (("redis://:${ODD}@127.0.0.1",), "URL: the value has a `/`, `?` or `#`, where the user info"),
    ],
)
def test_a_wrong_call_is_unknown(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be looked at is neither up nor down: 3, with one line that says why."""
    monkeypatch.setenv("ODD", "x@hunter2/3")
    done = watchtower("probe", *arguments)
    assert "hunter2" not in done.stdout
    assert done.returncode == 3
    assert done.stdout.startswith("PROBE UNKNOWN - ")
    assert says in done.stdout


def test_a_wrong_option_is_unknown_too() -> None:
    """Nagios would read the usual 2 of wrong usage as CRITICAL."""
    assert watchtower("probe", "--nonsense").returncode == 3
    missing = watchtower("probe")
    assert (missing.returncode, "Missing argument 'URL'" in missing.stderr) == (3, True)


def test_without_a_scheme_it_is_https() -> None:
    """Also with a port, which is no scheme."""
    port = closed_port()
    done = watchtower("probe", f"127.0.0.1:{port}/path")
    assert done.stdout.startswith(f"HTTP CRITICAL - connection refused by 127.0.0.1:{port} | ")
    assert "\n\n  resolve" not in done.stdout
    assert not done.stdout.endswith("\n\n")


def test_a_certificate_is_shown_with_the_day_it_expires(authority: Authority, tmp_path: Path) -> None:
    """As people read it, whether the look is good or not."""
    with nginx(tmp_path, tls_server(authority.pem("localhost", ends_days=9)), 1) as ((port,), _):
        good = watchtower("probe", f"https://localhost:{port}/")
    assert re.search(r"\n  cert.expires_at   20\d\d-\d\d-\d\d \d\d:\d\d UTC, in 9.0 days\n", good.stdout), (
        good.stdout
    )


def test_json_holds_phases_and_facts(url: str) -> None:
    """One document for programs, with the same exit code."""
    done = watchtower("probe", f"{url}/broken", "--json")
    doc = json.loads(done.stdout)
    assert (done.returncode, doc["state"], doc["opinion"]) == (2, "CRITICAL", "down")
    assert doc["facts"]["status"] == 503
    assert {"connect", "first_byte"} <= set(doc["phases_ms"])


def test_a_refused_port_is_critical_and_names_the_address() -> None:
    """The evidence is the one that a peer would give."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Health)
    port = server.server_port
    server.server_close()
    done = watchtower("probe", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 2
    assert done.stdout.startswith(f"TCP CRITICAL - connection refused by 127.0.0.1:{port} | time=")


def test_a_mail_server_is_shown_with_its_phases_and_greeting() -> None:
    """The greeting is the evidence, and STARTTLS is a key like in the file."""
    with MailSink() as sink:
        done = watchtower("probe", f"smtp://127.0.0.1:{sink.port}", "--expect", "banner contains SMTP")
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.match(r'SMTP OK - "220 .+ SMTP.*" in \d+ ms \| time=', done.stdout)
        for shown in ("connect", "first byte", "transfer", "banner", "ip"):
            assert f"\n  {shown} " in done.stdout
        done = watchtower("probe", f"smtp://127.0.0.1:{sink.port}", "--set", "starttls=true")
        assert done.returncode == 2
        assert done.stdout.startswith("SMTP CRITICAL - offers no STARTTLS | time=")


def test_a_login_is_shown_with_its_phases_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password comes from a file or a variable, so that `ps` does not show it."""
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("CACHE_PW", "hunter2")
    with redis(None, "requirepass hunter2") as server:
        address = f"127.0.0.1:{server.port}"
        from_file = f"password=${{file:{tmp_path / 'secret'}}}"
        for words in ((f"redis://{address}", "--set", from_file), (f"redis://:${{CACHE_PW}}@{address}",)):
            done = watchtower("probe", *words, "--expect", "value == PONG", "--expect", "role == primary")
            assert done.returncode == 0, done.stdout + done.stderr
            assert re.match(r"REDIS OK - PONG in \d+ ms, Redis \| time=", done.stdout)
            for shown in ("connect", "login", "query", "role", "value", "server"):
                assert f"\n  {shown} " in done.stdout
            assert "hunter2" not in done.stdout + done.stderr
        refused = watchtower("probe", f"redis://{address}", "--set", "password=hunter3")
        assert refused.returncode == 2
        assert refused.stdout.startswith("REDIS CRITICAL - login refused: WRONGPASS")
        assert "hunter3" not in refused.stdout + refused.stderr
    unset = watchtower("probe", "redis://h", "--set", "password=${NOWHERE_SET}")
    assert (unset.returncode, "the environment has no variable NOWHERE_SET" in unset.stdout) == (3, True)
    twice = watchtower("probe", "redis://:hunter2@h", "--set", "password=x")
    assert (twice.returncode, "the URL has a password of its own" in twice.stdout) == (3, True)
    assert "hunter2" not in twice.stdout


def test_a_ping_is_shown_with_its_round_trip() -> None:
    """What `ping` would say, as a line for Nagios."""
    done = watchtower("probe", "icmp://127.0.0.1", "--warn", "lost == 0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"ICMP OK - answer from 127\.0\.0\.1 in [\d.]+ ms \| time=", done.stdout)
    assert "\n  lost " in done.stdout


def test_a_grpc_health_service_is_shown_with_its_words() -> None:
    """Status and code are shown; what the server does not know is critical."""
    with grpc_server({"": "SERVING", "shop.Cart": "NOT_SERVING"}) as port:
        up = watchtower("probe", f"grpc://127.0.0.1:{port}", "--warn", "time < 30s")
        assert up.returncode == 0, up.stdout + up.stderr
        assert re.match(r"GRPC OK - SERVING in \d+ ms \| time=", up.stdout)
        for shown in ("connect", "first byte", "transfer", "grpc.status", "grpc.code"):
            assert f"\n  {shown} " in up.stdout
        down = watchtower("probe", f"grpc://127.0.0.1:{port}/shop.Cart")
    assert (down.returncode, down.stdout[:29]) == (2, "GRPC CRITICAL - NOT_SERVING |")


def test_a_socket_is_shown_with_its_message() -> None:
    """What is sent is a key like in the file, and the answer is shown."""

    def echo(socket: ServerConnection) -> None:
        for message in socket:
            socket.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        up = watchtower(
            "probe", f"ws://127.0.0.1:{port}", "--set", "send=hello", "--expect", "message == hello"
        )
        server.shutdown()
        thread.join()
    assert up.returncode == 0, up.stdout + up.stderr
    assert re.match(r'WS OK - "hello" in \d+ ms \| time=', up.stdout)
    assert "\n  message           hello\n" in up.stdout


def test_a_program_is_run_and_its_metrics_are_shown() -> None:
    """Words after `exec:` are the program's; `--set` and conditions work as in a file."""
    said = watchtower(
        "probe", "exec:/bin/sh -c 'echo \"LOAD OK | load1=0.5;1;2\"'", "--warn", "perf.load1 < 0.1"
    )
    assert said.returncode == 1
    assert said.stdout.startswith("EXEC WARNING - perf.load1 < 0.1: was 0.5 | time=")
    assert "  perf.load1        0.5\n" in said.stdout
    missing = watchtower("probe", "exec:/nowhere/check_load")
    assert (missing.returncode, missing.stdout[:36]) == (3, "EXEC UNKNOWN - /nowhere/check_load: ")


def test_a_wrong_key_is_told_like_in_a_file() -> None:
    """`--set` knows the keys of the kind."""
    done = watchtower("probe", "ssh://127.0.0.1", "--set", "starttls=true")
    assert done.returncode == 3
    assert "`starttls` belongs to tls, smtp, imap services, this one is ssh" in done.stdout
