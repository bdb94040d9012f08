"""delivery/sender.py: every sentence of protocol.md section 3 "Sender", over the real ledger, with no socket.

What is searched before a repeat is in test_sender_searches.py.
"""

from __future__ import annotations

import random
from functools import partial

import pytest
from msgspec.structs import replace
from support.core_support import Book, instant, service, settings
from support.sender_bench import ACCEPTED, BUSY, LOST, NOT_SENT, WRONG, Bench

from watchtower.core.channel_rows import ChannelRow
from watchtower.core.commands import Answer, Claim, Settle
from watchtower.core.model import Doubt, NoticeKind, Outcome, Stage
from watchtower.delivery.orders import BUDGET_S, HOLD_S, Orders
from watchtower.delivery.sender import Sender
from watchtower.delivery.timers import rival_wait_s
from watchtower.delivery.witness import Ending


def test_a_due_notification_is_claimed_sent_and_settled() -> None:
    """Claimed with t0 of now, sent once applied, settled until the state shows it."""
    bench = Bench()
    (item,) = bench.book.opened()
    (claim,) = bench.step().claims
    assert (claim.id, claim.attempt, claim.hold_ms) == (item.id, 0, round(HOLD_S * 1000))
    assert bench.step().sends == ()
    bench.apply(claim)
    orders = bench.step()
    (order,) = orders.sends
    assert orders.settles == bench.step().settles == (), "nothing is settled before the send has ended"
    assert (order.item.stage, order.send_until_boot) == (Stage.CLAIMED, 100.0 + HOLD_S - BUDGET_S)
    settle = bench.ended(order, ACCEPTED)
    assert (settle.outcome, settle.attempt, settle.receipt) == (Outcome.ACCEPTED, 1, "C1/1.2")
    assert bench.step().settles == ()
    bench.apply(settle)
    assert bench.step() == Orders(wake_boot=bench.step().wake_boot)
    assert bench.sender.is_idle
    assert bench.item(order).stage is Stage.DELIVERED


@pytest.mark.parametrize("session", [0, 7])
def test_without_its_own_session_nothing_happens(session: int) -> None:
    """Before it joined a process claims nothing; a claim of another session is never sent."""
    bench = Bench()
    bench.book.opened()
    if session == 0:
        orders = bench.sender.step(bench.book.state, 0, bench.settings, instant(100.0))
        assert orders.claims == ()
        return
    (claim,) = bench.step().claims
    bench.apply(claim)
    orders = bench.sender.step(bench.book.state, session, bench.settings, instant(100.0))
    assert orders.sends == ()


def test_another_peers_notification_is_left_alone() -> None:
    """Only the wanted sender claims; when the alerter names this peer instead, it does."""
    bench = Bench(me="b")
    (item,) = bench.book.opened()
    assert bench.step().claims == ()
    bench.book.assign(item, "b")
    assert len(bench.step().claims) == 1


def test_an_unknown_answer_means_not_mine_and_a_retry_is_a_new_id_and_t0() -> None:
    """A lost proposal is forgotten; the next try has its own id and counts from its own t0."""
    bench = Bench()
    bench.book.opened()
    (first,) = bench.step().claims
    bench.lose(first)
    assert bench.step().claims == ()
    (second,) = bench.step(1.0).claims
    assert second.claim_id != first.claim_id
    bench.apply(second)
    (order,) = bench.step().sends
    assert order.send_until_boot == 101.0 + HOLD_S - BUDGET_S


def test_a_forgotten_claim_that_is_applied_late_is_given_back_unsent() -> None:
    """The late copy of a forgotten claim never leads to a send; it is settled as not sent, without doubt."""
    bench = Bench()
    bench.book.opened()
    (first,) = bench.step().claims
    bench.lose(first)
    assert bench.book.do("a", first).ok
    orders = bench.step(1.0)
    assert orders.sends == ()
    (settle,) = orders.settles
    assert settle.outcome is Outcome.NOT_SENT
    bench.apply(settle)
    (item,) = bench.book.items(1)
    assert (item.stage, item.doubt) == (Stage.PENDING, Doubt.NO)
    assert len(bench.step(5.0).claims) == 1


def test_an_older_claim_of_the_same_attempt_is_not_the_one_that_is_held() -> None:
    """Attempt, owner and session agree, the claim id does not: its right began earlier."""
    bench = Bench()
    bench.book.opened()
    (first,) = bench.step().claims
    bench.lose(first)
    (second,) = bench.step(4.9).claims
    assert bench.book.do("a", first).ok
    assert bench.step(0.1).sends == ()
    assert not bench.apply(second).ok
    orders = bench.step(0.1)
    assert orders.sends == ()
    assert [settle.outcome for settle in orders.settles] == [Outcome.NOT_SENT]


def test_a_refused_claim_is_not_proposed_again_at_once() -> None:
    """A refusal waits half a second, so that a peer behind the log does not flood it."""
    bench = Bench()
    (item,) = bench.book.opened()
    (claim,) = bench.step().claims
    bench.sender.answered(claim, Answer(ok=False, reason="behind"), instant(bench.boot))
    assert bench.step().claims == ()
    assert [one.id for one in bench.step(0.6).claims] == [item.id]


def test_a_claim_applied_too_late_is_not_sent() -> None:
    """After t0 + L - S the right to begin is over, whatever the ledger says."""
    bench = Bench()
    bench.book.opened()
    (claim,) = bench.step().claims
    assert bench.book.do("a", claim).ok
    orders = bench.step(HOLD_S - BUDGET_S + 0.1)
    assert orders.sends == ()
    (settle,) = orders.settles
    assert settle.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("after_s", "may"), [(0.0, True), (HOLD_S - BUDGET_S, True), (HOLD_S - BUDGET_S + 0.01, False)]
)
def test_the_fence_is_in_time_until_t0_plus_l_minus_s(after_s: float, may: bool) -> None:
    """Right before the first byte: now <= t0 + L - S."""
    bench = Bench()
    bench.book.opened()
    order = bench.claimed()
    assert bench.sender.may_send(bench.book.state, bench.session, order, 100.0 + after_s) is may


def test_the_fence_refuses_once_the_claim_is_somebody_elses() -> None:
    """Step 2 must still be true at the fence: another's claim, or another session of ours, refuses."""
    bench = Bench()
    (item,) = bench.book.opened()
    order = bench.claimed()
    assert not bench.sender.may_send(bench.book.state, bench.session + 1, order, bench.boot)
    bench.book.assign(item, "b")
    assert bench.book.claim(item, "b").ok
    assert not bench.sender.may_send(bench.book.state, bench.session, order, bench.boot)


def test_rivals_wait_longer_than_the_owner_can_send_on_any_clock() -> None:
    """W = L (1 + r) / (1 - r) + margin, from when this process saw the claim id; not a moment before."""
    book = Book()
    owner, rival = Bench(book, "a"), Bench(book, "b")
    (item,) = book.opened()
    owner.claimed()
    book.assign(item, "b")
    wait_s = rival_wait_s(round(HOLD_S * 1000))
    assert 16.0 < wait_s < 16.1
    assert rival.step().claims == ()
    assert rival.step(wait_s - 0.01).claims == ()
    (claim,) = rival.step(0.02).claims
    rival.apply(claim)
    order = rival.searched(rival.step()).sends[0]
    assert (order.is_takeover, order.item.doubt) == (True, Doubt.MAYBE)


def test_every_claim_starts_the_rivals_timer_anew() -> None:
    """A second claim on the same item is waited for in full, whenever the first was seen."""
    book = Book()
    owner, rival = Bench(book, "a"), Bench(book, "b")
    (item,) = book.opened()
    owner.apply(owner.ended(owner.claimed(), NOT_SENT))
    rival.step()
    owner.claimed(14.0)
    book.assign(item, "b")
    assert rival.step(14.0).claims == ()
    assert rival.step(16.0).claims == ()
    assert len(rival.step(0.1).claims) == 1


def test_a_restart_starts_the_rivals_timer_anew() -> None:
    """A process that just started has waited for nothing, however old the claim is."""
    book = Book()
    Bench(book, "a").step()
    (item,) = book.opened()
    Bench(book, "a").claimed()
    book.assign(item, "b")
    late = Bench(book, "b")
    late.boot = 10_000.0
    assert late.step().claims == ()
    assert late.step(15.0).claims == ()
    assert len(late.step(1.1).claims) == 1


def test_an_ambiguous_ending_does_not_shorten_the_wait() -> None:
    """Uncertain counts like claimed, from the first sight of the claim id; the own peer waits too."""
    bench = Bench()
    bench.book.opened()
    order = bench.claimed()
    bench.boot += 8.0
    bench.apply(bench.ended(order, LOST))
    assert bench.item(order).stage is Stage.UNCERTAIN
    assert bench.step().claims == ()
    assert bench.step(7.9).claims == ()
    (claim,) = bench.step(0.2).claims
    bench.apply(claim)
    again = bench.searched(bench.step()).sends[0]
    assert again.item.doubt is Doubt.MAYBE


def test_a_definite_negative_is_retried_after_its_backoff() -> None:
    """Not sent frees the claim at once; the next attempt comes after 1, then 2 seconds."""
    bench = Bench()
    bench.book.opened()
    for pause_s in (1.0, 2.0, 4.0):
        bench.apply(bench.ended(bench.claimed(), NOT_SENT))
        assert bench.step(pause_s - 0.1).claims == ()
        bench.boot += 0.2
    assert bench.claimed().item.attempt == 4


def test_a_clock_of_another_peer_cannot_postpone_a_retry() -> None:
    """A settlement stamped an hour ahead delays the next attempt by its backoff, not by an hour."""
    bench = Bench()
    (item,) = bench.book.opened()
    assert bench.book.claim(item).ok
    bench.book.settle(item, Outcome.NOT_SENT, at_wall=instant(3_700.0).wall)
    assert bench.step().claims == ()
    assert len(bench.step(1.1).claims) == 1


def test_one_delivery_at_a_time_per_channel_the_oldest_first() -> None:
    """While one is claimed, sent or unsettled, no other of its channel is claimed; other channels go on."""
    wanted = settings(service("web"), service("api"), channels={"chat": "", "mail": ""})
    bench = Bench(wanted=wanted)
    (first,) = bench.book.opened("web", ("chat",))
    (second,) = bench.book.opened("api", ("chat",))
    (other,) = bench.book.opened("db", ("mail",))
    claims = bench.step().claims
    assert [claim.id for claim in claims] == [first.id, other.id]
    for claim in claims:
        bench.apply(claim)
    orders = bench.step().sends
    bench.sender.ended(orders[0], ACCEPTED, instant(bench.boot))
    step = bench.step()
    assert step.claims == ()
    bench.apply(step.settles[0])
    assert [claim.id for claim in bench.step().claims] == [second.id]


def test_a_resolved_notice_waits_for_its_firing() -> None:
    """The lane's older item is unfinished: the younger is not claimed, not even by a peer that is free."""
    bench = Bench()
    (firing,) = bench.book.opened()
    order = bench.claimed()
    _, resolved = bench.book.closed()
    assert resolved.kind is NoticeKind.RESOLVED
    assert bench.step().claims == ()
    other = Bench(bench.book, "b")
    bench.book.assign(resolved, "b")
    assert other.step().claims == ()
    bench.book.assign(resolved, "a")
    bench.apply(bench.ended(order, ACCEPTED))
    assert [claim.id for claim in bench.step().claims] == [resolved.id]
    assert bench.book.item(firing).stage is Stage.DELIVERED


def test_the_end_of_an_incident_waits_behind_a_firing_that_is_backing_off() -> None:
    """Nothing of ours is under way, the channel is free: still the older item of the lane goes first."""
    bench = Bench()
    (firing,) = bench.book.opened()
    bench.apply(bench.ended(bench.claimed(), LOST))
    bench.apply(bench.ended(bench.claimed(17.0), NOT_SENT))
    _, resolved = bench.book.closed()
    assert bench.book.item(firing).stage is Stage.PENDING
    assert bench.step(0.1).claims == ()
    assert [claim.id for claim in bench.step(3.0).claims] == [firing.id]
    assert bench.book.item(resolved).stage is Stage.PENDING


@pytest.mark.parametrize("ending", [LOST, ACCEPTED])
def test_whoever_may_have_been_told_hears_the_end(ending: Ending) -> None:
    """The incident closes after an attempt that may have arrived: its resolved notice is sent."""
    bench = Bench()
    (firing,) = bench.book.opened()
    bench.apply(bench.ended(bench.claimed(), ending))
    _, resolved = bench.book.closed()
    if ending is LOST:
        (claim,) = bench.step(17.0).claims
        bench.apply(claim)
        bench.apply(bench.searched(bench.step()).settles[0])
        assert bench.book.item(firing).stage is Stage.SUPERSEDED
    order = bench.claimed()
    assert (order.item.id, order.item.kind) == (resolved.id, NoticeKind.RESOLVED)
    bench.apply(bench.ended(order, ACCEPTED))
    assert bench.book.item(resolved).stage is Stage.DELIVERED


@pytest.mark.parametrize(
    ("is_taken_over", "outcome", "stage"),
    [(False, Outcome.NOT_SENT, Stage.CANCELLED), (True, Outcome.SUPERSEDED, Stage.SUPERSEDED)],
)
def test_a_firing_of_a_closed_incident_is_not_sent(
    is_taken_over: bool,
    outcome: Outcome,
    stage: Stage,
) -> None:
    """Closed between claim and send: not sent when nobody can have heard, superseded when somebody may."""
    bench = Bench()
    (item,) = bench.book.opened()
    if is_taken_over:
        assert bench.book.claim(item).ok
        bench.step()
    (claim,) = bench.step(17.0).claims
    bench.apply(claim)
    bench.book.closed()
    orders = bench.step()
    orders = bench.searched(orders) if is_taken_over else orders
    assert orders.sends == ()
    (settle,) = orders.settles
    assert settle.outcome is outcome
    bench.apply(settle)
    assert bench.book.item(item).stage is stage


def test_proof_is_settled_as_accepted_without_sending() -> None:
    """A late accept of the earlier sender is proof: the taker settles accepted and sends nothing."""
    book = Book()
    owner, rival = Bench(book, "a"), Bench(book, "b")
    (item,) = book.opened()
    order = owner.claimed()
    book.assign(item, "b")
    rival.step()
    (claim,) = rival.step(17.0).claims
    rival.apply(claim)
    owner.apply(owner.ended(order, ACCEPTED))
    assert book.item(item).doubt is Doubt.PROOF
    orders = rival.step()
    assert orders.sends == ()
    (settle,) = orders.settles
    assert settle.outcome is Outcome.ACCEPTED
    rival.apply(settle)
    assert book.item(item).stage is Stage.DELIVERED


def test_accepted_is_proposed_until_it_is_delivered_or_proof() -> None:
    """Lost settlements are proposed again; `accepted` goes on even when the claim is another's by now."""
    bench = Bench()
    (item,) = bench.book.opened()
    order = bench.claimed()
    bench.lose(bench.ended(order, ACCEPTED))
    bench.book.assign(item, "b")
    assert bench.book.claim(item, "b").ok
    (again,) = bench.step(0.6).settles
    bench.apply(again)
    assert bench.step(0.6).settles == ()
    assert bench.sender.is_idle
    assert bench.book.item(item).doubt is Doubt.PROOF


def test_a_negative_is_dropped_once_the_claim_is_no_longer_ours() -> None:
    """Only the live claim may say "not sent"; after a takeover the old sender keeps silent."""
    bench = Bench()
    (item,) = bench.book.opened()
    order = bench.claimed()
    bench.lose(bench.ended(order, NOT_SENT))
    bench.book.assign(item, "b")
    assert bench.book.claim(item, "b").ok
    assert bench.step(0.6).settles == ()
    assert bench.sender.is_idle


@pytest.mark.parametrize(
    ("failures", "ending", "takes_others", "outcome"),
    [
        (0, WRONG, True, Outcome.REJECTED),
        (7, WRONG, True, Outcome.DEAD),
        (7, WRONG, False, Outcome.REJECTED),
        (7, BUSY, True, Outcome.REJECTED),
        (0, NOT_SENT, True, Outcome.NOT_SENT),
        (9, LOST, True, Outcome.AMBIGUOUS),
    ],
)
def test_what_a_refusal_means(failures: int, ending: Ending, takes_others: bool, outcome: Outcome) -> None:
    """What is refused for good waits for somebody to mend the channel, unless the message is at fault."""
    bench = Bench()
    (item,) = bench.book.opened()
    for _ in range(failures):
        assert bench.book.claim(item).ok
        bench.book.settle(item, Outcome.NOT_SENT, at_wall=instant(0.0).wall)
    accepted_wall = instant(0.0).wall + (1.0 if takes_others else -1.0)
    row = replace(bench.book.state.channels.get("chat", ChannelRow()), accepted_wall=accepted_wall)
    bench.book.state = replace(bench.book.state, channels={"chat": row})
    assert bench.ended(bench.claimed(31.0), ending).outcome is outcome


def test_where_one_is_refused_for_good_others_go_first() -> None:
    """What is refused for what it says must not keep the channel from what it would take."""
    bench = Bench()
    (bad,) = bench.book.opened()
    assert bench.book.claim(bad).ok
    bench.book.settle(bad, Outcome.REJECTED, at_wall=instant(0.0).wall)
    (good,) = bench.book.opened("api")
    assert bench.step().claims[0].id == bad.id, "the older first"
    state = bench.book.state
    row = replace(state.channels["chat"], trouble="HTTP 404")
    bench = Bench(bench.book)
    bench.book.state = replace(state, channels={"chat": row})
    assert bench.step().claims[0].id == good.id


def test_a_channel_that_is_gone_from_the_config_in_force_is_dead() -> None:
    """Unknown under the config in force: settled as dead, so that it blocks no lane; else left alone."""
    wanted = settings(service("web"), channels={"mail": ""})
    bench = Bench(wanted=wanted)
    bench.book.opened()
    (claim,) = bench.step().claims
    bench.apply(claim)
    (settle,) = bench.step().settles
    assert settle.outcome is Outcome.DEAD
    stranger = Bench(wanted=settings(service("web"), channels={"mail": ""}, config_hash="another"))
    stranger.book.opened()
    assert stranger.step().claims == ()


def test_a_full_channel_and_a_draining_sender_claim_nothing() -> None:
    """Hanging threads close a channel for now; draining closes all and lets what is under way end."""
    bench = Bench()
    bench.book.opened()
    orders = bench.sender.step(bench.book.state, bench.session, bench.settings, instant(100.0), {"chat"})
    assert orders.claims == ()
    order = bench.claimed()
    bench.book.opened("api")
    bench.sender.drain()
    assert not bench.sender.is_idle
    bench.apply(bench.ended(order, ACCEPTED))
    assert bench.step(60.0).claims == ()
    assert bench.sender.is_idle


def test_the_step_names_the_next_moment_that_matters() -> None:
    """wake_boot is when a backoff or a rival's wait ends, so that no pump has to poll."""
    bench = Bench()
    bench.book.opened()
    bench.apply(bench.ended(bench.claimed(), NOT_SENT))
    orders = bench.step(0.25)
    assert orders.wake_boot == pytest.approx(101.0)


@pytest.mark.parametrize("seed", range(40))
def test_random_losses_takeovers_and_restarts_end_delivered(seed: int) -> None:
    """Two peers, lost and late proposals, lost answers, restarts: delivered in the end.

    A second copy leaves only when the ledger had it as doubtful before.
    """
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    book = Book()
    (item,) = book.opened()
    benches = {peer: Bench(book, peer) for peer in ("a", "b")}
    sent: list[Doubt] = []
    for turn in range(400):
        if book.item(item).stage.finished:
            break
        passed_s = dice.choice((0.1, 1.0, 6.0, 17.0))
        for each in benches.values():
            each.boot += passed_s
        bench = benches[dice.choice("ab")]
        if turn < 200 and dice.random() < 0.1:
            book.assign(item, dice.choice("ab"))
        if turn < 200 and dice.random() < 0.05:
            book.join(bench.me)
            book.lease("a")
            bench.sender = Sender(bench.me, partial(_token, dice))
        _turn(bench, dice, sent, is_calm=turn >= 200)
    assert book.item(item).stage is Stage.DELIVERED
    assert all(doubt is not Doubt.NO for doubt in sent[1:])


def _token(dice: random.Random) -> str:
    return f"{dice.getrandbits(64):x}"


def _turn(bench: Bench, dice: random.Random, sent: list[Doubt], *, is_calm: bool) -> None:
    """One peer acts; proposals and answers may get lost while it is not calm."""
    orders = bench.step()
    commands: list[Claim | Settle] = [*orders.claims, *orders.settles]
    if orders.searches:
        orders = bench.searched(orders)
        commands += [*orders.claims, *orders.settles]
    for command in commands:
        fate = "ok" if is_calm else dice.choice(("ok", "ok", "lost", "late"))
        if fate == "ok":
            bench.apply(command)
        else:
            bench.lose(command)
        if fate == "late":
            bench.book.do(bench.me, command)
    for order in orders.sends:
        if bench.sender.may_send(bench.book.state, bench.session, order, bench.boot):
            sent.append(bench.book.item(order.item).doubt)
            bench.sender.ended(
                order, ACCEPTED if is_calm else dice.choice((ACCEPTED, LOST)), instant(bench.boot)
            )
        else:
            bench.sender.ended(order, NOT_SENT, instant(bench.boot))
