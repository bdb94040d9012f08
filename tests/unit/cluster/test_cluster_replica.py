"""The state machine's shell: nothing an entry holds stops it, except an entry from the future."""

from __future__ import annotations

import logging

import msgspec
import pytest

from watchtower.cluster.library import _PlainCommands
from watchtower.cluster.replica import HaltedError, Replica
from watchtower.core.commands import ENTRY_BYTES_MAX, Answer, Entry, Found, Join, encode
from watchtower.core.model import COMMAND_VERSION, State

FOUND = Found(cluster="t", members=("a",), at_wall=1.0)


def entry(command: Found | Join = FOUND, version: int = COMMAND_VERSION) -> Entry:
    """An entry of peer a."""
    return Entry(v=version, by="a", boot="x", seq=1, session=0, command=command)


def apply(replica: Replica, text: str) -> Answer:
    """Apply as pysyncobj does."""
    answer: Answer = replica.apply_entry(text, _doApply=True)
    return answer


def test_an_entry_changes_the_state_and_is_answered() -> None:
    """Applying is the ledger's; the answer is handed back."""
    replica = Replica()
    assert apply(replica, encode(entry())) == Answer(ok=True)
    assert replica.state.members == ("a",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"v":1}',
        '{"v":1,"command":{"type":"evil"}}',
        "\ufffd",
        "[" * 60_000,
        "é" * 70_000,
    ],
    ids=["empty", "null", "list", "cut", "bare", "unknown command", "not UTF-8", "deep", "long"],
)
def test_what_is_no_entry_is_a_no_op(text: str) -> None:
    """Any text whatever is answered with a reason and changes nothing."""
    replica = Replica()
    assert not apply(replica, text).ok
    assert replica.state == State()
    assert not replica.halted


def test_a_long_entry_is_judged_by_its_length_alone() -> None:
    """An entry over the limit is refused although it would decode, on every peer alike."""
    text = encode(entry()) + " " * ENTRY_BYTES_MAX
    assert not apply(Replica(), text).ok


def test_an_entry_of_a_newer_version_stops_the_replica_for_good() -> None:
    """It is neither skipped nor answered; nothing is applied after it."""
    replica = Replica()
    with pytest.raises(HaltedError):
        apply(replica, encode(entry(version=COMMAND_VERSION + 1)))
    assert "upgrade this peer" in replica.halted
    with pytest.raises(HaltedError):
        apply(replica, encode(entry()))
    assert replica.state == State()


def test_a_bug_in_apply_is_a_counted_no_op(caplog: pytest.LogCaptureFixture) -> None:
    """An exception while applying must not reach pysyncobj, which would try the entry for ever."""

    def broken(_state: State, _entry: Entry) -> tuple[State, Answer]:
        raise KeyError("bug")

    replica = Replica(apply=broken)
    with caplog.at_level(logging.ERROR):
        assert not apply(replica, encode(entry())).ok
    assert (replica.failures, replica.state, replica.halted) == (1, State(), "")
    assert "Applying a Found of a failed" in caplog.text


def test_running_out_of_memory_stops_the_replica() -> None:
    """Another peer may have had the memory: going on would make two different states."""

    def exhausted(_state: State, _entry: Entry) -> tuple[State, Answer]:
        raise MemoryError

    replica = Replica(apply=exhausted)
    with pytest.raises(MemoryError):
        apply(replica, encode(entry()))
    assert replica.halted


def test_the_replica_has_one_replicated_method_and_one_attribute() -> None:
    """A second method would renumber the entries of old logs; a second attribute would not be restored."""
    replica = Replica()
    methods = {name for name in dir(replica) if getattr(getattr(replica, name), "replicated", False)}
    assert methods == {"apply_entry", "apply_entry_v0"}
    assert set(replica._serialize()) == {"state"}


def test_commands_in_the_log_are_plain_text() -> None:
    """Nothing is ever pickled, and whatever bytes stand in the log, reading them does not raise."""
    raw = _PlainCommands.dumps((0, ("text é",)))
    assert raw == "text é".encode()
    assert _PlainCommands.loads(raw) == (0, ("text é",))
    assert _PlainCommands.loads(b"\x80\x02cos\nsystem\n")[0] == 0
    with pytest.raises(TypeError):
        _PlainCommands.dumps((1, ("x",)))


def test_state_survives_its_json() -> None:
    """A snapshot is the State's JSON; numbers as keys come back as numbers."""
    replica = Replica()
    apply(replica, encode(entry()))
    assert msgspec.json.decode(msgspec.json.encode(replica.state), type=State) == replica.state
