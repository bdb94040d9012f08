"""Which kinds of service there are, which keys come later, and what people from other tools may mean.

Tables only: the shape of each kind is services.py, what is said about a wrong key is validation.py.
"""

from __future__ import annotations

from typing import Final

from watchtower.config.exec_services import ExecModel, ExecUrlModel
from watchtower.config.http_services import HttpModel
from watchtower.config.login_services import AmqpModel, MysqlModel, PostgresModel, RedisModel
from watchtower.config.rpc_services import GrpcModel, WsModel
from watchtower.config.schema import (
    ClusterModel,
    ConfirmModel,
    FileModel,
    HttpServerModel,
    Model,
    ServiceModel,
)
from watchtower.config.services import (
    DnsModel,
    DnsUrlModel,
    HeartbeatModel,
    IcmpModel,
    ImapModel,
    SmtpModel,
    SshModel,
    TcpModel,
    TlsModel,
)

SERVICE_MODELS: Final[dict[str, type[ServiceModel]]] = {
    "http": HttpModel,
    "tcp": TcpModel,
    "tls": TlsModel,
    "dns": DnsModel,
    "dns url": DnsUrlModel,
    "heartbeat": HeartbeatModel,
    "smtp": SmtpModel,
    "imap": ImapModel,
    "ssh": SshModel,
    "icmp": IcmpModel,
    "grpc": GrpcModel,
    "ws": WsModel,
    "postgres": PostgresModel,
    "exec": ExecModel,
    "exec url": ExecUrlModel,
    "mysql": MysqlModel,
    "redis": RedisModel,
    "amqp": AmqpModel,
}
"""Models by kind of service; dns: and exec: URLs have no keys for what stands in them."""

LATER: Final[dict[type[Model], frozenset[str]]] = {
    FileModel: frozenset(
        {"profiles", "components", "audit", "chaos"} | {"page", "include", "slo", "dns", "discover"}
    ),
    ServiceModel: frozenset(
        {"criticality", "zone", "provider", "external", "stateful", "profile", "slo"}
        | {"redundancy", "route53"}
    ),
    ClusterModel: frozenset({"tls"}),
    HttpServerModel: frozenset({"tls", "public"}),
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
    "command": "exec",
    "cmd": "exec",
    "script": "exec",
    "plugin": "exec",
    "args": "exec",
    "environment": "env",
    "cron": "heartbeat",
    "timezone": "tz",
    "schedule": "heartbeat",
    "push": "heartbeat",
    "name": "title",
    "every": "interval",
    "description": "title",
    "insecure": "verify",
    "sslmode": "tls",
    "ssl": "tls",
    "username": "user",
    "basic_auth": "auth",
    "follow": "follow_redirects",
    "retry": "confirm",
    "priority": "severity",
    "routing": "routes",
    "route": "routes",
    "escalations": "escalation",
    "matchers": "match",
    "receiver": "notify",
    "repeat_interval": "repeat",
    "active_time_intervals": "active",
    "delay": "after",
    "tz": "timezone",
}
"""What people from other tools write, and our word for it."""
