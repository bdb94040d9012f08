"""Raft messages on the wire: JSON of an allow-list of types, checked strictly before pysyncobj sees them.

Encoding is msgspec's (bytes as base64, tuples as arrays); decoding restores the very objects pysyncobj
made. Everything that could make pysyncobj raise, unpickle or change its membership is refused here.
Three types are our own: `hello`, `pre_vote` and its answer; the guard handles them, pysyncobj never does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta, Struct

from watchtower.core.commands import ENTRY_BYTES_MAX

BATCH_BYTES_MAX: Final = 8 * 2**20
"""Commands in one append_entries; above the size of the whole log, so that one batch always does."""
FRAME_BYTES_MAX: Final = 12 * 2**20
"""A full batch in base64, with its indexes."""
CHUNK_BYTES_MAX: Final = 2**20
"""Snapshot bytes in one append_entries."""

Message = dict[str, Any]
Number = Annotated[int, Meta(ge=0, le=2**53)]
LogEntry = tuple[bytes, Number, Number]

_REGULAR: Final = 0
_NO_OP: Final = 1


class FrameError(ValueError):
    """A frame that no peer of ours would send."""


class _RequestVote(TypedDict):
    type: Literal["request_vote"]
    term: Number
    last_log_index: Number
    last_log_term: Annotated[int, Meta(ge=-1, le=2**53)]


Name = Annotated[str, Meta(max_length=64)]
Disks = Annotated[dict[Name, Name], Meta(max_length=64)]
"""Peer -> the disk it has, as the sender knows it."""


class _ResponseVote(TypedDict):
    type: Literal["response_vote"]
    term: Number
    disks: NotRequired[Disks]


class _AppendEntries(TypedDict):
    type: Literal["append_entries"]
    term: Number
    commit_index: Number
    entries: NotRequired[list[LogEntry]]
    prevLogIdx: NotRequired[Number | None]
    prevLogTerm: NotRequired[Number | None]
    serialized: NotRequired[tuple[bytes, bool, bool] | None]


class _NextNodeIdx(TypedDict):
    type: Literal["next_node_idx"]
    next_node_idx: Number
    reset: bool
    success: bool
    term: Number


class _ApplyCommand(TypedDict):
    type: Literal["apply_command"]
    command: bytes
    request_id: Number


class _ApplyCommandResponse(TypedDict):
    type: Literal["apply_command_response"]
    request_id: Number
    log_idx: NotRequired[Number]
    log_term: NotRequired[Number]
    error: NotRequired[Number]


class _TimeoutNow(TypedDict):
    type: Literal["timeout_now"]
    term: Number


class _Hello(TypedDict):
    """Of ours: the first message on every link, and again when something in it changes."""

    type: Literal["hello"]
    disk: Name
    term: Number
    is_blank: bool
    votes: bool
    members: Annotated[list[Name], Meta(max_length=64)]
    members_gen: Number
    is_resizing: bool
    disks: Disks


class _PreVote(TypedDict):
    """Of ours (Raft dissertation, section 9.6): would you vote for me, if I began an election?"""

    type: Literal["pre_vote"]
    round: Number
    term: Number
    last_log_index: Number
    last_log_term: Annotated[int, Meta(ge=-1, le=2**53)]


class _PreVoteAnswer(TypedDict):
    type: Literal["pre_vote_answer"]
    round: Number
    term: Number
    granted: bool


class _Header(Struct, frozen=True):
    type: str


_header: Final = msgspec.json.Decoder(_Header)
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "request_vote": msgspec.json.Decoder(_RequestVote),
    "response_vote": msgspec.json.Decoder(_ResponseVote),
    "append_entries": msgspec.json.Decoder(_AppendEntries),
    "next_node_idx": msgspec.json.Decoder(_NextNodeIdx),
    "apply_command": msgspec.json.Decoder(_ApplyCommand),
    "apply_command_response": msgspec.json.Decoder(_ApplyCommandResponse),
    "timeout_now": msgspec.json.Decoder(_TimeoutNow),
    "hello": msgspec.json.Decoder(_Hello),
    "pre_vote": msgspec.json.Decoder(_PreVote),
    "pre_vote_answer": msgspec.json.Decoder(_PreVoteAnswer),
}


def encode(message: Message) -> bytes:
    """The frame of one pysyncobj message."""
    return msgspec.json.encode(message)


def decode(frame: bytes) -> Message:
    """The pysyncobj message of one frame. Raises FrameError for anything outside the allow-list."""
    try:
        kind = _header.decode(frame).type
        decoder = _decoders.get(kind)
        if decoder is None:
            raise FrameError("a message of unknown type")
        message: Message = decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FrameError("a malformed message") from error
    _check(kind, message)
    return message


def _check(kind: str, message: Message) -> None:
    """What types alone do not say."""
    if kind == "append_entries":
        _check_append(message)
    elif kind == "apply_command":
        _check_command(message["command"], (_REGULAR,))
    elif kind == "apply_command_response" and "error" not in message and not _names_entry(message):
        raise FrameError("a response that names no entry")


def _names_entry(message: Message) -> bool:
    return "log_idx" in message and "log_term" in message


def _check_append(message: Message) -> None:
    entries = message.get("entries", [])
    if "prevLogIdx" in message and ("entries" not in message or "prevLogTerm" not in message):
        raise FrameError("an append without entries")
    for command, _, _ in entries:
        _check_command(command, (_REGULAR, _NO_OP))
    indexes = [index for _, index, _ in entries]
    first = message.get("prevLogIdx")
    if indexes and (first is None or indexes != list(range(first + 1, first + 1 + len(indexes)))):
        raise FrameError("entries that do not follow one another")
    terms = [message.get("prevLogTerm") or 0, *(term for _, _, term in entries), message["term"]]
    if entries and terms != sorted(terms):
        # In a journal it would read as damage at the next start.
        raise FrameError("entries of a term that is not their leader's or an earlier one")


def _check_command(command: bytes, allowed: tuple[int, ...]) -> None:
    """Membership and version commands are never ours, and an empty one would stop every peer."""
    if not command or command[0] not in allowed or len(command) > ENTRY_BYTES_MAX + 1:
        raise FrameError("a command that is none of ours")
