"""Writes what `watchtower init` was told: the file, commented for the next reader, and its secrets.

Secrets (the cluster's, the ping key, the channel's URL) go into files of their own with mode 0600, so
that the configuration can be shown around. What was written is read back by the same loader that peers
use. Raises ConfigError with what to change.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from watchtower.cli.connect import Finding, try_out
from watchtower.cli.files import read_settings
from watchtower.config.loader import service_from_url
from watchtower.config.problems import Wrong
from watchtower.config.targets import parse_channel_url, parse_endpoint
from watchtower.core.settings import Channel, Settings
from watchtower.delivery import channels
from watchtower.errors import ConfigError, DeliveryError

RAFT_PORT: Final = 7700
HTTP_PORT: Final = 8080
_NAMES: Final = "abcdefghi"


class Answers(Struct, frozen=True, kw_only=True):
    """What was asked, as it was answered."""

    name: str
    peers: str
    watch: str
    alert: str


class Written(Struct, frozen=True, kw_only=True):
    """The files that were written, and how the loader reads them."""

    config: Path
    secret_files: tuple[Path, ...]
    settings: Settings

    def send_test(self) -> list[Finding]:
        """Send a test message to each channel; what came of it."""
        found = asyncio.run(try_out(self.settings, "", connect=False, send=True))
        return [finding for finding in found if finding.what.startswith("test message")]


def write(answers: Answers, path: Path, *, force: bool) -> Written:
    """Write the files. Raises ConfigError before anything is written when an answer cannot be used."""
    hosts = _hosts(answers.peers)
    service_from_url(answers.watch)
    if answers.alert:
        _check_channel(answers.alert)
    secret_file = path.with_name("watchtower.secret")
    ping_file, channel_file = path.with_name("watchtower.ping-key"), path.with_name("watchtower.chat")
    contents = {
        secret_file: secrets.token_hex(32),
        ping_file: secrets.token_hex(16),
        path.with_name("watchtower.admin-token"): secrets.token_hex(32),
    }
    if answers.alert:
        contents[channel_file] = answers.alert
    existing = [str(file) for file in (path, *contents) if file.exists()]
    if existing and not force:
        raise ConfigError(
            f"{', '.join(existing)}: already there; say --force to overwrite, or another --output"
        )
    text = file_text(answers, hosts)
    with TemporaryDirectory(prefix="watchtower-init-") as rehearsal:
        _write_all(Path(rehearsal) / path.name, text, contents)
        read_settings(Path(rehearsal) / path.name)
    _write_all(path, text, contents)
    return Written(config=path, secret_files=tuple(contents), settings=read_settings(path))


def _write_all(path: Path, text: str, contents: dict[Path, str]) -> None:
    """The file and, beside it, its secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        _write_private(path.with_name(file.name), content + "\n")
    path.write_text(text, encoding="utf-8")


def _check_channel(url: str) -> None:
    try:
        schema, secret = parse_channel_url(url)
        channels.validate(Channel(name="chat", url=secret, schema=schema))
    except Wrong as wrong:
        raise ConfigError(f"the notification URL: {wrong.what} ({wrong.fix})") from None
    except DeliveryError as error:
        raise ConfigError(str(error)) from None


def _hosts(text: str) -> list[tuple[str, int]]:
    hosts = []
    for part in re.split(r"[,\s]+", text.strip(", ")):
        try:
            hosts.append(parse_endpoint(part, default_port=RAFT_PORT))
        except Wrong as wrong:
            raise ConfigError(f"peer address '{part}': {wrong.what} ({wrong.fix})") from None
    if not 1 <= len(hosts) <= len(_NAMES) or len(hosts) % 2 == 0:
        raise ConfigError(
            f"{len(hosts)} peers: give an odd number, three for most; of an even number one adds nothing"
        )
    return hosts


def _write_private(path: Path, text: str) -> None:
    """A file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)


def file_text(answers: Answers, hosts: list[tuple[str, int]]) -> str:
    """The text of watchtower.yaml. Values that people typed are quoted."""
    return _FILE.format(
        name=_quoted(answers.name),
        peers="\n".join(
            _peer_line(_NAMES[at], host, raft, http)
            for at, ((host, raft), http) in enumerate(zip(hosts, _http_ports(hosts), strict=True))
        ),
        listen_port=f"${{HTTP_PORT:-{HTTP_PORT}}}" if _share_a_host(hosts) else HTTP_PORT,
        notify=_NOTIFY if answers.alert else _NO_NOTIFY,
        service=_service_name(answers.watch),
        watch=_quoted(answers.watch),
    )


def _peer_line(name: str, host: str, raft: int, http: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f'    {name}: {{raft: "{shown}:{raft}", http: "http://{shown}:{http}", zone: ""}}'


def _http_ports(hosts: list[tuple[str, int]]) -> list[int]:
    """The usual port for each peer; peers that share a host, for trying things out, count up from it."""
    names = [host for host, _ in hosts]
    return [HTTP_PORT + names[:at].count(name) for at, name in enumerate(names)]


def _share_a_host(hosts: list[tuple[str, int]]) -> bool:
    return len({host for host, _ in hosts}) < len(hosts)


def _service_name(url: str) -> str:
    """A name out of the host: `shop` for https://shop.example.com and https://www.shop.example.com."""
    rest = re.sub(r"^[a-z+]+:(//)?([^/@]*@)?", "", url.lower())
    labels = [label for label in re.split(r"[/:?#]", rest)[0].split(".") if label not in ("www", "")]
    is_address = all(label.isdigit() for label in labels)
    name = re.sub(r"[^a-z0-9-]", "-", "-".join(labels) if is_address else labels[0] if labels else "").strip(
        "-"
    )
    return name if name and name != "cluster" else "first"


def _quoted(text: str) -> str:
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)


def explain(written: Written, tested: list[Finding] | None, *, as_json: bool, test_skipped: bool) -> str:
    """What was done and what comes next."""
    failed = [finding for finding in tested or [] if not finding.ok]
    if as_json:
        return json.dumps(
            {
                "config": str(written.config),
                "secret_files": [str(file) for file in written.secret_files],
                "test": None if tested is None else not failed,
                "detail": "; ".join(finding.text for finding in tested or []),
            }
        )
    lines = [f"Wrote {written.config}, and secrets that only you can read:"]
    lines += [f"  {file}" for file in written.secret_files]
    if failed:
        lines += ["", "The test message did NOT arrive:"]
        lines += [f"  {finding.what}: {finding.text}" for finding in failed]
        lines.append("Correct the URL in watchtower.chat, then try again: watchtower check --send")
    elif tested:
        lines += ["", "A test message was accepted. Look whether it came."]
    elif not test_skipped:
        lines += ["", "No channel yet: nobody would be told. Add one under `notify:`."]
    peers = written.settings.cluster.peer_names
    lines += [
        "",
        "Next:",
        f"  1. Copy all these files to {'each host' if len(peers) > 1 else 'the host'}.",
        f"  2. Start {'the peers' if len(peers) > 1 else 'the peer'}:",
    ]
    lines += [f"       {_start_line(written, name)}" for name in peers]
    lines.append(f"  3. Look: watchtower status --config {written.config.name}")
    return "\n".join(lines)


def _start_line(written: Written, name: str) -> str:
    cluster = written.settings.cluster
    hosts = [(peer.raft_host, peer.raft_port) for peer in cluster.peers]
    port = urlsplit(cluster.peer(name).http_url).port
    where = f"HTTP_PORT={port} " if _share_a_host(hosts) else ""
    return f"{where}watchtower run --config {written.config.name} --peer {name}"


_NOTIFY: Final = """\
  chat: ${file:watchtower.chat}"""
_NO_NOTIFY: Final = """\
  # chat: slack://T0000/B0000/secret/#ops
  # mail: mailtos://user:password@smtp.example.com/?to=ops@example.com"""

_FILE: Final = """\
# The one file of the cluster, identical on every peer. Which peer a process is comes from --peer.
# After a change: watchtower check, copy it to all peers, then send each a SIGHUP.

cluster:
  name: {name}
  # The peers know each other by this secret. It is in a file of its own, so this one can be shown around.
  secret: ${{file:watchtower.secret}}
  # Three hosts that fail for different reasons: other zones, better other providers. Two must be alive.
  peers:
{peers}
  # A peer that reaches none of these doubts itself, not your services. Name two that you trust to be up.
  # reference: ["tcp://1.1.1.1:53", "tcp://8.8.8.8:53"]

http:
  # Dashboard, API, metrics. Whoever reaches this port may read.
  listen: 0.0.0.0:{listen_port}
  # The key in the addresses that heartbeats call: watchtower heartbeat list
  ping_key: ${{file:watchtower.ping-key}}
  # Who may act on the peers: watchtower drain, watchtower cluster resize, reload over HTTP.
  tokens:
    admin: {{scope: admin, token: "${{file:watchtower.admin-token}}"}}

storage:
  path: data

# The first channel hears everything that names no other with `alert:`.
notify:
{notify}

# What is watched. The scheme picks the probe: http https tcp tls dns. A bare URL is enough.
services:
  {service}: {watch}

  # More, when you are ready:
  # api:
  #   url: https://api.example.com/healthz
  #   interval: 10s
  #   expect: [status == 200, json.db == up, time < 2s]
  #   warn: [time < 500ms, cert.expires > 21d]
  # orders-db: tcp://db.example.com:5432
  # www-dns: {{dns: www.example.com, type: A}}
  # nightly-backup: {{heartbeat: 1d, grace: 1h}}
"""
