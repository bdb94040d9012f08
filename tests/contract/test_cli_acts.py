"""The verbs that act on alerts: as processes against the real web shell, with a made-up cluster behind it.

What the documents say is the web shell's; here stands what a person sees, and what reaches the cluster.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from support.cli_support import Done, watchtower
from support.web_support import NOW, READ, WRITE, World, serving, world

from watchtower.core.applying.proving import start_drill, try_channels
from watchtower.core.channel_rows import ChannelRow, Drill
from watchtower.core.commands import Answer, Command
from watchtower.core.model import Attempt, Outcome, Stage
from watchtower.core.policies import (
    Acknowledgement,
    Matcher,
    Silence,
    SilenceKind,
    Why,
    Withheld,
)
from watchtower.core.requests import Acknowledge, EndSilence, SetSilence, StartDrill, TryChannels

NOBODY = "http://127.0.0.1:1"


def run(made: World, *verb: str, token: str = WRITE) -> Done:
    """The end of one call, a dead peer first."""

    async def call() -> Done:
        async with serving(made) as (server, _):
            urls = ("--url", NOBODY, "--url", f"http://127.0.0.1:{server.port}")
            return await asyncio.to_thread(watchtower, *verb, *urls, "--token", token)

    return asyncio.run(call())


def desk() -> World:
    """A shop that is down and silenced, and a database that somebody has taken."""
    made = world()
    made.open("shop", 17, reason="2 of 3 peers see it down")
    made.open("orders-db", 18)
    made.tell(18)
    state = made.snap.state
    why = Withheld(why=Why.SILENCED, text="silenced by Jane until 14:00 UTC: deploying", until_wall=NOW)
    silence = Silence(
        id="s1",
        kind=SilenceKind.SILENCE,
        matchers=(Matcher(label="team", patterns=("shop",)),),
        author="Jane",
        reason="deploying",
        starts_wall=NOW - 60,
        ends_wall=NOW + 3600,
        created_wall=NOW - 60,
    )
    ack = Acknowledgement(by="Joe", note="disk is full", at_wall=NOW)
    made.turn(
        state=replace(
            state,
            silences={"s1": silence},
            incidents={
                17: replace(state.incidents[17], withheld=why),
                18: replace(state.incidents[18], ack=ack),
            },
            channels={"mail": ChannelRow(trouble="550 no such user")},
        )
    )
    return made


def test_an_incident_is_acknowledged_by_whoever_sits_there() -> None:
    """Beside the token's name; nobody is asked twice, and what is refused is said."""
    made = desk()
    done = run(made, "ack", "17", "--note", "on it", "--by", "Jane")
    assert done.returncode == 0, done.stderr
    (command,) = made.submitted
    assert isinstance(command, Acknowledge)
    assert command.ack is not None
    assert (command.ack.by, command.ack.note) == ("Jane (ops-lead)", "on it")
    done = run(made, "ack", "18", "--withdraw")
    assert done.returncode == 0, done.stderr
    done = run(made, "ack", "99")
    assert (done.returncode, "open are 18, 17" in done.stderr) == (1, True)
    assert "scope write" in run(made, "ack", "17", token=READ).stderr
    made.lose_quorum()
    done = run(made, "ack", "17")
    assert (done.returncode, "cannot reach a majority" in done.stderr) == (1, True)
    assert len(made.submitted) == 2


def test_a_silence_is_set_shown_and_ended() -> None:
    """With what it hits; a matcher that fits nothing is answered with the word that was meant."""
    made = desk()
    done = run(made, "silence", "add", "team=shop", "severity!=info", "--for", "2h", "--reason", "deploying")
    assert done.returncode == 0, done.stderr
    (command,) = made.submitted
    assert isinstance(command, SetSilence)
    assert command.silence.ends_wall - command.silence.starts_wall == 7200
    assert f"watchtower silence end {command.silence.id}" in done.stdout
    assert "#17 Shop (down)" in done.stdout
    listed = run(made, "silence", "list")
    assert all(word in listed.stdout for word in ("s1", "team=shop", "active", "Jane", "deploying"))
    assert run(made, "silence", "end", "s1").returncode == 0
    ended = made.submitted[-1]
    assert isinstance(ended, EndSilence)
    for verb, says in (
        (("silence", "add", "team=shap", "--for", "2h"), "did you mean `shop`?"),
        (("silence", "add", "team=shop", "--for", "2 hours"), "write it like 800ms"),
        (("silence", "preview", "taem=shop"), "did you mean `team`?"),
        (("maintenance", "end", "s1"), "s1 is a silence, not a maintenance"),
    ):
        done = run(made, *verb)
        assert (done.returncode, says in done.stderr) == (1, True), done
    assert run(made, "silence", "add", "team=shop").returncode == 2
    assert run(made, "maintenance", "list").stdout.strip() == "No maintenance."
    assert run(made, "maintenance", "add", "group=data", "--for", "1h").returncode == 0
    assert len(made.submitted) == 3


def test_a_silence_begins_and_ends_at_times_as_people_write_them() -> None:
    """With a zone, or in UTC; what is no time is said in words, and so is a missing reason."""
    made = desk()
    zone = ZoneInfo("Europe/Berlin")
    begin, end = (datetime.fromtimestamp(NOW + later_s, zone) for later_s in (3600, 7200))
    times = [f"{at:%Y-%m-%d %H:%M} Europe/Berlin" for at in (begin, end)]
    done = run(made, "silence", "add", "team=shop", "--starts", times[0], "--until", times[1])
    assert done.returncode == 0, done.stderr
    assert "--reason" in done.stderr
    (command,) = made.submitted
    assert isinstance(command, SetSilence)
    assert command.silence.starts_wall == begin.replace(second=0, microsecond=0).timestamp()
    assert command.silence.ends_wall == end.replace(second=0, microsecond=0).timestamp()
    done = run(made, "silence", "add", "team=shop", "--until", "tomorrow")
    assert (done.returncode, "--until: 'tomorrow' is no time; write it like" in done.stderr) == (2, True)


def test_incidents_say_why_nobody_is_told_and_who_works_on_them() -> None:
    """In the list in a word, and in full at the number."""
    made = desk()
    listed = run(made, "incidents").stdout
    assert "silenced" in listed
    assert "taken by Joe" in listed
    detail = run(made, "incidents", "17").stdout
    assert "not told: silenced by Jane until 14:00 UTC: deploying" in detail
    assert "nobody" in detail
    detail = run(made, "incidents", "18").stdout
    assert "Joe works on it" in detail
    assert "firing to chat: delivered by b, slack: ok" in detail


def test_what_is_not_there_is_no_fault_of_the_peers() -> None:
    """Said so, with the exit code of a wrong word."""
    made = desk()
    for words in (("incidents", "99"), ("notifications", "nothing-like-it")):
        done = run(made, *words)
        assert (done.returncode, "no peer answers" in done.stderr) == (2, False)
        assert f"there is no {words[0][:-1]} {words[1]}" in done.stderr


def test_the_ledger_is_filtered_and_one_is_shown_whole() -> None:
    """By channel and stage; a channel in trouble says so."""
    made = desk()
    key = next(iter(made.snap.state.notifications))
    assert key in run(made, "notifications", "--channel", "chat", "--stage", "delivered").stdout
    assert "No notifications." in run(made, "notifications", "--channel", "mail").stdout
    done = run(made, "notifications", "--stage", "delivred")
    assert "did you mean `delivered`?" in done.stderr
    assert "1 at " in run(made, "notifications", key).stdout
    assert "does not work: 550 no such user" in run(made, "channels").stdout


class Sending(World):
    """A cluster that takes tests and drills down as the ledger does, and settles each as it is told to."""

    outcomes: dict[str, tuple[Stage, str]] = {}

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Apply it, and have it delivered at once."""
        await super().submit(command, timeout_s=timeout_s)
        state = self.snap.state
        if isinstance(command, TryChannels):
            state, answer = try_channels(state, command)
            rows = {key: self._settled(item) for key, item in state.notifications.items()}
            self.turn(state=replace(state, notifications=rows))
            return answer
        if isinstance(command, StartDrill):
            state, answer = start_drill(state, command)
            arrived = replace(state.drill, arrived_wall=command.at_wall + 7)
            self.turn(state=replace(state, drill=arrived))
            return answer
        return self.answer

    def _settled(self, item: Any) -> Any:
        stage, said = self.outcomes.get(item.channel, (Stage.DELIVERED, "250 ok"))
        outcome = Outcome.ACCEPTED if stage is Stage.DELIVERED else Outcome.DEAD
        attempt = Attempt(number=1, peer=item.sender, outcome=outcome, detail=said, at_wall=item.created_wall)
        settled_wall = item.created_wall + 1.2
        return replace(item, stage=stage, attempts=(attempt,), settled_wall=settled_wall, receipt=said)


def test_every_peer_tries_every_channel_and_each_answer_is_a_line() -> None:
    """0 when all were accepted; 2 as soon as one was not."""
    made = Sending(world().snap.settings)
    done = run(made, "notify", "test", "mail", "--from", "c", "--from", "a")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["mail", "from", "c", "accepted", "1.2", "s", "250", "ok"]
    assert lines[-1].startswith("2 of 2 accepted.")
    made.outcomes = {"chat": (Stage.DEAD, "404 no_service")}
    done = run(made, "notify", "test", "--json")
    doc = json.loads(done.stdout)
    assert (done.returncode, doc["accepted"], len(doc["tests"])) == (2, 3, 6)
    assert {one["outcome"] for one in doc["tests"] if one["channel"] == "chat"} == {"refused"}
    assert run(made, "notify", "test", "chap").returncode == 1


def test_a_drill_is_waited_for() -> None:
    """Until somebody has acknowledged it."""
    made = Sending(world().snap.settings)
    done = run(made, "drill", "--channel", "mail")
    assert (done.returncode, done.stderr) == (0, "")
    assert "It has arrived, after 7 s." in done.stdout
    late = desk()
    missed = Drill(channel="chat", started_wall=NOW - 5000)
    late.turn(state=replace(late.snap.state, drill=missed))
    assert run(late, "drill").returncode == 2


def test_the_token_of_the_file_is_taken(tmp_path: Path) -> None:
    """Whoever may read the file may act: nothing to type at three in the morning."""
    made = desk()

    async def call() -> Done:
        async with serving(made) as (server, _):
            file = tmp_path / "watchtower.yaml"
            file.write_text(
                "http:\n"
                f"  listen: 127.0.0.1:{server.port}\n"
                "  tokens:\n"
                f"    ops-lead: {{scope: write, token: {WRITE}}}\n"
                "services:\n"
                "  shop: https://shop.example.com\n"
            )
            return await asyncio.to_thread(watchtower, "ack", "17", "--config", str(file))

    done = asyncio.run(call())
    assert done.returncode == 0, done.stderr
    assert len(made.submitted) == 1
