"""Trust derived from the secret: who gets through a TLS handshake, and which name they have then."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from watchtower.cluster import trust as trust_module
from watchtower.cluster.trust import Trust
from watchtower.core.secret import Secret
from watchtower.errors import ClusterError

OLD, NEW = "old" * 12, "new" * 12


def trust_of(peer: str, *secrets: str, cluster: str = "prod") -> Trust:
    """Trust of `peer` with `secrets`."""
    return Trust(cluster=cluster, peer=peer, secrets=tuple(Secret(text) for text in secrets))


def handshake(server: Trust, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a TLS connection made in memory. Raises ssl.SSLError when either refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server),
    )
    for _ in range(4):
        for end in reversed(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([OLD], [OLD]),
        ([OLD], [OLD, NEW]),
        ([OLD, NEW], [NEW, OLD]),
        ([NEW, OLD], [OLD, NEW]),
        ([NEW, OLD], [NEW]),
        ([NEW], [NEW]),
    ],
)
def test_neighbouring_steps_of_a_rotation_connect_and_name_each_other(
    ours: list[str], theirs: list[str]
) -> None:
    """In every step of rotating the secret the peers authenticate each other, by name, over TLS 1.3."""
    a, b = trust_of("a", *ours), trust_of("b", *theirs)
    server, client = handshake(a, b.client)
    assert a.peer_name(server) == "b"
    assert b.peer_name(client) == "a"
    assert server.version() == "TLSv1.3"


@pytest.mark.parametrize(
    "stranger",
    [trust_of("b", NEW), trust_of("b", OLD, cluster="staging")],
    ids=["another secret", "another cluster name"],
)
def test_another_secret_or_cluster_name_is_refused_by_both_sides(stranger: Trust) -> None:
    """Peers of another secret or of another cluster with the same secret do not trust each other."""
    a = trust_of("a", OLD)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(a, stranger.client)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stranger, a.client)


def test_the_server_itself_verifies_the_callers_chain() -> None:
    """A caller that accepts any server is still refused when its own certificate is of another cluster."""
    careless = trust_of("b", NEW).client
    careless.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(trust_of("a", OLD), careless)


def test_a_caller_without_certificate_is_refused() -> None:
    """TLS alone is not enough: the caller must show a certificate."""
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(trust_of("a", OLD), anonymous)


def test_tls_1_2_is_refused() -> None:
    """An older TLS version does not connect."""
    old = trust_of("b", OLD).client
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(trust_of("a", OLD), old)


def test_the_authority_depends_on_secret_and_cluster_name_alone() -> None:
    """Every peer derives the very same CA certificate, and another one for other inputs."""

    def pem(cluster: str, secret: str) -> str:
        return trust_module._pem(trust_module._authority(cluster, Secret(secret))[1])

    assert pem("prod", OLD) == pem("prod", OLD)
    assert len({pem("prod", OLD), pem("prod", NEW), pem("staging", OLD)}) == 3


def test_no_certificate_expires() -> None:
    """A wrong clock must not lock a peer out: certificates are valid until 9999."""
    server, _ = handshake(trust_of("a", OLD), trust_of("b", OLD).client)
    certificate = server.getpeercert()
    assert certificate is not None
    assert "9999" in str(certificate["notAfter"])


def test_names_with_dots_stay_themselves() -> None:
    """The peer name is all of the SAN before the cluster's own ending."""
    a, b = trust_of("a", OLD, cluster="eu.prod"), trust_of("b.west-1_x", OLD, cluster="eu.prod")
    server, _ = handshake(a, b.client)
    assert a.peer_name(server) == "b.west-1_x"


def test_no_connection_has_no_name() -> None:
    """Without TLS there is no name."""
    assert trust_of("a", OLD).peer_name(None) is None


def test_without_a_secret_there_is_no_trust() -> None:
    """A missing secret is told in words."""
    with pytest.raises(ClusterError, match=r"cluster\.secret is missing"):
        trust_of("a")


def test_the_private_file_is_used_where_memory_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without memfd the same identity loads from a private file that is gone afterwards."""
    monkeypatch.delattr("os.memfd_create")
    paths = []
    with trust_module._as_file(b"content") as path:
        paths.append(Path(path))
        assert paths[0].stat().st_mode & 0o777 == 0o600
        assert paths[0].parent.stat().st_mode & 0o777 == 0o700
        assert paths[0].read_bytes() == b"content"
    assert not paths[0].parent.exists()
    server, _ = handshake(trust_of("a", OLD), trust_of("b", OLD).client)
    assert server.version() == "TLSv1.3"
