"""No secret leaves the place it was written for: three real peers at DEBUG, with a canary in every place.

Channels of eighteen kinds are refused, left without an answer and served by providers that say aloud what
they were sent; services say aloud what they were asked with; files with mistakes are loaded. Then all
that the peers told or wrote is searched, also for the beginning and the end of a secret and its base64.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from support.canaries import Canaries, bytes_under
from support.cli_support import watchtower
from support.cluster_support import ADMIN_TOKEN, Cluster, Target, free_ports, running, wait_for
from support.mail_sink import MailSink
from support.proxies import Proxy, in_thread
from support.secret_channels import PROVIDERS, channel_urls, config, echoing, services, watchdog
from support.sink_log import Received
from support.sink_trust import make_ca
from support.sinks import HttpSink
from support.web_support import world

from watchtower.cli.main import main
from watchtower.config.loader import load
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import channels
from watchtower.errors import DeliveryError
from watchtower.history.off import NoHistory
from watchtower.web.routes import NAME
from watchtower.web.server import WebServer

pytestmark = pytest.mark.timeout(240)

SHOWN = 120
"""So much of a provider's answer is kept: a secret that is cut there must not be half shown."""

CHANNELS = 18
NEVER_RUN = frozenset(
    ("demo", "init", "run", "probe", "drain", "drill", "notify test", "cluster bootstrap", "cluster rescue",
     "cluster restore", "cluster resize", "cluster transfer", "cluster backup")
)  # fmt: skip
"""Verbs that act, or ask no running cluster."""

ACTING = (
    ("ack", "1", "--note", "restarting"),
    ("drill", "--no-wait", "--channel", "gotify"),
    ("maintenance", "add", "service=argued", "--for", "1h"),
    ("notify", "test", "gotify", "xml", "--from", "b", "--timeout", "5"),
    ("silence", "add", "service=basic", "--for", "1h", "--reason", "known"),
    ("silence", "preview", "service=*"),
)

BROKEN = (
    "notify:\n  chat: {{url: slack://T1/{0}, serach: true}}\n  mail: mailto://u:{1}@mx.example.com?to=a,b\n",
    (
        "notify:\n  chat: slack://T1JJ3T3L2/A1BRTD4JD/{0}/?nosuch={1}\n"
        "services:\n  web: {{url: 'http://u:{2}@h/', x: 1}}\n"
    ),
    "http:\n  ping_key: {0} {1}\n  tokens: {{ops: {{scope: reed, token: {2}}}}}\n",
    "cluster: {{secret: {0}, name: [}}\n  headers: {{Authorization: Bearer {1}\n",
    "services:\n  web: {{url: 'postgres://u:{0}@h/db', password: {1}, headers: {{X-Key: {2}}}}}\n",
)
"""Files with mistakes right beside secrets."""


@dataclass
class Told:
    """All that was told or written, by where."""

    logs: dict[str, bytes] = field(default_factory=dict)
    disks: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    verbs: dict[str, bytes] = field(default_factory=dict)
    processes: dict[str, bytes] = field(default_factory=dict)
    messages: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Rig:
    """A cluster with a secret in every place, and everything around it."""

    cluster: Cluster
    text: str
    canaries: Canaries
    http: tuple[HttpSink, ...]
    mail: MailSink
    late: Target

    def behave(self, mode: str, mail_mode: str, status: int = 503) -> None:
        """How every provider behaves from now on."""
        for sink in self.http:
            sink.echo_status = status
            sink.set_mode(mode)
        self.mail.set_mode(mail_mode)

    def write(self, text: str) -> None:
        """The file of every peer."""
        for peer in self.cluster.names:
            self.cluster.file(peer).write_text(text)

    def outcomes(self, service: str) -> dict[str, set[str]]:
        """How the attempts at telling of the service ended, by channel."""
        answer = self.cluster.get("a", "/api/v1/notifications?limit=200") or {}
        items = [item for item in answer.get("notifications", ()) if item["service"] == service]
        return {item["channel"]: {one["outcome"] for one in item["attempts"]} for item in items}

    def wait_tried(self, service: str, outcome: str, count: int) -> None:
        """Until so many channels were tried with that end; who fails for other services too has to wait."""
        wait_for(
            lambda: sum(outcome in ends for ends in self.outcomes(service).values()) >= count,
            30,
            f"{count} channels were tried for {service}: {outcome}",
        )


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """All secrets of the module."""
    return Canaries()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, canaries: Canaries) -> Iterator[Rig]:
    """The cluster, its targets and its providers, not yet started."""
    ca = make_ca(tmp_path_factory.mktemp("trust"), *PROVIDERS)
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        http = tuple(stack.enter_context(HttpSink(tls=context)) for context in (None, ca.context))
        echo_port, line_port = stack.enter_context(echoing())
        (smtp_port,) = free_ports(1)
        urls = channel_urls(canaries, http[0].port, http[1].port, smtp_port)
        login = ("alerts", canaries.of("notify.mail"))
        mail = stack.enter_context(MailSink(smtp_port, tls=ca.context, login=login))
        proxy = stack.enter_context(in_thread(Proxy(onward={"*": http[1].port})))
        patch.setenv("HTTPS_PROXY", f"http://u:{canaries.new('HTTPS_PROXY')}@127.0.0.1:{proxy.port}")
        patch.setenv("REQUESTS_CA_BUNDLE", str(ca.ca_file))
        patch.setenv("SSL_CERT_FILE", str(ca.ca_file))
        cluster = Cluster(tmp_path_factory.mktemp("peers"), services="", notify="")
        cluster.options = ["--log-level", "debug"]
        late = Target()
        stack.callback(late.close)
        everybody = ", ".join(urls)
        watched = services(canaries, echo_port, line_port, everybody)
        watched += f"late: {{url: '{late.url}', interval: 1s, alert: [{everybody}]}}\n"
        text = config(canaries, cluster, urls, watched) + watchdog(canaries, http[0].port)
        made = Rig(cluster, text, canaries, http, mail, late)
        made.write(made.text)
        for sink in http:
            sink.echo = told_back(canaries)
        yield made


def told_back(canaries: Canaries) -> Callable[[Received], str]:
    """An answer whose first secret is cut in its middle where answers are cut, and then all that was sent."""

    def echo(item: Received) -> str:
        said = f"{item.path} {json.dumps(item.headers)} {item.body}"
        return "x" * (SHOWN - 14) + " " + canaries.first_in(said) + " " + said

    return echo


@pytest.fixture(scope="module")
def told(rig: Rig) -> Told:
    """Everything that the cluster told or wrote in its short life."""
    made, cluster = Told(), rig.cluster
    rig.behave("echo", "550")
    with running(cluster):
        with events(cluster, made):
            for service in ("web", "shown", "cache", "program", "socket"):
                cluster.wait_verdict(service, "down", timeout_s=30)
            rig.wait_tried("web", "rejected", CHANNELS - 3)
            reload_broken(rig)
            rig.behave("reset", "reset")
            rig.wait_tried("web", "ambiguous", CHANNELS // 3)
            rig.behave("echo", "451", 403)
            rig.late.close()
            rig.wait_tried("late", "rejected", CHANNELS // 3)
            knock(rig, made)
            ask_everything(rig, made)
            run_verbs(rig, made)
            rig.behave("ok", "ok")
            wait_for(lambda: any(item.mode == "ok" for item in rig.http[0].received), 20, "one was served")
        for peer, process in cluster.processes.items():
            made.processes |= {f"{peer} {pid}": line for pid, line in command_lines(process)}
        cluster.stop()
    made.logs = {peer: cluster.log(peer).encode() for peer in cluster.names}
    for peer in cluster.names:
        made.disks |= {f"{peer} {name}": raw for name, raw in bytes_under(cluster.disk(peer)).items()}
    received = [item for log in (*(sink.log for sink in rig.http), rig.mail.log) for item in log.items]
    made.messages = {f"{number} {item.path}": item.body.encode() for number, item in enumerate(received)}
    return made


@contextlib.contextmanager
def events(cluster: Cluster, made: Told) -> Iterator[None]:
    """Hear everything that peer b tells as it happens."""
    heard, ends = bytearray(), threading.Event()

    def listen() -> None:
        url = f"http://127.0.0.1:{cluster.http['b']}/api/v1/events"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=30) as stream:
            while not ends.is_set() and (line := stream.readline()):
                heard.extend(line)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield
    ends.set()
    made.answers["b events"] = bytes(heard)


def reload_broken(rig: Rig) -> None:
    """Give peer a file after file with mistakes, then the good one again."""
    for number, broken in enumerate(BROKEN, 1):
        secrets = [rig.canaries.new(f"a broken file {number} {place}") for place in range(3)]
        rig.cluster.file("a").write_text(broken.format(*secrets))
        rig.cluster.signal("a", signal.SIGHUP)
        wait_for(lambda seen=number: refusals(rig) >= seen, 10, "the file was refused")  # type: ignore[misc] # the default binds the number
    rig.cluster.file("a").write_text(rig.text)
    rig.cluster.signal("a", signal.SIGHUP)


def refusals(rig: Rig) -> int:
    """How many files peer a has refused."""
    return rig.cluster.log("a").count("reload refused")


def knock(rig: Rig, made: Told) -> None:
    """Present wrong and right secrets in every way that a request can hold one."""
    url = f"http://127.0.0.1:{rig.cluster.http['a']}"
    key, token = rig.canaries.of("http.ping_key"), rig.canaries.of("http.tokens write")
    wrong = rig.canaries.new("a wrong token")
    bearer = {"Authorization": f"Bearer {wrong}"}
    basic = {"Authorization": f"Basic {wrong}", "Cookie": f"watchtower={wrong}", "X-Forwarded-For": wrong}
    said = f"sent to {url}/ping/{key}/job with {token}".encode()
    made.answers |= {
        "a wrong bearer": asked(f"{url}/api/v1/status", headers=bearer),
        "a wrong basic": asked(f"{url}/metrics", headers=basic),
        "a wrong login": asked(f"{url}/login", data=f"token={wrong}".encode()),
        "a wrong ping": asked(f"{url}/ping/{wrong}/job"),
        "a right ping": asked(f"{url}/ping/{key}/job", data=said),
        "a reload": asked(f"{url}/-/reload", data=b"", headers=bearer),
    }
    for line in (f"GET /ping/{key}/job HTTP/9.9", f"G\x01T /{wrong} HTTP/1.1", f"GET / HTTP/1.1\r\n{wrong}"):
        with socket.create_connection(("127.0.0.1", rig.cluster.http["a"]), 5) as raw:
            raw.sendall(f"{line}\r\n\r\n".encode())
            assert b"400" in raw.recv(65_536)
    for peer in rig.cluster.names:
        with socket.create_connection(("127.0.0.1", rig.cluster.raft[peer]), 5) as raw:
            raw.sendall(f"{wrong}\r\n{rig.canaries.of('cluster.secret new')}\r\n\r\n".encode())


def asked(url: str, *, data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    """Headers and body of the answer, whatever it is."""
    request = urllib.request.Request(url, data, headers or {})  # noqa: S310 - it begins with http
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return bytes(str(answer.headers).encode() + answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return str(refused.headers).encode() + refused.read()


def ask_everything(rig: Rig, made: Told) -> None:
    """Every path that can be read, of every peer; the ones with a name for several services."""
    for peer in rig.cluster.names:
        for path in paths():
            url = f"http://127.0.0.1:{rig.cluster.http[peer]}{path}"
            made.answers[f"{peer} {path}"] = asked(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})


def paths() -> Iterator[str]:
    """Every GET but beats and the stream, with names and numbers put in."""
    made = world()
    for route in WebServer(made.snap.settings, made.look, made.doors(), NoHistory()).routes():
        if route.method != "GET" or route.path.startswith("/ping/") or route.path == "/api/v1/events":
            continue
        numbered = route.path.replace("{number}", "1").replace("{id}", "1").replace("{file}", "style.css")
        names = ("web", "shown", "oauth", "cache", "program", "line", "peer/b") if NAME in numbered else ("",)
        yield from (numbered.replace(NAME, name) for name in names)
    yield from ("/metrics?view=cluster", "/api/v1/notifications?limit=200", "/api/v1/incidents?limit=200")


def run_verbs(rig: Rig, made: Told) -> None:
    """Every verb that asks, as text and as JSON; `check` also of files with mistakes."""
    here = {"WT_HTTP": "127.0.0.1:1", "WT_DISK": "none"}
    file = str(rig.cluster.file("a"))
    calls = [("check", "--config", file, "--peer", "a", *more) for more in ((), ("--connect", "--send"))]
    calls += [(*verb, "--config", file, *more) for verb in asking_verbs() for more in ((), ("--json",))]
    calls += [(*verb, "--config", file, "--token", ADMIN_TOKEN) for verb in ACTING]
    for number, broken in enumerate(BROKEN):
        path = rig.cluster.folder / f"broken-{number}.yaml"
        path.write_text(broken.format(*(rig.canaries.new(f"checked file {number} {n}") for n in range(3))))
        calls.append(("check", "--config", str(path)))
    secret = rig.canaries.new("probe's URL")
    calls.append(("probe", f"http://u:{secret}@127.0.0.1:{rig.late.port}/?token={secret}", "--timeout", "1"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in here.items():
            patch.setenv(name, value)
        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(lambda call: watchtower(*call), calls))
    for number, (call, done) in enumerate(zip(calls, ends, strict=True)):
        assert "Usage:" not in done.stderr, (call, done.stderr)
        made.verbs[f"{number} {' '.join(call)}"] = (done.stdout + done.stderr).encode()


def asking_verbs() -> Iterator[tuple[str, ...]]:
    """Every verb of the command line that asks a cluster and needs no argument."""

    def walk(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from walk(command, (*above, name))
            elif " ".join((*above, name)) not in NEVER_RUN and _only_asks(command):
                yield (*above, name)

    yield from walk(main, ())


def _only_asks(command: click.Command) -> bool:
    options = {option for parameter in command.params for option in parameter.opts}
    needs = any(parameter.required for parameter in command.params)
    return {"--config", "--json"} <= options and not needs and command.name != "check"


def command_lines(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, bytes]]:
    """The command line of a peer and of its children, which every user of a host can read."""
    waiting = [process.pid]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes()
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())


def leaks(canaries: Canaries, told: dict[str, bytes]) -> dict[str, set[str]]:
    """Where which secrets were found."""
    found = {where: canaries.found_in(raw) for where, raw in told.items()}
    return {where: places for where, places in found.items() if places}


# ---- what must hold


def test_the_log_at_debug_holds_no_secret(told: Told, canaries: Canaries) -> None:
    """Whatever went wrong: refusals, lost answers, bad requests, bad files."""
    assert any(b"attempt 1: rejected" in raw for raw in told.logs.values())
    assert not leaks(canaries, told.logs)


def test_nothing_on_disk_holds_a_secret(told: Told, canaries: Canaries) -> None:
    """Journal, snapshots, identity and history: what is replicated is no place for secrets."""
    assert len(told.disks) > 6
    assert not leaks(canaries, told.disks)


def test_no_answer_over_http_holds_a_secret(told: Told, canaries: Canaries) -> None:
    """API, metrics, pages, events, refusals, backup."""
    assert b"watchtower_" in told.answers["a /metrics"]
    assert b"event:" in told.answers["b events"]
    assert b"rejected" in told.answers["a /api/v1/notifications?limit=200"]
    assert not leaks(canaries, told.answers)


def test_no_verb_prints_a_secret(told: Told, canaries: Canaries) -> None:
    """But `heartbeat list`, which is asked for the lines that hold the ping key."""
    assert len(told.verbs) > 15
    found = leaks(canaries, told.verbs)
    asked_for = {where for where, places in found.items() if "heartbeat" in where or "list" in where}
    assert {place for where in asked_for for place in found.pop(where)} <= {"http.ping_key"}
    assert not found


def test_no_command_line_holds_a_secret(told: Told, canaries: Canaries) -> None:
    """Neither of a peer nor of its workers."""
    assert len(told.processes) > 3
    assert not leaks(canaries, told.processes)


def test_no_message_holds_a_secret_of_somebody_else(told: Told, canaries: Canaries) -> None:
    """A provider learns its own key, and nothing of services, peers and other channels."""
    assert len(told.messages) > 50
    own = {"notify.json field", "notify.pager", "notify.telegram", "notify.pushover", "notify.pushover user"}
    own |= {"notify.twilio", "notify.twilio sid", "notify.mail header"}
    assert not {
        where: rest for where, places in leaks(canaries, told.messages).items() if (rest := places - own)
    }


# ---- without a cluster


def test_settings_print_no_secret(rig: Rig, canaries: Canaries) -> None:
    """Who prints them shows what a look asks for, its URL and its body, and no secret beside it."""
    environ = {"WT_HTTP": "127.0.0.1:1", "WT_DISK": "none"}
    settings = load(rig.cluster.file("a"), peer="a", environ=environ)
    assert "shown" in repr(settings)
    assert canaries.found_in(f"{settings!r} {settings}") == {"services.body", "services.url query"}


def test_no_word_about_a_bad_url_shows_it() -> None:
    """Every channel URL cut at every place, and with an option too many."""
    canaries, told = Canaries(), []
    for name, url in channel_urls(canaries, 8080, 8443, 2525).items():
        for bad in (*(url[:end] for end in range(8, len(url))), f"{url}&nosuch={url}", url.replace("/", "")):
            try:
                channels.validate(Channel(name=name, url=Secret(bad), schema=bad.partition(":")[0]))
            except DeliveryError as error:
                told.append(str(error))
    assert len(told) > 200
    assert canaries.found_in("\n".join(told)) == set()
