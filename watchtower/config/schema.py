"""The shape of the file: every key with its type and its default. The only user of pydantic.

Values arrive as the text that was written; types come from here alone. Each kind of service is a model of
its own, so that a key of another kind is an error. docs/reference/config.md is checked against this file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from watchtower.config import readers, targets
from watchtower.config.conditions import parse_condition
from watchtower.config.problems import Wrong
from watchtower.config.units import parse_flag
from watchtower.core.conditions import Condition
from watchtower.core.settings import PROFILES, DnsTarget, HttpTarget, Secret, TcpTarget, TlsTarget

PEERS_MAX: Final = 9
SERVICES_MAX: Final = 10_000
_SHAPES: Final[dict[type, str]] = {dict: "a mapping", list: "a list"}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    fix = "write one value; quote text that contains `: ` or starts with [ or {"
    raise Wrong(f"a single value belongs here, not {_SHAPES.get(type(value), 'nothing')}", fix)


def _read(read: Callable[[str], object]) -> PlainValidator:
    """Type of a field whose single value `read` makes; it raises Wrong."""
    return PlainValidator(lambda value: read(_text(value)))


def _list_of_one(value: object) -> object:
    """A single value where a list is expected is a list of one."""
    return [value] if isinstance(value, str) else value


def _lines(value: object) -> object:
    """A condition with `: ` in it arrives as a mapping; as an item of the list it says so itself."""
    return [value] if isinstance(value, (str, dict)) else value


def _condition(kind: str, value: object) -> Condition:
    if isinstance(value, dict):
        fix = "put the whole line in quotes, as in 'body contains \"ok: true\"'"
        raise Wrong("the `: ` turned this condition into a mapping", fix)
    return parse_condition(_text(value), kind)


def _judging(kind: str) -> PlainValidator:
    return PlainValidator(partial(_condition, kind))


Flag = Annotated[bool, _read(parse_flag)]
Line = Annotated[str, _read(readers.line_of(200))]
Link = Annotated[str, _read(readers.read_link)]
Name = Annotated[str, _read(readers.read_name)]
Seconds = Annotated[float, _read(readers.duration_between(0.1, 300))]
Count = Annotated[int, _read(readers.count_between(1, 100))]
Endpoint = Annotated[tuple[str, int], _read(targets.parse_endpoint)]
ClusterSecret = Annotated[Secret, _read(readers.read_secret)]
Reference = Annotated[str, _read(targets.parse_reference)]
Server = Annotated[str, _read(targets.parse_server)]
HeaderValue = Annotated[Secret, _read(readers.read_header_value)]
Alert = Annotated[tuple[Line, ...], BeforeValidator(_list_of_one), Field(max_length=20)]

_SEVERAL: Final = BeforeValidator(_lines)
_LINES_MAX: Final = Field(max_length=50)
HttpLines = Annotated[tuple[Annotated[Condition, _judging("http")], ...], _SEVERAL, _LINES_MAX]
TcpLines = Annotated[tuple[Annotated[Condition, _judging("tcp")], ...], _SEVERAL, _LINES_MAX]
TlsLines = Annotated[tuple[Annotated[Condition, _judging("tls")], ...], _SEVERAL, _LINES_MAX]
DnsLines = Annotated[tuple[Annotated[Condition, _judging("dns")], ...], _SEVERAL, _LINES_MAX]


class Model(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


M = TypeVar("M", bound=Model)


def read_as(model: type[M], content: object) -> tuple[M | None, list[dict[str, Any]]]:
    """`content` as `model`, or None and pydantic's errors, without their echo of the input."""
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [dict(one) for one in error.errors(include_url=False, include_input=False)]


class PeerModel(Model):
    """One peer: where Raft and HTTP are, and where in the world it stands."""

    raft: Endpoint
    http: Annotated[str, _read(targets.parse_base_url)]
    zone: Line = ""
    provider: Line = ""
    witness: Flag = False


class WithoutQuorumModel(Model):
    """What a peer without a majority does."""

    after: Annotated[float, _read(readers.duration_between(5, 3600))] = 30.0
    policy: Annotated[str, _read(readers.read_policy)] = "hold"
    notify: Line = ""


class ClusterModel(Model):
    """Peers, their trust, what they doubt themselves by."""

    name: Name
    secret: Annotated[
        tuple[ClusterSecret, ...], BeforeValidator(_list_of_one), Field(min_length=1, max_length=4)
    ]
    peers: Annotated[dict[str, PeerModel], Field(min_length=1, max_length=PEERS_MAX)]
    reference: Annotated[tuple[Reference, ...], BeforeValidator(_list_of_one), Field(max_length=10)] = ()
    without_quorum: WithoutQuorumModel = WithoutQuorumModel()
    profile: Annotated[str, _read(readers.one_of(*PROFILES))] = "lan"


class ChannelModel(Model):
    """A destination of notifications; a bare URL is the short form."""

    url: Annotated[tuple[str, Secret], _read(targets.parse_channel_url)]
    fallback: Line = ""
    search: Flag = False


class ConfirmModel(Model):
    """What makes a vote down."""

    failures: Count = 2
    recheck: Seconds = 1.0
    partial_after: Annotated[float, _read(readers.duration_between(0, 86_400))] = 120.0
    peers: Annotated[str, _read(readers.one_of("all"))] = "all"


class RecoverModel(Model):
    """What makes a vote up again."""

    successes: Count = 2
    recheck: Seconds = 1.0


class AlertedModel(Model):
    """What every service has, and `defaults:` too."""

    alert: Alert | None = None


class PacedModel(AlertedModel):
    """What every probed service has, and `defaults:` too."""

    interval: Annotated[float, _read(readers.duration_between(1, 86_400))] = 30.0
    timeout: Seconds = 10.0
    jitter: Annotated[float, _read(readers.read_jitter)] = 0.1
    confirm: ConfirmModel = ConfirmModel()
    recover: RecoverModel = RecoverModel()


class DefaultsModel(PacedModel):
    """What services take over unless they say otherwise."""


class ServiceModel(AlertedModel):
    """What people read about a service of any kind."""

    title: Annotated[str, _read(readers.line_of(120))] = ""
    group: Annotated[str, _read(readers.line_of(60))] = ""
    runbook: Link = ""
    dashboard: Link = ""
    labels: Annotated[dict[str, Line], Field(max_length=20)] = {}


class HttpModel(ServiceModel, PacedModel):
    """An http:// or https:// service."""

    url: Annotated[HttpTarget, _read(targets.parse_http_target)]
    expect: HttpLines = ()
    warn: HttpLines = ()
    method: Annotated[
        str, _read(readers.one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
    ] = "GET"
    headers: Annotated[dict[str, HeaderValue], Field(max_length=50)] = {}
    body: Annotated[str, _read(readers.read_body)] = ""
    follow_redirects: Annotated[int, _read(readers.read_redirects)] = 5
    verify: Flag = True


class TcpModel(ServiceModel, PacedModel):
    """A tcp:// service."""

    url: Annotated[TcpTarget, _read(targets.parse_tcp_target)]
    expect: TcpLines = ()
    warn: TcpLines = ()


class TlsModel(ServiceModel, PacedModel):
    """A tls:// service."""

    url: Annotated[TlsTarget, _read(targets.parse_tls_target)]
    expect: TlsLines = ()
    warn: TlsLines = ()
    server_name: Annotated[str, _read(targets.parse_dns_name)] = ""
    verify: Flag = True


class DnsModel(ServiceModel, PacedModel):
    """A DNS question, written as `dns: name`."""

    dns: Annotated[str, _read(targets.parse_dns_name)]
    type: Annotated[str, _read(targets.parse_record_type)] = "A"
    servers: Annotated[tuple[Server, ...], BeforeValidator(_list_of_one), Field(max_length=10)] = ()
    expect: DnsLines = ()
    warn: DnsLines = ()


class DnsUrlModel(ServiceModel, PacedModel):
    """A DNS question, written as a dns: URL."""

    url: Annotated[DnsTarget, _read(targets.parse_dns_target)]
    expect: DnsLines = ()
    warn: DnsLines = ()


class HeartbeatModel(ServiceModel):
    """A signal from a service."""

    heartbeat: Annotated[float, _read(readers.read_period)]
    grace: Annotated[float, _read(readers.duration_between(0, 366 * 86_400))] = 300.0


class AlertingModel(Model):
    """Whether people are told of the end."""

    resolved: Flag = True


class TokenModel(Model):
    """A named bearer token."""

    scope: Annotated[str, _read(readers.one_of("read", "write", "admin"))]
    token: Annotated[Secret, _read(readers.read_token)]


class HttpServerModel(Model):
    """How a peer answers over HTTP."""

    listen: Annotated[tuple[str, int], _read(targets.parse_listen)] = ("0.0.0.0", 8080)  # noqa: S104 - the documented default
    base_path: Annotated[str, _read(readers.read_base_path)] = ""
    public_url: Annotated[str, _read(targets.parse_base_url)] = ""
    anonymous_read: Flag = True
    tokens: Annotated[dict[str, TokenModel], Field(max_length=50)] = {}
    ping_key: Annotated[Secret, _read(readers.read_ping_key)] | None = None


class StorageModel(Model):
    """Where a peer keeps its journal."""

    path: Annotated[str, _read(readers.read_storage_path)] = "data"


class ProbeModel(Model):
    """Limits of the looking itself."""

    concurrency: Annotated[int, _read(readers.count_between(1, 10_000))] = 200


class FileModel(Model):
    """The whole file. Channels and services are validated one by one, each as what it is."""

    cluster: ClusterModel | None = None
    notify: Annotated[dict[str, Any], Field(max_length=100)] = {}
    services: Annotated[dict[str, Any], Field(max_length=SERVICES_MAX)] = {}
    defaults: DefaultsModel = DefaultsModel()
    alerting: AlertingModel = AlertingModel()
    http: HttpServerModel = HttpServerModel()
    storage: StorageModel = StorageModel()
    probe: ProbeModel = ProbeModel()


ProbedModel = HttpModel | TcpModel | TlsModel | DnsModel | DnsUrlModel
SERVICE_MODELS: Final[dict[str, type[ServiceModel]]] = {
    "http": HttpModel,
    "tcp": TcpModel,
    "tls": TlsModel,
    "dns": DnsModel,
    "dns url": DnsUrlModel,
    "heartbeat": HeartbeatModel,
}
"""Models by kind of service; a dns: URL has no keys for what stands in it."""

LATER: Final[dict[type[Model], frozenset[str]]] = {
    FileModel: frozenset(
        {"profiles", "routes", "escalation", "maintenance", "components", "audit", "chaos", "breakers"}
        | {"watchdog", "page", "include", "slo", "dns", "discover"}
    ),
    ServiceModel: frozenset(
        {"needs", "severity", "criticality", "zone", "provider", "external", "stateful", "profile", "slo"}
        | {"redundancy", "route53", "exec"}
    ),
    ClusterModel: frozenset({"tls"}),
    AlertingModel: frozenset({"repeat", "hold", "flap"}),
    HttpServerModel: frozenset({"tls", "public"}),
    StorageModel: frozenset({"retention"}),
    ProbeModel: frozenset({"workers"}),
    ConfirmModel: frozenset({"quorum"}),
}
"""Keys of the format that are not built yet: they get a plain answer instead of a guess."""

MEANT: Final = {
    "endpoints": "services",
    "monitors": "services",
    "checks": "services",
    "channels": "notify",
    "notifications": "notify",
    "receivers": "notify",
    "nodes": "peers",
    "members": "peers",
    "conditions": "expect",
    "alerts": "alert",
    "retries": "confirm",
    "auth": "tokens",
    "port": "listen",
    "name": "title",
    "every": "interval",
    "description": "title",
    "insecure": "verify",
}
"""What people from other tools write, and our word for it."""
