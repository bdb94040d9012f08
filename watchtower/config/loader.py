"""The way in: `load` reads a file, `service_from_url` reads a single URL. All mistakes are told at once.

Order: text, YAML, `${}`, schema, references, Settings. Each step adds to one list of problems; a file with
any is refused as a whole, so a reload never half happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from watchtower.config import build, maintenance, routes
from watchtower.config.document import Path, Scalar, Sequence, Table, Tree, fingerprint, parse, problem_at
from watchtower.config.expansion import Expansion
from watchtower.config.faults import Faults
from watchtower.config.kinds import LATER, MEANT, SERVICE_MODELS
from watchtower.config.masking import Masks, mask_url
from watchtower.config.problems import Wrong
from watchtower.config.readers import NAME, read_service_name
from watchtower.config.references import check_references
from watchtower.config.report import report
from watchtower.config.schema import ChannelModel, DefaultsModel, FileModel, ServiceModel
from watchtower.config.targets import kind_of_url
from watchtower.config.validation import validate
from watchtower.core.nearest import nearest, shown_key
from watchtower.core.settings import (
    ClusterSettings,
    HistorySettings,
    ProbeSettings,
    Service,
    Settings,
)
from watchtower.errors import ConfigError

FILE_BYTES_MAX: Final = 4_194_304
PEER_VARIABLE: Final = "WATCHTOWER_PEER"
DEFAULT_PEER: Final = "a"
PICKS: Final = ("url", "dns", "exec", "heartbeat")
"""Keys of a service that say what it is; a service has one of them."""
_MAY_BE_EMPTY: Final = frozenset({"notify", "services", "defaults", "routes", "escalation", "maintenance"})


def load(path: str | FilePath, *, peer: str | None, environ: Mapping[str, str]) -> Settings:
    """Settings of the file at `path` for the peer `peer`, else `WATCHTOWER_PEER`, else the only one.

    Relative `${file:...}` are looked up beside the file. Raises ConfigError, whose text lists every
    mistake with its place and holds no value that `${}` put in.
    """
    text = _read(FilePath(path))
    tree, problems = parse(text)
    lines = text.split("\n")
    if isinstance(tree, (Scalar, Sequence)):
        what = "the file must be a mapping of keys like `services:`"
        problems.append(problem_at(tree.span, (), what, "see docs/reference/config.md for an example"))
    if not isinstance(tree, Table):
        raise ConfigError(report(str(path), problems, Masks(tree, lines)))
    expansion = Expansion(environ, FilePath(path).parent)
    expanded = expansion.expand_file(tree)
    faults = Faults(expanded, expansion.failed)
    settings = _Loading(expanded, faults).settings(
        peer or environ.get(PEER_VARIABLE) or "", fingerprint(tree)
    )
    problems += expansion.problems + faults.problems
    if problems or settings is None:
        raise ConfigError(report(str(path), problems, Masks(tree, lines)))
    return settings


def service_from_url(url: str, name: str = "probe", options: Mapping[str, Any] | None = None) -> Service:
    """A service with defaults and what `options` say by their keys, for one look without a file.

    Takes every scheme that a file takes, and `dns://server/name?type=AAAA`. Raises ConfigError.
    """
    try:
        read_service_name(name)
        kind, content = _kind_of({**(options or {}), "url": url})
        model, faults = validate(SERVICE_MODELS[kind], content)
        if model is None:
            raise faults[0].wrong
        for _, clash in model.clashes():
            raise clash
    except Wrong as wrong:
        shown = "".join(char for char in mask_url(url[:200]) if char.isprintable())
        raise ConfigError(f"{shown}: {wrong.what}" + (f" ({wrong.fix})" if wrong.fix else "")) from None
    return build.service_settings(name, model, voters=(DEFAULT_PEER,), defaults=DefaultsModel())


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise ConfigError(f"{path}: larger than 4 MiB; this is no watchtower file")
        # A lone CR ends a line in YAML as well; from here on lines end in one way only.
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        reason = error.strerror or "not readable"
        raise ConfigError(f"{path}: {reason}; `watchtower init` writes a first file") from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error


def _kind_of(content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which model of service the keys of `content` ask for. Raises Wrong."""
    given = [key for key in PICKS if key in content]
    if not given:
        close = [key for key in content if nearest(key, PICKS).startswith("did")]
        if close:
            # The schema says it better: an unknown key, with the one that was meant.
            return "http", dict(content)
        meant = next((key for key in content if MEANT.get(key) in PICKS), None)
        if meant:
            raise Wrong(f"`{meant}` is called `{MEANT[meant]}` here", f"write `{MEANT[meant]}:`")
        later = [key for key in content if key in LATER[ServiceModel] & {"route53", "redundancy"}]
        if later:
            raise Wrong(f"`{later[0]}` services are not part of this release", "remove it")
        fix = "add `url: https://...`, `dns: www.example.com`, `exec: [/path/to/plugin]` or `heartbeat: 1d`"
        raise Wrong("nothing says what to look at", fix)
    if len(given) > 1:
        raise Wrong(f"`{'` and `'.join(given)}` exclude each other", "keep one, and make the other a service")
    if given[0] != "url" or not isinstance(content["url"], str):
        return {"url": "http"}.get(given[0], given[0]), dict(content)
    kind = kind_of_url(content["url"])
    return (f"{kind} url" if kind in PICKS else kind), dict(content)


class _Loading:
    """One file on its way to Settings; every step adds its faults."""

    def __init__(self, tree: Table, faults: Faults) -> None:
        self._tree = tree
        self._faults = faults
        self._content: dict[str, Any] = {
            key: self._filled(entry.value, (key,))
            for key, entry in tree.entries.items()
            if not (key in _MAY_BE_EMPTY and _is_empty(entry.value))
        }

    def settings(self, peer: str, config_hash: str) -> Settings | None:
        """The Settings; None only when there are faults."""
        file, faults = validate(FileModel, self._content)
        for fault in faults:
            self._faults.add(fault)
        channels = self._channels()
        services = self._services()
        check_references(self._content, self._faults)
        self._check_peer(peer)
        if file is None or self._faults.problems:
            return None
        first = next(iter(channels), "")
        me = peer or (next(iter(file.cluster.peers)) if file.cluster else DEFAULT_PEER)
        if file.cluster:
            cluster = build.cluster_settings(file.cluster, first)
        else:
            cluster = build.single_cluster(me, file.http)
        return Settings(
            me=me,
            config_hash=config_hash,
            cluster=cluster,
            http=build.http_settings(file.http),
            channels={name: build.channel_settings(name, model) for name, model in channels.items()},
            services=self._built(services, file, cluster),
            storage_path=file.storage.path,
            alerting=build.alerting_settings(file.alerting),
            routes=routes.routes_of(file),
            default_alert=file.defaults.alert,
            maintenance=maintenance.windows_of(file),
            escalations=routes.escalations_of(file),
            breakers=build.breaker_settings(file.breakers),
            watchdog=build.watchdog_settings(file.watchdog),
            probe=ProbeSettings(
                concurrency=file.probe.concurrency,
                per_host=file.probe.per_host,
                workers=file.probe.workers,
            ),
            history=HistorySettings(is_on=file.storage.history, samples_kept_s=file.storage.retention),
        )

    def _filled(self, tree: Tree, path: Path) -> Any:
        """Plain content; a key without a value is a fault, because it is mostly a slip of indentation."""
        if isinstance(tree, Table):
            return {key: self._filled(entry.value, (*path, key)) for key, entry in tree.entries.items()}
        if isinstance(tree, Sequence):
            return [self._filled(item, (*path, index)) for index, item in enumerate(tree.items)]
        if tree.text is None:
            fix = "give it one, or remove the line; what belongs to it is indented deeper"
            self._faults.at(path, Wrong("there is no value here", fix), at_key=True)
            self._faults.drop(path)
            return ""
        return tree.text

    def _channels(self) -> dict[str, ChannelModel]:
        channels = {}
        for name, content in self._named("notify"):
            long_form = {"url": content} if isinstance(content, str) else content
            model, faults = validate(ChannelModel, long_form, ("notify", name))
            for fault in faults:
                self._faults.add(fault)
            if model is not None:
                channels[name] = model
        return channels

    def _services(self) -> dict[str, ServiceModel]:
        services = {}
        for name, content in self._named("services"):
            model = self._service(("services", name), content)
            if model is not None:
                services[name] = model
        return services

    def _service(self, path: Path, content: object) -> ServiceModel | None:
        if not isinstance(content, (str, dict)):
            self._faults.at(path, Wrong("a service is a URL or a mapping", "write `name: https://...`"))
            return None
        try:
            kind, mapping = _kind_of({"url": content} if isinstance(content, str) else content)
        except Wrong as wrong:
            at_url = isinstance(content, dict) and "url" in content
            self._faults.at((*path, "url") if at_url else path, wrong)
            return None
        model, faults = validate(SERVICE_MODELS[kind], mapping, path)
        for fault in faults:
            self._faults.add(fault)
        for below, clash in model.clashes() if model is not None else ():
            self._faults.at((*path, *below), clash, at_key=True)
        return model

    def _named(self, section: str) -> list[tuple[str, Any]]:
        content = self._content.get(section)
        return list(content.items()) if isinstance(content, dict) else []

    def _check_peer(self, peer: str) -> None:
        """Which of the peers this process is must be said, and be true."""
        cluster = self._content.get("cluster")
        peers = cluster.get("peers") if isinstance(cluster, dict) else None
        how = f"start with `--peer NAME` or set {PEER_VARIABLE}"
        if not isinstance(peers, dict):
            if peer and cluster is None and not NAME.fullmatch(peer):
                self._faults.at((), Wrong("the name given by --peer is no name", f"as in `--peer a`; {how}"))
        elif not peer and len(peers) > 1:
            fix = f"{how}; {nearest('', peers)}"
            self._faults.at(("cluster", "peers"), Wrong("nothing says which of these peers this is", fix))
        elif peer and peer not in peers:
            what = f"none of these peers is called `{shown_key(peer)}`, as --peer or {PEER_VARIABLE} says"
            self._faults.at(("cluster", "peers"), Wrong(what, nearest(peer, peers)))

    def _built(
        self,
        models: dict[str, ServiceModel],
        file: FileModel,
        cluster: ClusterSettings,
    ) -> dict[str, Service]:
        services = {}
        for name, model in models.items():
            service = build.service_settings(name, model, voters=cluster.voter_names, defaults=file.defaults)
            services[name] = build.as_written(service, self._tree)
        return {**services, **build.peer_services(cluster)}


def _is_empty(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.text is None
