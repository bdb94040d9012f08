"""The forms of the pages, without a script: who may send them, what is shown first, what refusals say.

Real requests over loopback, in the name of whoever is logged in by the cookie.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.acting_world import ActingWorld, acting_world
from support.web_support import READ, WRITE, serving

from watchtower.core.commands import Answer
from watchtower.core.model import NoticeKind, Stage

FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/incidents/17/ack", {"by": "Jane"}),
    ("/silences", {"matchers": "team=shop", "for": "4h", "confirmed": "yes"}),
    ("/silences/s1/end", {}),
)


def desk() -> ActingWorld:
    """A shop that is down."""
    made = acting_world()
    made.open("shop", 17)
    made.tell(17)
    return made


def send(
    made: ActingWorld, path: str, form: dict[str, str], token: str = WRITE, **headers: str
) -> tuple[int, str, str]:
    """Status, page and where it leads, after logging in with `token` ("" without)."""

    async def main() -> tuple[int, str, str]:
        async with serving(made) as (_, http):
            if token:
                async with http.post("/login", data={"token": token}, allow_redirects=False) as answer:
                    assert answer.status == 303
            wanted = {"Accept": "text/html", **headers}
            async with http.post(path, data=form, headers=wanted, allow_redirects=False) as answer:
                return answer.status, await answer.text(), answer.headers.get("Location", "")

    return asyncio.run(main())


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_a_form_is_taken_from_whoever_may_write_and_from_these_pages(path: str, form: dict[str, str]) -> None:
    """Not from a reader, not without a login (which is offered), not when another site sent it."""
    made = desk()
    assert send(made, path, form, READ)[0] == 403
    status, page, _ = send(made, path, form, "")
    assert (status, "A token, please" in page) == (401, True)
    assert send(made, path, form, Origin="https://evil.example.com")[0] == 401
    assert send(made, path, form, Origin="null")[0] == 401
    assert made.submitted == []


def test_a_silence_shows_what_it_hits_before_it_is_set() -> None:
    """Nothing is written by the first form; the second one is the first with a word more."""
    made = desk()
    form = {"matchers": "team=shop severity!=info", "for": "4h", "reason": "known", "author": "Jane"}
    status, page, _ = send(made, "/silences", form)
    assert (status, "What it hits now" in page) == (200, True)
    assert "#17" in page
    assert made.submitted == []
    assert send(made, "/silences", {**form, "confirmed": "yes"})[::2] == (303, "/silences")
    (silence,) = made.snap.state.silences.values()
    assert (silence.author, silence.reason, silence.ends_wall - silence.starts_wall) == (
        "Jane (ops-lead)",
        "known",
        4 * 3600,
    )
    assert send(made, f"/silences/{silence.id}/end", {"kind": "silence"})[0] == 303
    assert made.snap.state.silences[silence.id].ends_wall <= made.snap.now.wall


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"matchers": "team=shap", "for": "4h"}, "did you mean `shop`?"),
        ({"matchers": "", "for": "4h"}, "1 to 10 matchers"),
        ({"matchers": "team=shop", "for": ""}, "say how long"),
        ({"matchers": "team=shop", "for": "4h", "until": "tomorrow"}, "write it like 2026-11-01 18:00"),
        ({"matchers": "team=shop", "until": "2020-01-01T00:00"}, "over before it begins"),
        ({"matchers": "team=shop", "for": "4h", "reason": "x" * 2000}, "too long"),
    ],
)
def test_a_form_that_is_wrong_comes_back_with_the_way_and_what_was_typed(
    form: dict[str, str], says: str
) -> None:
    """At three in the morning nobody types it twice."""
    made = desk()
    status, page, _ = send(made, "/silences", form)
    text = page.replace("&#39;", "'")
    assert (status, says in text) == (400, True), text
    if form["matchers"]:
        assert f'value="{form["matchers"]}"' in page
    assert made.submitted == []


def test_what_the_cluster_refuses_is_said_on_the_page() -> None:
    """Refused, not known, no majority, no such incident; and the page is still there."""
    made = desk()
    made.answer = Answer(ok=False, reason="the ledger says no")
    status, page, _ = send(made, "/incidents/17/ack", {"by": "Jane"})
    assert (status, "Not done: the ledger says no." in page) == (409, True)
    made.answer = None
    assert send(made, "/silences", {"matchers": "team=shop", "for": "4h", "confirmed": "yes"})[0] == 503
    assert send(made, "/incidents/99/ack", {})[0] == 404
    assert send(made, "/incidents/x/ack", {})[0] == 404
    assert send(made, "/silences/s9/end", {})[0] == 404
    made.answer = Answer(ok=True)
    assert send(made, "/incidents/17/ack", {"by": "Jane"})[::2] == (303, "/incidents/17")
    assert send(made, "/incidents/17/ack", {"withdraw": "yes"})[0] == 303
    assert made.snap.state.incidents[17].ack is None
    made.lose_quorum()
    assert send(made, "/incidents/17/ack", {"by": "Jane"})[0] == 503


@pytest.mark.parametrize("wanted", ["/incidents/17", "/silences", "/"])
def test_whoever_logs_in_comes_back_to_where_they_were(wanted: str) -> None:
    """And nowhere else."""
    assert send(desk(), "/login", {"token": WRITE, "next": wanted}, "")[::2] == (303, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example.com",
        "//evil.example.com",
        "/\\evil.example.com",
        "/login",
        "/incidents/\nx",
        "x" * 999,
    ],
)
def test_logging_in_leads_to_no_other_place(wanted: str) -> None:
    """A link with `next` must not send anybody away."""
    assert send(desk(), "/login", {"token": WRITE, "next": wanted}, "")[::2] == (303, "/")


def test_a_digest_lists_everything_that_it_tells() -> None:
    """All five hundred, each with its incident."""
    made = desk()
    item = next(iter(made.snap.state.notifications.values()))
    members = {
        f"m{number}": replace(
            item, id=f"m{number}", service=f"s-{number:03}", stage=Stage.DIGESTED, digest="d"
        )
        for number in range(500)
    }
    digest = replace(
        item,
        id="d",
        incident=0,
        service="*",
        kind=NoticeKind.DIGEST,
        members=tuple(members),
        stage=Stage.PENDING,
    )
    made.turn(state=replace(made.snap.state, notifications={**members, "d": digest}))

    async def look() -> tuple[str, Any]:
        async with serving(made) as (_, http):
            async with http.get("/notifications/d") as answer:
                page = await answer.text()
            async with http.get("/api/v1/notifications/d") as answer:
                return page, await answer.json()

    page, doc = asyncio.run(look())
    assert "500 alerts" in page
    assert all(f"s-{number:03}" in page for number in range(500))
    assert (doc["members"], len(doc["told"])) == (500, 500)
