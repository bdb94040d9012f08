"""Who is behind a service: the host whose places at a time are counted.

What the target names at first, and the address that was looked at from then on. Names that lead to one
address and port are one host.
"""

from __future__ import annotations

from watchtower.core.model import Result
from watchtower.core.places import place_of
from watchtower.core.settings import Service
from watchtower.core.targets import HttpTarget
from watchtower.probes.wires.resolver import is_address


class Hosts:
    """Where each service was found at its latest look."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, service: Service, ip: object) -> None:
        """The address at which the service was looked at; anything but text tells nothing."""
        place = place_of(service)
        if place is not None and isinstance(ip, str) and ip and not _is_proxied(service):
            self._known[service.name] = _shown(ip, place[1])

    def note(self, service: Service, result: Result) -> None:
        """Learn from a result."""
        self.learn(service, result.facts.get("ip"))

    def knows(self, service: Service) -> bool:
        """False when the address of a service that has one is still to be found out."""
        if service.name in self._known or _is_named_elsewhere(service):
            return True
        place = place_of(service)
        return place is None or is_address(place[0])

    def host(self, service: Service) -> str:
        """The host of `service`; "" when it is at no one place."""
        known = self._known.get(service.name)
        if known is not None:
            return known
        place = place_of(service)
        return _shown(*place) if place else ""

    def forget(self, names: set[str]) -> None:
        """These services are gone or changed."""
        for name in names:
            self._known.pop(name, None)


def _is_named_elsewhere(service: Service) -> bool:
    """This peer's own resolver may not know the name: a proxy does, or the resolver of the service."""
    target = service.target
    return isinstance(target, HttpTarget) and (target.proxy is not None or bool(target.resolver))


def _is_proxied(service: Service) -> bool:
    """The address that is seen is the proxy's, and one proxy stands before many hosts."""
    return isinstance(service.target, HttpTarget) and service.target.proxy is not None


def _shown(host: str, port: int) -> str:
    return f"{host} {port}"
