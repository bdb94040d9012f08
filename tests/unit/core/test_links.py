"""Links in messages: any peer checks them, a rotation spares them, and they fit one incident only."""

from __future__ import annotations

from msgspec.structs import replace
from support.web_support import http_service, settings

from watchtower.core import links
from watchtower.core.secret import Secret
from watchtower.core.settings import Settings

OLD, NEW = Secret("k" * 32), Secret("n" * 32)


def _with(*secrets: Secret, **http: object) -> Settings:
    made = settings(http_service("shop"))
    return replace(made, cluster=replace(made.cluster, secrets=secrets), http=replace(made.http, **http))


def test_a_code_fits_its_incident_and_no_other() -> None:
    """Neither the next incident, nor a shorter, longer or strange word."""
    made = _with(OLD)
    word = links.code(made, 17)
    assert len(word) == links.CODE_CHARS
    assert links.is_code(made, 17, word)
    assert not links.is_code(made, 18, word)
    for wrong in ("", word[:-1], word + "A", word.swapcase(), "é" * 16, "\udcff" * 16):
        assert not links.is_code(made, 17, wrong)


def test_every_secret_of_the_ring_is_accepted_and_the_first_one_makes() -> None:
    """A rotation voids no link that is already in somebody's pocket; a secret that left voids them."""
    before, during, after = _with(OLD), _with(NEW, OLD), _with(NEW)
    word = links.code(before, 17)
    assert links.is_code(during, 17, word)
    assert links.code(during, 17) == links.code(after, 17)
    assert not links.is_code(after, 17, word)


def test_other_clusters_with_the_same_secret_make_other_codes() -> None:
    """Staging often shares what it should not."""
    made = _with(OLD)
    other = replace(made, cluster=replace(made.cluster, name="staging"))
    assert links.code(made, 17) != links.code(other, 17)


def test_without_a_cluster_secret_the_tokens_that_may_act_make_the_code() -> None:
    """And where nobody may act there is no link."""
    assert links.is_code(_with(), 17, links.code(_with(), 17))
    nobody = _with(tokens=())
    assert links.code(nobody, 17) == ""
    assert not links.is_code(nobody, 17, "")
