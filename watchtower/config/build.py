"""From models to core Settings: services with defaults taken over, peers as services, channels.

Everything here has been accepted by the schema; checks between parts of the file are references.py.
Peers, labels, headers and tokens are sorted by name, so that equal hashes mean equal Settings.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from watchtower.config.document import Path, Scalar, Tree, find
from watchtower.config.schema import (
    AlertingModel,
    BreakersModel,
    ChannelModel,
    ClusterModel,
    ConfirmModel,
    DefaultsModel,
    HttpServerModel,
    PacedModel,
    RecoverModel,
    ServiceModel,
    WatchdogModel,
)
from watchtower.core.conditions import Condition
from watchtower.core.policies import Severity
from watchtower.core.secret import Secret
from watchtower.core.settings import (
    PEER_PREFIX,
    PROFILES,
    Alerting,
    BreakerSettings,
    Channel,
    ChannelTemplate,
    ClusterSettings,
    Confirm,
    DrillSettings,
    Flap,
    HttpSettings,
    PeerSettings,
    Rate,
    Recover,
    Service,
    Token,
    WatchdogSettings,
    WithoutQuorum,
)
from watchtower.core.targets import ExecTarget, PeerTarget

SINGLE_CLUSTER: Final = "single"
PEER_INTERVAL_S: Final = 5.0
PEER_TIMEOUT_S: Final = 2.0
_REFERENCE: Final = re.compile(r"\$\{[^{}]*\}")


def single_cluster(name: str, http: HttpServerModel) -> ClusterSettings:
    """The cluster of a file without `cluster:`: one peer called `name`, nobody to trust, no Raft port."""
    url = http.public_url or f"http://127.0.0.1:{http.listen[1]}"
    peer = PeerSettings(name=name, raft_host="127.0.0.1", raft_port=0, http_url=url)
    return ClusterSettings(name=SINGLE_CLUSTER, secrets=(), peers=(peer,))


def cluster_settings(model: ClusterModel, first_channel: str) -> ClusterSettings:
    """The cluster with its peers by name; a blind peer tells `notify`, else the first channel."""
    peers = tuple(
        PeerSettings(
            name=name,
            raft_host=peer.raft[0],
            raft_port=peer.raft[1],
            http_url=peer.http,
            zone=peer.zone,
            provider=peer.provider,
            witness=peer.witness,
        )
        for name, peer in sorted(model.peers.items())
    )
    blind = model.without_quorum
    return ClusterSettings(
        name=model.name,
        secrets=model.secret,
        peers=peers,
        reference=model.reference,
        without_quorum=WithoutQuorum(
            after_s=blind.after, policy=blind.policy, notify=blind.notify or first_channel
        ),
        timing=PROFILES[model.profile],
    )


def http_settings(model: HttpServerModel) -> HttpSettings:
    """How this peer answers over HTTP."""
    tokens = tuple(
        Token(name=name, scope=token.scope, token=token.token) for name, token in sorted(model.tokens.items())
    )
    return HttpSettings(
        listen_host=model.listen[0],
        listen_port=model.listen[1],
        base_path=model.base_path,
        public_url=model.public_url,
        anonymous_read=model.anonymous_read,
        tokens=tokens,
        ping_key=model.ping_key,
    )


def channel_settings(name: str, model: ChannelModel) -> Channel:
    """A destination of notifications."""
    schema, url = model.url
    rate = Rate(every_s=model.rate.every, burst=model.rate.burst, hour=model.rate.hour)
    own = model.template
    return Channel(
        name=name,
        url=url,
        schema=schema,
        fallback=model.fallback,
        search=model.search,
        rate=rate,
        template=ChannelTemplate(subject=own.subject, body=own.body) if own else None,
    )


def alerting_settings(model: AlertingModel) -> Alerting:
    """How people are told."""
    return Alerting(
        resolved=model.resolved,
        repeat_s=model.repeat,
        hold_s=model.hold,
        suppress_s=model.suppress,
        timezone=model.timezone,
        flap=Flap(window=model.flap.window, high=model.flap.high, low=model.flap.low),
    )


def peer_services(cluster: ClusterSettings) -> dict[str, Service]:
    """Each peer as a service that all the others but the witnesses watch; none when a peer is alone.

    One peer less is a warning: the others still judge and alert.
    """
    if len(cluster.peers) == 1:
        return {}
    services = {}
    for peer in cluster.peers:
        name = PEER_PREFIX + peer.name
        labels = (("provider", peer.provider), ("zone", peer.zone))
        services[name] = Service(
            name=name,
            target=PeerTarget(peer=peer.name, url=peer.http_url),
            voters=tuple(other for other in cluster.voter_names if other != peer.name),
            interval_s=PEER_INTERVAL_S,
            timeout_s=PEER_TIMEOUT_S,
            severity=Severity.WARNING,
            labels=tuple((key, value) for key, value in labels if value),
        )
    return services


def service_settings(
    name: str, model: ServiceModel, *, voters: tuple[str, ...], defaults: DefaultsModel
) -> Service:
    """A service with everything it does not say taken from `defaults:`."""
    service = Service(
        name=name,
        target=model.target(),
        voters=voters,
        alert=model.alert,
        severity=(model if "severity" in model.model_fields_set else defaults).severity,
        title=model.title,
        group=model.group,
        runbook=model.runbook,
        dashboard=model.dashboard,
        labels=tuple(sorted(model.labels.items())),
        needs=model.needs,
    )
    return _paced(service, model, defaults) if isinstance(model, PacedModel) else service


def _paced(service: Service, model: PacedModel, defaults: DefaultsModel) -> Service:
    def said(key: str) -> PacedModel:
        return model if key in model.model_fields_set else defaults

    interval_s = said("interval").interval
    # A timeout that nobody chose for this service gives way to a shorter interval.
    own_timeout = "timeout" in model.model_fields_set
    return replace(
        service,
        interval_s=interval_s,
        timeout_s=model.timeout if own_timeout else min(defaults.timeout, interval_s),
        jitter=said("jitter").jitter,
        confirm=_confirm(model.confirm, defaults.confirm),
        recover=_recover(model.recover, defaults.recover),
        expect=getattr(model, "expect", ()),
        warn=getattr(model, "warn", ()),
    )


def _confirm(model: ConfirmModel, defaults: ConfirmModel) -> Confirm:
    def said(key: str) -> ConfirmModel:
        return model if key in model.model_fields_set else defaults

    return Confirm(
        failures=said("failures").failures,
        recheck_s=said("recheck").recheck,
        partial_after_s=said("partial_after").partial_after,
    )


def _recover(model: RecoverModel, defaults: RecoverModel) -> Recover:
    def said(key: str) -> RecoverModel:
        return model if key in model.model_fields_set else defaults

    return Recover(successes=said("successes").successes, recheck_s=said("recheck").recheck)


def as_written(service: Service, tree: Tree) -> Service:
    """The service whose conditions show `${...}` and not what it stands for, and whose program hides that.

    A condition's text and what a program says end up in incidents, messages and the API.
    """
    target = service.target
    if isinstance(target, ExecTarget):
        hidden = [value for node in _words(tree, service.name, target) for value in _put_in(node)]
        target = replace(target, hidden=tuple(map(Secret, hidden)))
    return replace(
        service,
        target=target,
        expect=_unexpanded(service.expect, tree, ("services", service.name, "expect")),
        warn=_unexpanded(service.warn, tree, ("services", service.name, "warn")),
    )


def _words(tree: Tree, name: str, target: ExecTarget) -> list[Tree]:
    """Where the words of a command are written: one by one, or all in a URL."""
    url = find(tree, ("services", name, "url"))
    if isinstance(url, Scalar):
        return [url]
    return [find(tree, ("services", name, "exec", index)) for index in range(len(target.arguments) + 1)]


def _put_in(node: Tree) -> tuple[str, ...]:
    """What `${}` put into a value; the whole of it if that cannot be told."""
    if not isinstance(node, Scalar) or not node.text or not _REFERENCE.search(node.written or ""):
        return ()
    around = map(re.escape, _REFERENCE.split(node.written or ""))
    match = re.fullmatch("(.*)".join(around), node.text, re.DOTALL)
    return match.groups() if match else (node.text,)


def _unexpanded(conditions: tuple[Condition, ...], tree: Tree, path: Path) -> tuple[Condition, ...]:
    nodes = (find(tree, (*path, index)) for index in range(len(conditions)))
    return tuple(
        replace(condition, text=(node.written or "").strip()) if isinstance(node, Scalar) else condition
        for condition, node in zip(conditions, nodes, strict=True)
    )


def watchdog_settings(model: WatchdogModel) -> WatchdogSettings:
    """Pings and drills."""
    drill = model.drill
    return WatchdogSettings(
        ping=model.ping,
        peer_pings=dict(sorted(model.peers.items())),
        every_s=model.every,
        drill=DrillSettings(cron=drill.every, channel=drill.channel, timezone=drill.tz, within_s=drill.within)
        if drill
        else None,
    )


def breaker_settings(model: BreakersModel) -> BreakerSettings:
    """What all breakers go by."""
    return BreakerSettings(
        timeout_s=model.timeout,
        # 0.55 * 100 is a little more than 55, and the threshold is exact.
        error_threshold=round(model.error_threshold * 100, 6),
        window_s=model.window,
        buckets=model.buckets,
        volume=model.volume,
        reset_s=model.reset,
    )
