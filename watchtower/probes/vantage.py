"""This peer's vantage point: results to votes, votes to reports. Pure; time and state are handed in.

Level-triggered, without a queue (protocol.md, "Reporter"): it compares its own truth with its own row
in applied state and proposes the difference, so lost, late and repeated reports cannot do harm. The row
holds exceptions only: failing and suspected services, what doubt has made unknown, and explicit up
votes for services in which others see trouble.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.commands import Report
from watchtower.core.model import Instant, Kind, Opinion, PeerRow, Result, State, Vote
from watchtower.core.ports import Recheck
from watchtower.core.settings import Settings
from watchtower.probes.opinions import Track
from watchtower.probes.schedule import probed
from watchtower.probes.selfdoubt import SelfDoubt

REPORT_EVERY_S: Final = 5.0
VOTES_PER_REPORT: Final = 200
REFERENCE_WAIT_S: Final = 3.0
SUSPECTS_PER_S: Final = 50
DISSENT_AT_LEAST: Final = 3


class Vantage:
    """Everything this peer thinks of the services it looks at."""

    def __init__(self, settings: Settings, now: Instant) -> None:
        self._doubts = SelfDoubt(now)
        self._tracks: dict[str, Track] = {}
        self._row_mark: tuple[int, int] = (0, 0)
        self._reported_boot = 0.0
        self._known_suspects: set[tuple[str, str]] = set()
        self._looked_boot: list[float] = []
        self.note_reference = self._doubts.note_reference
        self.note_loop_lag = self._doubts.note_loop_lag
        self.reload(settings, now)

    def reload(self, settings: Settings, _now: Instant) -> None:
        """Take new settings; opinions of services whose definition is unchanged stay."""
        self._settings = settings
        self._has_reference = bool(settings.cluster.reference) or len(settings.cluster.peers) > 1
        old = self._tracks
        self._tracks = {
            service.name: old[service.name]
            if service.name in old and old[service.name].service == service
            else Track(service)
            for service in probed(settings)
        }

    def take(self, result: Result, now: Instant) -> Recheck | None:
        """Weigh a result; what to look at again out of turn."""
        track = self._tracks.get(result.service)
        in_s = track.take(result, now.boot) if track is not None else None
        return None if in_s is None else Recheck(service=result.service, in_s=in_s)

    def doubt(self, now: Instant) -> str:
        """Why this peer doubts itself; "" when it does not."""
        return self._doubts.reason(now)

    def report(self, state: State, now: Instant, boot_id: str) -> Report | None:
        """The difference between our truth and our row in `state`; None when there is nothing to say yet.

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
        changes = _first(dict(votes)) if is_full else _difference(row.votes, votes)
        is_due = now.boot - self._reported_boot >= REPORT_EVERY_S
        if not (is_full or changes or told != row.doubt or is_due):
            return None
        return Report(
            seq=row.report_seq,
            full=is_full,
            config_hash=self._settings.config_hash,
            at_wall=now.wall,
            default=default,
            votes=changes,
            doubt=told,
        )

    def others_suspect(self, state: State, now: Instant) -> tuple[str, ...]:
        """Services that other peers have newly begun to suspect or vote down, to be looked at at once.

        Once per peer's suspicion and at most SUSPECTS_PER_S a second; what is over the budget waits
        for its turn in the rhythm.
        """
        suspects = {
            (service, peer)
            for peer, row in state.peers.items()
            if peer != self._settings.me
            for service, vote in row.votes.items()
            if service in self._tracks and _is_trouble(vote)
        }
        fresh = sorted({service for service, _ in suspects - self._known_suspects})
        self._known_suspects = suspects
        self._looked_boot = [boot for boot in self._looked_boot if now.boot - boot < 1.0]
        allowed = fresh[: max(0, SUSPECTS_PER_S - len(self._looked_boot))]
        self._looked_boot += [now.boot] * len(allowed)
        return tuple(name for name in allowed if not self._tracks[name].is_failing)

    def _note_accepted(self, row: PeerRow, now: Instant) -> None:
        mark = (row.session, row.report_seq)
        if mark != self._row_mark:
            self._row_mark, self._reported_boot = mark, now.boot

    def _truth(self, state: State, row: PeerRow, now: Instant) -> tuple[Opinion, dict[str, Vote]]:
        """What our row should be: the default, and every vote that differs from it."""
        votes = {name: self._vote(track, now) for name, track in self._tracks.items()}
        exceptions = {name: vote for name, vote in votes.items() if _is_trouble(vote) or not _is_up(vote)}
        # A full row must fit one entry; until then everything not named is unknown, which is always safe.
        fits = len(exceptions) <= VOTES_PER_REPORT or (
            row.default is Opinion.UP and row.config_hash == self._settings.config_hash
        )
        pending = sum(vote.kind is Kind.PENDING for vote in exceptions.values())
        if not fits or pending * 2 > len(votes):
            return Opinion.UNKNOWN, {
                name: vote for name, vote in votes.items() if vote.kind is not Kind.PENDING
            }
        for name in self._in_trouble(state):
            if name in votes and name not in exceptions:
                exceptions[name] = self._tracks[name].latest_good()
        return Opinion.UP, exceptions

    def _vote(self, track: Track, now: Instant) -> Vote:
        """The track's vote as far as this peer trusts itself."""
        vote = track.vote()
        if vote.opinion not in (Opinion.DOWN, Opinion.DEGRADED):
            return vote
        doubt = self._doubts.reason(now)
        if doubt:
            return replace(
                vote, opinion=Opinion.UNKNOWN, kind=Kind.INCONCLUSIVE, text=f"in doubt: {doubt}"[:160]
            )
        since_boot = track.failing_since_boot
        is_waiting = now.boot - since_boot < REFERENCE_WAIT_S and self._has_reference
        if is_waiting and not self._doubts.was_checked_since(since_boot):
            return replace(vote, opinion=Opinion.UNKNOWN, suspect=True)
        return vote

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
        down = [name for name, track in self._tracks.items() if track.opinion is Opinion.DOWN]
        if not others or len(down) < max(DISSENT_AT_LEAST, len(self._tracks) / 2):
            return ""
        alone = [name for name in down if 2 * sum(_is_up(row.vote(name)) for row in others) > len(others)]
        if len(alone) < max(DISSENT_AT_LEAST, len(self._tracks) / 2):
            return ""
        return f"it alone sees {len(alone)} of {len(self._tracks)} services down"


def _is_up(vote: Vote) -> bool:
    return vote.opinion is Opinion.UP


def _is_trouble(vote: Vote) -> bool:
    return vote.suspect or vote.opinion in (Opinion.DOWN, Opinion.DEGRADED)


def _first(changes: dict[str, Vote | None]) -> dict[str, Vote | None]:
    return dict(list(changes.items())[:VOTES_PER_REPORT])


def _difference(old: dict[str, Vote], new: dict[str, Vote]) -> dict[str, Vote | None]:
    """What turns `old` into `new`, as far as one report holds. Latency and wording alone do not count."""
    changes: dict[str, Vote | None] = {
        name: vote for name, vote in new.items() if name not in old or _essence(old[name]) != _essence(vote)
    }
    changes.update((name, None) for name in old if name not in new)
    return _first(changes)


def _essence(vote: Vote) -> tuple[Opinion, Kind, bool]:
    return vote.opinion, vote.kind, vote.suspect
