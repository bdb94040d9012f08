"""Well-formed frames that no honest peer would send, into the guard and the real pysyncobj behind it.

Whoever knows the secret may be broken, or taken over. Nothing it says raises, hangs, commits what is not
on our disk, takes memory beyond what it sent, or is ever run; and an honest leader is followed afterwards.
"""

from __future__ import annotations

import pickle
import tracemalloc
import zlib
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from support.border import Border
from support.sim_disk import SimDisk
from support.storage_support import history, snapshot_of

from watchtower.cluster.frames import CHUNK_BYTES_MAX, FrameError, Message, decode, encode
from watchtower.cluster.snapshot import SNAPSHOT_BYTES_MAX
from watchtower.cluster.storage import Storage

_RAN: list[str] = []
PEERS: Final = ("b", "c", "z")
"""Two members, and one who is none."""


def ran(word: str) -> None:
    """What a hostile pickle would call."""
    _RAN.append(word)


class _Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return ran, ("ran",)


SNAPSHOT: Final = zlib.compress(snapshot_of(history(3)))
PICKLE: Final = pickle.dumps(_Hostile())
TERMS: Final = st.one_of(st.integers(0, 6), st.sampled_from([2**31, 2**53 - 1, 2**53]))
PLACES: Final = st.one_of(st.integers(0, 8), st.sampled_from([2**31, 2**53 - 1, 2**53]))
COMMANDS: Final = st.one_of(
    st.sampled_from([b"\1", b"\0" + PICKLE, b"", b"\2b", b"\3" + PICKLE]),
    st.binary(max_size=40).map(lambda text: b"\0" + text),
)
PARTS: Final = st.one_of(
    st.binary(max_size=200),
    st.just(SNAPSHOT),
    st.just(SNAPSHOT[:-9]),
    st.just(PICKLE),
    st.just(bytes(CHUNK_BYTES_MAX)),
)


@st.composite
def appends(draw: st.DrawFn) -> Message:
    """Entries that follow one another, somewhere; sometimes with a place that is none."""
    fits = st.just((1, 0))
    first, before = draw(st.one_of(fits, fits, st.tuples(PLACES, st.one_of(st.none(), TERMS))))
    commands = draw(st.lists(COMMANDS, max_size=4))
    entries = [(command, first + 1 + place, draw(TERMS)) for place, command in enumerate(commands)]
    return {
        "type": "append_entries",
        "term": draw(TERMS),
        "commit_index": draw(PLACES),
        "entries": entries,
        "prevLogIdx": first if entries else draw(st.one_of(st.none(), PLACES)),
        "prevLogTerm": before,
    }


def message(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    """Messages of one type."""
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


LAST: Final = {"last_log_index": PLACES, "last_log_term": st.one_of(st.just(-1), TERMS)}
DISKS: Final = st.dictionaries(st.sampled_from(["a", *PEERS]), st.sampled_from(["disk", "9", ""]))
MESSAGES: Final = st.one_of(
    appends(),
    appends(),
    appends(),
    message(
        "append_entries",
        term=TERMS,
        commit_index=PLACES,
        serialized=st.one_of(st.none(), st.tuples(PARTS, st.booleans(), st.booleans())),
    ),
    message("request_vote", term=TERMS, **LAST),
    message("response_vote", term=TERMS, disks=DISKS),
    message("next_node_idx", next_node_idx=PLACES, reset=st.booleans(), success=st.booleans(), term=TERMS),
    message("apply_command", command=COMMANDS, request_id=PLACES),
    message("apply_command_response", request_id=PLACES, error=PLACES),
    message("apply_command_response", request_id=PLACES, log_idx=PLACES, log_term=TERMS),
    message("timeout_now", term=TERMS),
    message("pre_vote", round=PLACES, term=TERMS, **LAST),
    message("pre_vote_answer", round=PLACES, term=TERMS, granted=st.booleans()),
    message(
        "hello",
        disk=st.sampled_from(["1", "2", ""]),
        term=TERMS,
        is_blank=st.booleans(),
        votes=st.booleans(),
        members=st.lists(st.sampled_from(["a", *PEERS]), unique=True),
        members_gen=PLACES,
        is_resizing=st.booleans(),
        disks=DISKS,
    ),
)
STEPS: Final = st.lists(
    st.tuples(st.sampled_from(PEERS), MESSAGES, st.sampled_from([0.0, 0.05, 0.3, 2.5])), max_size=12
)
KNOWN: Final[Message] = {
    "type": "hello", "disk": "z", "term": 1, "is_blank": False, "votes": True, "disks": {},
    "members": ["a", "b", "c", "z"], "members_gen": 7, "is_resizing": False,
}  # fmt: skip
"""With it the stranger is somebody whose entries are taken."""


@settings(max_examples=400, deadline=2000)
@given(STEPS, st.booleans(), st.booleans())
def test_no_frame_of_a_peer_breaks_the_guard(
    steps: list[tuple[str, Message, float]], amnesia: bool, is_known: bool
) -> None:
    """Whatever two members and a stranger (some know it) say, in any order, while time passes."""
    disk = SimDisk()
    border = Border(disk, amnesia=amnesia)
    try:
        for peer in PEERS:
            border.guard.connected(peer)
        if is_known:
            hear(border, "z", KNOWN)
        for peer, said, pause_s in steps:
            hear(border, peer, said)
            border.wait(pause_s)
            inside = border.inside
            assert inside.commit_index <= inside.tail.index
            assert all(encode(sent) for _, sent in border.sent)
            border.sent.clear()
        follows_an_honest_leader(border)
        assert _RAN == []
        committed = border.inside.commit_index
    finally:
        border.close()
    kept = Storage(disk, cluster="t", peer="a", alone=False, new_id=lambda: "disk").journal
    assert committed <= max((index for _, index, _ in kept[:]), default=1), "what is committed is on the disk"


def follows_an_honest_leader(border: Border) -> None:
    """Whoever leads in a newer term and goes on from our log is acknowledged, if there is a newer term."""
    tail, term = border.inside.tail, border.inside.term + 1
    if term > 2**53 or border.guard.quarantine.reason:
        return
    place = {"prevLogIdx": tail.index, "prevLogTerm": tail.term, "entries": [(b"\1", tail.index + 1, term)]}
    hear(border, "b", {"type": "append_entries", "term": term, "commit_index": 1, **place})
    border.wait(0.05)
    assert {"type": "next_node_idx", "term": term, "next_node_idx": tail.index + 2} in [
        {key: sent[key] for key in ("type", "term", "next_node_idx")}
        for to, sent in border.sent
        if to == "b" and sent["type"] == "next_node_idx" and sent["success"]
    ]


def hear(border: Border, peer: str, said: Message) -> None:
    """What came over the wire; a frame that is refused never reaches the guard."""
    try:
        arrived = decode(encode(said))
    except FrameError:
        return
    border.guard.received(peer, arrived)


def test_a_flood_of_frames_takes_no_memory() -> None:
    """Parts of a snapshot that never ends, and proposals: no more is kept than a snapshot may have."""
    part = {"type": "append_entries", "term": 1, "commit_index": 1}
    border = Border(SimDisk())
    chunk = bytes(CHUNK_BYTES_MAX)
    try:
        border.guard.connected("b")
        tracemalloc.start()
        for number in range(300):
            hear(border, "b", {**part, "serialized": (chunk, number == 0, False)})
            hear(border, "b", {"type": "apply_command", "command": b"\0" + chunk[:999], "request_id": number})
            border.sent.clear()
        assert tracemalloc.get_traced_memory()[1] < SNAPSHOT_BYTES_MAX + 16 * CHUNK_BYTES_MAX
    finally:
        tracemalloc.stop()
        border.close()
