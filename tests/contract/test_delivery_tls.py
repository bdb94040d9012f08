"""Slack and mail as they are in earnest: TLS, the provider's own host names, STARTTLS and a login.

Slack's plugin is directed nowhere: it asks for hooks.slack.com and slack.com, a proxy on loopback leads
both to a sink, and an authority of the test's own vouches for it. Nothing here leaves the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cluster_support import Target, free_ports, wait_for
from support.delivery_support import MESSAGE
from support.mail_sink import MailSink
from support.proxies import Proxy, in_thread
from support.sink_trust import TestCa, make_ca
from support.sinks import RETRY_AFTER_S, HttpSink

from watchtower.core.model import Outcome
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import channels, sending, witness
from watchtower.delivery.trace import Trace
from watchtower.delivery.witness import Ending, Recorder

SLACK_HOSTS = ("hooks.slack.com", "slack.com")
HOOK = "CANARYhookCANARYhookCANA"
BOT = "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
WEBHOOK_URL = f"slack://T1JJ3T3L2/A1BRTD4JD/{HOOK}/"
NATIVE_URL = f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{HOOK}"
BOT_URL = f"slack://{BOT}/#ops"
USER, PASSWORD = "alerts", "CANARY-of-the-mailbox"


def channel(url: str) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0])


def send(url: str, *, may_send: Callable[[], bool] = lambda: True) -> Ending:
    """One attempt at the URL, which must be one that a configuration may hold."""
    witness.install()
    channels.validate(channel(url))
    return sending.attempt(channel(url), MESSAGE, Recorder(may_send))


@dataclass(frozen=True)
class Slack:
    """What stands in for Slack, and the way there."""

    sink: HttpSink
    proxy: Proxy
    ca: TestCa


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    """A sink that answers for Slack's own names, for a process that is told of a proxy and an authority."""
    ca = make_ca(tmp_path, *SLACK_HOSTS)
    with HttpSink(tls=ca.context) as sink:
        proxy = Proxy(onward={f"{host}:443": sink.port for host in SLACK_HOSTS})
        with in_thread(proxy):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca.ca_file))
            monkeypatch.delenv("NO_PROXY", raising=False)
            yield Slack(sink, proxy, ca)


# ---- Slack


@pytest.mark.parametrize("url", [WEBHOOK_URL, NATIVE_URL], ids=["slack", "https"])
def test_a_webhook_of_slack(slack: Slack, url: str) -> None:
    """Both spellings of a webhook ask hooks.slack.com, with the secret path inside the tunnel alone."""
    assert send(url).outcome is Outcome.ACCEPTED
    (received,) = slack.sink.received
    assert received.headers["Host"] == "hooks.slack.com"
    assert received.path == f"/services/T1JJ3T3L2/A1BRTD4JD/{HOOK}"
    assert MESSAGE.subject in received.json["text"]
    (head,) = slack.proxy.heads
    assert head.startswith("CONNECT hooks.slack.com:443 ")
    assert HOOK not in head


def test_a_bot_of_slack(slack: Slack) -> None:
    """It posts and searches at slack.com, with the token inside the tunnel alone."""
    ending = send(BOT_URL)
    assert (ending.outcome, ending.receipt) == (
        Outcome.ACCEPTED,
        f"C0123ABCDEF/{slack.sink.memory.messages[0]['ts']}",
    )
    (received,) = slack.sink.received
    assert (received.headers["Host"], received.path) == ("slack.com", "/api/chat.postMessage")
    assert received.headers["Authorization"] == f"Bearer {BOT}"
    since_wall = received.at_wall - 1
    found = sending.search(channel(BOT_URL), "ab12", since_wall, Recorder(lambda: True))
    other = sending.search(channel(BOT_URL), "cd34", since_wall, Recorder(lambda: True))
    assert (found.trace, other.trace) == (Trace.PRESENT, Trace.ABSENT)
    assert {item.headers["Host"] for item in slack.sink.searches.items} == {"slack.com"}
    assert all(BOT not in head for head in slack.proxy.heads)


@pytest.mark.parametrize("url", [WEBHOOK_URL, BOT_URL], ids=["webhook", "bot"])
@pytest.mark.parametrize(
    ("mode", "told", "arrived"),
    [
        ("500", (Outcome.REJECTED, False, 0.0), 1),
        ("404", (Outcome.REJECTED, True, 0.0), 1),
        ("429", (Outcome.REJECTED, False, float(RETRY_AFTER_S)), 1),
        ("reset", (Outcome.AMBIGUOUS, False, 0.0), 1),
        ("form", (Outcome.ACCEPTED, False, 0.0), 2),
        ("refuse", (Outcome.NOT_SENT, False, 0.0), 0),
    ],
)
def test_endings_through_a_tunnel(
    slack: Slack, url: str, mode: str, told: tuple[Outcome, bool, float], arrived: int
) -> None:
    """What Slack answers is seen through proxy and TLS too, and a tunnel to nowhere sends nothing."""
    slack.sink.set_mode(mode)
    ending = send(url)
    assert (ending.outcome, ending.is_permanent, ending.retry_after_s) == told
    assert len(slack.sink.received) == arrived
    assert not any(secret in ending.detail for secret in (HOOK, BOT))


def test_the_fence_stands_behind_proxy_and_handshake(slack: Slack) -> None:
    """The tunnel and TLS stand when it is asked, and a refusal lets nothing through."""
    tunnels: list[int] = []

    def refuses() -> bool:
        tunnels.append(len(slack.proxy.heads))
        return False

    ending = send(WEBHOOK_URL, may_send=refuses)
    assert (ending.outcome, ending.is_fenced, tunnels) == (Outcome.NOT_SENT, True, [1])
    assert slack.sink.received == []


def test_somebody_else_in_the_place_of_slack_gets_nothing(
    slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of an unknown authority, or of another host: neither token nor alert leaves."""
    (tmp_path / "other").mkdir()
    strange = make_ca(tmp_path / "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(strange.ca_file))
    endings = [send(WEBHOOK_URL)]
    with HttpSink(tls=strange.context) as misnamed:
        proxy = Proxy(onward={"hooks.slack.com:443": misnamed.port})
        with in_thread(proxy):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            endings.append(send(WEBHOOK_URL))
        assert misnamed.received == []
    expected = (Outcome.NOT_SENT, "the certificate is not trusted")
    assert [(ending.outcome, ending.detail) for ending in endings] == [expected] * 2
    assert slack.sink.received == []


def test_a_proxy_that_refuses_is_no_refusal_of_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again later: the channel is not called misconfigured for what the way there does."""
    with in_thread(Proxy(status=403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        ending = send(WEBHOOK_URL)
    assert (ending.outcome, ending.is_permanent) == (Outcome.NOT_SENT, False)
    assert ending.detail == "the proxy refused"


# ---- mail


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestCa:
    """A private authority that SSL_CERT_FILE names, as an operator would."""
    made = make_ca(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca_file))
    return made


def mailbox(sink: MailSink, mode: str, password: str = PASSWORD) -> str:
    """A mailbox behind a login at the sink."""
    return (
        f"mailtos://{USER}:{password}@localhost:{sink.port}?smtp=localhost&mode={mode}"
        "&from=watchtower@example.com&to=ops@example.com"
    )


MODES = pytest.mark.parametrize("mode", ["starttls", "ssl"])


@MODES
def test_mail_with_tls_and_a_login(ca: TestCa, mode: str) -> None:
    """STARTTLS and TLS from the first byte: the user logs in once, and the mail arrives whole."""
    with MailSink(tls=ca.context, implicit=mode == "ssl", login=(USER, PASSWORD)) as sink:
        ending = send(mailbox(sink, mode))
        assert (ending.outcome, ending.detail) == (Outcome.ACCEPTED, "accepted")
        assert sink.logins == [(USER, PASSWORD)]
        (mail,) = sink.mails
        assert (mail["Subject"], mail["Message-ID"]) == (MESSAGE.subject, ending.receipt)


@MODES
def test_mail_with_a_wrong_password(ca: TestCa, mode: str) -> None:
    """The server's 535 is for good: trying the same again only locks the mailbox."""
    with MailSink(tls=ca.context, implicit=mode == "ssl", login=(USER, "another")) as sink:
        ending = send(mailbox(sink, mode))
        assert (ending.outcome, ending.is_permanent) == (Outcome.REJECTED, True)
        assert ending.detail.startswith("SMTP 535: ")
        assert (sink.received, sink.logins[0]) == ([], (USER, PASSWORD))
        assert PASSWORD not in ending.detail


@MODES
def test_mail_to_a_server_that_nobody_vouches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A refused certificate: neither the password nor the mail leaves, and it is tried again later."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    tls = make_ca(tmp_path).context
    with MailSink(tls=tls, implicit=mode == "ssl", login=(USER, PASSWORD)) as sink:
        ending = send(mailbox(sink, mode))
        assert (ending.outcome, ending.is_permanent) == (Outcome.NOT_SENT, False)
        assert ending.detail == "the certificate is not trusted"
        assert (sink.received, sink.logins) == ([], [])


def test_mail_never_falls_back_to_clear_text(ca: TestCa) -> None:
    """Somebody on the way who strips STARTTLS gets neither the password nor the mail."""
    with MailSink(login=(USER, PASSWORD)) as sink:
        ending = send(mailbox(sink, "starttls"))
        assert (ending.outcome, ending.detail) == (
            Outcome.NOT_SENT,
            "the server offers no STARTTLS or no login",
        )
        assert (sink.received, sink.logins) == ([], [])


# ---- a real peer


def test_a_real_peer_tells_slack_and_mail_over_tls(slack: Slack, tmp_path: Path) -> None:
    """A process of its own, told of proxy and authority as an operator tells it: webhook, bot and mail."""
    target, port = Target(), free_ports(1)[0]
    with MailSink(tls=slack.ca.context, login=(USER, PASSWORD)) as post:
        path = tmp_path / "watchtower.yaml"
        path.write_text(
            f"services:\n  web: {{url: {target.url}, interval: 1s, alert: [hook, bot, post]}}\n"
            f"notify:\n  hook: {NATIVE_URL}\n  bot: {BOT_URL}\n"
            f"  post: {mailbox(post, 'starttls')}\n"
            f"http: {{listen: '127.0.0.1:{port}'}}\nstorage: {{path: {tmp_path}/data}}\n"
        )
        environ = {**os.environ, "SSL_CERT_FILE": str(slack.ca.ca_file)}
        command = [sys.executable, "-m", "watchtower", "run", "--config", str(path)]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(lambda: target.hits > 1, 20, "it looks")
                target.close()
                slack.sink.log.wait_for(2, 20)
                post.log.wait_for(1, 20)
                target.open()
                told = slack.sink.log.wait_for(4, 20)
                post.log.wait_for(2, 20)
            finally:
                process.terminate()
                assert process.wait(15) == 0
    assert sorted(item.headers["Host"] for item in told) == ["hooks.slack.com"] * 2 + ["slack.com"] * 2
    assert [mail["Subject"].partition("]")[0] for mail in post.mails] == ["[DOWN", "[RECOVERED"]
    assert set(post.logins) == {(USER, PASSWORD)}
    assert {head.split()[1] for head in slack.proxy.heads} == {f"{host}:443" for host in SLACK_HOSTS}
