"""A configuration with a secret in every place that can hold one, and targets that say aloud what they heard.

Everything is on loopback: HTTPS channels ask for the hosts of their providers, and a proxy of the test
leads them all to one sink. Decides nothing about what is right.
"""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.canaries import Canaries
from support.cluster_support import ADMIN_TOKEN, Cluster
from support.targets import Listener

PROVIDERS = (
    "hooks.slack.com",
    "slack.com",
    "events.pagerduty.com",
    "api.opsgenie.com",
    "api.telegram.org",
    "discord.com",
    "ntfy.sh",
    "api.pushover.net",
    "api.twilio.com",
    "prod-01.westus.logic.azure.com",
    "api.victorops.com",
    "alert.victorops.com",
)


def channel_urls(canaries: Canaries, http_port: int, tls_port: int, smtp_port: int) -> dict[str, str]:
    """Channels of many kinds, each with its secrets in user info, path, query, header or payload."""

    def new(place: str, length: int = 24) -> str:
        return canaries.new(f"notify.{place}", length)

    plain, tls = f"127.0.0.1:{http_port}", f"127.0.0.1:{tls_port}"
    return {
        "hook": f"slack://T1JJ3T3L2/A1BRTD4JD/{new('hook')}/",
        "native": f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{new('native')}",
        "bot": f"slack://xoxb-1234-1234-{new('bot', 32)}/#ops",
        "json": (
            f"json://alerts:{new('json password')}@{plain}/{new('json path')}"
            f"?+X-Key={new('json header')}&+Authorization=Bearer%20{new('json bearer')}"
            f"&-sig={new('json parameter')}&:key={new('json field')}"
        ),
        "jsons": f"jsons://{tls}/{new('jsons path')}?+X-Key={new('jsons header')}",
        "form": f"form://u:{new('form password')}@{plain}/in?+X-Key={new('form header')}",
        "xml": f"xml://u:{new('xml password')}@{plain}/in?+X-Key={new('xml header')}",
        "mail": (
            f"mailtos://alerts:{new('mail')}@localhost:{smtp_port}?smtp=localhost&mode=starttls"
            f"&from=watchtower@example.com&to=ops@example.com&+X-Key={new('mail header')}"
        ),
        "pager": f"pagerduty://{new('pager', 32)}@{new('pager api')}",
        "genie": f"opsgenie://{new('genie', 36)}",
        "telegram": f"tgram://123456789:{new('telegram', 34)}x/12315544/",
        "discord": f"discord://{new('discord id', 18)}/{new('discord', 64)}/",
        "ntfy": f"ntfys://{new('ntfy')}@{tls}/alerts",
        "gotify": f"gotifys://{tls}/{new('gotify', 16)}",
        "mattermost": f"mmosts://{tls}/{new('mattermost')}",
        "pushover": f"pover://{new('pushover user', 30)}@{new('pushover', 30)}",
        "twilio": f"twilio://AC{new('twilio sid', 32)}:{new('twilio', 32)}@15551230000/15551230001",
        "teams": (
            f"workflows://prod-01.westus.logic.azure.com:443/{new('teams workflow', 32)}/{new('teams', 40)}/"
        ),
    }


def services(canaries: Canaries, echo_port: int, line_port: int, everybody: str) -> str:
    """Services with their secrets in URL, header, body, login and environment, at targets that echo."""

    def new(place: str, length: int = 24) -> str:
        return canaries.new(f"services.{place}", length)

    told = "interval: 1s, alert: [json, bot, mail]"
    at = f"127.0.0.1:{echo_port}"
    echo = f"http://{at}"
    return (
        f"web:\n  url: http://probe:{new('url password')}@{at}/web?token={new('url query')}\n  interval: 1s\n"
        f"  alert: [{everybody}]\n"
        f"  headers:\n    X-Key: {new('header')}\n    Cookie: session={new('cookie')}\n"
        f"  method: POST\n  body: 'pw={new('body')}'\n"
        f"basic: {{url: '{echo}/basic', auth: {{basic: {{user: u, password: {new('basic')}}}}}, {told}}}\n"
        f"bearer: {{url: '{echo}/bearer', auth: {{bearer: {new('bearer')}}}, {told}}}\n"
        f"oauth: {{url: '{echo}/oauth', auth: {{oauth2: {{token_url: '{echo}/token', client_id: watch, "
        f"client_secret: {new('oauth2')}}}}}, {told}}}\n"
        f"proxied: {{url: 'http://10.255.255.1/', proxy: 'http://u:{new('proxy')}@{at}', {told}}}\n"
        f"shown: {{url: '{echo}/shown', headers: {{X-Key: {new('shown header')}}}, {told}, "
        "expect: header.x-echo == good}\n"
        f"cut: {{url: '{echo}/cut', auth: {{basic: {{user: u, password: {new('cut')}}}}}, {told}, "
        f"expect: header.x-echo == {'g' * 70}}}\n"
        f"program: {{exec: [/bin/sh, -c, 'echo it was $TOKEN; exit 2'], "
        f"env: {{TOKEN: {new('env')}}}, {told}}}\n"
        f"argued: {{exec: [/bin/sh, -c, 'exit 2', --password={new('exec argument')}], {told}}}\n"
        f"cache: {{url: 'redis://:{new('redis')}@127.0.0.1:{line_port}', {told}}}\n"
        f"line: {{url: 'tcp://127.0.0.1:{line_port}', send: 'AUTH {new('send')}\\r\\n', {told}, "
        "expect: banner ~ welcome}\n"
        f"socket: {{url: 'ws://u:{new('ws password')}@{at}/ws', headers: {{X-Key: {new('ws header')}}}, "
        f"{told}}}\n"
        "job: {heartbeat: 1h, alert: [json]}\n"
    )


def watchdog(canaries: Canaries, http_port: int) -> str:
    """Pings out, whose URLs are keys, to a place that refuses; and breakers that soon try again."""
    own = ", ".join(
        f"{peer}: 'http://127.0.0.1:{http_port}/{canaries.new(f'watchdog.peers {peer}')}'" for peer in "abc"
    )
    return (
        f"watchdog:\n  ping: http://127.0.0.1:{http_port}/{canaries.new('watchdog.ping')}\n"
        f"  peers: {{{own}}}\n  every: 10s\n"
        "breakers: {reset: 1s}\n"
    )


def config(canaries: Canaries, cluster: Cluster, channels: dict[str, str], watched: str) -> str:
    """The whole file. The secret of the cluster is a list, as while it is being changed."""
    peers = "".join(
        f"    {name}: {{raft: '127.0.0.1:{cluster.raft[name]}', http: 'http://127.0.0.1:{cluster.http[name]}'}}\n"
        for name in cluster.names
    )
    notify = "".join(f"  {name}: {json.dumps(url)}\n" for name, url in channels.items())
    tokens = "".join(
        f"    {scope}er: {{scope: {scope}, token: {canaries.new(f'http.tokens {scope}')}}}\n"
        for scope in ("read", "write")
    )
    own = ", ".join(canaries.new(f"cluster.secret {which}", 48) for which in ("new", "old"))
    return (
        f"cluster:\n  name: test\n  secret: [{own}]\n  peers:\n{peers}notify:\n{notify}"
        f"services:\n{textwrap.indent(watched, '  ')}"
        f"http:\n  listen: ${{WT_HTTP}}\n  ping_key: {canaries.new('http.ping_key')}\n  tokens:\n{tokens}"
        f"    ops: {{scope: admin, token: {ADMIN_TOKEN}}}\nstorage:\n  path: ${{WT_DISK}}\n"
    )


async def _echo_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """500, with all of the request in the body and in a header."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ),
        0,
    )
    key = re.search(rb"(?i)(?:x-key|authorization): ([^\r]*)", head)
    said = (
        (key[1] if key else b"") + b" | " + head.replace(b"\r\n", b" | ") + await reader.readexactly(length)
    )
    writer.write(
        b"HTTP/1.1 500 No\r\nConnection: close\r\nX-Echo: " + said[:2000] + b"\r\n"
        b"Content-Length: %d\r\n\r\n" % len(said) + said
    )
    await writer.drain()


async def _echo_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An error of Redis that holds what was said."""
    writer.write(b"-ERR you said " + (await reader.read(4096)).replace(b"\r\n", b" ") + b"\r\n")
    await writer.drain()
    await reader.read(4096)


@contextmanager
def echoing() -> Iterator[tuple[int, int]]:
    """Ports of an HTTP server and of a line server that say aloud what they heard."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = Listener(_echo_http), Listener(_echo_line)
    for server in servers:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
    try:
        yield servers[0].port, servers[1].port
    finally:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
