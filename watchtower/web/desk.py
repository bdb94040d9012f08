"""Where people's wishes about alerts become commands: acknowledge, silence, test, drill; for API and pages.

Every wish is checked against what this peer knows, so that an answer can name the nearest right thing, and
then proposed once. Refused raises what to say; whether a caller may wish is the routes'.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from watchtower.core.applying import outbox
from watchtower.core.applying.proving import TESTS_MAX
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.commands import Command
from watchtower.core.model import Incident, NoticeKind
from watchtower.core.nearest import nearest
from watchtower.core.policies import AUTHOR_MAX, REASON_MAX, Acknowledgement, Silence, SilenceKind
from watchtower.core.ports import Snapshot, Submit
from watchtower.core.proofs import drills
from watchtower.core.requests import Acknowledge, EndSilence, SetSilence, StartDrill, TryChannels
from watchtower.core.text import clean
from watchtower.web.incidents import open_incidents

ACT_S: Final = 5.0


class Refused(Exception):  # noqa: N818 - not a fault of the program: an answer on its way out
    """It was not done: an HTTP status, the error in a word, and why with what to do."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail


def author(given: str, caller: str) -> str:
    """Who is named: what the caller says, with whose token or link it was said."""
    said = clean(given, AUTHOR_MAX)
    if not said or said == caller:
        return clean(caller, AUTHOR_MAX)
    return clean(f"{clean(given, AUTHOR_MAX - len(caller) - 3)} ({caller})", AUTHOR_MAX)


class Desk:
    """Acts through `submit`, on what `snapshot` shows."""

    def __init__(self, snapshot: Callable[[], Snapshot], submit: Submit) -> None:
        self._snapshot = snapshot
        self._submit = submit

    async def acknowledge(
        self, number: int, by: str, note: str = "", *, withdraw: bool = False, by_link: bool = False
    ) -> Incident:
        """Somebody takes the incident, or leaves it again; how it is then. Raises Refused."""
        incident = self.open_incident(number)
        if withdraw and incident.ack is None:
            raise Refused(409, "not withdrawn", f"nobody has acknowledged incident {number}")
        at_wall = self._snapshot().now.wall
        ack = Acknowledgement(by=by, note=clean(note, REASON_MAX), at_wall=at_wall)
        if not withdraw and ack.says_no_more_than(incident.ack):
            return incident
        said = None if withdraw else ack
        command = Acknowledge(incident=number, ack=said, by=by, at_wall=at_wall, by_link=by_link)
        await self._do(command, "not withdrawn" if withdraw else "not acknowledged")
        return self._snapshot().state.incidents.get(number, incident)

    def open_incident(self, number: int) -> Incident:
        """The open incident of that number. Raises Refused."""
        state = self._snapshot().state
        incident = state.incidents.get(number)
        if incident is not None and incident.is_open:
            return incident
        if incident is not None and incident.service.startswith(DRILL_PREFIX):
            detail = "this drill is over and proves nothing any more: run `watchtower drill` for another"
            raise Refused(409, "over", detail)
        if incident is not None:
            raise Refused(409, "over", f"incident {number} is over: there is nothing to do any more")
        numbers = ", ".join(str(one.number) for one in open_incidents(state)[:10])
        there = f"open are {numbers}" if numbers else "none is open"
        raise Refused(404, "not found", f"no incident {number} is kept here; {there}")

    async def silence(self, silence: Silence) -> Silence:
        """Quiet, as it was asked for. Raises Refused."""
        await self._do(SetSilence(silence=silence), "not set")
        return silence

    async def end(self, name: str, kind: SilenceKind, by: str) -> Silence:
        """A silence, or maintenance, is over now. Raises Refused."""
        silence = self.known_silence(name, kind)
        at_wall = self._snapshot().now.wall
        await self._do(EndSilence(id=name, by=by, at_wall=at_wall), "not ended")
        return self._snapshot().state.silences.get(name, silence)

    def known_silence(self, name: str, kind: SilenceKind) -> Silence:
        """The silence of that id and kind. Raises Refused."""
        silences = self._snapshot().state.silences
        silence = silences.get(name)
        if silence is not None and silence.kind is kind:
            return silence
        if silence is not None:
            raise Refused(404, "not found", f"{name} is a {silence.kind}, not a {kind}")
        known = [one.id for one in silences.values() if one.kind is kind]
        raise Refused(404, "not found", f"no {kind} has that id: {nearest(name, known)}")

    async def try_channels(
        self, channels: Sequence[str], peers: Sequence[str], by: str
    ) -> tuple[str, dict[str, tuple[str, str]]]:
        """A test on `channels` (all when empty) from `peers` (all members when empty), in turn.

        Gives the test's id and, in order, id of each notification -> (channel, peer). Raises Refused.
        """
        snap = self._snapshot()
        wanted = tuple(dict.fromkeys(channels)) or tuple(snap.settings.channels)
        senders = tuple(dict.fromkeys(peers)) or snap.state.members
        if not wanted:
            raise Refused(409, "nothing to test", "no channel is configured: add one under `notify:`")
        self._check_names(wanted, tuple(snap.settings.channels), "channel")
        self._check_names(senders, snap.state.members, "peer")
        if len(wanted) * len(senders) > TESTS_MAX:
            raise Refused(400, "too many", f"at most {TESTS_MAX} tests at once: name channels or peers")
        name = secrets.token_hex(8)
        command = TryChannels(id=name, channels=wanted, senders=senders, by=by, at_wall=snap.now.wall)
        await self._do(command, "not tested")
        subject, cluster = f"test/{name}", snap.state.cluster
        return name, {
            outbox.notification_id(cluster, subject, NoticeKind.TEST, sender, channel): (channel, sender)
            for channel in wanted
            for sender in senders
        }

    async def drill(self, channel: str, by: str) -> str:
        """A fire drill, now, on `channel` ("" for the configured one); where it goes. Raises Refused."""
        snap = self._snapshot()
        planned = snap.settings.watchdog.drill
        wanted = channel or (planned.channel if planned else next(iter(snap.settings.channels), ""))
        if not wanted:
            raise Refused(409, "no drill", "no channel is configured: add one under `notify:`")
        self._check_names((wanted,), tuple(snap.settings.channels), "channel")
        if drills.under_way(snap.state, snap.settings, snap.now):
            raise Refused(409, "no drill", "one is on: acknowledge it by its link, or wait until it is over")
        seen_wall = snap.state.drill.started_wall
        command = StartDrill(channel=wanted, by=by, at_wall=snap.now.wall, seen_wall=seen_wall)
        await self._do(command, "no drill")
        return wanted

    def _check_names(self, names: Sequence[str], known: Sequence[str], what: str) -> None:
        for name in names:
            if name not in known:
                raise Refused(404, "not found", f"no {what} is called so: {nearest(name, known)}")

    async def _do(self, command: Command, error: str) -> None:
        """Propose, once. Raises Refused when it was not done, or when nobody knows."""
        if not self._snapshot().cluster.has_quorum:
            detail = "this peer cannot reach a majority of the peers, so nothing can be written: ask another"
            raise Refused(503, "no majority", detail)
        answer = await self._submit(command, timeout_s=ACT_S)
        if answer is None:
            detail = "it is not known whether it was done: look before you try again"
            raise Refused(503, "not known", detail)
        if not answer.ok:
            raise Refused(409, error, answer.reason)
