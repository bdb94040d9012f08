"""Good files: what each shape of the format becomes in Settings.

Files that are wrong are test_broken_files.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.config_support import SECRET, THREE_PEERS, load_text

from watchtower.config.loader import load
from watchtower.core.alerting import routing
from watchtower.core.policies import Severity
from watchtower.core.secret import Secret
from watchtower.core.settings import Confirm, HistorySettings, Recover
from watchtower.core.targets import DnsTarget, HeartbeatTarget, HttpTarget, PeerTarget, TcpTarget, TlsTarget
from watchtower.errors import ConfigError


def test_an_empty_file_is_a_single_peer(tmp_path: Path) -> None:
    """Without `cluster:` there is one peer `a` in the cluster `single`, without Raft port or secret."""
    settings = load_text(tmp_path, "", peer=None)
    assert settings.me == "a"
    assert settings.cluster.name == "single"
    assert settings.cluster.secrets == ()
    (peer,) = settings.cluster.peers
    assert (peer.name, peer.raft_host, peer.raft_port) == ("a", "127.0.0.1", 0)
    assert peer.http_url == "http://127.0.0.1:8080"
    assert settings.services == {}
    assert settings.storage_path == "data"
    assert settings.history == HistorySettings(is_on=True, samples_kept_s=86_400.0)
    assert settings.probe.concurrency == 200


def test_the_peer_is_the_argument_then_the_variable(tmp_path: Path) -> None:
    """`--peer` wins over WATCHTOWER_PEER, which names the single peer, too."""
    both = {"SECRET": SECRET, "WATCHTOWER_PEER": "b"}
    assert load_text(tmp_path, THREE_PEERS, peer=None, environ=both).me == "b"
    assert load_text(tmp_path, THREE_PEERS, peer="c", environ=both).me == "c"
    single = load_text(tmp_path, "services:", peer=None, environ={"WATCHTOWER_PEER": "lone"})
    assert single.me == "lone"
    assert single.cluster.peer_names == ("lone",)


def test_a_cluster_of_one_needs_no_peer_said(tmp_path: Path) -> None:
    """With one peer under `cluster:` nobody must say which it is, and nobody watches it."""
    text = "cluster: {name: x, secret: '${SECRET}', peers: {z: {raft: z:1, http: http://z}}}"
    settings = load_text(tmp_path, text, peer=None)
    assert settings.me == "z"
    assert settings.services == {}


def test_the_cluster_section(tmp_path: Path) -> None:
    """Peers come sorted by name with host, port, URL, zone and provider; secrets keep their order."""
    settings = load_text(
        tmp_path,
        THREE_PEERS.replace("${SECRET}", '["${SECRET}", "x${SECRET}"]')
        + "  reference: [tcp://1.1.1.1:53, https://www.gstatic.com/generate_204]\n"
        + "  without_quorum: {after: 45s}\n"
        + "notify: {chat: 'slack://a/b/c'}\n",
    )
    cluster = settings.cluster
    assert cluster.peer_names == ("a", "b", "c")
    assert cluster.secrets == (Secret(SECRET), Secret("x" + SECRET))
    assert (cluster.peer("c").raft_host, cluster.peer("c").raft_port) == ("2001:db8::1", 7700)
    assert cluster.peer("c").provider == "hetzner"
    assert cluster.peer("b").http_url == "http://10.0.2.10:8080"
    assert cluster.reference == ("tcp://1.1.1.1:53", "https://www.gstatic.com/generate_204")
    assert (cluster.without_quorum.after_s, cluster.without_quorum.policy) == (45.0, "hold")
    assert cluster.without_quorum.notify == "chat"


def test_a_profile_sets_how_long_peers_wait_for_one_another(tmp_path: Path) -> None:
    """`lan` is the default; `wan` waits three times as long everywhere."""
    lan = load_text(tmp_path, THREE_PEERS).cluster.timing
    wan = load_text(tmp_path, THREE_PEERS + "  profile: wan\n").cluster.timing
    assert (lan.raft_min_s, lan.raft_max_s, lan.lease_s, lan.margin_s) == (1.0, 2.0, 3.0, 1.0)
    assert all(getattr(wan, name) == pytest.approx(3 * getattr(lan, name)) for name in lan.__struct_fields__)


def test_a_witness_is_watched_and_judges_nothing(tmp_path: Path) -> None:
    """A witness is a peer like the others, but the voters of services and peers are the others alone."""
    text = THREE_PEERS.replace("provider: hetzner}", "provider: hetzner, witness: true}")
    settings = load_text(tmp_path, text + "services: {t: 'tcp://h:1'}\n")
    assert settings.cluster.peer_names == ("a", "b", "c")
    assert (settings.cluster.voter_names, settings.cluster.witness_names) == (("a", "b"), frozenset("c"))
    assert settings.services["t"].voters == ("a", "b")
    assert settings.services["peer/a"].voters == ("b",)
    assert settings.services["peer/c"].voters == ("a", "b")


def test_peers_watch_each_other(tmp_path: Path) -> None:
    """Each peer is a service `peer/x` that all OTHER peers vote on, every 5 s."""
    settings = load_text(tmp_path, THREE_PEERS + "notify: {chat: 'json://h'}\nservices: {t: 'tcp://h:1'}\n")
    assert set(settings.services) == {"t", "peer/a", "peer/b", "peer/c"}
    peer = settings.services["peer/b"]
    assert peer.target == PeerTarget(peer="b", url="http://10.0.2.10:8080")
    assert peer.voters == ("a", "c")
    assert (peer.interval_s, peer.timeout_s) == (5.0, 2.0)
    assert peer.confirm == Confirm(failures=2, recheck_s=1.0)
    assert peer.recover == Recover(successes=2)
    assert (peer.alert, peer.severity) == (None, Severity.WARNING)
    assert settings.services["t"].voters == ("a", "b", "c")


def test_a_url_alone_is_a_service(tmp_path: Path) -> None:
    """The scheme picks the probe; everything else is the documented default."""
    services = load_text(
        tmp_path,
        """
        services:
          shop: https://shop.example.com/healthz
          plain: http://shop.example.com:8080
          db: tcp://db.internal:5432
          v6: tcp://[2001:db8::7]:443
          cert: tls://shop.example.com
          name: dns:www.example.com
          ask: dns://8.8.8.8/www.example.com?type=aaaa
        """,
    ).services
    assert services["shop"].target == HttpTarget(url="https://shop.example.com/healthz")
    assert services["plain"].kind == "http"
    assert services["db"].target == TcpTarget(host="db.internal", port=5432)
    assert services["v6"].target == TcpTarget(host="2001:db8::7", port=443)
    assert services["cert"].target == TlsTarget(host="shop.example.com", port=443)
    assert services["name"].target == DnsTarget(name="www.example.com")
    assert services["ask"].target == DnsTarget(name="www.example.com", type="AAAA", servers=("8.8.8.8",))
    shop = services["shop"]
    assert (shop.interval_s, shop.timeout_s, shop.jitter) == (30.0, 10.0, 0.1)
    assert shop.confirm == Confirm(failures=2, recheck_s=1.0, partial_after_s=120.0)
    assert shop.recover == Recover(successes=2, recheck_s=1.0)
    assert (shop.expect, shop.warn, shop.alert) == ((), (), None)
    assert shop.severity is Severity.CRITICAL


def test_a_service_in_full(tmp_path: Path) -> None:
    """Every key of an http service arrives where it belongs."""
    service = load_text(
        tmp_path,
        """
        notify: {a: json://h, b: json://i}
        services:
          shop:
            url: https://shop.example.com/healthz
            interval: 1m30s
            timeout: 800ms
            jitter: 5%
            expect: [status in 200 204, json.db == up, time < 800ms or status == 404]
            warn: cert.expires > 21d
            confirm: {failures: 3, recheck: 2s, partial_after: 5m, peers: all}
            recover: {successes: 4, recheck: 3s}
            alert: [b, a]
            title: The Shop
            group: front
            runbook: https://wiki.example.com/shop
            dashboard: https://grafana.example.com/d/1?var=shop
            labels: {team: web, env: "on"}
            method: POST
            headers: {X-Id: "1", Accept: text/plain}
            body: '{"ok": true}'
            follow_redirects: false
            verify: false
        """,
    ).services["shop"]
    assert service.target == HttpTarget(
        url="https://shop.example.com/healthz",
        method="POST",
        headers=(("Accept", Secret("text/plain")), ("X-Id", Secret("1"))),
        body='{"ok": true}',
        follow_redirects=0,
        verify=False,
    )
    assert (service.interval_s, service.timeout_s, service.jitter) == (90.0, 0.8, 0.05)
    assert [condition.text for condition in service.expect] == [
        "status in 200 204",
        "json.db == up",
        "time < 800ms or status == 404",
    ]
    assert service.warn[0].clauses[0].value == 21 * 86_400
    assert service.confirm == Confirm(failures=3, recheck_s=2.0, partial_after_s=300.0)
    assert service.recover == Recover(successes=4, recheck_s=3.0)
    assert service.alert == ("b", "a")
    assert (service.shown_as, service.group) == ("The Shop", "front")
    assert service.runbook == "https://wiki.example.com/shop"
    assert service.dashboard == "https://grafana.example.com/d/1?var=shop"
    assert service.labels == (("env", "on"), ("team", "web"))


def test_dns_tls_and_heartbeat_in_their_mapping_forms(tmp_path: Path) -> None:
    """`dns:` with type and servers, tls with its name, a heartbeat with period and grace."""
    services = load_text(
        tmp_path,
        """
        services:
          www: {dns: www.example.com, type: mx, servers: [192.0.2.53, "[2001:db8::53]:5353", ns1.example.com]}
          one: {dns: example.com, servers: 192.0.2.53:54, expect: [answers in 192.0.2.10 192.0.2.11]}
          cert: {url: tls://10.0.0.1:8443, server_name: shop.example.com, verify: false}
          backup: {heartbeat: 1d, grace: 30m}
          beat: {heartbeat: 90s}
        http: {ping_key: 0123456789abcdef}
        """,
    ).services
    servers = ("192.0.2.53", "[2001:db8::53]:5353", "ns1.example.com")
    assert services["www"].target == DnsTarget(name="www.example.com", type="MX", servers=servers)
    assert services["one"].target == DnsTarget(name="example.com", servers=("192.0.2.53:54",))
    assert services["cert"].target == TlsTarget(
        host="10.0.0.1", port=8443, server_name="shop.example.com", verify=False
    )
    assert services["backup"].target == HeartbeatTarget(period_s=86_400.0, grace_s=1800.0)
    assert services["beat"].target == HeartbeatTarget(period_s=90.0, grace_s=300.0)


def test_defaults_are_taken_over_key_by_key(tmp_path: Path) -> None:
    """A service overrides single keys, inside `confirm` and `recover` too."""
    services = load_text(
        tmp_path,
        """
        notify: {a: json://h, b: json://i}
        defaults:
          interval: 20s
          timeout: 8s
          jitter: 0%
          confirm: {failures: 5, recheck: 3s}
          recover: {successes: 7}
          alert: b
          severity: warning
        services:
          x: tcp://h:1
          y: {url: tcp://h:2, severity: info, interval: 1m, confirm: {recheck: 1s}, alert: a, jitter: 1%}
          z: {url: tcp://h:3, alert: []}
        """,
    ).services
    assert (services["x"].interval_s, services["x"].timeout_s, services["x"].jitter) == (20.0, 8.0, 0.0)
    assert services["x"].confirm == Confirm(failures=5, recheck_s=3.0)
    assert services["x"].recover == Recover(successes=7)
    assert (services["x"].alert, services["x"].severity) == (None, Severity.WARNING)
    assert services["y"].confirm == Confirm(failures=5, recheck_s=1.0)
    assert (services["y"].interval_s, services["y"].jitter, services["y"].alert) == (60.0, 0.01, ("a",))
    assert services["y"].severity is Severity.INFO
    assert services["z"].alert == ()


def test_a_short_interval_shortens_a_timeout_that_nobody_chose(tmp_path: Path) -> None:
    """The default timeout gives way, so that one look ends before the next."""
    services = load_text(tmp_path, "services: {x: {url: 'tcp://h:1', interval: 4s}}").services
    assert services["x"].timeout_s == 4.0


def test_channels(tmp_path: Path) -> None:
    """Short and long form; only the scheme is public; the first one is who is told by default."""
    settings = load_text(
        tmp_path,
        """
        notify:
          oncall: {url: PagerDuty://key, fallback: chat}
          chat: slack://${T}/#ops
        services: {x: "tcp://h:1"}
        """,
        environ={"T": "hunter2"},
    )
    oncall, chat = settings.channels["oncall"], settings.channels["chat"]
    assert (oncall.schema, oncall.fallback) == ("pagerduty", "chat")
    assert chat.url.reveal() == "slack://hunter2/#ops"
    assert "hunter2" not in repr(settings)
    assert settings.services["x"].alert is None
    assert routing.of_service(settings.services["x"], settings, 0.0).at_once == ("oncall",)


def test_the_http_section(tmp_path: Path) -> None:
    """Listen address, base path, public URL, tokens and ping key."""
    http = load_text(
        tmp_path,
        """
        http:
          listen: :9000
          base_path: /watch/
          public_url: https://watch.example.com/
          anonymous_read: false
          ping_key: 0123456789abcdef
          tokens:
            ops-lead: {scope: write, token: abcdefghijklmnop}
            ci: {scope: read, token: ponmlkjihgfedcba}
        alerting: {resolved: false}
        storage: {path: /var/lib/watchtower, history: false, retention: 2d}
        breakers: {error_threshold: 55%, window: 2m, volume: 8}
        probe: {concurrency: 50}
        """,
    )
    assert (http.http.listen_host, http.http.listen_port, http.http.base_path) == ("0.0.0.0", 9000, "/watch")
    assert http.http.public_url == "https://watch.example.com"
    assert http.http.anonymous_read is False
    assert http.http.ping_key == Secret("0123456789abcdef")
    assert [(token.name, token.scope) for token in http.http.tokens] == [
        ("ci", "read"),
        ("ops-lead", "write"),
    ]
    assert http.alerting.resolved is False
    assert http.storage_path == "/var/lib/watchtower"
    assert http.history == HistorySettings(is_on=False, samples_kept_s=172_800.0)
    assert http.probe.concurrency == 50
    assert http.cluster.peers[0].http_url == "https://watch.example.com"


def test_expansion_comes_after_parsing(tmp_path: Path) -> None:
    """What `${}` puts in is never YAML: braces, colons, quotes and line breaks stay what they are."""
    (tmp_path / "token").write_text("from: 'a file'\n")
    target = load_text(
        tmp_path,
        """
        services:
          x:
            url: https://${HOST}/
            interval: ${INTERVAL:-20s}
            body: "${BODY} $${literal} ${EMPTY:-default} ${NONE:-}"
            headers:
              X-File: ${file:token}
        """,
        environ={"HOST": "h.example.com", "BODY": "{a: [1, 2]} # no comment: 'x'", "EMPTY": ""},
    ).services["x"]
    assert isinstance(target.target, HttpTarget)
    assert target.target.url == "https://h.example.com/"
    assert target.interval_s == 20.0
    assert target.target.body == "{a: [1, 2]} # no comment: 'x' ${literal} default "
    assert target.target.headers == (("X-File", Secret("from: 'a file'")),)


def test_user_info_of_a_url_becomes_a_header(tmp_path: Path) -> None:
    """A password in a service's URL is moved to where nobody shows it."""
    service = load_text(
        tmp_path, "services: {x: 'https://u%40x:${P}@h.example.com:8443/p?q=1'}", environ={"P": "pass"}
    ).services["x"]
    assert service.target == HttpTarget(
        url="https://h.example.com:8443/p?q=1", headers=(("Authorization", Secret("Basic dUB4OnBhc3M=")),)
    )


def test_conditions_show_what_was_written(tmp_path: Path) -> None:
    """The text of a condition holds `${}` as written, because people read it; the value is put in."""
    service = load_text(
        tmp_path,
        'services: {x: {url: "https://h", expect: ["header.x-key == ${KEY}"]}}',
        environ={"KEY": "hunter2"},
    ).services["x"]
    assert service.expect[0].text == "header.x-key == ${KEY}"
    assert service.expect[0].clauses[0].value == "hunter2"


def test_yaml_does_not_guess(tmp_path: Path) -> None:
    """`NO`, `on`, `012`, `1.10` and `23:0` stay the text they are."""
    labels = (
        load_text(
            tmp_path,
            "services: {x: {url: 'dns:h', labels: {a: NO, b: on, c: 012, d: 1.10, e: 2026-01-01, f: 23:0}}}",
        )
        .services["x"]
        .labels
    )
    expected = {"a": "NO", "b": "on", "c": "012", "d": "1.10", "e": "2026-01-01", "f": "23:0"}
    assert dict(labels) == expected


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    """Files from other editors load."""
    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xef\xbb\xbfservices:\r\n  x: tcp://h:1\r\n")
    assert set(load(path, peer=None, environ={}).services) == {"x"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"# " + b"x" * 4_194_304, "larger than 4 MiB")],
    ids=["missing", "binary", "huge"],
)
def test_an_unreadable_file_says_why(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """A file that is not there, not text or endless is a ConfigError with its name."""
    path = tmp_path / "w.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=expected) as caught:
        load(path, peer=None, environ={})
    assert str(path) in str(caught.value)
