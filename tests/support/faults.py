"""The ways in which a running cluster is broken, one function each; every one notes what it does and when.

A fault begins at a random moment, or the moment a message was sent and is not yet settled, lasts, and
leaves the mending to `Rig.heal` where peers must only run and be linked again. What is asserted here is
only what belongs to the fault itself; what people were told is judged afterwards (judging.py).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from support.cluster_support import wait_for
from support.judging import EVERYBODY
from support.rig import LOOK_S, Rig
from support.slow_link import SlowLink

Break = Callable[[Rig], None]

NOTICED_S = 20.0
IN_FLIGHT_S = 20.0
PEER_TOLD_S = 25.0


def kill_alerter(rig: Rig) -> None:
    """Kill -9 the alerter at a random moment; it is back after some seconds."""
    rig.wait_well()
    rig.elapse(0.5, (0.0, 3.0))
    _kill(rig, "kill -9 of the alerter", rig.cluster.alerter())


def kill_sender(rig: Rig) -> None:
    """Kill -9 whoever sent a message, between its arrival and the answer."""
    rig.wait_well()
    sender = rig.wait_for_message()
    _kill(rig, "kill -9 while sending", sender or rig.cluster.alerter(), is_long=rig.is_long)


def kill_any(rig: Rig) -> None:
    """Kill -9 any peer at a random moment."""
    rig.wait_well()
    rig.elapse(0.5, (0.0, 3.0))
    _kill(rig, "kill -9 of any peer", rig.dice.choice(tuple(rig.cluster.processes)))


def _kill(rig: Rig, kind: str, victim: str, *, is_long: bool = True) -> None:
    """What the victim held in flight is told before anything else breaks, and in time.

    It is dead for some seconds, or (unless `is_long`) until people know that it is.
    """
    with rig.broken(kind, victim):
        rig.cluster.kill(victim)
        rig.outages.begin_one()
        in_flight = rig.held_by(victim)
        if is_long:
            rig.elapse(3.0, (3.0, 8.0))
        else:
            wait_for(
                lambda: rig.is_told_of(victim), PEER_TOLD_S, f"the death of peer {victim} is told", LOOK_S
            )
        rig.heal()
        wait_for(
            lambda: not in_flight & rig.held_by(victim), IN_FLIGHT_S, "what was in flight at the kill", 0.25
        )


def kill_all(rig: Rig) -> None:
    """Kill -9 all peers at once while messages are on their way."""
    rig.wait_for_message()
    with rig.broken("kill -9 of all at once", EVERYBODY):
        rig.cluster.kill()
        rig.cluster.start()
        rig.heal()


def lose_majority(rig: Rig) -> None:
    """A majority, the alerter among it, is gone for a while and comes back."""
    count = len(rig.cluster.processes)
    gone = _some(rig, count // 2 + 1)
    with rig.broken("majority lost and regained", EVERYBODY):
        rig.cluster.kill(*gone)
        rig.elapse(6.0, (6.0, 10.0))
        rig.heal()


def kill_minority(rig: Rig) -> None:
    """As many as can be spared, the alerter among them, are killed at once."""
    gone = _some(rig, (len(rig.cluster.processes) - 1) // 2)
    with rig.broken("kill -9 of a minority at once", *gone):
        rig.cluster.kill(*gone)
        for victim in gone:
            wait_for(partial(rig.is_told_of, victim), PEER_TOLD_S, f"the death of peer {victim}", LOOK_S)
        rig.heal()


def _some(rig: Rig, count: int) -> tuple[str, ...]:
    """So many peers, the alerter first."""
    alerter = rig.cluster.alerter()
    others = list(rig.others(alerter))
    rig.dice.shuffle(others)
    return (alerter, *others[: count - 1])


def stop_alerter(rig: Rig) -> None:
    """SIGSTOP the alerter for 1 to 20 s at a random moment."""
    rig.elapse(0.5, (0.0, 3.0))
    _stop(rig, "SIGSTOP of the alerter", rig.cluster.alerter())


def stop_sender(rig: Rig) -> None:
    """SIGSTOP whoever sent a message, between its arrival and the answer, for 1 to 20 s."""
    sender = rig.wait_for_message()
    _stop(rig, "SIGSTOP while sending", sender or rig.cluster.alerter())


def _stop(rig: Rig, kind: str, victim: str) -> None:
    with rig.broken(kind, victim):
        rig.cluster.signal(victim, signal.SIGSTOP)
        rig.elapse(6.0, (1.0, 20.0))
        rig.cluster.signal(victim, signal.SIGCONT)


def cut_off_with_backlog(rig: Rig) -> None:
    """The alerter loses both others while messages wait for a channel that refuses; then it takes them."""
    rig.hook.set_mode("500")
    rig.elapse(4.0)
    alerter = rig.cluster.alerter()
    with rig.broken("cut off, with a backlog", alerter):
        rig.networks.isolate(alerter)
        rig.hook.set_mode("late")
        rig.elapse(8.0, (8.0, 14.0))
        rig.networks.mend()


def cut_off_sender(rig: Rig) -> None:
    """Whoever sent a message is cut off before it can settle it."""
    sender = rig.wait_for_message() or rig.cluster.alerter()
    with rig.broken("cut off while sending", sender):
        rig.networks.isolate(sender)
        rig.elapse(6.0, (6.0, 20.0))
        rig.networks.mend()


def mute(rig: Rig) -> None:
    """The alerter hears everybody, and nobody hears it."""
    alerter = rig.cluster.alerter()
    with rig.broken("cut off one way: mute", alerter):
        for other in rig.others(alerter):
            rig.networks.cut(alerter, other)
        rig.elapse(6.0, (6.0, 12.0))
        rig.networks.mend()


def deafen(rig: Rig) -> None:
    """Everybody hears the alerter, and it hears nobody."""
    alerter = rig.cluster.alerter()
    with rig.broken("cut off one way: deaf", alerter):
        for other in rig.others(alerter):
            rig.networks.cut(other, alerter)
        rig.elapse(6.0, (6.0, 12.0))
        rig.networks.mend()


def cut_pair(rig: Rig) -> None:
    """The alerter and one other lose each other, one way or both; the third hears both."""
    alerter = rig.cluster.alerter()
    other = rig.dice.choice(rig.others(alerter))
    with rig.broken("one link cut", alerter, other):
        ways = ((alerter, other), (other, alerter))
        for sender, receiver in rig.dice.choice((ways[:1], ways[1:], ways)):
            rig.networks.cut(sender, receiver)
        rig.elapse(5.0, (6.0, 12.0))
        rig.networks.mend()


def cut_sites(rig: Rig) -> None:
    """The alerter's site (its zone: peers whose names begin alike) and the other lose each other.

    Whoever is in neither, as a witness, hears both.
    """
    alerter = rig.cluster.alerter()
    names = [name for name in rig.cluster.names if not name.startswith("w")]
    near = [name for name in names if name[0] == alerter[0]]
    far = [name for name in names if name not in near]
    with rig.broken("two sites cut apart", *names):
        for one in near:
            for other in far:
                rig.networks.cut(one, other)
                rig.networks.cut(other, one)
        rig.elapse(6.0, (6.0, 12.0))
        rig.networks.mend()


def slow_link(rig: Rig) -> None:
    """Every packet between the alerter and another takes 0.2 s more, give or take 0.1 s."""
    alerter = rig.cluster.alerter()
    other = rig.dice.choice(rig.others(alerter))
    with rig.broken("slow link", alerter, other), SlowLink(rig.networks, alerter, other, 0.2, 0.1):
        rig.elapse(6.0, (8.0, 12.0))


def fill_disk(rig: Rig) -> None:
    """The alerter's disk is full for a while: it says so and steps back, and is well when there is room."""
    alerter = rig.cluster.alerter()
    with rig.broken("full disk", alerter):
        _wait_while_full(rig, alerter, lambda: not rig.cluster.is_true(alerter, "/readyz"), "it is noticed")
        assert "space" in rig.cluster.get(alerter, "/api/v1/cluster")["trouble"]
        _wait_while_full(rig, alerter, lambda: rig.cluster.alerter() != alerter, "another alerter")
        rig.elapse(3.0)
        rig.disks[alerter].free()
        rig.cluster.wait_ready(alerter)


def _wait_while_full(rig: Rig, full: str, look: Callable[[], bool], what: str) -> None:
    """Until `look` is true, while the disk of peer `full` stays full.

    What the peer gives back is taken again: a snapshot that did not fit is removed, a history that cannot
    be written is closed and its log emptied, and their bytes are room for many seconds of journal.
    """

    def filled() -> bool:
        rig.disks[full].fill()
        return look()

    wait_for(filled, NOTICED_S, f"the disk of {full} is full: {what}")


def wipe_disk(rig: Rig) -> None:
    """A peer comes back with an empty disk."""
    victim = rig.dice.choice((rig.cluster.alerter(), *rig.cluster.processes))
    with rig.broken("wiped disk", victim):
        rig.cluster.kill(victim)
        rig.disks[victim].wipe()
        rig.elapse(0.5, (0.5, 3.0))
        rig.heal()


def step_clock(rig: Rig) -> None:
    """The alerter's wall clock is an hour off for a while: another takes over meanwhile."""
    alerter = rig.cluster.alerter()
    with rig.broken("wall clock +-1 h", alerter):
        rig.cluster.hurt(alerter, f"clock {rig.dice.choice((3600, -3600))}")
        wait_for(lambda: rig.cluster.alerter() != alerter, NOTICED_S, "another alerter")
        rig.elapse(4.0)
        rig.cluster.hurt(alerter, "clock 0")


def block_loops(rig: Rig) -> None:
    """Each app loop in turn stands still for 2 s: no leader changes."""
    before = rig.term()
    with rig.broken("app loop blocked for 2 s", *rig.cluster.processes):
        for peer in tuple(rig.cluster.processes):
            rig.cluster.hurt(peer, "block 2")
            rig.elapse(2.2)
        assert rig.term() == before, "a Raft leader changed because app loops stood still for 2 s"


def restart_in_turn(rig: Rig) -> None:
    """Each peer leaves in the planned way, the first one after it was drained, and starts again."""
    rig.wait_well()
    for number, peer in enumerate(tuple(rig.cluster.processes)):
        with rig.broken("planned stop", peer):
            if number == 0:
                rig.cluster.act(peer, "/-/drain?for=60s")
                wait_for(lambda name=peer: not rig.cluster.is_true(name, "/readyz"), 5, "it says so")  # type: ignore[misc] # the default binds the name
            rig.outages.begin_one()
            codes = rig.cluster.stop(peer)
            assert codes[peer] == 0, f"peer {peer} ended with code {codes[peer]}"
            rig.cluster.start(peer)
            rig.cluster.wait_ready()
            # Two failed looks after it is back it has votes again; before that a majority needs both others.
            rig.elapse(4.0)


SHORT: tuple[Break, ...] = (
    restart_in_turn, kill_sender, kill_alerter, stop_sender, cut_off_with_backlog, mute, cut_pair,
    slow_link, fill_disk, wipe_disk, step_clock, lose_majority, kill_all, block_loops,
)  # fmt: skip
"""One of each, in this order."""


def long_plan(rig: Rig) -> list[Break]:
    """50 kills, 50 stops, 20 cuts and five of everything else, in a random order."""
    plan: list[Break] = [
        *[kill_alerter] * 25, *[kill_sender] * 15, *[kill_any] * 10,
        *[stop_alerter] * 30, *[stop_sender] * 20,
        *[cut_off_with_backlog] * 5, *[cut_off_sender] * 5, *[mute] * 3, *[deafen] * 3, *[cut_pair] * 4,
        *[slow_link, fill_disk, wipe_disk, step_clock, lose_majority, kill_all, restart_in_turn] * 5,
        *[block_loops] * 3,
    ]  # fmt: skip
    rig.dice.shuffle(plan)
    return plan
