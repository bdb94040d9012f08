"""The wire form of entries: the same bytes for equal entries, strict reading, newer versions, limits.

One sample of every command stands here; arbitrary ones are in tests/property.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from support.core_support import WALL, Book, down, notice

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.commands import ENTRY_BYTES_MAX, Command, Entry, NewerVersion, decode, encode
from watchtower.core.model import COMMAND_VERSION, Checkpoint, Level, NoticeKind, Opinion, Outcome
from watchtower.core.policies import Acknowledgement, Matcher, Silence, SilenceKind, Why, Withheld

BOOK = Book()
QUIET = Silence(
    id="s1",
    kind=SilenceKind.MAINTENANCE,
    matchers=(Matcher(label="team", patterns=("shop", "pay-*"), is_not=True),),
    author="ops-lead",
    reason="deploying",
    starts_wall=WALL,
    ends_wall=WALL + 60,
    created_wall=WALL,
)
SAMPLES: list[Command] = [
    c.Withhold(epoch=1, incident=2, withheld=Withheld(why=Why.SILENCED, text="silenced"), at_wall=WALL),
    c.Drop(epoch=1, id="x", reason="silenced"),
    c.Coalesce(
        epoch=1,
        draft=c.Draft(id="d", channel="chat", kind=NoticeKind.DIGEST, sender="a", notice=notice(Level.DOWN)),
        members=("x", "y"),
        at_wall=WALL,
    ),
    r.SetSilence(silence=QUIET),
    r.EndSilence(id="s1", by="ops-lead", at_wall=WALL),
    r.Sweep(epoch=1, silences=("s1",)),
    r.Acknowledge(incident=1, ack=Acknowledgement(by="x", note="on it", at_wall=WALL), by="x", at_wall=WALL),
    r.TryChannels(id="t1", channels=("chat",), senders=("a", "b"), by="x", at_wall=WALL),
    r.StartDrill(channel="chat", by="schedule", at_wall=WALL),
    c.Found(cluster="x", members=("a", "b"), at_wall=WALL),
    c.Join(boot_id="b1", version="1", command_version=1, at_wall=WALL),
    c.Gone(epoch=1, peer="b", peer_session=2),
    c.Report(
        seq=3,
        full=False,
        config_hash="h",
        at_wall=WALL,
        votes={"web": down(), "api": None},
        members_gen=1,
        checkpoint=Checkpoint(entries=512, hash="f00d"),
    ),
    c.Activate(epoch=1, gen=2, config_hash="h", at_wall=WALL),
    c.ClaimLease(epoch=1, renewals=2, length_ms=3, id="i"),
    c.Renew(epoch=1, length_ms=3, id="i"),
    c.Release(epoch=1),
    BOOK.opening(),
    BOOK.shifting(Level.DEGRADED),
    BOOK.closing(),
    c.Enqueue(epoch=1, incident=2, draft=BOOK.draft("chat", "web", "1"), at_wall=WALL),
    c.Assign(epoch=1, id="n", sender="b"),
    c.Claim(id="n", attempt=0, hold_ms=15_000, claim_id="k"),
    c.Settle(id="n", attempt=1, outcome=Outcome.AMBIGUOUS, at_wall=WALL, detail="timeout"),
    c.BeatSeen(service="job", at_wall=WALL),
    c.Leaving(for_s=60.0, at_wall=WALL),
    c.Resize(members=("a", "b", "c", "d"), members_gen=1),
    c.Gate(epoch=1, version=2),
    c.Forget(epoch=1, gen=1, services=("old",)),
]


def entry(command: Command, **fields: int) -> Entry:
    """An entry of peer a."""
    return Entry(**{"v": 1, "by": "a", "boot": "a-1", "seq": 7, "session": 1, "command": command, **fields})  # type: ignore[arg-type] # a mixed bag by intention


def test_there_is_a_sample_of_every_command() -> None:
    """Whoever adds a command adds it here."""
    assert {type(sample) for sample in SAMPLES} == set(Command.__args__)


@pytest.mark.parametrize("command", SAMPLES, ids=lambda command: type(command).__name__)
def test_round_trip(command: Command) -> None:
    """What is encoded is decoded to an equal entry, and to the same bytes again."""
    text = encode(entry(command))
    assert decode(text) == entry(command)
    assert encode(decode(text)) == text


def test_equal_entries_have_the_same_bytes() -> None:
    """The order in which votes were added to a report does not show."""
    one, two = ({"a": down(), "b": None}, {"b": None, "a": down()})
    texts = {
        encode(entry(c.Report(seq=1, full=True, config_hash="h", at_wall=WALL, votes=votes)))
        for votes in (one, two)
    }
    assert len(texts) == 1


def test_the_wire_form_is_plain_json() -> None:
    """The text is JSON with the command's name in it, for whoever reads a journal with other tools."""
    text = encode(entry(c.Release(epoch=4)))
    assert json.loads(text) == {
        "v": 1, "by": "a", "boot": "a-1", "seq": 7, "session": 1, "command": {"type": "release", "epoch": 4},
    }  # fmt: skip


def test_an_entry_that_is_too_long_is_refused() -> None:
    """Whoever proposes must split: nothing over the limit enters the log, up to it everything does."""
    fits = c.Forget(epoch=1, gen=1, services=("x" * 1000,) * 65)
    assert len(encode(entry(fits))) <= ENTRY_BYTES_MAX
    with pytest.raises(ValueError, match="over the limit of 65536"):
        encode(entry(c.Forget(epoch=1, gen=1, services=("x" * 1000,) * 66)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        '{"v":1}',
        '{"v":"1"}',
        '{"v":1,"by":"a","boot":"","seq":1,"session":1,"command":{"type":"no such"}}',
        '{"v":1,"by":"a","boot":"","seq":1,"session":1,"command":{"type":"release"}}',
        '{"v":1,"by":"a","boot":"","seq":1,"session":1,"command":{"type":"release","epoch":"1"}}',
        '{"v":1,"by":"a","boot":"","seq":1,"session":1,"command":{"type":"release","epoch":1}} x',
        '{"v":1,"by":"a","boot":"","seq":1,"session":1,"command":{"type":"beat","service":"x","at_wall":null}}',
    ],
)
def test_what_is_no_entry_is_refused(text: str) -> None:
    """Anything that is not an entry raises a DecodeError, never something else."""
    with pytest.raises(msgspec.DecodeError):
        decode(text)


def test_a_newer_version_is_not_skipped() -> None:
    """An entry of a newer command version is told apart from nonsense, even if its command is unknown."""
    text = f'{{"v":{COMMAND_VERSION + 1},"command":{{"type":"of the future"}}}}'
    with pytest.raises(NewerVersion, match=f"command version {COMMAND_VERSION + 1}, this peer knows"):
        decode(text)


def test_an_unknown_field_is_ignored() -> None:
    """A newer release may add fields under the same version; this one reads what it knows."""
    text = encode(entry(c.Release(epoch=4))).replace('"epoch":4', '"epoch":4,"why":"because"')
    assert decode(text) == entry(c.Release(epoch=4))


def test_an_opinion_is_a_word() -> None:
    """A vote with an opinion that does not exist is no entry."""
    command = c.Report(seq=1, full=True, config_hash="h", at_wall=WALL, default=Opinion.DOWN)
    with pytest.raises(msgspec.DecodeError, match="broken"):
        decode(encode(entry(command)).replace('"default":"down"', '"default":"broken"'))
