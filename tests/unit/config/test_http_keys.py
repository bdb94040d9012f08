"""Keys of http services arrive in their targets, as the probe reads them; secrets show themselves nowhere."""

from __future__ import annotations

import base64
from pathlib import Path

import pycurl
import pytest

from watchtower.config.http_targets import read_address, read_proxy
from watchtower.config.loader import load, service_from_url
from watchtower.config.problems import Wrong
from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget, OAuth2
from watchtower.errors import ConfigError
from watchtower.probes.permissions import check_permissions, unreadable_files

WHOLE = """
services:
  basic: {url: https://a.example, auth: {basic: {user: ann, password: "hunter2:x"}}, headers: {X-A: b}}
  bearer: {url: https://a.example, auth: {bearer: hunter2}}
  oauth2:
    url: https://a.example
    auth:
      oauth2: {token_url: https://id.example/token, client_id: me, client_secret: hunter2, scope: a b}
  ways:
    url: https://a.example
    ca: /etc/ca.pem
    cert: /etc/cert.pem
    key: /etc/key.pem
    connection: reuse
    http_version: 2
    address: "[2001:db8::1]:8443"
    ip: 6
    resolver: 10.0.0.53
  proxied: {url: https://a.example, proxy: "socks5://ann:hunter2@proxy.example:1080"}
"""


def test_keys_arrive_in_the_targets(tmp_path: Path) -> None:
    """Each way to ask and each way to get there ends up where the probe reads it."""
    config = tmp_path / "w.yaml"
    config.write_text(WHOLE)
    settings = load(config, peer=None, environ={})
    targets = {name: service.target for name, service in settings.services.items()}
    basic = base64.b64encode(b"ann:hunter2:x").decode()
    url = "https://a.example"
    assert targets == {
        "basic": HttpTarget(
            url=url, headers=(("Authorization", Secret(f"Basic {basic}")), ("X-A", Secret("b")))
        ),
        "bearer": HttpTarget(url=url, headers=(("Authorization", Secret("Bearer hunter2")),)),
        "oauth2": HttpTarget(
            url=url,
            oauth2=OAuth2(
                token_url="https://id.example/token",
                client_id="me",
                client_secret=Secret("hunter2"),
                scope="a b",
            ),
        ),
        "ways": HttpTarget(
            url=url,
            ca="/etc/ca.pem",
            cert="/etc/cert.pem",
            key="/etc/key.pem",
            connection="reuse",
            http_version="2",
            address=("2001:db8::1", 8443),
            ip="6",
            resolver="10.0.0.53",
        ),
        "proxied": HttpTarget(url=url, proxy=Secret("socks5h://ann:hunter2@proxy.example:1080")),
    }
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:81", ("10.0.0.1", 81)),
        ("node-3.internal", ("node-3.internal", 0)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """A host alone keeps the URL's port."""
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "http://10.0.0.1", "10.0.0.1/", "ann@10.0.0.1", "10.0.0.1:0", "a b"])
def test_what_is_no_address(text: str) -> None:
    """Anything but a host and a port is refused."""
    with pytest.raises(Wrong):
        read_address(text)


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "http://proxy", "http://:3128", "ftp://proxy:21", "http://proxy:1/path", "http://p:1?q"],
)
def test_what_is_no_proxy(text: str) -> None:
    """A proxy is a scheme, a host and a port."""
    with pytest.raises(Wrong):
        read_proxy(text)


def test_inner_keys_from_the_command_line() -> None:
    """One look without a file takes inner keys and refuses what does not go together."""
    service = service_from_url("https://a.example", options={"auth": {"bearer": "hunter2"}})
    assert isinstance(service.target, HttpTarget)
    assert service.target.headers == (("Authorization", Secret("Bearer hunter2")),)
    with pytest.raises(ConfigError, match=r"both set Authorization"):
        service_from_url("https://ann:hunter2@a.example", options={"auth": {"bearer": "hunter2"}})


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """Each is named by its key before anything is looked at; what they hold is in no message."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("hunter2")
    config = tmp_path / "w.yaml"
    config.write_text(f"""
services:
  one: {{url: https://a.example, ca: /no/such.pem}}
  two: {{url: https://a.example, ca: {nonsense}}}
  three: {{url: https://a.example, cert: {nonsense}}}
  four: {{url: https://a.example}}
""")
    warnings = unreadable_files(load(config, peer=None, environ={}))
    assert [warning.partition(":")[0] for warning in warnings] == [
        "services.one.ca",
        "services.two.ca",
        "services.three.cert",
    ]
    assert "hunter2" not in "".join(warnings)


def test_a_libcurl_without_a_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this installation cannot speak is refused with the way out, before anything is looked at."""
    config = tmp_path / "w.yaml"
    config.write_text("services: {shop: {url: https://a.example, http_version: 3}}")
    settings = load(config, peer=None, environ={})
    check_permissions(settings)
    old = (*pycurl.version_info()[:4], 0, *pycurl.version_info()[5:])
    monkeypatch.setattr(pycurl, "version_info", lambda: old)
    with pytest.raises(ConfigError, match=r"services.shop: the libcurl .* does not speak HTTP/3"):
        check_permissions(settings)
