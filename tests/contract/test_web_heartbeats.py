"""Heartbeats in: 200 only once the beat is in the log, and nothing is learned by trying.

The log is a stand-in that answers, refuses or keeps silent as the test wishes.
"""

from __future__ import annotations

import asyncio
import io

import aiohttp
import pytest
from msgspec.structs import replace
from support.web_support import PING_KEY, eventually, serving, world

from watchtower.core.beats import Beat, Signal
from watchtower.core.commands import Answer, BeatSeen
from watchtower.web.heartbeats import WORDS_MAX

PATH = f"/ping/{PING_KEY}/nightly"


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_beat_is_taken_by_every_method(method: str) -> None:
    """And proposed with the time of this peer."""

    async def main() -> None:
        made = world(anonymous_read=False)
        async with serving(made) as (_, http), http.request(method, PATH) as answer:
            assert answer.status == 200
        assert made.submitted == [BeatSeen(service="nightly", at_wall=made.snap.now.wall)]

    asyncio.run(main())


def test_200_comes_only_after_the_commit() -> None:
    """While the log is silent so are we."""

    async def main() -> None:
        made = world()
        made.gate = asyncio.Event()
        async with serving(made) as (_, http):
            call = asyncio.create_task(http.get(PATH))
            await eventually(lambda: bool(made.submitted))
            done, _ = await asyncio.wait([call], timeout=0.2)
            assert not done
            made.gate.set()
            assert (await call).status == 200

    asyncio.run(main())


@pytest.mark.parametrize("answer", [None, Answer(ok=False, reason="too many heartbeats")])
def test_what_is_not_surely_in_the_log_is_503(answer: Answer | None) -> None:
    """With Retry-After, so that curl --retry tries again."""

    async def main() -> None:
        made = world()
        made.answer = answer
        async with serving(made) as (_, http), http.post(PATH) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
            assert "again" in (await response.json())["detail"]

    asyncio.run(main())


def test_wrong_key_unknown_service_and_other_kinds_look_the_same() -> None:
    """Same status, same body; nothing is proposed."""

    async def main() -> None:
        made = world()
        seen = set()
        async with serving(made) as (_, http):
            for path in (
                "/ping/wrong/nightly", "/ping/wrong/nope", f"/ping/{PING_KEY}/nope", f"/ping/{PING_KEY}/shop",
                f"/ping/{PING_KEY}/peer/b", f"/ping/{PING_KEY}x/nightly", "/ping/%E2%98%83/nightly",
            ):  # fmt: skip
                async with http.get(path) as answer:
                    seen.add((answer.status, await answer.text()))
        assert len(seen) == 1
        assert seen.pop()[0] == 404
        assert made.submitted == []

    asyncio.run(main())


def test_without_a_ping_key_there_are_no_heartbeats() -> None:
    """An empty key is no key."""

    async def main() -> None:
        made = world(ping_key=None)
        async with serving(made) as (_, http):
            for path in ("/ping//nightly", "/ping/x/nightly", "/ping/%20/nightly"):
                async with http.get(path) as answer:
                    assert answer.status == 404

    asyncio.run(main())


def test_calls_that_come_together_share_one_entry() -> None:
    """Twenty calls, one proposal, twenty times 200."""

    async def main() -> None:
        made = world()
        made.gate = asyncio.Event()
        async with serving(made) as (_, http):
            calls = [asyncio.create_task(http.get(PATH)) for _ in range(20)]
            await eventually(lambda: bool(made.submitted))
            made.gate.set()
            answers = await asyncio.gather(*calls)
            assert {answer.status for answer in answers} == {200}
        assert len(made.submitted) < 20

    asyncio.run(main())


def test_a_beat_within_a_second_of_the_last_is_the_same_beat() -> None:
    """A runaway job does not flood the log; a second later it counts again."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            beat = Beat(at_wall=made.snap.now.wall - 0.5)
            made.snap = replace(made.snap, state=replace(made.snap.state, beats={"nightly": beat}))
            async with http.get(PATH) as answer:
                assert answer.status == 200
            assert made.submitted == []
            made.turn()
            async with http.get(PATH) as answer:
                assert answer.status == 200
            assert len(made.submitted) == 1

    asyncio.run(main())


def test_a_body_is_taken_up_to_the_limit_and_refused_above() -> None:
    """A MiB is enough for anybody's last words, however it is sent."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            async with http.post(PATH, data=io.BytesIO(b"x" * 1_000_000)) as answer:
                assert answer.status == 200
            made.turn()
            async with http.post(PATH, data=io.BytesIO(b"x" * 2_000_000)) as answer:
                assert answer.status == 413

    asyncio.run(main())


@pytest.mark.parametrize(
    ("word", "signal", "code"),
    [
        ("", Signal.BEAT, 0),
        ("/start", Signal.START, 0),
        ("/fail", Signal.FAIL, 0),
        ("/log", Signal.LOG, 0),
        ("/0", Signal.BEAT, 0),
        ("/00", Signal.BEAT, 0),
        ("/1", Signal.FAIL, 1),
        ("/255", Signal.FAIL, 255),
        ("/start?rid=8dbb7d4e-3a8b-4cf2-a7bc-3d7f5a2f9d11", Signal.START, 0),
    ],
)
def test_the_end_of_the_path_says_more(word: str, signal: Signal, code: int) -> None:
    """Start, failure, words alone, and an exit status as the shell has it."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http), http.post(PATH + word, data="all\nwell") as answer:
            assert answer.status == 200
        now_wall = made.snap.now.wall
        assert made.submitted == [
            BeatSeen(service="nightly", at_wall=now_wall, signal=signal, exit=code, text="all well")
        ]

    asyncio.run(main())


@pytest.mark.parametrize("word", ["stop", "256", "-1", "1000", "START", "start/now", "%00", "0x1", ""])
def test_other_words_are_not_found(word: str) -> None:
    """They look like a wrong key, and nothing is proposed."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http), http.get(f"{PATH}/{word}") as answer:
            assert answer.status == 404
        assert made.submitted == []

    asyncio.run(main())


def test_the_end_of_a_long_body_is_kept_without_secrets() -> None:
    """What went wrong comes last; the ping key, passwords in URLs and escapes do not stay."""

    async def main() -> None:
        made = world()
        body = b"x" * 100_000 + f"\ncurl /ping/{PING_KEY}/x\n\x1b[31mhttps://me:hunter2@db/ gone\xff".encode(
            "latin-1"
        )
        async with serving(made) as (_, http), http.post(f"{PATH}/3", data=body) as answer:
            assert answer.status == 200
        (seen,) = made.submitted
        assert isinstance(seen, BeatSeen)
        assert seen.text.endswith("x curl /ping/***/x [31mhttps://***@db/ gone\ufffd")
        assert len(seen.text) == WORDS_MAX

    asyncio.run(main())


def test_an_end_right_after_a_start_counts() -> None:
    """Only the same signal twice within a second is one; a quick job says both."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            wall = made.snap.now.wall
            for beat, word, is_new in (
                (Beat(at_wall=wall - 0.3, started_wall=wall - 0.1), "", True),
                (Beat(at_wall=wall - 0.3, started_wall=wall - 0.1), "/start", False),
                (Beat(at_wall=wall - 0.3), "/start", True),
                (Beat(at_wall=wall - 0.3), "/0", False),
                (Beat(at_wall=wall - 0.3), "/2", True),
                (Beat(at_wall=wall - 0.3, failed_wall=wall - 0.1), "/2", True),
                (Beat(at_wall=wall - 0.3, failed_wall=wall - 0.1), "", True),
            ):
                made.submitted.clear()
                made.snap = replace(made.snap, state=replace(made.snap.state, beats={"nightly": beat}))
                async with http.get(PATH + word) as answer:
                    assert answer.status == 200
                assert bool(made.submitted) is is_new, (beat, word)

    asyncio.run(main())


def test_a_caller_that_hangs_up_does_not_take_the_others_beat_away() -> None:
    """The proposal goes on although the first of those who share it is gone."""

    async def main() -> None:
        made = world()
        made.gate = asyncio.Event()
        async with serving(made) as (server, http):
            async with aiohttp.ClientSession() as hasty:
                first = asyncio.create_task(hasty.get(f"http://127.0.0.1:{server.port}{PATH}"))
                await eventually(lambda: bool(made.submitted))
                second = asyncio.create_task(http.get(PATH))
                first.cancel()
            made.gate.set()
            assert (await second).status == 200

    asyncio.run(main())
