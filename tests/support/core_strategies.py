"""Hypothesis strategies for entries of the replicated log: wild ones, and plausible ones.

Wild entries combine any fields of a small alphabet and are mostly refused. A Deed is a plan that is turned
into an entry against the state it meets, right in every fence unless `flaw` names one, so that sequences
of deeds reach deep states. Nothing here knows what apply does with them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import Struct
from support.core_support import WALL, notice

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.applying.outbox import notification_id
from watchtower.core.beats import Signal
from watchtower.core.commands import Command, Draft, Entry
from watchtower.core.model import (
    Checkpoint,
    Evidence,
    Level,
    NoticeKind,
    Notification,
    Opinion,
    Outcome,
    Stage,
    State,
    Vote,
)
from watchtower.core.policies import Acknowledgement, Matcher, Silence, SilenceKind, Why, Withheld

PEERS = ("a", "b", "c")
SERVICES = ("web", "api", "peer/b")
CHANNELS = ("chat", "mail")

small = st.integers(-1, 4)
names = st.sampled_from((*PEERS, "stranger", ""))
services = st.sampled_from((*SERVICES, ""))
ids = st.sampled_from(("x", "y", "796bc5c3eb371623", ""))
texts = st.text(max_size=20)
# Finite times on both sides of zero: JSON has no infinity, and a clock may stand anywhere.
walls = st.floats(-1e12, 1e12) | st.sampled_from((WALL, WALL + 1, 0.0))
hashes = st.sampled_from(("h1", "h2", ""))
opinions = st.sampled_from(Opinion)
levels = st.sampled_from(Level)
votes = st.builds(
    Vote, opinion=opinions, text=texts, latency_ms=walls, since_wall=walls, suspect=st.booleans()
)
notices = st.builds(notice, levels)
evidence = st.builds(Evidence, peer=names, opinion=opinions, text=texts, latency_ms=walls)
drafts = st.builds(
    Draft,
    id=ids,
    channel=st.sampled_from(CHANNELS),
    kind=st.sampled_from(NoticeKind),
    sender=names,
    notice=notices,
)
withhelds = st.builds(Withheld, why=st.sampled_from(Why), text=texts, until_wall=walls, root=small)
matchers = st.builds(
    Matcher, label=texts, patterns=st.lists(texts, max_size=2).map(tuple), is_not=st.booleans()
)
silences = st.builds(
    Silence, id=ids, kind=st.sampled_from(SilenceKind), matchers=st.lists(matchers, max_size=2).map(tuple),
    author=texts, reason=texts, starts_wall=walls, ends_wall=walls, created_wall=walls,
)  # fmt: skip
_transition: dict[str, Any] = {
    "epoch": small, "gen": small, "service": services, "rev": small, "incident": small, "reason": texts,
    "at_wall": walls, "policy_rev": st.just(0) | small,
}  # fmt: skip
_told: dict[str, Any] = {
    "level": levels,
    "evidence": st.lists(evidence, max_size=2).map(tuple),
    "drafts": st.lists(drafts, max_size=3).map(tuple),
}

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(c.Found, cluster=texts, members=st.lists(names, max_size=3).map(tuple), at_wall=walls),
    st.builds(c.Join, boot_id=ids, version=texts, command_version=small, at_wall=walls),
    st.builds(c.Gone, epoch=small, peer=names, peer_session=small),
    st.builds(
        c.Report, seq=small, full=st.booleans(), config_hash=hashes, at_wall=walls, default=opinions,
        votes=st.dictionaries(services, st.none() | votes, max_size=3), doubt=texts, members_gen=small,
        checkpoint=st.none() | st.builds(Checkpoint, entries=small, hash=ids),
    ),
    st.builds(c.Activate, epoch=small, gen=small, config_hash=hashes, at_wall=walls),
    st.builds(c.ClaimLease, epoch=small, renewals=small, length_ms=small, id=ids),
    st.builds(c.Renew, epoch=small, length_ms=small, id=ids),
    st.builds(c.Release, epoch=small),
    st.builds(c.Open, **_transition, **_told, since_wall=walls),
    st.builds(c.Shift, **_transition, **_told),
    st.builds(c.Close, **_transition, notice=st.none() | notices),
    st.builds(c.Enqueue, epoch=small, incident=small, draft=drafts, at_wall=walls),
    st.builds(
        c.Withhold, epoch=small, incident=small, withheld=st.none() | withhelds, at_wall=walls,
        policy_rev=small,
    ),
    st.builds(c.Drop, epoch=small, id=ids, reason=texts, policy_rev=small),
    st.builds(
        c.Coalesce, epoch=small, draft=drafts, members=st.lists(ids, max_size=3).map(tuple), at_wall=walls
    ),
    st.builds(r.SetSilence, silence=silences),
    st.builds(r.EndSilence, id=ids, by=texts, at_wall=walls),
    st.builds(r.Sweep, epoch=small, silences=st.lists(ids, max_size=2).map(tuple)),
    st.builds(
        r.Acknowledge, incident=small, by=texts, at_wall=walls,
        ack=st.none() | st.builds(Acknowledgement, by=texts, note=texts, at_wall=walls),
    ),
    st.builds(
        r.TryChannels, id=ids, channels=st.lists(st.sampled_from(CHANNELS), max_size=2).map(tuple),
        senders=st.lists(names, max_size=2).map(tuple), by=texts, at_wall=walls,
    ),
    st.builds(r.StartDrill, channel=st.sampled_from(CHANNELS), by=texts, at_wall=walls, seen_wall=walls),
    st.builds(c.Assign, epoch=small, id=ids, sender=names),
    st.builds(c.Claim, id=ids, attempt=small, hold_ms=small, claim_id=ids),
    st.builds(
        c.Settle, id=ids, attempt=small, outcome=st.sampled_from(Outcome), at_wall=walls, receipt=texts,
        detail=texts, retry_after_s=walls,
    ),
    st.builds(
        c.BeatSeen, service=services, at_wall=walls, signal=st.sampled_from(Signal), exit=small, text=texts
    ),
    st.builds(c.Leaving, for_s=walls, at_wall=walls),
    st.builds(c.Resize, members=st.lists(names, max_size=4).map(tuple), members_gen=small),
    st.builds(c.Gate, epoch=small, version=small),
    st.builds(c.Forget, epoch=small, gen=small, services=st.lists(services, max_size=3).map(tuple)),
)  # fmt: skip
wild_entries = st.builds(Entry, v=st.just(1), by=names, boot=ids, seq=small, session=small, command=commands)


class Deed(Struct, frozen=True, kw_only=True):
    """One plausible step about some service, and what is wrong with it.

    Who does it is whoever may (the alerter, the wanted sender, the owner), unless the flaw is `by`.
    """

    kind: type
    by: str
    service: str
    pick: int
    opinion: Opinion
    outcome: Outcome
    flaw: str


KINDS = (
    *(c.Report,) * 4, *(c.Open,) * 5, *(c.Shift,) * 2, *(c.Close,) * 3, *(c.Claim,) * 8, *(c.Settle,) * 8,
    c.Join, c.Gone, c.Activate, c.ClaimLease, c.ClaimLease, c.Renew, c.Release, c.Enqueue, c.Assign,
    c.BeatSeen, c.Leaving, c.Resize, c.Gate, c.Forget,
    c.Withhold, c.Drop, *(c.Coalesce,) * 2, r.SetSilence, r.EndSilence, *(r.Acknowledge,) * 2, r.TryChannels,
)  # fmt: skip
OFFICE = (
    c.Gone, c.Activate, c.Renew, c.Release, c.Open, c.Shift, c.Close, c.Enqueue, c.Assign, c.Gate, c.Forget,
    c.Withhold, c.Drop, c.Coalesce,
)  # fmt: skip
SAID = (c.Withhold, c.Drop, c.Coalesce, r.SetSilence, r.EndSilence, r.Acknowledge, r.TryChannels)
FLAWS = (*("",) * 18, "session", "epoch", "seq", "rev", "incident", "id", "by")


def deed_of(number: int) -> Deed:
    """The deed of a number: its digits in a mixed base."""
    drawn: list[Any] = []
    for choices in (KINDS, PEERS, SERVICES, range(6), tuple(Opinion), tuple(Outcome), FLAWS):
        number, index = divmod(number, len(choices))
        drawn.append(choices[index])
    kind, by, about, pick, opinion, outcome, flaw = drawn
    return Deed(kind=kind, by=by, service=about, pick=pick, opinion=opinion, outcome=outcome, flaw=flaw)


deeds = st.integers(0, 2**32 - 1).map(deed_of)


def _doer(state: State, deed: Deed) -> str:
    item = _item(state, deed)
    if deed.flaw == "by" or (deed.kind in (c.Claim, c.Settle) and item is None):
        return deed.by
    if deed.kind is c.Claim and item:
        return item.sender
    if deed.kind is c.Settle and item:
        return item.owner or deed.by
    return state.lease.holder if deed.kind in OFFICE else deed.by


def entry_of(state: State, deed: Deed) -> Entry:
    """The entry that `deed` means when it meets `state`."""
    by = _doer(state, deed)
    row = state.row(by)
    session = row.session - (deed.flaw == "session")
    command = _command(state, deed)
    return Entry(v=1, by=by, boot=row.boot_id, seq=deed.pick, session=session, command=command)


def _command(state: State, deed: Deed) -> Command:  # noqa: C901, PLR0911, PLR0912 - one line per command is the clearest list
    epoch = state.lease.epoch - (deed.flaw == "epoch")
    gen, at_wall, other = state.config.gen, WALL + deed.pick, PEERS[deed.pick % 3]
    item = _item(state, deed)
    identifier = "nothing" if item is None or deed.flaw == "id" else item.id
    attempt = (item.attempt if item else 0) - (deed.flaw == "seq")
    if deed.kind is c.Join:
        version = 1 + (deed.pick > 0)
        return c.Join(boot_id=f"boot{deed.pick}", version="1", command_version=version, at_wall=at_wall)
    if deed.kind is c.Gone:
        return c.Gone(epoch=epoch, peer=other, peer_session=state.row(other).session)
    if deed.kind is c.Report:
        return _report(state, deed)
    if deed.kind is c.Activate:
        return c.Activate(epoch=epoch, gen=gen, config_hash=f"h{deed.pick % 2}", at_wall=at_wall)
    if deed.kind is c.ClaimLease:
        renewals = state.lease.renewals - (deed.flaw == "seq")
        return c.ClaimLease(epoch=epoch, renewals=renewals, length_ms=3000, id=f"l{deed.pick}")
    if deed.kind is c.Renew:
        return c.Renew(epoch=epoch, length_ms=3000, id=f"l{deed.pick}")
    if deed.kind is c.Release:
        return c.Release(epoch=epoch)
    if deed.kind in (c.Open, c.Shift, c.Close):
        return _move(state, deed)
    if deed.kind is c.Enqueue:
        number = state.service(deed.service).incident - (deed.flaw == "incident")
        draft = _draft(deed, "mail", NoticeKind(list(NoticeKind)[deed.pick % 3]), f"{number} more")
        rev = state.policy_rev
        return c.Enqueue(epoch=epoch, incident=number, draft=draft, at_wall=at_wall, policy_rev=rev)
    if deed.kind is c.Assign:
        return c.Assign(epoch=epoch, id=identifier, sender=other)
    if deed.kind is c.Claim:
        return c.Claim(
            id=identifier,
            attempt=attempt,
            hold_ms=15_000,
            claim_id=f"k{deed.pick}",
            policy_rev=state.policy_rev,
        )
    if deed.kind in SAID:
        return _policy(state, deed, identifier)
    if deed.kind is c.Settle:
        return c.Settle(id=identifier, attempt=attempt, outcome=deed.outcome, at_wall=at_wall)
    if deed.kind is c.BeatSeen:
        signal = tuple(Signal)[deed.pick % len(Signal)]
        return c.BeatSeen(service=deed.service, at_wall=at_wall, signal=signal, exit=deed.pick)
    if deed.kind is c.Leaving:
        return c.Leaving(for_s=60.0 * (deed.pick % 2), at_wall=at_wall)
    if deed.kind is c.Resize:
        return _resize(state, deed)
    if deed.kind is c.Gate:
        return c.Gate(epoch=epoch, version=state.gate + 1)
    return c.Forget(epoch=epoch, gen=gen, services=(deed.service, SERVICES[deed.pick % 3]))


def _item(state: State, deed: Deed) -> Notification | None:
    """A claimed notification to settle, an unfinished one otherwise; when there is none, any."""
    unfinished = [item for item in state.notifications.values() if not item.stage.finished]
    live = [item for item in unfinished if item.stage is Stage.CLAIMED]
    if deed.kind is c.Settle and live and deed.pick < 4:
        return live[deed.pick % len(live)]
    items = unfinished if unfinished and deed.pick < 5 else list(state.notifications.values())
    return items[deed.pick % len(items)] if items else None


def _report(state: State, deed: Deed) -> c.Report:
    row = state.row(deed.by)
    vote = None if deed.pick == 0 else Vote(opinion=deed.opinion, since_wall=WALL)
    full = deed.pick % 3 == 1 or not row.config_hash
    return c.Report(
        seq=row.report_seq - (deed.flaw == "seq"),
        full=full,
        config_hash="h2" if full and deed.pick == 4 else row.config_hash or "h1",
        at_wall=WALL + deed.pick,
        votes={deed.service: vote},
        doubt="doubt" if deed.pick == 5 else "",
        members_gen=state.members_gen,
        checkpoint=Checkpoint(entries=512, hash=f"hash{deed.pick == 2}") if deed.pick else None,
    )


def _resize(state: State, deed: Deed) -> c.Resize:
    """One peer in or out, now and then two; a founder stays, so that somebody goes on."""
    turned = {"d", "e"} if deed.flaw == "incident" else {"bcde"[deed.pick % 4]}
    members = tuple(sorted(set(state.members) ^ turned))
    return c.Resize(members=members, members_gen=state.members_gen - (deed.flaw == "seq"))


def _move(state: State, deed: Deed) -> Command:
    row, level = state.service(deed.service), (Level.DOWN, Level.DEGRADED, Level.PARTIAL)[deed.pick % 3]
    fences: dict[str, Any] = {
        "epoch": state.lease.epoch - (deed.flaw == "epoch"),
        "gen": state.config.gen,
        "service": deed.service,
        "rev": state.rev(deed.service) - (deed.flaw == "rev"),
        "incident": row.incident - (deed.flaw == "incident"),
        "reason": "because",
        "at_wall": WALL + deed.pick,
        "policy_rev": state.policy_rev,
    }
    if deed.kind is c.Close:
        return c.Close(**fences, notice=notice(Level.UP) if deed.pick else None)
    step = f"{state.last_incident + 1}.{deed.pick}"
    kind = NoticeKind.FIRING if deed.kind is c.Open else NoticeKind.WORSENED
    told = tuple(_draft(deed, channel, kind, step) for channel in CHANNELS[: 1 + deed.pick % 2])
    if deed.kind is c.Open:
        return c.Open(**fences, level=level, since_wall=WALL, drafts=told)
    return c.Shift(**fences, level=level, drafts=told)


def _policy(state: State, deed: Deed, identifier: str) -> Command:  # noqa: PLR0911 - one line per command
    """Quiet, an acknowledgement, a digest, a withdrawal, a test."""
    epoch, at_wall = state.lease.epoch - (deed.flaw == "epoch"), WALL + deed.pick
    number, rev = state.service(deed.service).incident, state.policy_rev - (deed.flaw == "rev")
    if deed.kind is c.Withhold:
        why = Withheld(why=tuple(Why)[deed.pick % len(Why)], text="because") if deed.pick % 2 else None
        return c.Withhold(epoch=epoch, incident=number, withheld=why, at_wall=at_wall, policy_rev=rev)
    if deed.kind is c.Drop:
        return c.Drop(epoch=epoch, id=identifier, reason="because", policy_rev=rev)
    if deed.kind is c.Coalesce:
        return _coalescing(state, deed, epoch)
    if deed.kind is r.Acknowledge:
        ack = Acknowledgement(by="ops", note="", at_wall=at_wall) if deed.pick else None
        return r.Acknowledge(incident=number, ack=ack, by="ops", at_wall=at_wall, by_link=deed.pick % 2 == 0)
    if deed.kind is r.TryChannels:
        return r.TryChannels(id=f"t{deed.pick}", channels=("chat",), senders=PEERS, by="ops", at_wall=at_wall)
    if deed.kind is r.EndSilence:
        return r.EndSilence(id=f"s{deed.pick % 2}", by="ops", at_wall=at_wall)
    matchers = (Matcher(label="service", patterns=(deed.service,)),)
    return r.SetSilence(
        silence=Silence(
            id=f"s{deed.pick % 2}",
            kind=SilenceKind.SILENCE,
            matchers=matchers,
            author="ops",
            reason="",
            starts_wall=WALL,
            ends_wall=at_wall + 60,
            created_wall=WALL,
        )
    )


def _coalescing(state: State, deed: Deed, epoch: int) -> c.Coalesce:
    """All that waits for one channel and may go together, or (by a flaw) something else."""
    channel = CHANNELS[deed.pick % 2]
    waiting = [
        item.id
        for item in state.notifications.values()
        if item.channel == channel and item.stage is Stage.PENDING and item.kind.is_of_incident
    ]
    members = tuple(sorted(waiting)) if deed.flaw != "id" else ("nothing",)
    draft = _draft(deed, channel, NoticeKind.DIGEST, f"digest {deed.pick // 3}")
    return c.Coalesce(epoch=epoch, draft=draft, members=members, at_wall=WALL + deed.pick)


def _draft(deed: Deed, channel: str, kind: NoticeKind, number: str) -> Draft:
    return Draft(
        id=notification_id("test", deed.service, kind, number, channel),
        channel=channel,
        kind=kind,
        sender=deed.by,
        notice=notice(Level.DOWN),
    )
