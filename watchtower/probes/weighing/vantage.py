"""This peer's vantage point: results to votes, votes to reports. Pure; time and state are handed in.

Level-triggered, without a queue (protocol.md, "Reporter"): it compares its own truth with its own row
in applied state and proposes the difference, so lost, late and repeated reports cannot do harm. The row
holds exceptions only: failing and suspected services, what doubt has made unknown, and explicit up
votes for services in which others see trouble.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from watchtower.core.commands import Report
from watchtower.core.model import (
    EVIDENCE_TEXT_MAX,
    Instant,
    Kind,
    Opinion,
    PeerRow,
    Result,
    State,
    Vote,
)
from watchtower.core.ports import Recheck
from watchtower.core.settings import Settings
from watchtower.core.stats import Trouble
from watchtower.probes.weighing import reporting
from watchtower.probes.weighing.opinions import Track
from watchtower.probes.weighing.selfdoubt import SelfDoubt

REPORT_EVERY_S: Final = 5.0
BLIND_LOOK_EVERY_S: Final = 5.0
REFERENCE_WAIT_S: Final = 3.0
SUSPECTS_PER_S: Final = 50
DISSENT_AT_LEAST: Final = 3


class Vantage:
    """Everything this peer thinks of the services it looks at."""

    def __init__(self, settings: Settings, now: Instant) -> None:
        self._doubts = SelfDoubt(now)
        self._tracks: dict[str, Track] = {}
        # Names of the tracks that may have something to tell, in order of trouble: all work is on these.
        self._odd: dict[str, None] = {}
        self._blind_look_boot = now.boot
        self._row_mark: tuple[int, int] = (0, 0)
        self._reported_boot = 0.0
        self._known_suspects: set[tuple[str, str, bool]] = set()
        self._others_votes: dict[str, dict[str, Vote]] = {}
        self._looked_boot: list[float] = []
        self._is_blind = False
        self.note_reference = self._doubts.note_reference
        self.note_loop_lag = self._doubts.note_loop_lag
        self.reload(settings, now)

    def reload(self, settings: Settings, now: Instant) -> None:
        """Take new settings; opinions of services whose definition is unchanged stay."""
        self._settings = settings
        self._has_reference = bool(settings.cluster.reference) or len(settings.cluster.peers) > 1
        if not self._has_reference:
            self._doubts.forget_reference()
        old = self._tracks
        self._tracks = {
            service.name: old[service.name]
            if service.name in old and old[service.name].service == service
            else Track(service, now.boot)
            for service in settings.looked_at_by(settings.me)
        }
        self._odd = {name: None for name, track in self._tracks.items() if not track.is_plain}
        self._others_votes = {}

    def take(self, result: Result, now: Instant) -> Recheck | None:
        """Weigh a result; what to look at again out of turn."""
        track = self._tracks.get(result.service)
        if track is None:
            return None
        in_s = track.take(result, now.boot)
        if not track.is_plain:
            self._odd[result.service] = None
        return None if in_s is None else Recheck(service=result.service, in_s=in_s)

    def may_tell(self, service: str) -> bool:
        """False when nothing about this service can be news: it is up, and so it is known."""
        return service in self._odd

    def note_trouble(self, trouble: Trouble) -> None:
        """How the looking itself is doing."""
        self._doubts.trouble, self._is_blind = trouble.reason, trouble.is_blind

    def failing(self) -> tuple[str, ...]:
        """Services whose latest look failed, or had no answer yet."""
        return tuple(name for name in self._odd if self._tracks[name].is_in_question)

    def doubt(self, now: Instant) -> str:
        """Why this peer doubts itself; "" when it does not."""
        return self._doubts.reason(now)

    def report(self, state: State, now: Instant, boot_id: str, blocked: Mapping[str, str]) -> Report | None:
        """The difference between our truth and our row in `state`; None when there is nothing to say yet.

        `blocked` are the channels that this peer cannot send to, which every report names anew.
        At least an empty report every REPORT_EVERY_S seconds: a peer that stops thinking falls silent.
        """
        row = state.row(self._settings.me)
        if row.boot_id != boot_id:
            return None
        self._note_accepted(row, now)
        self._doubts.dissent = self._dissent(state)
        default, votes = self._truth(state, row, now)
        told = self._doubts.told(now)
        is_full = (
            row.report_seq == 0 or row.config_hash != self._settings.config_hash or row.default is not default
        )
        changes = reporting.first(votes if is_full else reporting.difference(row.votes, votes))
        # A change of the members waits for everybody's confirmation, and the next change for that.
        is_due = now.boot - self._reported_boot >= REPORT_EVERY_S or row.members_gen != state.members_gen
        if not (is_full or changes or told != row.doubt or blocked != row.paths or is_due):
            return None
        return Report(
            seq=row.report_seq,
            full=is_full,
            config_hash=self._settings.config_hash,
            at_wall=now.wall,
            default=default,
            votes=changes,
            doubt=told,
            members_gen=state.members_gen,
            paths=dict(blocked),
        )

    def note_unanswered(self, name: str, waited_s: float) -> bool:
        """The look at this service that is under way has waited so long. True when that is suspicious."""
        track = self._tracks.get(name)
        if track is not None:
            track.note_unanswered(waited_s)
            self._odd[name] = None
        return track is not None and track.is_in_question

    def others_suspect(self, state: State, now: Instant) -> tuple[str, ...]:
        """Services to look at at once: other peers have newly seen trouble where we see none, or its end.

        Once per peer's word and at most SUSPECTS_PER_S a second; what is over the budget waits for its
        turn in the rhythm.
        """
        votes_of = {peer: row.votes for peer, row in state.peers.items() if peer != self._settings.me}
        if _are_same(votes_of, self._others_votes):
            return ()
        self._others_votes = votes_of
        suspects = {
            (service, peer, _sees_trouble(vote))
            for peer, votes in votes_of.items()
            for service, vote in votes.items()
            if service in self._tracks and _is_trouble(vote)
        }
        fresh = {(service, sees_trouble) for service, _, sees_trouble in suspects - self._known_suspects}
        self._known_suspects = suspects
        contrary = sorted(
            {name for name, sees_trouble in fresh if self._tracks[name].is_failing is not sees_trouble}
        )
        self._looked_boot = [boot for boot in self._looked_boot if now.boot - boot < 1.0]
        allowed = contrary[: max(0, SUSPECTS_PER_S - len(self._looked_boot))]
        self._looked_boot += [now.boot] * len(allowed)
        return tuple(allowed)

    def _note_accepted(self, row: PeerRow, now: Instant) -> None:
        mark = (row.session, row.report_seq)
        if mark != self._row_mark:
            self._row_mark, self._reported_boot = mark, now.boot

    def _truth(self, state: State, row: PeerRow, now: Instant) -> tuple[Opinion, dict[str, Vote]]:
        """What our row should be: the default, and every vote that differs from it."""
        if self._is_blind:  # no results come at all: the good ones are old as well
            return Opinion.UNKNOWN, {}
        exceptions = self._exceptions(now)
        # A full row must fit one entry; until then everything not named is unknown, which is always safe.
        is_up_already = row.default is Opinion.UP and row.config_hash == self._settings.config_hash
        pending = sum(vote.kind is Kind.PENDING for vote in exceptions.values())
        if pending * 2 > len(self._tracks) or not (is_up_already or reporting.fits(exceptions)):
            votes = {name: self._vote(track, now) for name, track in self._tracks.items()}
            return Opinion.UNKNOWN, {n: vote for n, vote in votes.items() if vote.kind is not Kind.PENDING}
        for name in self._in_trouble(state):
            if name in self._tracks and name not in exceptions:
                exceptions[name] = self._tracks[name].latest_good()
        return Opinion.UP, exceptions

    def _exceptions(self, now: Instant) -> dict[str, Vote]:
        """Every vote that is more than a plain up."""
        if now.boot - self._blind_look_boot >= BLIND_LOOK_EVERY_S:
            self._blind_look_boot = now.boot
            self._odd.update((name, None) for name, track in self._tracks.items() if track.is_blind(now.boot))
        exceptions = {}
        for name in tuple(self._odd):
            track = self._tracks[name]
            vote = self._vote(track, now)
            if vote.opinion is not Opinion.UP or vote.suspect:
                exceptions[name] = vote
            elif track.is_plain:
                del self._odd[name]
        return exceptions

    def _vote(self, track: Track, now: Instant) -> Vote:
        """The track's vote as far as this peer trusts itself; a success always counts."""
        vote = track.vote(now.boot)
        is_answer = vote.opinion is Opinion.DEGRADED and vote.kind is Kind.CONDITION
        is_failure = vote.opinion in (Opinion.DOWN, Opinion.DEGRADED) and not is_answer
        doubt = self._doubts.reason(now)
        if doubt and is_failure:
            text = f"in doubt: {doubt}"[:EVIDENCE_TEXT_MAX]
            return replace(vote, opinion=Opinion.UNKNOWN, kind=Kind.INCONCLUSIVE, text=text, suspect=False)
        if doubt and vote.suspect:
            return replace(vote, suspect=False)
        if is_failure and track.got_worse and self._is_unchecked(track.failing_since_boot, now):
            return replace(vote, opinion=track.before, suspect=True)
        return vote

    def _is_unchecked(self, since_boot: float, now: Instant) -> bool:
        """True while a look at the reference targets that began after a first failure is still to come."""
        is_waiting = self._has_reference and now.boot - since_boot < REFERENCE_WAIT_S
        return is_waiting and not self._doubts.was_checked_since(since_boot)

    def _in_trouble(self, state: State) -> set[str]:
        """Services in which others see trouble or that have an open incident."""
        names = {incident.service for incident in state.incidents.values() if incident.is_open}
        for peer, row in state.peers.items():
            if peer != self._settings.me:
                names.update(name for name, vote in row.votes.items() if _is_trouble(vote))
        return names

    def _dissent(self, state: State) -> str:
        """Set when this peer alone sees most of its services down that a majority of the others sees up."""
        others = [
            row
            for peer, row in state.peers.items()
            if peer != self._settings.me
            and row.boot_id
            and not row.leaving_until_wall
            and row.config_hash == self._settings.config_hash
        ]
        half = max(DISSENT_AT_LEAST, len(self._tracks) / 2)
        down = [name for name in self._odd if self._tracks[name].opinion is Opinion.DOWN]
        if not others or len(down) < half:
            return ""
        alone = [
            name for name in down if 2 * sum(_is_plainly_up(row.vote(name)) for row in others) > len(others)
        ]
        if len(alone) < half:
            return ""
        return f"it alone sees {len(alone)} of {len(self._tracks)} services down"


def _are_same(votes_of: dict[str, dict[str, Vote]], before: dict[str, dict[str, Vote]]) -> bool:
    """True when these are the very objects: most entries are no reports, and this is asked at each."""
    return votes_of.keys() == before.keys() and all(votes is before[p] for p, votes in votes_of.items())


def _is_plainly_up(vote: Vote) -> bool:
    """Up, and not in doubt: a peer that is just about to find out does not contradict us."""
    return vote.opinion is Opinion.UP and not vote.suspect


def _is_trouble(vote: Vote) -> bool:
    return vote.suspect or vote.opinion in (Opinion.DOWN, Opinion.DEGRADED)


def _sees_trouble(vote: Vote) -> bool:
    """What the peer's latest look saw: trouble, unless its vote is bad and that look contradicts it.

    Of *degraded* that may be for the worse; whoever sees it failing then looks again, which is right too.
    """
    return vote.suspect is not (vote.opinion in (Opinion.DOWN, Opinion.DEGRADED))
