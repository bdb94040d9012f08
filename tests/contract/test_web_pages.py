"""The pages as HTML: readable without a script, and inert whatever a service, a peer or a config says.

Pages are read back with an HTML parser: what it takes for a tag, a browser would too.
"""

from __future__ import annotations

import asyncio
import html
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from support.web_support import NOW, World, http_service, serving, settings, world

from watchtower.core import links
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Attempt, Level, Opinion, Outcome, Stage
from watchtower.core.policies import (
    Acknowledgement,
    Matcher,
    Silence,
    SilenceKind,
    Why,
    Withheld,
)
from watchtower.delivery.rendering.links import links as message_links
from watchtower.delivery.rendering.links import overview

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*191 }}</title>"


class _Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = html.unescape(re.sub("<[^>]*>", "", page))
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _page(made: World, path: str, status: int = 200) -> _Reader:
    async def main() -> str:
        async with serving(made) as (_, http), http.get(path) as answer:
            assert answer.status == status
            assert answer.content_type == "text/html"
            return await answer.text()

    return _Reader(asyncio.run(main()))


def _troubled() -> World:
    made = world()
    made.vote("a", "shop", Opinion.DOWN, "timeout after 10 s")
    made.vote("b", "shop", Opinion.DOWN, "connection refused")
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
    made.open("shop", 17)
    made.tell(17)
    return made


def test_the_overview_tells_trouble_evidence_and_who_was_told() -> None:
    """Without JavaScript: headline, votes with what each peer saw, incident, notification, refresh."""
    page = _page(_troubled(), "/")
    for words in (
        "Shop is down",
        "timeout after 10 s",
        "connection refused",
        "incident #17",
        "sent by",
        "slack: ok",
    ):
        assert words in page.words, words
    assert ("meta", {"http-equiv": "refresh", "content": "15"}) in page.tags


def test_every_page_answers_in_every_state() -> None:
    """All well, in trouble, blind, and with nothing to watch."""
    blind = _troubled()
    blind.lose_quorum()
    undecided = world()
    undecided.turn(view=replace(undecided.snap.view, standings={}))
    for made in (world(), _troubled(), blind, undecided, World(settings())):
        for path in ("/", "/fragment/overview", "/incidents", "/login"):
            assert _page(made, path).words
    for path in ("/services/shop", "/services/peer/b", "/services/nightly", "/incidents/17"):
        assert _page(_troubled(), path).words
    for path in ("/services/nope", "/incidents/99", "/incidents/x", "/incidents?cursor=zz"):
        assert "Nothing here" in _page(world(), path, 404).words


def test_blind_is_the_first_thing_said() -> None:
    """With how old the rest is."""
    made = _troubled()
    made.lose_quorum(age_s=134)
    page = _page(made, "/")
    assert "Blind: no quorum" in page.words
    assert "2 min 14 s old" in page.words


def _poisoned() -> World:
    """Hostile text wherever text from outside can come from."""
    service = http_service(
        "shop", title=HOSTILE, group=HOSTILE, labels=((HOSTILE, HOSTILE),), url=f"https://h/{HOSTILE}",
        runbook="javascript:alert(3)", dashboard="https://ok.example.com/x", alert=(HOSTILE,),
    )  # fmt: skip
    made = world(service)
    made.result("shop", text=HOSTILE, opinion=Opinion.DOWN)
    made.vote("a", "shop", Opinion.DOWN, HOSTILE)
    made.judge("shop", Level.DOWN, HOSTILE, down=2)
    made.open("shop", 17, reason=HOSTILE)
    made.tell(17, Stage.DELIVERED, receipt=HOSTILE)
    row = replace(made.snap.state.row("c"), doubt=HOSTILE, version=HOSTILE, config_hash=HOSTILE)
    state = replace(made.snap.state, peers={**made.snap.state.peers, "c": row})
    made.turn(state=state, doubt=HOSTILE, reload_error=HOSTILE, ready_reason=HOSTILE)
    return made


@pytest.mark.parametrize("path", ["/", "/services/shop", "/incidents", "/incidents/17"])
def test_hostile_text_is_text(path: str) -> None:
    """It is shown as it is, opens no tag, runs nothing, and no template looks inside it."""
    page = _page(_poisoned(), path)
    assert "<script>alert(1)</script>" in page.words
    assert "1337" not in page.words
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert all(attributes == {"src": "/static/live.js", "defer": None} for attributes in scripts)
    assert not [tag for tag, _ in page.tags if tag in {"img", "iframe", "object", "style"}]
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert not (attributes.get("href") or "").startswith("javascript:")


def test_nothing_comes_from_elsewhere() -> None:
    """Every source and stylesheet is our own."""
    page = _page(_troubled(), "/")
    for tag, attributes in page.tags:
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        assert source is None or source.startswith("/static/"), (tag, source)


def test_no_secret_is_in_any_page() -> None:
    """Neither of the URL nor of a channel nor a token."""
    made = _troubled()
    for path in ("/", "/services/shop", "/incidents/17"):
        page = _page(made, path)
        text = page.words + repr(page.tags)
        for secret in ("hunter2", "s3cret", "slack://", "-token-", "ping-key"):
            assert secret not in text


def test_only_the_listed_files_are_served() -> None:
    """No way out of the folder."""

    async def main() -> None:
        async with serving(world()) as (_, http):
            for path in ("/static/../server.py", "/static/%2e%2e%2fserver.py", "/static/nope", "/static/"):
                async with http.get(path) as answer:
                    assert answer.status == 404, path
            async with http.get("/static/style.css") as answer:
                assert (answer.status, answer.content_type) == (200, "text/css")

    asyncio.run(main())


def test_what_people_and_providers_say_is_text_on_every_page_that_shows_it() -> None:
    """Authors, reasons, notes, receipts, troubles: hostile in every place where they can stand."""
    made = _troubled()
    state = made.snap.state
    silence = Silence(
        id="s1",
        kind=SilenceKind.SILENCE,
        matchers=(Matcher(label="service", patterns=("shop",)),),
        author=HOSTILE,
        reason=HOSTILE,
        starts_wall=NOW,
        ends_wall=NOW + 3600,
        created_wall=NOW,
    )
    told = replace(
        state.incidents[17],
        reason=HOSTILE,
        ack=Acknowledgement(by=HOSTILE, note=HOSTILE, at_wall=NOW),
        withheld=Withheld(why=Why.SILENCED, text=HOSTILE, root=18),
    )
    items = {
        key: replace(item, receipt=HOSTILE, dropped=HOSTILE, stage=Stage.DEAD)
        for key, item in state.notifications.items()
    }
    made.turn(
        state=replace(
            state,
            silences={"s1": silence},
            incidents={17: told},
            notifications=items,
            channels={"chat": ChannelRow(trouble=HOSTILE)},
        )
    )
    link = f"/a/17/{links.code(made.snap.settings, 17)}"
    key = next(iter(items))
    for path in (
        "/",
        "/incidents/17",
        "/incidents",
        "/notifications",
        f"/notifications/{key}",
        "/silences",
        link,
    ):
        page = _page(made, path)
        assert "script" not in [tag for tag, attrs in page.tags if "src" not in attrs], path
        assert not [tag for tag, _ in page.tags if tag == "img"], path
        assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)], path
        assert "{{ 7*191 }}" in page.words, path


@pytest.mark.parametrize("subject", ["shop", "peer/b", "channel/chat", "drill/chat", "cluster"])
def test_every_link_of_a_message_leads_somewhere(subject: str) -> None:
    """A page that is there, and on it the part that is meant."""
    made = _troubled()
    made.open(subject, 18)
    wanted = [*message_links(subject, 18, made.snap.settings, may_act=True), *overview(made.snap.settings)]
    paths = {urlsplit(link.url) for link in wanted}
    assert len(paths) >= 3
    for url in paths:
        page = _page(made, url.path)
        ids = {attrs.get("id") for _, attrs in page.tags}
        assert not url.fragment or url.fragment in ids, (subject, url)


def test_what_explains_a_stage_comes_before_a_long_answer() -> None:
    """Answers are cut after two lines; why it was withdrawn, or waits, must not be."""
    made = _troubled()
    refused = Attempt(
        number=1, peer="b", outcome=Outcome.REJECTED, detail="HTTP 404: " + "x" * 150, at_wall=NOW
    )
    dropped = {"dropped": "acknowledged by Jane", "attempts": (refused,)}
    made.tell(17, Stage.CANCELLED, "mail", **dropped)
    made.tell(17, Stage.CANCELLED, "chat", dropped="acknowledged by Joe")
    words = " ".join(_page(made, "/notifications").words.split())
    assert "withdrawn: acknowledged by Jane; rejected: HTTP 404: xxx" in words
    assert "withdrawn: acknowledged by Joe " in words
