"""Finds the apprise plugin of a channel URL, loading one plugin module instead of all 170.

apprise loads every plugin on the first URL, which costs a third of a second and some 17 MiB that a
peer keeps for ever. The table names the modules of the usual schemes; a scheme that is not in it is
looked up the apprise way. Nothing here builds, checks or sends.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

_MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "slack": ("slack", "NotifySlack"),
    "mailto": ("email", "NotifyEmail"),
    "mailtos": ("email", "NotifyEmail"),
    "json": ("custom_json", "NotifyJSON"),
    "jsons": ("custom_json", "NotifyJSON"),
    "form": ("custom_form", "NotifyForm"),
    "forms": ("custom_form", "NotifyForm"),
    "pagerduty": ("pagerduty", "NotifyPagerDuty"),
    "opsgenie": ("opsgenie", "NotifyOpsgenie"),
    "tgram": ("telegram", "NotifyTelegram"),
    "discord": ("discord", "NotifyDiscord"),
    "ntfy": ("ntfy", "NotifyNtfy"),
    "ntfys": ("ntfy", "NotifyNtfy"),
    "gotify": ("gotify", "NotifyGotify"),
    "gotifys": ("gotify", "NotifyGotify"),
    "mmost": ("mattermost", "NotifyMattermost"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "workflow": ("workflows", "NotifyWorkflows"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "pover": ("pushover", "NotifyPushover"),
}
_NATIVE_HOSTS: Final[Mapping[str, str]] = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
}


def known_schemes() -> Mapping[str, tuple[str, str]]:
    """Schemes that load one module alone: scheme -> (module, class)."""
    return _MODULES


def parsed(url: str) -> tuple[type[NotifyBase], dict[str, Any]] | None:
    """The plugin class and its constructor arguments; None when no plugin understands the URL."""
    # apprise writes `/#channel` in URLs, which would be a fragment.
    url = url.replace("/#", "/%23")
    split = urlsplit(url)
    native = _NATIVE_HOSTS.get(split.hostname or "") if split.scheme in ("http", "https") else None
    scheme = native or split.scheme.lower()
    if scheme not in _MODULES:
        return _looked_up(url, scheme)
    plugin = _load(scheme)
    arguments = plugin.parse_native_url(url) if native else plugin.parse_url(url)
    return (plugin, arguments) if arguments else None


def _load(scheme: str) -> type[NotifyBase]:
    module, name = _MODULES[scheme]
    plugin: type[NotifyBase] = getattr(importlib.import_module(f"apprise.plugins.{module}"), name)
    return plugin


def _looked_up(url: str, scheme: str) -> tuple[type[NotifyBase], dict[str, Any]] | None:
    """What apprise itself does, without its logging of half the URL."""
    plugins = NotificationManager()  # type: ignore[no-untyped-call] # apprise is untyped
    if scheme in plugins:
        plugin: type[NotifyBase] = plugins[scheme]
        arguments = plugin.parse_url(url)
        return (plugin, arguments) if arguments else None
    for candidate in plugins.plugins():  # type: ignore[no-untyped-call] # apprise is untyped
        arguments = candidate.parse_native_url(url)
        if arguments:
            return plugins[arguments["schema"]], arguments
    return None
