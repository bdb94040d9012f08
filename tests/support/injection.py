"""Hostile text as watched services may say it, and what every shape of a message must never do with it.

Used by the table of shapes (unit) and by what arrives at real sinks (contract). `assert_inert` knows the
rules of each format; it knows nothing of how the shapes are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from msgspec.structs import replace
from support import delivery_support as made

from watchtower.core.model import Doubt, Evidence, NoticeKind, Opinion
from watchtower.core.policies import Acknowledgement
from watchtower.delivery.message import Message
from watchtower.delivery.render import render

HOSTILE = {
    "slack mentions": "<!channel> <!here> <!everyone> <@U123> <#C123> <!subteam^S1>",
    "slack link": "<https://evil.example|click here> &lt;!channel&gt;",
    "mass mentions": "@everyone @here @channel @all x@everyone",
    "discord mentions": "<@123456> <@!123456> <@&98765> <#4711> <:a:1> <t:1:R>",
    "a person": "ask @ops-lead or (@admin), mail ops@example.com",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)><b>bold</b>",
    "html ends": "</title><style>*{display:none}</style></pre></p></body>",
    "markdown link": "[Runbook](https://evil.example/login) ![x](https://evil.example/x.png)",
    "markdown reference": "[a][b]\n\n[b]: https://evil.example",
    "markdown autolink": "<https://evil.example> https://evil.example www.evil.example",
    "markdown marks": "# heading\n> quote\n* item\n**bold** _it_ ~~no~~ `code` ||spoiler|| ```\nblock",
    "markdown escapes": "\\[a\\](https://evil.example) \\\\*x*",
    "template": "{{ 7 * 7 }} {% raw %} ${HOME} {{ cycler.__init__.__globals__ }}",
    "mail header": "line one\r\nBcc: victim@example.com\r\n\r\nbody\n.\n",
    "control": "\x00\x1b[31mred\x07\x9b \u202egnp.exe \u200bzero\u2066width\u2069 \u2028next\u2029",
    "quotes": '"; DROP TABLE incidents; -- " \' `backtick`',
    "credentials": "postgres://probe:hunter2@db.internal/orders refused",
    "flood": "x" * 1_000_000,
    "flood of marks": "&<>*_`[" * 150_000,
    "emoji": "\U0001f525" * 200,
    "nothing": "",
}

_INVISIBLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]".replace("\\n", "")
)
_TAGS = {"html", "head", "meta", "title", "body", "div", "p", "strong", "em", "ul", "li", "a"}
OURS = re.compile(r"https?://(runbooks|grafana|status)\.example\.com|http://10\.0\.0\.\d:8080")
"""The addresses of links.settings of delivery_support: the only ones that may become links."""


def hostile_message(text: str) -> Message:
    """A message in which everything that could come from outside is `text`."""
    evidence = tuple(
        Evidence(peer=peer, opinion=opinion, text=text, latency_ms=3)
        for peer, opinion in (("a", Opinion.DOWN), ("b", Opinion.DEGRADED), ("c", Opinion.UP))
    )
    item = made.notification(
        notice_evidence=evidence,
        notice_reason=text,
        notice_instead_of=text,
        notice_instead_because=text,
        doubt=Doubt.MAYBE,
    )
    settings = made.settings()
    titled = replace(settings.services["shop"], title=text[:120] or "shop")
    return render(item, made.state(), replace(settings, services={"shop": titled}))


def hostile_messages(text: str) -> list[Message]:
    """The same in every kind of message: all that a kind shows may be `text`."""
    evidence = (Evidence(peer="a", opinion=Opinion.DOWN, text=text),)
    settings = made.settings()
    titled = replace(settings.services["shop"], title=text[:120] or "shop")
    settings = replace(settings, services={"shop": titled})
    messages = [hostile_message(text)]
    for kind in NoticeKind:
        item = made.notification(kind, notice_evidence=evidence, notice_reason=text, channel=text[:60] or "c")
        state = made.state(replace(item, order=1, id="aa", kind=NoticeKind.FIRING))
        ack = Acknowledgement(by=text[:60], note=text[:200], at_wall=1.0)
        incident = replace(state.incidents[42], reason=text, evidence=evidence, ack=ack)
        state = replace(state, incidents={42: incident})
        messages.append(render(replace(item, members=("aa", "gone")), state, settings))
    messages += [
        render(made.notification(service=f"{what}/{text[:80]}", notice_reason=text), made.state(), settings)
        for what in ("channel", "drill")
    ]
    return messages


def assert_inert_text(text: str) -> None:
    """Text that a channel may search for links and mentions by itself."""
    assert not _INVISIBLE.search(text), _INVISIBLE.search(text)
    assert not re.search(r"@(everyone|here|channel|all|room)\b", text)
    assert not re.search(r"(?<![\w.+-])@\w", text)
    assert not re.search(r"<[!@#&/?a-zA-Z]", OURS.sub("", text))
    assert "hunter2" not in text
    for link in re.findall(r"\w+://\S*", text):
        assert OURS.match(link), link
    assert "www.evil" not in text


def assert_inert_markdown(text: str) -> None:
    """Markdown in which only our own marks and links mean anything (CommonMark's rules of escapes)."""
    bare = re.sub(r"\\[\\`*_\[\]#|~<>+.)=-]", "x", text)
    for link in re.findall(r"\[[^\]]*\]\(([^)]*)\)", bare):
        assert OURS.match(link.replace("%5F", "_")), link
    bare = re.sub(r"\[[^\]]*\]\([^)]*\)", "", bare)
    assert not re.search(r"[\[\]`~|<>]", bare.replace(" | ", "")), bare
    assert not re.search(r"(?m)^\s*(#|\d+\.|[*+]\s)", bare), bare
    assert_inert_text(re.sub(r"\[[^\]]*\]\(", "(", re.sub(r"\\(.)", r"\1", text)))


def assert_inert_slack(payload: dict[str, Any]) -> None:
    """Angle brackets only around our own links, and all within Slack's limits."""
    for text in slack_texts(payload):
        for control in re.findall(r"<[^>]*>?", text):
            assert re.fullmatch(r"<https?://[^|>\s]+(\|[^<>|]+)?>", control), control
            assert OURS.match(control[1:]), control
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert not re.search(r"@(everyone|here|channel|all)\b", text)
        assert not _INVISIBLE.search(text)
    assert 0 < len(payload["text"]) <= 4_000
    assert len(payload.get("blocks", ())) <= 50
    for block in payload.get("blocks", ()):
        _assert_slack_limits(block)


def _assert_slack_limits(block: dict[str, Any]) -> None:
    """See https://docs.slack.dev/reference/block-kit/blocks for the figures."""
    if block["type"] == "header":
        assert 0 < len(block["text"]["text"]) <= 150
    elif block["type"] == "context":
        assert 0 < len(block["elements"]) <= 10
        assert all(0 < len(element["text"]) <= 2_000 for element in block["elements"])
    else:
        assert block["type"] == "section"
        assert block.get("text") or block.get("fields")
        assert len(block.get("fields", ())) <= 10
        assert all(0 < len(field["text"]) <= 2_000 for field in block.get("fields", ()))
        if "text" in block:
            assert 0 < len(block["text"]["text"]) <= 3_000
            assert block["text"]["verbatim"] is True


def slack_texts(node: Any) -> Iterator[str]:
    """Every text of a payload."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "text" and isinstance(value, str):
                yield value
            else:
                yield from slack_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from slack_texts(value)


class _Tags(HTMLParser):
    """Collects tags, attributes, addresses and visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data


def assert_inert_html(html: str) -> None:
    """Only our own tags, attributes and addresses."""
    page = _Tags()
    page.feed(html)
    assert set(page.tags) <= _TAGS
    assert set(page.attributes) <= {"lang", "charset", "name", "content", "style", "href"}
    assert all(OURS.match(address) for address in page.addresses)
    for link in re.findall(r"\w+://\S*", page.text):
        assert OURS.match(link), link
