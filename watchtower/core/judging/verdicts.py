"""The verdict on every subject, with this peer's memory of it: one pass over the ledger.

Every peer runs this for itself, so that any peer can answer; only the alerter acts on it, in
decide.py. A verdict that no rule supports any longer stays for two minutes and is then unknown.
The subject `cluster` stands for the watching itself: ledgers that differ, too many doubts, too much that is
unknown.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from watchtower.core.applying import membership
from watchtower.core.judging import checkpoints, eligibility, heartbeats, peers, quorum
from watchtower.core.model import Evidence, Instant, Level, Opinion, State, Verdict
from watchtower.core.proofs.drills import drill_verdicts
from watchtower.core.proofs.selfalerts import channel_verdicts
from watchtower.core.settings import CLUSTER_SUBJECT, Service, Settings
from watchtower.core.targets import HeartbeatTarget, PeerTarget
from watchtower.core.view import Standing, View

HOLD_LAST_S: Final = 120.0
UNKNOWN_TOLD_AFTER_S: Final = 300.0
_JUDGED_APART: Final = frozenset((HeartbeatTarget, PeerTarget))


def observe(state: State, settings: Settings, view: View, now: Instant) -> dict[str, Standing]:
    """The standing of every configured service, of every peer, and of the cluster."""
    names = settings.cluster.peer_names
    eligible = [name for name in names if eligibility.ineligible(state, name, view, now) is None]
    troubled = {service for peer in eligible for service in state.row(peer).votes}
    before, standings = view.standings, dict[str, Standing]()
    judged: dict[tuple[str, ...], Verdict] = {}
    calm: dict[tuple[object, ...], Standing] = {}
    for name, service in settings.services.items():
        old = before.get(name)
        if name in troubled or type(service.target) in _JUDGED_APART:
            standings[name] = _remember(old, _verdict(service, eligible, state, view, now), now)
            continue
        # Nobody reports anything special of it. All such with the same voters share a verdict, and with the
        # same past a standing: thousands in which nothing happens cost a handful of them a pass.
        voters = service.voters
        past = (voters, old.level, old.since_boot, old.held_boot) if old else (voters,)
        known = calm.get(past)
        if known is None:
            if voters not in judged:
                judged[voters] = _verdict(service, eligible, state, view, now)
            known = calm[past] = _remember(old, judged[voters], now)
        standings[name] = known
    for name, one in chain(channel_verdicts(state, settings, now), drill_verdicts(state, settings, now)):
        standings[name] = _remember(before.get(name), one, now)
    verdict = _cluster_verdict(state, settings, standings, now)
    standings[CLUSTER_SUBJECT] = _remember(view.standings.get(CLUSTER_SUBJECT), verdict, now)
    return standings


def evidence(service: Service, state: State, view: View, now: Instant) -> tuple[Evidence, ...]:
    """What each voter of `service` sees just now; of a peer that may not vote, why not."""
    seen = []
    for peer in membership.voters(state, service.voters):
        reason = eligibility.ineligible(state, peer, view, now)
        vote = state.row(peer).vote(service.name)
        if reason is not None:
            seen.append(Evidence(peer=peer, opinion=Opinion.UNKNOWN, text=f"has no vote: {reason.value}"))
        else:
            seen.append(
                Evidence(
                    peer=peer,
                    opinion=vote.opinion,
                    text=vote.text,
                    latency_ms=vote.latency_ms,
                    suspect=vote.suspect,
                )
            )
    return tuple(seen)


def _verdict(service: Service, eligible: list[str], state: State, view: View, now: Instant) -> Verdict:
    target = service.target
    if isinstance(target, HeartbeatTarget):
        return heartbeats.judge(state.beats.get(service.name), target, state.watch, now.wall)
    voters = membership.voters(state, service.voters)
    votes = [state.row(peer).vote(service.name) for peer in voters if peer in eligible]
    verdict = quorum.judge(
        votes,
        len(voters),
        now_wall=now.wall,
        partial_after_s=service.confirm.partial_after_s,
    )
    if isinstance(target, PeerTarget):
        return peers.judge(target.peer, verdict, state, view, now)
    return verdict


def _remember(old: Standing | None, verdict: Verdict, now: Instant) -> Standing:
    if verdict.level is not None:
        is_same = old is not None and old.level is verdict.level
        since_boot = old.since_boot if old is not None and is_same else now.boot
        return Standing(verdict=verdict, level=verdict.level, since_boot=since_boot, held_boot=now.boot)
    if old is None:
        return Standing(verdict=verdict, level=Level.UNKNOWN, since_boot=now.boot, held_boot=now.boot)
    if old.level is not Level.UNKNOWN and now.boot - old.held_boot >= HOLD_LAST_S:
        return Standing(verdict=verdict, level=Level.UNKNOWN, since_boot=now.boot, held_boot=now.boot)
    return Standing(verdict=verdict, level=old.level, since_boot=old.since_boot, held_boot=old.held_boot)


def _cluster_verdict(
    state: State, settings: Settings, standings: dict[str, Standing], now: Instant
) -> Verdict:
    split = checkpoints.judge(state)
    if split is not None:
        return split
    voters = settings.cluster.voter_names
    doubting = [name for name in voters if state.row(name).doubt]
    if len(doubting) > len(voters) // 2 and len(voters) > 1:
        reason = f"{len(doubting)} of {len(voters)} peers doubt themselves"
        first = state.row(doubting[0]).doubt
        return Verdict(level=Level.DOWN, reason=f"{reason}: {first}", since_wall=now.wall)
    unknown = [
        name
        for name, standing in standings.items()
        if standing.level is Level.UNKNOWN
        and now.boot - standing.since_boot > UNKNOWN_TOLD_AFTER_S
        and name in settings.services
        and not _is_expected_unknown(settings.services[name], state)
    ]
    if unknown:
        reason = f"cannot judge {len(unknown)} services: {standings[unknown[0]].verdict.reason}"
        return Verdict(level=Level.DEGRADED, reason=reason, since_wall=now.wall - UNKNOWN_TOLD_AFTER_S)
    return Verdict(level=Level.UP, reason="the cluster can judge every service")


def _is_expected_unknown(service: Service, state: State) -> bool:
    """A heartbeat that never beat is new, and a peer has incidents of its own."""
    beat = state.beats.get(service.name)
    is_new = isinstance(service.target, HeartbeatTarget) and (beat is None or not beat.at_wall)
    return is_new or isinstance(service.target, PeerTarget)
