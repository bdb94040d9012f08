"""The state machine: one State, changed by one replicated method with one text argument.

Every decision is core.ledger.apply's; here is only the shell that pysyncobj needs around it. Applying
never raises for reasons of an entry. Two things stop this peer instead: an entry of a newer watchtower
(skipping it would make this peer no replica), and running out of memory (another peer may not).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from pysyncobj import SyncObjConsumer, replicated

from watchtower.core import commands, ledger
from watchtower.core.commands import Answer, Entry, NewerVersion
from watchtower.core.model import Checkpoint, State

_log = logging.getLogger(__name__)
_ordered: Final = msgspec.json.Encoder(order="deterministic")

_REGULAR: Final = b"\0"
"""pysyncobj's first byte of a command that is applied; a no-op has another."""
CHECK_EVERY: Final = 512
"""So many entries lie between two hashes of the state."""

Apply = Callable[[State, Entry], tuple[State, Answer]]


class HaltedError(RuntimeError):
    """This replica must not apply anything more."""


class Replica(SyncObjConsumer):  # type: ignore[misc] # pysyncobj is untyped
    """Holds the replicated State; `state` is replaced as a whole, so other threads may read it any time.

    `halted` is "" or why nothing may be applied any more; `failures` counts entries on which `apply`
    itself failed, a bug whose entry is then a no-op on every peer; `checkpoint` is the latest hash of the
    state, which peers compare.
    """

    def __init__(self, apply: Apply = ledger.apply) -> None:
        self.apply = apply
        self.halted = ""
        self.failures = 0
        self.checkpoint: Checkpoint | None = None
        super().__init__()
        self.state = State()

    @replicated  # type: ignore[untyped-decorator] # pysyncobj is untyped
    def apply_entry(self, text: str) -> Answer:
        """Apply one entry of the log. Raises HaltedError when this peer must stop."""
        if self.halted:
            raise HaltedError(self.halted)
        if len(text) > commands.ENTRY_BYTES_MAX:
            return Answer(ok=False, reason="not an entry")
        try:
            entry = commands.decode(text)
        except NewerVersion as newer:
            self.halt(f"{newer}: upgrade this peer")
            raise HaltedError(self.halted) from newer
        except (msgspec.DecodeError, RecursionError):
            return Answer(ok=False, reason="not an entry")
        return self._apply(entry)

    def halt(self, reason: str) -> None:
        """Apply nothing from now on; the thread that ticks sees it and stops the peer."""
        self.halted = self.halted or reason

    def _apply(self, entry: Entry) -> Answer:
        try:
            self.state, answer = self.apply(self.state, entry)
        except MemoryError:
            self.halt("out of memory while applying an entry")
            raise
        except Exception:  # noqa: BLE001 - the root of applying: an exception here would stop every peer for good
            self.failures += 1
            _log.exception(
                "Applying a %s of %s failed; it is a no-op.", type(entry.command).__name__, entry.by
            )
            return Answer(ok=False, reason="applying it failed")
        self._check()
        return answer

    def _check(self) -> None:
        if self.state.entries % CHECK_EVERY:
            return
        try:
            self.checkpoint = Checkpoint(entries=self.state.entries, hash=hash_of(self.state))
        except Exception:  # noqa: BLE001 - still the root of applying: peers then have nothing to compare
            self.failures += 1
            _log.exception("The state at entry %d could not be hashed.", self.state.entries)


def after(state: State, command: bytes) -> State:
    """The state after one command of the log, as a replica applies it. Raises NewerVersion.

    What is no entry, and what fails when it is applied, changes nothing.
    """
    text = command[1:].decode("utf-8", "replace")
    if command[:1] != _REGULAR or len(text) > commands.ENTRY_BYTES_MAX:
        return state
    try:
        entry = commands.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return state
    try:
        return ledger.apply(state, entry)[0]
    except Exception:  # noqa: BLE001 - a replica, too, takes what cannot be applied for a no-op
        _log.exception("Applying a %s of %s failed; it is a no-op.", type(entry.command).__name__, entry.by)
        return state


def hash_of(state: State) -> str:
    """The same for equal states, whatever the order in which they came about."""
    # Incidents are keyed by numbers, which msgspec does not put in order; everything else is keyed by text.
    digest = hashlib.sha256(_ordered.encode(msgspec.structs.replace(state, incidents={})))
    digest.update(_ordered.encode(sorted(state.incidents.items())))
    return digest.hexdigest()[:16]
