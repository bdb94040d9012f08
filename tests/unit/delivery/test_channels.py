"""delivery/channels.py: which channel URLs are accepted, what a refusal says, and that it says no secret."""

from __future__ import annotations

import subprocess
import sys

import pytest
from apprise.manager_plugins import NotificationManager

from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import channels, schemes
from watchtower.errors import DeliveryError

WEBHOOK = "slack://T1JJ3T3L2/A1BRTD4JD/XXXXXXXXXXXXXXXXXXXXXXXX"
BOT = "slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
MAIL = "mailtos://ops:S3cretPassw0rd@smtp.example.com"


def channel(url: str) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0])


@pytest.mark.parametrize(
    "url",
    [
        WEBHOOK,
        f"{WEBHOOK}/#ops",
        f"{BOT}/#ops",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/XXXXXXXXXXXXXXXXXXXXXXXX",
        f"{WEBHOOK}/?server=https://chat.example.com",
        f"{WEBHOOK}/?server=http://127.0.0.1:9999&image=no",
        f"{MAIL}/?to=ops@example.com&from=watchtower@example.com",
        f"{MAIL}/?to=ops@example.com&+X-Team=platform",
        "mailto://relay.example.com?from=a@example.com&to=b@example.com",
        "mailto://u:pw12345@127.0.0.1:2525?from=a@example.com&to=b@example.com",
        "json://hooks.example.com/in?+Authorization=Bearer%20abc&method=PUT&:team=ops",
        "jsons://user:pw@hooks.example.com:8443/in",
        "pagerduty://0123456789abcdef0123456789abcdef@apikey0123456789",
        "pagerduty://0123456789abcdef0123456789abcdef",
        "ntfys://ntfy.example.com/alerts",
        "tgram://123456789:abcdefg_hijklmnop/1234/",
        "rockets://user:password@chat.example.com/#ops",
    ],
)
def test_usable_urls_are_accepted(url: str) -> None:
    """The usual services, with the options they have, and a service that needs apprise's full list."""
    channels.validate(channel(url))
    plugin = channels.build(channel(url))
    assert plugin.request_timeout == (4.0, 6.0)
    assert plugin.request_rate_per_sec == 0
    assert not plugin.redirects
    assert plugin.verify_certificate


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuch://host/S3cretPassw0rd", ["no notification service", "nosuch://"]),
        ("slack://T1JJ3T3L2/A1BRTD4JD/S3cretPassw0rd_bad", ["chat", "Token"]),
        (f"{WEBHOOK}/?retry=3", ["retry=", "itself"]),
        (f"{WEBHOOK}/?wait=1", ["wait=", "itself"]),
        (f"{WEBHOOK}/?optional=yes", ["optional=", "undelivered"]),
        (f"{WEBHOOK}/?overflow=split", ["overflow=", "in part"]),
        (f"{WEBHOOK}/?verify=no", ["verify=", "CA"]),
        (f"{WEBHOOK}/?redirect=yes", ["redirect=", "credentials"]),
        (f"{WEBHOOK}/?rto=abc", ["rto=", "timeouts"]),
        (f"{WEBHOOK}/?template=/etc/passwd", ["template="]),
        (f"{WEBHOOK}/?imgae=no", ["imgae=", "did you mean image="]),
        (f"{WEBHOOK}/?server=http://chat.example.com", ["server=", "https"]),
        (f"{WEBHOOK}/?server=chat", ["server=", "https://"]),
        (f"{WEBHOOK}/#ops/#dev", ["2 recipients", "one channel per recipient"]),
        (f"{BOT}/#ops/#dev", ["2 recipients", "one channel per recipient"]),
        (f"{MAIL}/?to=a@example.com,b@example.com", ["2 recipients", "one channel per recipient"]),
        (f"{MAIL}/?to=a@example.com&cc=b@example.com", ["cc=", "one channel per recipient"]),
        (f"{MAIL}/?to=a@example.com&pgp=encrypt", ["pgp=", "encrypt"]),
        (f"{MAIL}/?to=nobody", ["recipient"]),
        (f"{MAIL}/?to=a@example.com&+Message-ID=x", ["Message-ID"]),
        ("mailto://u:S3cretPassw0rd@smtp.example.com?to=a@example.com", ["clear", "mailtos"]),
        ("json://hooks.example.com/in?server=http://127.0.0.1:1", ["server="]),
        ("https://hooks.slack.com/workflows/T1JJ3T3L2/A1BRTD4JD/1234567/abcdefghij", ["workflows"]),
    ],
)
def test_unusable_urls_are_refused_in_words_without_their_secrets(url: str, words: list[str]) -> None:
    """The text names the channel, the option and what to do, and holds nothing secret."""
    with pytest.raises(DeliveryError) as raised:
        channels.validate(channel(url))
    text = str(raised.value)
    assert text.startswith("channel chat: ")
    for word in words:
        assert word in text
    for secret in ("S3cretPassw0rd", "XXXXXXXX", "4ddbc191d40ee098cbaae6f3523ada2d"):
        assert secret not in text


def test_the_table_of_schemes_agrees_with_apprise() -> None:
    """Every scheme that is loaded alone leads to the very class that apprise itself would take."""
    plugins = NotificationManager()  # type: ignore[no-untyped-call] # apprise is untyped
    for scheme, (module, name) in schemes.known_schemes().items():
        plugin = plugins[scheme]
        assert (plugin.__module__.split(".")[2], plugin.__name__) == (module, name), scheme


def test_known_schemes_do_not_load_all_plugins() -> None:
    """A peer with Slack, mail and a webhook keeps 170 plugins out of its memory."""
    code = (
        "import sys; from watchtower.core.settings import Channel, Secret\n"
        "from watchtower.delivery import channels\n"
        f"urls = [{WEBHOOK!r}, {MAIL + '/?to=a@example.com'!r}, 'json://127.0.0.1/x']\n"
        "made = [Channel(name='c', url=Secret(url), schema='x') for url in urls]\n"
        "assert channels.warm(made) == {}\n"
        "print(sum(name.startswith('apprise.plugins.') for name in sys.modules))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(loaded.stdout) < 20
