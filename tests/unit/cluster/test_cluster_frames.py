"""Frames: the messages pysyncobj sends survive the wire exactly, and nothing else gets in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.cluster.frames import FRAME_BYTES_MAX, FrameError, Message, decode, encode
from watchtower.core.commands import ENTRY_BYTES_MAX

ENTRY = (b'\0{"v":1}', 7, 3)
APPEND: Message = {
    "type": "append_entries",
    "term": 3,
    "commit_index": 6,
    "entries": [ENTRY, (b"\1", 8, 3)],
    "prevLogIdx": 6,
    "prevLogTerm": 2,
}
SNAPSHOT: Message = {"type": "append_entries", "term": 3, "commit_index": 6}
MESSAGES: list[Message] = [
    {"type": "request_vote", "term": 4, "last_log_index": 9, "last_log_term": 3},
    {"type": "request_vote", "term": 4, "last_log_index": 0, "last_log_term": -1},
    {"type": "response_vote", "term": 4},
    APPEND,
    {**APPEND, "entries": []},
    {**APPEND, "entries": [], "prevLogIdx": None, "prevLogTerm": None},
    {**SNAPSHOT, "serialized": None},
    {**SNAPSHOT, "serialized": (bytes(range(256)), True, False)},
    {**SNAPSHOT, "serialized": (b"", False, True)},
    {"type": "next_node_idx", "next_node_idx": 9, "reset": False, "success": True, "term": 3},
    {"type": "apply_command", "command": b"\0text", "request_id": 1},
    {"type": "apply_command_response", "request_id": 1, "log_idx": 9, "log_term": 3},
    {"type": "apply_command_response", "request_id": 1, "error": 4},
    {"type": "timeout_now", "term": 4},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message["type"]))
def test_what_pysyncobj_sends_arrives_unchanged(message: Message) -> None:
    """Bytes, tuples, None and absent keys are what they were."""
    arrived = decode(encode(message))
    assert arrived == message
    assert all(isinstance(entry, tuple) for entry in arrived.get("entries", []))


def changed(message: Message, **values: Any) -> Message:
    """A copy with other values; None takes a key out."""
    return {key: value for key, value in {**message, **values}.items() if value is not ...}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "status"},
        {"type": "g_prevote", "term": 1},
        {"term": 1},
        ["add", "peer"],
        changed(APPEND, term=-1),
        changed(APPEND, term="3"),
        changed(APPEND, term=3.5),
        changed(APPEND, term=2**60),
        changed(APPEND, entries=...),
        changed(APPEND, prevLogTerm=...),
        changed(APPEND, prevLogIdx=5),
        changed(APPEND, prevLogIdx=None),
        changed(APPEND, entries=[(b"", 7, 3)]),
        changed(APPEND, entries=[(b"\2member", 7, 3)]),
        changed(APPEND, entries=[(b"\3version", 7, 3)]),
        changed(APPEND, entries=[(b"\0" + b"x" * (ENTRY_BYTES_MAX + 1), 7, 3)]),
        changed(APPEND, entries=[ENTRY, ENTRY]),
        changed(APPEND, prevLogTerm=4),
        changed(APPEND, entries=[(b"\1", 7, 4)]),
        changed(APPEND, entries=[(b"\1", 7, 3), (b"\1", 8, 2)]),
        changed(SNAPSHOT, serialized=[b"x", True]),
        {"type": "apply_command", "command": b"\1", "request_id": 1},
        {"type": "apply_command", "command": b"\2x", "request_id": 1},
        {"type": "apply_command", "command": b"", "request_id": 1},
        {"type": "apply_command", "command": b"\0x"},
        {"type": "apply_command_response", "request_id": 1},
        {"type": "apply_command_response", "request_id": 1, "log_idx": 3},
    ],
)
def test_what_no_peer_sends_is_refused(message: object) -> None:
    """Unknown types, wrong shapes, membership and version commands, holes in the entries are refused."""
    with pytest.raises(FrameError):
        decode(msgspec.json.encode(message))


@given(st.binary(max_size=200))
def test_bytes_at_random_are_refused_and_never_raise_anything_else(frame: bytes) -> None:
    """Whatever arrives, decoding either refuses it in one way or knows it."""
    with pytest.raises(FrameError):
        decode(frame)


def test_deep_nesting_is_refused() -> None:
    """A frame of brackets is refused like any other."""
    with pytest.raises(FrameError):
        decode(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"type":"timeout_now","term":1}')


def test_a_full_batch_fits_into_a_frame() -> None:
    """A batch is filled by pysyncobj until it is over its limit; its frame is within ours."""
    largest = b"\0" + b"x" * ENTRY_BYTES_MAX
    count = 8 * 2**20 // len(largest) + 1
    entries = [(largest, 10**12 + number, 10**9) for number in range(count)]
    message = {**APPEND, "entries": entries, "prevLogIdx": 10**12 - 1}
    assert len(encode(message)) < FRAME_BYTES_MAX
    small = [(b"\1", 10**12 + number, 10**9) for number in range(10_000)]
    assert len(encode({**APPEND, "entries": small})) < FRAME_BYTES_MAX
