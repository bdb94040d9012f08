"""Who should hold the office: each reason against it, and a witness that takes it last."""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import PEERS, Book, instant, settings, view

from watchtower.core import commands as c
from watchtower.core.office import may_claim
from watchtower.core.settings import Settings
from watchtower.core.view import View


def with_witness(me: str, *witnesses: str, config_hash: str = "h1") -> Settings:
    """Settings in which these peers are witnesses."""
    plain = settings(me=me, config_hash=config_hash)
    peers = tuple(replace(peer, witness=peer.name in witnesses) for peer in plain.cluster.peers)
    return replace(plain, cluster=replace(plain.cluster, peers=peers))


def reason(
    book: Book, config: Settings, looks: View | None = None, *, doubt: str = "", boot: float = 100.0
) -> str:
    """Why the peer of `config` should not be the alerter."""
    return may_claim(book.state, config, looks or view(config.me, boot), instant(boot), doubt=doubt)


def test_a_healthy_peer_may() -> None:
    """Nothing speaks against it."""
    assert reason(Book(), settings()) == ""


def test_a_clock_that_is_off_bars_always() -> None:
    """Its times would be wrong in every incident, so rather nobody."""
    looks = view(clock_samples_s={"b": (60.0,), "c": (61.0,)})
    assert reason(Book(), settings(), looks) == "its clock is off"


def test_another_config_or_doubt_bars_while_somebody_else_can() -> None:
    """When nobody else could take over, such a peer is better than none."""
    alone = view(heard=("a",))
    assert reason(Book(), settings(config_hash="h2")) == "its config is not in force"
    assert reason(Book(), settings(config_hash="h2"), alone) == ""
    assert reason(Book(), settings(), doubt="no reference") == "it doubts itself"
    assert reason(Book(), settings(), alone, doubt="no reference") == ""


def test_a_witness_leaves_the_office_to_others() -> None:
    """While another peer that is no witness is eligible and trusts itself, the witness does not claim."""
    assert reason(Book(), with_witness("c", "c")) == "it is a witness"
    assert reason(Book(), with_witness("a", "c")) == ""


def test_a_witness_takes_it_when_nobody_else_can() -> None:
    """Dead, stopping, under another config, in doubt, or witnesses themselves: then the witness alerts."""
    config = with_witness("c", "c")
    assert reason(Book(), config, view("c", heard=("c",))) == ""
    assert reason(Book(), with_witness("c", *PEERS)) == ""
    book = Book()
    book.must("a", c.Leaving(for_s=60, at_wall=0))
    assert reason(book, config) == "it is a witness", "b can"
    book.report("b", config_hash="h2")
    assert reason(book, config) == ""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, doubt="no reference")
    assert reason(book, config) == ""
    assert reason(book, config, doubt="no reference") == "it is a witness", "all doubt: then rather not it"


def test_a_witness_that_has_just_started_listens_first() -> None:
    """It has heard nobody yet, which does not mean that nobody is there."""
    config = with_witness("c", "c")
    early, late = (view("c", boot, heard=("c",), started_boot=90.0) for boot in (100.0, 106.0))
    assert "not listened long enough" in reason(Book(), config, early)
    assert reason(Book(), config, late, boot=106.0) == ""


def test_who_counts_is_a_member() -> None:
    """A peer of the file that is no member is nobody to leave the office to."""
    book = Book(peers=("a", "c"))
    assert reason(book, with_witness("c", "c"), view("c", heard=("b", "c"))) == ""
