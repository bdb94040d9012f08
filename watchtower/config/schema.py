"""The shape of the file: every key with its type and its default. The only user of pydantic.

Values arrive as the text that was written; types come from here and from services.py alone.
docs/reference/config.md is checked against both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)

from watchtower.config import readers, targets
from watchtower.config.active import read_hours
from watchtower.config.conditions import parse_condition
from watchtower.config.needs import GROUPS_MAX, as_list, read_need
from watchtower.config.problems import Wrong
from watchtower.config.units import parse_flag
from watchtower.core.conditions import Condition
from watchtower.core.policies import MATCHERS_MAX, Severity
from watchtower.core.secret import Secret
from watchtower.core.settings import PROFILES, Hours, Need
from watchtower.core.targets import Target

PEERS_MAX: Final = 9
SERVICES_MAX: Final = 10_000
CONCURRENCY_MAX: Final = 10_000
WORKERS_MAX: Final = 64
ROUTES_MAX: Final = 200
MAINTENANCE_MAX: Final = 200
_SHAPES: Final[dict[type, str]] = {dict: "a mapping", list: "a list"}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    fix = "write one value; quote text that contains `: ` or starts with [ or {"
    raise Wrong(f"a single value belongs here, not {_SHAPES.get(type(value), 'nothing')}", fix)


def read_by(read: Callable[[str], object]) -> PlainValidator:
    """Type of a field whose single value `read` makes; it raises Wrong."""
    return PlainValidator(lambda value: read(_text(value)))


def list_of_one(value: object) -> object:
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


def judging(kind: str) -> PlainValidator:
    """Type of a condition on a probe of `kind`."""
    return PlainValidator(partial(_condition, kind))


Flag = Annotated[bool, read_by(parse_flag)]
Line = Annotated[str, read_by(readers.line_of(200))]
Link = Annotated[str, read_by(readers.read_link)]
Name = Annotated[str, read_by(readers.read_name)]
Seconds = Annotated[float, read_by(readers.duration_between(0.1, 300))]
Count = Annotated[int, read_by(readers.count_between(1, 100))]
Endpoint = Annotated[tuple[str, int], read_by(targets.parse_endpoint)]
ClusterSecret = Annotated[Secret, read_by(readers.read_secret)]
Reference = Annotated[str, read_by(targets.parse_reference)]
Server = Annotated[str, read_by(targets.parse_server)]
HeaderValue = Annotated[Secret, read_by(readers.read_header_value)]
Alert = Annotated[tuple[Line, ...], BeforeValidator(list_of_one), Field(max_length=20)]

SEVERAL: Final = BeforeValidator(_lines)
LINES_MAX: Final = Field(max_length=50)


class Model(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


M = TypeVar("M", bound=Model)
Clash = tuple[tuple[str, ...], Wrong]
"""Path of a key below the service, and what is wrong with it beside the others."""


def read_as(model: type[M], content: object) -> tuple[M | None, list[dict[str, Any]]]:
    """`content` as `model`, or None and pydantic's errors, without their echo of the input."""
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [dict(one) for one in error.errors(include_url=False, include_input=False)]


class PeerModel(Model):
    """One peer: where Raft and HTTP are, and where in the world it stands."""

    raft: Endpoint
    http: Annotated[str, read_by(targets.parse_base_url)]
    zone: Line = ""
    provider: Line = ""
    witness: Flag = False


class WithoutQuorumModel(Model):
    """What a peer without a majority does."""

    after: Annotated[float, read_by(readers.duration_between(5, 3600))] = 30.0
    policy: Annotated[str, read_by(readers.read_policy)] = "hold"
    notify: Line = ""


class ClusterModel(Model):
    """Peers, their trust, what they doubt themselves by."""

    name: Name
    secret: Annotated[
        tuple[ClusterSecret, ...], BeforeValidator(list_of_one), Field(min_length=1, max_length=4)
    ]
    peers: Annotated[dict[str, PeerModel], Field(min_length=1, max_length=PEERS_MAX)]
    reference: Annotated[tuple[Reference, ...], BeforeValidator(list_of_one), Field(max_length=10)] = ()
    without_quorum: WithoutQuorumModel = WithoutQuorumModel()
    profile: Annotated[str, read_by(readers.one_of(*PROFILES))] = "lan"


class RateModel(Model):
    """How much a channel is sent."""

    every: Annotated[float, read_by(readers.duration_between(0, 3600))] = 1.0
    burst: Annotated[int, read_by(readers.count_between(1, 20))] = 3
    hour: Annotated[int, read_by(readers.count_between(1, 10_000))] = 120


class TemplateModel(Model):
    """Own words for the messages of a channel."""

    subject: Annotated[str, read_by(readers.read_template)] = ""
    body: Annotated[str, read_by(readers.read_template)] = ""


class ChannelModel(Model):
    """A destination of notifications; a bare URL is the short form."""

    url: Annotated[tuple[str, Secret], read_by(targets.parse_channel_url)]
    fallback: Line = ""
    search: Flag = False
    rate: RateModel = RateModel()
    template: TemplateModel | None = None


Names = Annotated[tuple[Line, ...], BeforeValidator(list_of_one), Field(max_length=20)]
Values = Annotated[tuple[Line, ...], BeforeValidator(list_of_one), Field(min_length=1, max_length=20)]
Match = Annotated[dict[str, Values], Field(max_length=MATCHERS_MAX)]
Repeat = Annotated[float, read_by(readers.read_repeat)]


class RouteModel(Model):
    """Who is told of what."""

    match: Match = {}
    notify: Names
    repeat: Repeat | None = None
    active: Annotated[
        tuple[Annotated[Hours, read_by(read_hours)], ...], BeforeValidator(list_of_one), Field(max_length=20)
    ] = ()
    is_continued: Flag = Field(default=False, alias="continue")


class StepModel(Model):
    """One step of an escalation."""

    after: Annotated[float, read_by(readers.duration_between(0, 7 * 86_400))] = 0.0
    notify: Annotated[Names, Field(min_length=1)]


class ConfirmModel(Model):
    """What makes a vote down."""

    failures: Count = 2
    recheck: Seconds = 1.0
    partial_after: Annotated[float, read_by(readers.duration_between(0, 86_400))] = 120.0
    peers: Annotated[str, read_by(readers.one_of("all"))] = "all"


class RecoverModel(Model):
    """What makes a vote up again."""

    successes: Count = 2
    recheck: Seconds = 1.0


class AlertedModel(Model):
    """What every service has, and `defaults:` too."""

    alert: Alert | None = None
    severity: Annotated[Severity, read_by(readers.read_severity)] = Severity.CRITICAL


class PacedModel(AlertedModel):
    """What every probed service has, and `defaults:` too."""

    interval: Annotated[float, read_by(readers.duration_between(1, 86_400))] = 30.0
    timeout: Seconds = 10.0
    jitter: Annotated[float, read_by(readers.read_jitter)] = 0.1
    confirm: ConfirmModel = ConfirmModel()
    recover: RecoverModel = RecoverModel()


class DefaultsModel(PacedModel):
    """What services take over unless they say otherwise."""


class ServiceModel(AlertedModel):
    """What people read about a service of any kind."""

    title: Annotated[str, read_by(readers.line_of(120))] = ""
    group: Annotated[str, read_by(readers.line_of(60))] = ""
    runbook: Link = ""
    dashboard: Link = ""
    labels: Annotated[dict[str, Line], Field(max_length=20)] = {}
    needs: Annotated[
        tuple[Annotated[Need, PlainValidator(read_need)], ...],
        BeforeValidator(as_list),
        Field(max_length=GROUPS_MAX),
    ] = ()

    def clashes(self) -> list[Clash]:
        """Keys that are right each by itself, and do not go together."""
        return []

    @abstractmethod
    def target(self) -> Target:
        """What is looked at, and how: each kind's own answer."""


Steps = Annotated[tuple[StepModel, ...], Field(min_length=1, max_length=20)]


class FlapModel(Model):
    """When a service flaps."""

    window: Annotated[int, read_by(readers.count_between(4, 60))] = 20
    high: Annotated[float, read_by(readers.read_share)] = 0.5
    low: Annotated[float, read_by(readers.read_share)] = 0.25


class MaintenanceModel(Model):
    """Planned maintenance: once, or again and again."""

    match: Annotated[Match, Field(min_length=1)]
    start: Annotated[datetime, read_by(readers.read_local_time)] | None = None
    end: Annotated[datetime, read_by(readers.read_local_time)] | None = None
    cron: Annotated[str, read_by(readers.read_times)] = ""
    lasting: Annotated[float, read_by(readers.duration_between(60, 7 * 86_400))] | None = Field(
        default=None, alias="for"
    )
    tz: Annotated[str, read_by(readers.read_timezone)] = ""
    reason: Line = ""


class AlertingModel(Model):
    """How people are told."""

    resolved: Flag = True
    hold: Annotated[float, read_by(readers.duration_between(0, 300))] = 5.0
    suppress: Annotated[float, read_by(readers.duration_between(0, 7 * 86_400))] = 1_800.0
    repeat: Repeat = 14_400.0
    timezone: Annotated[str, read_by(readers.read_timezone)] = "UTC"
    flap: FlapModel = FlapModel()


class TokenModel(Model):
    """A named bearer token."""

    scope: Annotated[str, read_by(readers.one_of("read", "write", "admin"))]
    token: Annotated[Secret, read_by(readers.read_token)]


class HttpServerModel(Model):
    """How a peer answers over HTTP."""

    listen: Annotated[tuple[str, int], read_by(targets.parse_listen)] = ("0.0.0.0", 8080)  # noqa: S104 - the documented default
    base_path: Annotated[str, read_by(readers.read_base_path)] = ""
    public_url: Annotated[str, read_by(targets.parse_base_url)] = ""
    anonymous_read: Flag = True
    tokens: Annotated[dict[str, TokenModel], Field(max_length=50)] = {}
    ping_key: Annotated[Secret, read_by(readers.read_ping_key)] | None = None


class StorageModel(Model):
    """Where a peer keeps its journal, and how long every single sample."""

    path: Annotated[str, read_by(readers.read_storage_path)] = "data"
    history: Flag = True
    retention: Annotated[float, read_by(readers.duration_between(3600, 90 * 86_400))] = 86_400.0


class ProbeModel(Model):
    """Limits of the looking itself."""

    concurrency: Annotated[int, read_by(readers.count_between(1, CONCURRENCY_MAX))] = 200
    per_host: Annotated[int, read_by(readers.count_between(1, CONCURRENCY_MAX))] = 4
    workers: Annotated[int, read_by(readers.count_between(0, WORKERS_MAX))] = 1


class BreakersModel(Model):
    """When a channel that does not work is left alone for a while."""

    timeout: Annotated[float, read_by(readers.duration_between(0.1, 60))] = 10.0
    error_threshold: Annotated[float, read_by(readers.read_error_threshold)] = 0.5
    window: Annotated[float, read_by(readers.duration_between(1, 3600))] = 60.0
    buckets: Annotated[int, read_by(readers.count_between(1, 100))] = 10
    volume: Annotated[int, read_by(readers.count_between(5, 10_000))] = 5
    reset: Annotated[float, read_by(readers.duration_between(1, 3600))] = 30.0


class DrillModel(Model):
    """Fire drills: when, on which channel, and how long one may take to be proven."""

    every: Annotated[str, read_by(readers.read_times)]
    channel: Line
    tz: Annotated[str, read_by(readers.read_timezone)] = "UTC"
    within: Annotated[float, read_by(readers.duration_between(30, 86_400))] = 900.0


class WatchdogModel(Model):
    """Our signals to an outside dead man's switch, and the drills that prove the way to people."""

    ping: Annotated[Secret, read_by(readers.read_secret_url)] | None = None
    peers: dict[str, Annotated[Secret, read_by(readers.read_secret_url)]] = {}
    every: Annotated[float, read_by(readers.duration_between(10, 86_400))] = 60.0
    drill: DrillModel | None = None


class FileModel(Model):
    """The whole file. Channels and services are validated one by one, each as what it is."""

    cluster: ClusterModel | None = None
    notify: Annotated[dict[str, Any], Field(max_length=100)] = {}
    services: Annotated[dict[str, Any], Field(max_length=SERVICES_MAX)] = {}
    defaults: DefaultsModel = DefaultsModel()
    routes: Annotated[tuple[RouteModel, ...], Field(max_length=ROUTES_MAX)] = ()
    escalation: Annotated[
        dict[str, Annotated[tuple[StepModel, ...], Field(min_length=1, max_length=20)]], Field(max_length=100)
    ] = {}
    maintenance: Annotated[tuple[MaintenanceModel, ...], Field(max_length=MAINTENANCE_MAX)] = ()
    alerting: AlertingModel = AlertingModel()
    http: HttpServerModel = HttpServerModel()
    storage: StorageModel = StorageModel()
    probe: ProbeModel = ProbeModel()
    breakers: BreakersModel = BreakersModel()
    watchdog: WatchdogModel = WatchdogModel()
