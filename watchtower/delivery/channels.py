"""Channel URLs: which ones watchtower accepts, and the fresh plugin object of each attempt.

`validate` is offline and says in plain words what to change; `build` makes an object with all of
apprise's own retrying, throttling, tagging and redirecting switched off, because those decisions are
in the replicated outbox. No URL, and nothing taken from one, ever appears in an error text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from apprise import AppriseAsset
from apprise.exception import AppriseException
from apprise.plugins.base import NotifyBase
from apprise.plugins.slack import SlackMode

from watchtower.core.settings import Channel
from watchtower.delivery import schemes, witness
from watchtower.delivery.mail import OWN_HEADERS, Mail
from watchtower.delivery.opsgenie import Opsgenie
from watchtower.delivery.redaction import Redactor
from watchtower.delivery.slack import SERVER_OPTION, Slack, is_loopback
from watchtower.delivery.webhook import Webhook
from watchtower.errors import DeliveryError

CONNECT_TIMEOUT_S: Final = 4.0
READ_TIMEOUT_S: Final = 6.0

_EVERYWHERE: Final = ("user", "password", "pass", "port")
"""Options that apprise takes on every URL without listing them."""
_IN_THE_OUTBOX: Final = "watchtower retries and spaces deliveries itself"
_REFUSED: Final = {
    "retry": _IN_THE_OUTBOX,
    "wait": _IN_THE_OUTBOX,
    "optional": "it would count an undelivered alert as delivered",
    "cto": "watchtower sets the timeouts, they are part of its no-repeat promise",
    "rto": "watchtower sets the timeouts, they are part of its no-repeat promise",
    "cc": "make one channel per recipient and list the channels in `alert:`",
    "bcc": "make one channel per recipient and list the channels in `alert:`",
    "pgp": "watchtower cannot sign or encrypt mail",
    "wkd": "watchtower cannot sign or encrypt mail",
    "pgppub": "watchtower cannot sign or encrypt mail",
    "pgpprv": "watchtower cannot sign or encrypt mail",
    "template": "watchtower writes the message itself",
}
_REFUSED_VALUES: Final = {
    ("overflow", "split"): "several messages from one alert could arrive in part",
    ("verify", "no"): "anybody on the way could read the alerts; install the server's CA instead",
    ("verify", "false"): "anybody on the way could read the alerts; install the server's CA instead",
    ("redirect", "yes"): "credentials would follow the redirect",
    ("redirect", "true"): "credentials would follow the redirect",
    ("emojis", "yes"): "it would rewrite what a service said",
}
_OURS: Final[dict[type[NotifyBase], type[NotifyBase]]] = {
    ours.__bases__[0]: ours for ours in (Slack, Mail, Webhook, Opsgenie)
}


def validate(channel: Channel) -> None:
    """Check one channel without contacting anybody.

    Raises DeliveryError naming the channel and what to change; the text holds no part of the URL.
    """
    plugin, arguments = _instance(channel)
    name = channel.name
    _check_options(name, plugin, arguments)
    if len(plugin) > 1:
        raise DeliveryError(
            f"channel {name}: the URL has {len(plugin)} recipients; make one channel per recipient "
            "and list the channels in `alert:`"
        )
    if isinstance(plugin, Mail):
        _check_mail(name, plugin)
    if channel.search and not isinstance(plugin, Webhook):
        raise DeliveryError(
            f"channel {name}: `search` is for json:// and jsons:// webhooks; remove it "
            "(Slack bots are searched without it)"
        )
    if isinstance(plugin, Slack) and plugin.mode in (SlackMode.WORKFLOW, SlackMode.WORKFLOW_TRIGGER):
        raise DeliveryError(
            f"channel {name}: Slack workflows cannot confirm a delivery; use a webhook or a bot"
        )


def build(channel: Channel) -> NotifyBase:
    """A fresh plugin object for one attempt. Raises DeliveryError when the URL is unusable."""
    plugin, _ = _instance(channel)
    plugin.socket_connect_timeout = CONNECT_TIMEOUT_S
    plugin.socket_read_timeout = READ_TIMEOUT_S
    plugin.request_rate_per_sec = 0
    plugin.service_retry = 0
    plugin.optional = False
    plugin.redirects = False
    return plugin


def warm(channels: Iterable[Channel]) -> dict[str, str]:
    """Load what the channels need, so that no incident waits for an import; takes seconds on a busy machine.

    Call it from a thread. Returns reasons by channel for those that cannot be used. Raises
    DeliveryError when the hooks of the witness cannot be installed.
    """
    witness.install()
    unusable: dict[str, str] = {}
    for channel in channels:
        try:
            validate(channel)
        except DeliveryError as error:
            unusable[channel.name] = str(error)
    return unusable


def _instance(channel: Channel) -> tuple[NotifyBase, dict[str, Any]]:
    try:
        found = schemes.parsed(channel.url.reveal())
    except Exception as error:  # noqa: BLE001 - a parser of any of 170 plugins may raise anything
        raise DeliveryError(f"channel {channel.name}: the URL is unusable ({type(error).__name__})") from None
    if found is None:
        raise DeliveryError(
            f"channel {channel.name}: no notification service understands this {channel.schema}:// URL; "
            "see https://appriseit.com/services/ for the form of each service"
        )
    plugin, arguments = found
    if channel.schema == "pagerduty" and not arguments["integrationkey"]:
        # apprise wants a second word, which PagerDuty does not read: events are told apart by this one key.
        arguments["integrationkey"] = arguments["apikey"]
    try:
        instance = _OURS.get(plugin, plugin)(**{**arguments, "asset": _asset()})
        server = arguments["qsd"].get(SERVER_OPTION)
        if server and isinstance(instance, Slack):
            instance.direct_at(server)
    except (AppriseException, DeliveryError) as error:
        reason = Redactor([channel]).redact(str(error)).strip()
        raise DeliveryError(f"channel {channel.name}: {reason}") from None
    except Exception as error:  # noqa: BLE001 - a constructor of any of 170 plugins may raise anything
        raise DeliveryError(f"channel {channel.name}: the URL is unusable ({type(error).__name__})") from None
    if not instance.enabled:
        raise DeliveryError(
            f"channel {channel.name}: {plugin.service_name} needs a library that is not installed"
        )
    return instance, arguments


def _asset() -> AppriseAsset:
    """Switches of apprise, all to "do only what you are told"."""
    return AppriseAsset(
        app_id="watchtower",
        app_desc="watchtower alerts",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        interpret_emojis=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode="memory",
        service_timeout=0,
        timezone="UTC",
    )


def _check_options(name: str, plugin: NotifyBase, arguments: dict[str, Any]) -> None:
    known = {*plugin.template_args, *_EVERYWHERE}
    known |= {SERVER_OPTION} if isinstance(plugin, Slack) else set()
    prefixes = tuple(str(spec["prefix"]) for spec in plugin.template_kwargs.values())
    for option, value in arguments["qsd"].items():
        why = _REFUSED.get(option) or _REFUSED_VALUES.get((option, str(value).lower()))
        if why and option in {*known, *_REFUSED}:
            raise DeliveryError(f"channel {name}: option {option}= cannot be used: {why}")
        if option in known or (prefixes and option.startswith(prefixes)):
            continue
        near = difflib.get_close_matches(option, known, n=1)
        hint = f"; did you mean {near[0]}=?" if near else ""
        raise DeliveryError(f"channel {name}: {channel_kind(plugin)} has no option {_shown(option)}={hint}")


def channel_kind(plugin: NotifyBase) -> str:
    """The name of the service for people: `Slack`, `E-Mail`."""
    return str(plugin.service_name)


def _shown(option: str) -> str:
    """An option's name, unless it may be a secret that was written in the wrong place."""
    return option if len(option) <= 20 and option.isidentifier() else "<unreadable>"


def _check_mail(name: str, plugin: Mail) -> None:
    if not plugin.targets:
        raise DeliveryError(f"channel {name}: the recipient is no mail address; write to=ops@example.com")
    if plugin.password and plugin.is_plaintext and not is_loopback(plugin.smtp_host):
        raise DeliveryError(
            f"channel {name}: the password would cross the network in clear; use mailtos:// (STARTTLS, "
            "or mode=ssl for port 465)"
        )
    own = sorted(header for header in plugin.headers if header.lower() in OWN_HEADERS)
    if own:
        raise DeliveryError(f"channel {name}: watchtower writes the header {own[0]} itself; remove it")
