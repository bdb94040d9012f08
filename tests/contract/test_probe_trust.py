"""`ca` and `cert` at every kind of look that speaks TLS: whom it believes, as whom it comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from support.looking import look
from support.targets import Authority, Handler, Listener, hang, hang_up, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import GrpcTarget, ImapTarget, SmtpTarget, Target, TlsTarget, WsTarget

KINDS: Final[dict[str, tuple[Callable[..., Target], Handler]]] = {
    "tls": (lambda port, **own: TlsTarget(host="localhost", port=port, **own), hang),
    "smtps": (
        lambda port, **own: SmtpTarget(host="localhost", port=port, tls=True, **own),
        say(b"220 a\r\n"),
    ),
    "imaps": (lambda port, **own: ImapTarget(host="localhost", port=port, tls=True, **own), say(b"* OK\r\n")),
    "grpcs": (lambda port, **own: GrpcTarget(host="localhost", port=port, tls=True, **own), hang_up),
    "wss": (lambda port, **own: WsTarget(url=f"wss://localhost:{port}/", **own), hang_up),
}


@pytest.fixture
def inner(tmp_path: Path) -> Authority:
    """An authority of the service's own, which no machine trusts."""
    folder = tmp_path / "inner"
    folder.mkdir()
    return Authority(folder, "Inner Authority")


def see(kind: str, inner: Authority, **own: Any) -> Result:
    """One look at a server whose certificate `inner` signed, and which wants one of us that it signed too."""
    context = inner.context("localhost")
    context.load_verify_locations(inner.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    # Later versions refuse a client only after the handshake, when some looks are over.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"] if kind == "grpcs" else ["http/1.1"])
    make, handler = KINDS[kind]

    async def run() -> Result:
        async with Listener(handler, context) as server:
            return await look(make(server.port, **own), timeout_s=3.0)

    return asyncio.run(run())


def is_let_in(kind: str, result: Result) -> bool:
    """Whether the handshake was over: whoever hangs up after it is no server of that kind."""
    if KINDS[kind][1] is hang_up:
        return "first_byte" in result.phases_ms
    return result.opinion is Opinion.UP


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_and_a_certificate_of_the_service(
    kind: str, authority: Authority, inner: Authority
) -> None:
    """With both it is let in; without the one it does not believe, without the other it is not believed."""
    assert authority.ca_file != inner.ca_file
    ca, pem = str(inner.ca_file), str(inner.pem("watchtower"))
    inside = see(kind, inner, ca=ca, cert=pem)
    assert is_let_in(kind, inside), inside
    stranger = see(kind, inner, cert=pem)
    assert (stranger.opinion, stranger.kind) == (Opinion.DOWN, Kind.TLS)
    assert stranger.text == "certificate leads to CN=Inner Authority, which is not trusted here"
    unknown = see(kind, inner, ca=ca)
    assert unknown.opinion is Opinion.DOWN
    assert not is_let_in(kind, unknown), unknown
    lacking = see(kind, inner, ca=ca, cert="/nowhere.pem")
    assert (lacking.opinion, lacking.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
