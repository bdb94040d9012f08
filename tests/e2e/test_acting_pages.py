"""Acting on an alert in a real Chromium: by a form after logging in, by the link of a message, on a phone.

The server is real, the cluster behind it made up; skipped on machines without Chromium.
"""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.acting_world import ActingWorld, acting_world
from support.web_chromium import Tab, chromium, chromium_path
from support.web_support import NOW, WRITE, serving

from watchtower.core import links
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Level, NoticeKind, Opinion, Stage
from watchtower.core.policies import Why, Withheld

pytestmark = [
    pytest.mark.skipif(chromium_path() is None, reason="needs chromium"),
    pytest.mark.timeout(120),
]


def _broken() -> ActingWorld:
    """A shop that is down, told on chat, with what each peer saw."""
    made = acting_world()
    for peer in ("a", "b"):
        made.vote(peer, "shop", Opinion.DOWN, "timeout after 10 s")
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
    made.open("shop", 17)
    made.tell(17)
    return made


async def _log_in(tab: Tab, base: str, onward: str) -> None:
    await tab.open(f"{base}/login?next={onward}")
    await tab.evaluate(f"document.getElementById('token').value = '{WRITE}'; document.forms[0].submit()")
    await tab.wait(f"location.pathname === '{onward}' && document.readyState === 'complete'")


async def _submit(tab: Tab, form: str, **values: str) -> None:
    """Fill in fields of a form and press its button, as a person does."""
    for name, value in values.items():
        await tab.evaluate(f"document.querySelector('{form} [name={name}]').value = '{value}'")
    await tab.evaluate(f"document.querySelector('{form} button').click()")


def test_an_incident_is_acknowledged_and_silenced_from_its_page() -> None:
    """Log in, take it, see that it is taken; silence it, see first what is hit, then that it is silenced."""

    async def main() -> None:
        made = _broken()
        async with serving(made) as (server, _), chromium() as tab:
            made.server, base = server, f"http://127.0.0.1:{server.port}"
            await tab.open(f"{base}/incidents/17")
            await tab.wait("document.body.innerText.includes('log in')")
            assert await tab.evaluate("document.querySelectorAll('main form').length") == 0
            await _log_in(tab, base, "/incidents/17")
            await _submit(tab, "#ack", by="Jane", note="on it")
            await tab.wait("document.body.innerText.includes('Jane (ops-lead) works on it')")
            ack = made.snap.state.incidents[17].ack
            assert ack is not None
            assert (ack.by, ack.note) == ("Jane (ops-lead)", "on it")
            await _submit(tab, "#silence", reason="known")
            await tab.wait("document.body.innerText.includes('What it hits now')")
            assert made.snap.state.silences == {}
            await tab.evaluate("document.querySelector('[data-hold] button').click()")
            await tab.wait("location.pathname === '/silences' && !document.querySelector('[data-hold]')")
            (silence,) = made.snap.state.silences.values()
            assert (silence.author, silence.reason) == ("ops-lead", "known")
            await tab.wait("document.body.innerText.includes('service=shop')")
            await tab.evaluate("document.querySelector('.quiet-row button').click()")
            await tab.wait("document.querySelector('.quiet-row.over') !== null")
            assert tab.complaints == []

    asyncio.run(main())


def test_the_link_of_a_message_acts_without_logging_in() -> None:
    """From a phone: look, which does nothing; acknowledge; silence for four hours."""

    async def main() -> None:
        made = _broken()
        made.turn(
            settings=replace(made.snap.settings, http=replace(made.snap.settings.http, anonymous_read=False))
        )
        async with serving(made) as (server, _), chromium() as tab:
            path = f"/a/17/{links.code(made.snap.settings, 17)}"
            await tab.call(
                "Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True
            )
            await tab.open(f"http://127.0.0.1:{server.port}{path}")
            assert made.submitted == []
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
            await _submit(tab, "main form", by="Jane")
            await tab.wait("document.body.innerText.includes('Jane (by link) works on it')")
            await tab.evaluate("document.querySelector('#silence button[value=\"4h\"]').click()")
            await tab.wait("document.body.innerText.includes('Silenced until')")
            (silence,) = made.snap.state.silences.values()
            assert silence.ends_wall - silence.starts_wall == 4 * 3600
            assert tab.complaints == []

    asyncio.run(main())


def test_what_somebody_types_is_not_pulled_away() -> None:
    """The page lives, but waits for whoever fills in a form; without one it goes on."""

    async def main() -> None:
        made = _broken()
        async with serving(made) as (server, _), chromium() as tab:
            made.server, base = server, f"http://127.0.0.1:{server.port}"
            await _log_in(tab, base, "/incidents/17")
            await tab.wait("document.getElementById('link-state').textContent === 'live'")
            await tab.evaluate(
                "const note = document.getElementById('note'); note.focus(); note.value = 'on it';"
                "note.dispatchEvent(new Event('input', {bubbles: true})); note.blur(); window.same = note"
            )
            made.tell(17, channel="mail", kind=NoticeKind.ESCALATION)
            made.apply()
            await tab.wait("document.getElementById('link-state').textContent === 'waits for your form'")
            assert await tab.evaluate("document.getElementById('note') === window.same") is True
            await _submit(tab, "#ack")
            await tab.wait("document.body.innerText.includes('ops-lead works on it')")
            assert "escalation" in await tab.evaluate("document.body.innerText")

    asyncio.run(main())


def test_a_filter_and_a_refusal_outlive_events() -> None:
    """What was asked for in the address, and what was wrong with a form together with what was typed."""

    async def main() -> None:
        made = _broken()
        async with serving(made) as (server, _), chromium() as tab:
            made.server, base = server, f"http://127.0.0.1:{server.port}"
            await _log_in(tab, base, "/silences")
            await tab.open(f"{base}/silences?matchers=service=shop")
            await tab.evaluate("window.before = document.getElementById('new')")
            made.apply()
            await tab.wait("document.getElementById('new') !== window.before")
            assert await tab.evaluate("document.getElementById('matchers').value") == "service=shop"
            await _submit(tab, "#new", matchers="team=shap", reason="known")
            await tab.wait("document.body.innerText.includes('did you mean')")
            made.apply()
            await tab.wait("document.getElementById('link-state').textContent === 'waits for your form'")
            assert await tab.evaluate("document.getElementById('reason').value") == "known"
            made.tell(17, channel="mail", kind=NoticeKind.ESCALATION)
            await tab.open(f"{base}/notifications?channel=mail")
            await tab.evaluate("window.before = document.querySelector('.ledger')")
            made.tell(17, Stage.DEAD, "mail", kind=NoticeKind.REMINDER)
            made.apply()
            await tab.wait("document.querySelector('.ledger').innerText.includes('reminder')")
            assert "firing" not in await tab.evaluate("document.querySelector('.ledger').innerText")

    asyncio.run(main())


def test_a_sick_channel_shows_on_every_page_without_a_reload() -> None:
    """The banner comes by an event, and goes when the channel takes something again."""

    async def main() -> None:
        made = _broken()
        async with serving(made) as (server, _), chromium() as tab:
            made.server, base = server, f"http://127.0.0.1:{server.port}"
            for path in ("/", "/notifications", "/incidents/17"):
                made.apply(replace(made.snap.state, channels={}))
                await tab.open(base + path)
                await tab.wait("document.getElementById('link-state').textContent === 'live'")
                assert await tab.evaluate("document.querySelector('.alarms')") is None
                sick = {"chat": ChannelRow(trouble="404 no_service", trouble_wall=NOW)}
                made.apply(replace(made.snap.state, channels=sick))
                await tab.wait(
                    "document.querySelector('.alarms')?.innerText.includes('Channel chat does not work')"
                )
            assert tab.complaints == []

    asyncio.run(main())


def test_the_new_pages_need_no_sideways_scrolling_on_a_phone() -> None:
    """With long texts, a digest of many, and everything that can be withheld, at 360 pixels."""

    async def main() -> None:
        made = _broken()
        state = made.snap.state
        why = Withheld(why=Why.SILENCED, text="silenced by " + "x" * 150)
        made.turn(state=replace(state, incidents={17: replace(state.incidents[17], withheld=why)}))
        made.tell(17, Stage.DEAD, "mail", receipt="y" * 160)
        digest = next(iter(made.snap.state.notifications))
        async with serving(made) as (server, _), chromium() as tab:
            await tab.call(
                "Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True
            )
            base = f"http://127.0.0.1:{server.port}"
            await _log_in(tab, base, "/silences")
            for path in ("/", "/incidents/17", "/notifications", f"/notifications/{digest}", "/silences"):
                await tab.open(base + path)
                width = await tab.evaluate("document.documentElement.scrollWidth")
                assert width <= 360, (path, width)

    asyncio.run(main())
