"""Checks between parts of the file: what is named exists, timeouts fit their intervals, somebody judges.

It works on the raw content, so that a mistake elsewhere in a service does not hide one here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchtower.config.document import Path
from watchtower.config.exec_services import read_variable_name
from watchtower.config.faults import Faults
from watchtower.config.maintenance import check_flap, check_maintenance
from watchtower.config.need_graph import check_needs
from watchtower.config.problems import Wrong
from watchtower.config.readers import read_header_name, read_label_name, read_name, read_service_name
from watchtower.config.routes import check_routes
from watchtower.config.units import duration_text, parse_duration
from watchtower.core.nearest import nearest, shown_key

_INTERVAL_S = 30.0


def check_references(content: Mapping[str, Any], faults: Faults) -> None:
    """Adds a fault for every name that is none, or that nothing has."""
    _check_names(content, faults)
    channels = list(_mapping(content, "notify"))
    for path, name in _named_channels(content):
        if isinstance(name, str) and name not in channels:
            what = "there is no such channel under `notify:`"
            faults.at(path, Wrong(what, nearest(name, channels) if channels else "add one under `notify:`"))
    check_routes(content, faults)
    check_maintenance(content, faults)
    check_flap(content, faults)
    _check_fallbacks(_mapping(content, "notify"), faults)
    _check_paces(content, faults)
    _check_addresses(_mapping(content, "cluster", "peers"), faults)
    _check_witnesses(_mapping(content, "cluster", "peers"), faults)
    _check_ping_key(content, faults)
    check_needs(_mapping(content, "services"), faults)
    _check_watchdog(content, faults)


def _check_names(content: Mapping[str, Any], faults: Faults) -> None:
    readers = (
        (("cluster", "peers"), read_name),
        (("notify",), read_name),
        (("http", "tokens"), read_name),
        (("services",), read_service_name),
    )
    inner = (("labels", read_label_name), ("headers", read_header_name), ("env", read_variable_name))
    services = _mapping(content, "services")
    for path, read in (
        *readers,
        *((("services", service, key), read) for service in services for key, read in inner),
    ):
        for name in _mapping(content, *path):
            try:
                read(name)
            except Wrong as wrong:
                faults.at((*path, name), wrong, at_key=True)


def _named_channels(content: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    blind = _mapping(content, "cluster", "without_quorum")
    if "notify" in blind:
        yield ("cluster", "without_quorum", "notify"), blind["notify"]
    drill = _mapping(content, "watchdog", "drill")
    if "channel" in drill:
        yield ("watchdog", "drill", "channel"), drill["channel"]
    for name in _mapping(content, "notify"):
        channel = _mapping(content, "notify", name)
        if "fallback" in channel:
            yield ("notify", name, "fallback"), channel["fallback"]


def _check_fallbacks(channels: Mapping[str, Any], faults: Faults) -> None:
    """A chain of fallbacks must end, else a lost message would go round for ever."""
    for name in channels:
        seen, here = [name], _mapping(channels, name).get("fallback")
        while isinstance(here, str) and here in channels and here not in seen:
            seen.append(here)
            here = _mapping(channels, here).get("fallback")
        if here == name:
            circle = " -> ".join([*seen, name])
            faults.at(("notify", name, "fallback"), Wrong(f"fallbacks go in a circle: {circle}", "end it"))


def _check_paces(content: Mapping[str, Any], faults: Faults) -> None:
    """A look must be over before the next one is due."""
    defaults = _mapping(content, "defaults")
    default_s = _seconds(defaults.get("interval")) or _INTERVAL_S
    paths: list[Path] = [("defaults",), *(("services", name) for name in _mapping(content, "services"))]
    for path in paths:
        one = _mapping(content, *path)
        interval_s = _seconds(one.get("interval")) or default_s
        timeout_s = _seconds(one.get("timeout")) or 0.0
        if timeout_s > interval_s:
            what = f"the timeout is longer than the interval of {duration_text(interval_s)}"
            faults.at((*path, "timeout"), Wrong(what, "shorten it, or lengthen `interval:`"))


def _check_addresses(peers: Mapping[str, Any], faults: Faults) -> None:
    """Two peers at one address are a slip of copying, and would be a cluster that cannot form."""
    for key in ("raft", "http"):
        owners: dict[object, str] = {}
        for name in peers:
            address = _mapping(peers, name).get(key)
            first = owners.setdefault(address, name) if isinstance(address, str) else name
            if first != name:
                what = f"peer `{shown_key(first)}` has this very address"
                faults.at(("cluster", "peers", name, key), Wrong(what, "each peer has its own"))


def _check_witnesses(peers: Mapping[str, Any], faults: Faults) -> None:
    """Witnesses judge nothing: with witnesses alone nobody would ever be told of anything."""
    if peers and all(_mapping(peers, name).get("witness") == "true" for name in peers):
        what = "every peer is a witness, so nobody judges the services"
        faults.at(("cluster", "peers"), Wrong(what, "let at least one be no witness; two make sense"))


def _check_ping_key(content: Mapping[str, Any], faults: Faults) -> None:
    """A heartbeat calls a URL that holds the key; without it every call is refused and every beat missed."""
    if "ping_key" in _mapping(content, "http"):
        return
    services = _mapping(content, "services")
    for name in services:
        if "heartbeat" in _mapping(services, name):
            what = "heartbeats call a URL that holds `http.ping_key`, and there is none"
            faults.at(
                ("services", name, "heartbeat"), Wrong(what, "add `ping_key: ${PING_KEY}` under `http:`")
            )
            return


def _check_watchdog(content: Mapping[str, Any], faults: Faults) -> None:
    """A ping of a peer that there is not would never come, and its switch would cry for ever."""
    peers = list(_mapping(content, "cluster", "peers"))
    for name in _mapping(content, "watchdog", "peers"):
        if peers and name not in peers:
            what = "there is no such peer under `cluster.peers`"
            faults.at(("watchdog", "peers", name), Wrong(what, nearest(name, peers)), at_key=True)


def _seconds(value: object) -> float | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except Wrong:
        return None


def _mapping(content: Mapping[str, Any], *path: str | int) -> Mapping[str, Any]:
    """The mapping at `path`, empty when there is something else or nothing."""
    here: Any = content
    for part in path:
        here = here.get(part) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}
