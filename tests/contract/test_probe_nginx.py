"""Looks at a real nginx: HTTP, HTTPS, TLS, and what it says to kinds that it does not speak."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.chains import below_intermediate
from support.looking import condition, look
from support.real_servers import nginx, stopped
from support.targets import Authority, closed_port, full_backlog
from websockets.asyncio.server import ServerConnection, serve

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import (
    GrpcTarget,
    HttpTarget,
    ImapTarget,
    SmtpTarget,
    SshTarget,
    Target,
    TcpTarget,
    TlsTarget,
    WsTarget,
)

PLAIN = """
server {{
  listen {{0}};
  location = /ok {{ add_header X-Ready yes; default_type application/json; return 200 '{{"db": "up"}}'; }}
  location = /gone {{ return 404; }}
  location = /sick {{ return 503; }}
  location = /moved {{ return 301 /ok; }}
  location = /round {{ return 302 /round; }}
  location = /silent {{ return 444; }}
  location = /dead {{ proxy_pass http://127.0.0.1:{dead}; }}
  location = /slow {{ proxy_pass http://127.0.0.1:{slow}; }}
  location = /short {{ client_max_body_size 1; proxy_pass http://127.0.0.1:{dead}; }}
  location = /login {{ auth_basic shop; auth_basic_user_file {folder}/users; alias {folder}/file; }}
  location = /file {{ root {folder}; }}
}}
server {{ listen {{1}} http2; location / {{ return 404; }} }}
"""


@contextmanager
def plain(folder: Path, slow: int) -> Iterator[tuple[list[int], subprocess.Popen[bytes]]]:
    """An nginx in the clear; behind `/slow` stands the port `slow`, behind `/dead` nobody."""
    (folder / "users").write_text("ann:{PLAIN}s3cret\n")
    (folder / "file").write_text("all ok")
    with nginx(folder, PLAIN.format(dead=closed_port(), slow=slow, folder=folder), 2) as found:
        yield found


def see(target: Target, **fields: Any) -> Result:
    """One look."""
    return asyncio.run(look(target, **{"timeout_s": 3.0, **fields}))


def test_what_nginx_answers(tmp_path: Path) -> None:
    """Each status is told, redirects are followed within limits, and what is found is judged."""
    db = condition("json.db == up", "json.db", "==", "up")
    ready = condition("header.x-ready == yes", "header.x-ready", "==", "yes")
    down = condition("json.db == down", "json.db", "==", "down")
    with full_backlog() as slow, plain(tmp_path, slow) as (ports, process):
        url = f"http://localhost:{ports[0]}"
        up = see(HttpTarget(url=f"{url}/ok"), expect=(db, ready))
        assert (up.opinion, up.facts["status"]) == (Opinion.UP, 200), up.text
        assert {"resolve", "connect", "first_byte"} <= set(up.phases_ms)
        unmet = see(HttpTarget(url=f"{url}/ok"), expect=(down,))
        assert (unmet.kind, unmet.text) == (Kind.CONDITION, 'json.db == down: was "up"')
        for path, status in (("/gone", 404), ("/sick", 503), ("/dead", 502), ("/login", 401)):
            result = see(HttpTarget(url=url + path))
            assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, Kind.STATUS, f"HTTP {status}")
        moved = see(HttpTarget(url=f"{url}/moved"))
        assert (moved.opinion, moved.facts["redirects"]) == (Opinion.UP, 1), moved.text
        assert see(HttpTarget(url=f"{url}/round", follow_redirects=3)).kind is Kind.PROTOCOL
        basic = (("Authorization", Secret("Basic YW5uOnMzY3JldA==")),)
        assert see(HttpTarget(url=f"{url}/login", headers=basic)).opinion is Opinion.UP
        assert see(HttpTarget(url=f"{url}/short", method="POST", body="four")).text == "HTTP 413"
        assert see(HttpTarget(url=f"{url}/file")).facts["body.bytes"] == 6
        silent = see(HttpTarget(url=f"{url}/silent"))
        assert (silent.kind, silent.text) == (
            Kind.RESET,
            "connection closed while waiting for the answer",
        )
        late = see(HttpTarget(url=f"{url}/slow"), timeout_s=0.6)
        assert (late.kind, late.text) == (Kind.TIMEOUT, "timeout after 0.6 s while waiting for the answer")
        with stopped(process):
            still = see(HttpTarget(url=f"{url}/ok"), timeout_s=0.6)
        assert (still.kind, still.text) == (Kind.TIMEOUT, "timeout after 0.6 s while waiting for the answer")
        process.kill()
        process.wait(5)
        gone = see(HttpTarget(url=f"{url}/ok"))
        assert (gone.opinion, gone.kind) == (Opinion.DOWN, Kind.REFUSED)


def test_what_other_kinds_see_of_nginx(tmp_path: Path) -> None:
    """A web server where another was expected is recognised by each kind."""
    with plain(tmp_path, closed_port()) as ((http, http2), _):
        assert see(TcpTarget(host="127.0.0.1", port=http)).opinion is Opinion.UP
        asked = TcpTarget(host="127.0.0.1", port=http, send=Secret("HEAD /ok HTTP/1.0\r\n\r\n"))
        banner = condition("banner ~ ^HTTP/1.1 200", "banner", "~", "^HTTP/1.1 200")
        assert see(asked, expect=(banner,)).opinion is Opinion.UP
        found = {
            "ws": see(WsTarget(url=f"ws://127.0.0.1:{http}/ok")),
            "grpc": see(GrpcTarget(host="127.0.0.1", port=http)),
            "grpc over h2": see(GrpcTarget(host="127.0.0.1", port=http2)),
            "tls": see(TlsTarget(host="127.0.0.1", port=http)),
            "smtp": see(SmtpTarget(host="127.0.0.1", port=http), timeout_s=0.4),
            "imap": see(ImapTarget(host="127.0.0.1", port=http), timeout_s=0.4),
            "ssh": see(SshTarget(host="127.0.0.1", port=http), timeout_s=0.4),
        }
    assert {name: (result.kind, result.text) for name, result in found.items()} == {
        "ws": (Kind.STATUS, "answers HTTP 200 instead of the handshake"),
        "grpc": (Kind.PROTOCOL, 'speaks HTTP/1.1, not HTTP/2: "HTTP/1.1 400 Bad Request"'),
        "grpc over h2": (Kind.STATUS, "answers HTTP 404, no gRPC"),
        "tls": (Kind.TLS, "TLS failed: what answers does not speak TLS (WRONG_VERSION_NUMBER)"),
        "smtp": (Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
        "imap": (Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
        "ssh": (Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
    }


SECURE = """
ssl_certificate {good}; ssl_certificate_key {good};
server {{ listen {{0}} ssl; return 200 ok; }}
server {{ listen {{1}} ssl; ssl_certificate {old}; ssl_certificate_key {old}; return 200 ok; }}
server {{ listen {{2}} ssl; ssl_protocols TLSv1.1; ssl_ciphers DEFAULT:@SECLEVEL=0; return 200 ok; }}
server {{ listen {{3}} ssl; ssl_reject_handshake on; }}
server {{ listen {{4}} ssl; ssl_verify_client on; ssl_client_certificate {ca}; return 200 ok; }}
server {{ listen {{5}} ssl http2; return 200 ok; }}
"""


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_what_nginx_shows_over_tls(authority: Authority, tmp_path: Path, kind: str) -> None:
    """Certificates, versions, unknown names and wanted certificates of ours, each with its words."""
    good, old = authority.pem("localhost"), authority.pem("localhost", begins_days=-9, ends_days=-3)
    config = SECURE.format(good=good, old=old, ca=authority.ca_file)

    def at(port: int, host: str = "localhost", **fields: Any) -> Result:
        if kind == "tls":
            return see(TlsTarget(host=host, port=port, **fields))
        return see(HttpTarget(url=f"https://{host}:{port}/", **fields))

    with nginx(tmp_path, config, 6) as (ports, process):
        up = at(ports[0])
        assert (up.opinion, up.facts["cert.issuer"]) == (Opinion.UP, "CN=Test Authority"), up.text
        assert "tls" in up.phases_ms
        assert at(ports[5]).opinion is Opinion.UP
        wrong = at(ports[0], "127.0.0.1")
        assert (wrong.kind, wrong.text) == (Kind.TLS, "certificate is not for 127.0.0.1 but for localhost")
        expired = at(ports[1])
        assert (expired.opinion, expired.kind) == (Opinion.DOWN, Kind.TLS)
        assert expired.text.startswith("certificate expired 3 days ago, on ")
        assert at(ports[1], verify=False).opinion is Opinion.UP
        outdated, unknown = at(ports[2]), at(ports[3])
        assert (outdated.kind, outdated.text[:11]) == (Kind.TLS, "TLS failed:")
        assert (unknown.kind, unknown.text[:11]) == (Kind.TLS, "TLS failed:")
        assert "name" in unknown.text
        wanted = at(ports[4])
        # nginx finishes the handshake and complains over HTTP.
        assert wanted.text == "HTTP 400" if kind == "https" else wanted.opinion is Opinion.UP
        plain = see(HttpTarget(url=f"http://localhost:{ports[0]}/"))
        assert (plain.kind, plain.text) == (Kind.STATUS, "HTTP 400")
        no_http2 = see(GrpcTarget(host="localhost", port=ports[0], tls=True))
        assert no_http2.kind is Kind.TLS
        assert no_http2.text.startswith("TLS failed: the server speaks none of the protocols that we offer")
        with stopped(process):
            still = see(TlsTarget(host="localhost", port=ports[0]), timeout_s=0.4)
        assert (still.kind, still.text) == (Kind.TIMEOUT, "timeout after 0.4 s while in the TLS handshake")


CHAINS = """
server {{ listen {{0}} ssl; ssl_certificate {early}; ssl_certificate_key {early}; return 200 ok; }}
server {{ listen {{1}} ssl; ssl_certificate {own}; ssl_certificate_key {own}; return 200 ok; }}
server {{ listen {{2}} ssl; ssl_certificate {short}; ssl_certificate_key {short}; return 200 ok; }}
server {{ listen {{3}} ssl; ssl_certificate {whole}; ssl_certificate_key {whole}; return 200 ok; }}
"""


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_which_certificate_nginx_shows(authority: Authority, tmp_path: Path, kind: str) -> None:
    """Not valid yet, self-signed, without its intermediate, and whole."""
    files = {"whole": tmp_path / "whole", "short": tmp_path / "short"}
    for name, folder in files.items():
        folder.mkdir()
        below_intermediate(authority, folder, is_sent=name == "whole")
    config = CHAINS.format(
        early=authority.pem("localhost", begins_days=2),
        own=authority.pem("localhost", self_signed=True),
        short=files["short"] / "below.pem",
        whole=files["whole"] / "below.pem",
    )
    with nginx(tmp_path, config, 4) as (ports, _):
        targets: list[Target] = [
            TlsTarget(host="localhost", port=port)
            if kind == "tls"
            else HttpTarget(url=f"https://localhost:{port}/")
            for port in ports
        ]
        early, own, short, whole = map(see, targets)
    for result in (early, own, short):
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TLS), result.text
    assert early.text.startswith("certificate is not valid yet, only from 20")
    assert own.text == "certificate is self-signed (for localhost)"
    assert short.text == (
        "certificate has an unknown issuer: CN=Middle (not trusted here, no intermediate was sent)"
    )
    assert whole.opinion is Opinion.UP, whole.text


FRONT = """
server {{
  listen {{0}};
  location /ws {{
    proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
  }}
}}
"""


def test_a_socket_behind_nginx(tmp_path: Path) -> None:
    """The application behind the proxy is what is seen: alive, or gone."""

    async def greet(socket: ServerConnection) -> None:
        await socket.send("hello")
        await socket.wait_closed()

    async def run() -> tuple[Result, Result]:
        async with serve(greet, "127.0.0.1", 0) as server:
            behind = next(iter(server.sockets)).getsockname()[1]
            with nginx(tmp_path, FRONT.format(behind=behind), 1) as (ports, _):
                target = WsTarget(url=f"ws://127.0.0.1:{ports[0]}/ws")
                alive = await look(target, expect=(condition("m", "message", "==", "hello"),))
                server.close()
                await server.wait_closed()
                return alive, await look(target)

    alive, gone = asyncio.run(run())
    assert alive.opinion is Opinion.UP, alive.text
    assert (gone.kind, gone.text) == (Kind.STATUS, "answers HTTP 502 instead of the handshake")
