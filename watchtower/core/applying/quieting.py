"""What people's wish for quiet writes into the ledger: silences set, ended and swept, acknowledgements.

The quiet half of `ledger.apply`: limits and refusals, no policy. Each of these raises `policy_rev`, on
which what was decided before it is compared.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.applying.fences import Outgrowth
from watchtower.core.applying.incidents import noted
from watchtower.core.channel_rows import DRILL_PREFIX, proven
from watchtower.core.commands import Answer
from watchtower.core.model import State
from watchtower.core.policies import (
    AUTHOR_MAX,
    MATCHERS_MAX,
    REASON_MAX,
    SILENCES_MAX,
    Acknowledgement,
    Silence,
)
from watchtower.core.requests import Acknowledge, EndSilence, SetSilence, Sweep

ONLY_BY_LINK: Final = "a drill is acknowledged by the link in its message: that is the proof that it arrived"


def set_silence(state: State, command: SetSilence) -> Outgrowth:
    """A silence more, or a known one with another end; of too many, one that is over gives way."""
    silence = command.silence
    known, kept = state.silences.get(silence.id), state.silences
    refusal = _refusal(silence, known)
    if not refusal and known is None and len(kept) >= SILENCES_MAX:
        kept = _with_room(kept, silence.created_wall)
        if len(kept) >= SILENCES_MAX:
            refusal = f"there are {SILENCES_MAX} silences already: end some"
    if refusal:
        return state, Answer(ok=False, reason=refusal)
    silence = replace(silence, author=silence.author[:AUTHOR_MAX], reason=silence.reason[:REASON_MAX])
    return _heard(replace(state, silences={**kept, silence.id: silence})), Answer(ok=True)


def _with_room(silences: dict[str, Silence], now_wall: float) -> dict[str, Silence]:
    """Without the one that has been over for longest, if any is over."""
    oldest = min(silences.values(), key=lambda one: (one.ends_wall, one.id))
    if oldest.ends_wall > now_wall:
        return silences
    return {key: one for key, one in silences.items() if key != oldest.id}


def _refusal(silence: Silence, known: Silence | None) -> str:
    if known == silence:
        return "this silence is set already"
    if known is not None and known.kind is not silence.kind:
        return f"{known.id} is a {known.kind}, not a {silence.kind}"
    if not 1 <= len(silence.matchers) <= MATCHERS_MAX:
        return f"a silence has 1 to {MATCHERS_MAX} matchers"
    if not silence.id or silence.ends_wall <= silence.starts_wall:
        return "a silence has an id, and ends after it starts"
    return ""


def end_silence(state: State, command: EndSilence) -> Outgrowth:
    """The silence is over now; it stays to be shown."""
    silence = state.silences.get(command.id)
    if silence is None:
        return state, Answer(ok=False, reason="no such silence")
    if silence.ends_wall <= command.at_wall:
        return state, Answer(ok=False, reason="it is over already")
    ended = replace(silence, ends_wall=command.at_wall)
    return _heard(replace(state, silences={**state.silences, silence.id: ended})), Answer(ok=True)


def sweep(state: State, command: Sweep) -> Outgrowth:
    """Silences that nobody needs to see any more are forgotten."""
    kept = {key: one for key, one in state.silences.items() if key not in command.silences}
    if len(kept) == len(state.silences):
        return state, Answer(ok=False, reason="no such silences")
    return replace(state, silences=kept), Answer(ok=True)


def acknowledge(state: State, command: Acknowledge) -> Outgrowth:
    """Somebody takes the incident, or leaves it again. A drill has arrived when its own link is followed."""
    incident = state.incidents.get(command.incident)
    if incident is None or not incident.is_open:
        return state, Answer(ok=False, reason="no such open incident")
    ack = _clipped(command.ack)
    if incident.ack == ack or (ack is not None and ack.says_no_more_than(incident.ack)):
        return state, Answer(ok=False, reason="it is as it was")
    is_drill = incident.service.startswith(DRILL_PREFIX)
    if ack and is_drill and not command.by_link:
        return state, Answer(ok=False, reason=ONLY_BY_LINK)
    word = f"acknowledged by {ack.by}" if ack else f"acknowledgement withdrawn by {command.by[:AUTHOR_MAX]}"
    note = f": {ack.note}" if ack and ack.note else ""
    changed = noted(replace(incident, ack=ack), command.at_wall, word + note)
    state = replace(state, incidents={**state.incidents, incident.number: changed})
    if ack and is_drill:
        channel = incident.service.removeprefix(DRILL_PREFIX)
        state = replace(state, drill=proven(state.drill, channel, command.at_wall))
    return _heard(state), Answer(ok=True)


def _clipped(ack: Acknowledgement | None) -> Acknowledgement | None:
    return replace(ack, by=ack.by[:AUTHOR_MAX], note=ack.note[:REASON_MAX]) if ack else None


def _heard(state: State) -> State:
    return replace(state, policy_rev=state.policy_rev + 1)
