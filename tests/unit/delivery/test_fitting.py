"""Which plugin gets which shape, by what it says of itself, with real plugin objects and nothing sent."""

from __future__ import annotations

import pytest
from apprise.common import NotifyFormat
from support import delivery_storms as storms

from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import channels
from watchtower.delivery.fitting import Fit, barer, fit
from watchtower.delivery.witness import Exchange

SID = "AC" + "0" * 32
SHORT = {
    "twilio": f"twilio://{SID}:{'0' * 32}@15551230000/15551231111",
    "bulksms": "bulksms://user:password@15551231111",
    "seven": "seven://0123456789abcdef/15551231111",
    "smseagle": "smseagle://token@127.0.0.1/15551231111",
}
MARKDOWN = {
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "mattermost": "mmost://127.0.0.1/3ccdd113474722377935511fc85d3dd4",
    "teams": "workflows://host:443/workflow1a/signature123/",
    "zulip": f"zulip://botname@apprise/{'a' * 32}/General",
    "google chat": "gchat://workspace/key/token",
}
TEXT = {
    "pagerduty": "pagerduty://0123456789abcdef0123456789abcdef@source/component",
    "telegram": "tgram://123456789:abcdefg_hijklmnop1234567890abcdef/12315544/",
    "ntfy": "ntfy://127.0.0.1/topic",
    "pushover": f"pover://{'u' * 30}@{'a' * 30}",
    "gotify": "gotify://127.0.0.1/abcdefghijklmno",
}


def fitted(url: str) -> tuple[Fit, int, int]:
    """A storm's digest for the channel, and how long body and title may be."""
    plugin = channels.build(Channel(name="chat", url=Secret(url), schema=url.partition(":")[0]))
    return fit(plugin, storms.storm()), int(plugin.body_maxlen), int(plugin.title_maxlen)


@pytest.mark.parametrize("name", SHORT)
def test_text_messages_are_one_of_160_characters(name: str) -> None:
    """Also where the service would take more and send several."""
    what, limit, _ = fitted(SHORT[name])
    assert what.title == ""
    assert what.body.startswith("[DIGEST] 502 alerts: Orders DB DOWN")
    assert len(what.body) <= min(160, limit)
    assert "\n" not in what.body


@pytest.mark.parametrize("name", MARKDOWN)
def test_what_shows_markdown_gets_markdown_with_its_subject_in_bold(name: str) -> None:
    """The title of such a plugin would be Markdown that nobody has escaped, so there is none."""
    what, limit, _ = fitted(MARKDOWN[name])
    assert (what.title, what.format) == ("", NotifyFormat.MARKDOWN)
    assert what.body.startswith(r"**\[DIGEST\] 502 alerts")
    assert len(what.body) <= limit


@pytest.mark.parametrize("name", TEXT)
def test_everything_else_gets_text_that_fits_with_its_title(name: str) -> None:
    """A plugin without titles writes ours above the body, and both share its room."""
    what, limit, title_max = fitted(TEXT[name])
    assert what.format is NotifyFormat.TEXT
    assert len(what.body) + (len(what.title) + 2) * (title_max == 0) <= limit
    assert what.title.startswith("[DIGEST] 502 alerts")
    assert title_max == 0 or len(what.title) <= title_max


@pytest.mark.parametrize(
    ("status", "is_tried"), [(400, True), (413, True), (422, True), (401, False), (500, False)]
)
def test_only_a_refusal_of_the_form_is_answered_with_another(status: int, is_tried: bool) -> None:
    """Markdown as text, text as its subject, the subject as nothing more."""
    url = MARKDOWN["mattermost"]
    plugin = channels.build(Channel(name="chat", url=Secret(url), schema="mmost"))
    first = fit(plugin, storms.storm())
    second = barer(plugin, storms.storm(), Exchange(status=status), first)
    assert (second is not None) is is_tried
    if second is not None:
        assert second.format is NotifyFormat.TEXT
        third = barer(plugin, storms.storm(), Exchange(status=status), second)
        assert third is not None
        assert third.body == storms.storm().subject
        assert barer(plugin, storms.storm(), Exchange(status=status), third) is None
