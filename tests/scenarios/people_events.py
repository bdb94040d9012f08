"""What people do in a scenario: they acknowledge, want quiet, and think better of it.

Each `on_<word>` is the event of that word in script.py. The command reaches the log through the first peer
that is linked to the others.
"""

from __future__ import annotations

from typing import Any

from scenarios.script import Event

from watchtower.core import requests as r
from watchtower.core.alerting import matching
from watchtower.core.policies import Acknowledgement, Silence, SilenceKind


class PeopleEvents:
    """Mixed into the world, which has the rest."""

    say: Any
    instant: Any
    tell: Any
    script: Any
    state: Any

    def on_acknowledges(self, event: Event) -> None:
        """Somebody works on an incident."""
        number, *note = event.args
        at_wall = self.instant().wall
        ack = Acknowledgement(by=event.subject, note=" ".join(note), at_wall=at_wall)
        self.say(r.Acknowledge(incident=int(number), ack=ack, by=event.subject, at_wall=at_wall))

    def on_link(self, event: Event) -> None:
        """Somebody who has the message acknowledges by the link in it."""
        number, *note = event.args
        at_wall = self.instant().wall
        ack = Acknowledgement(by=event.subject, note=" ".join(note), at_wall=at_wall)
        command = r.Acknowledge(
            incident=int(number), ack=ack, by=event.subject, at_wall=at_wall, by_link=True
        )
        self.say(command)

    def on_tests(self, event: Event) -> None:
        """Somebody has every peer send a test to a channel, in turn."""
        at_wall, senders = self.instant().wall, self.script.peers
        self.say(
            r.TryChannels(id="t1", channels=event.args, senders=senders, by=event.subject, at_wall=at_wall)
        )

    def on_drill(self, event: Event) -> None:
        """Somebody starts a fire drill."""
        at_wall, seen_wall = self.instant().wall, self.state.drill.started_wall
        self.say(r.StartDrill(channel=event.args[0], by=event.subject, at_wall=at_wall, seen_wall=seen_wall))

    def on_withdraws(self, event: Event) -> None:
        """Somebody does not work on it after all."""
        at_wall = self.instant().wall
        self.say(r.Acknowledge(incident=int(event.args[0]), ack=None, by=event.subject, at_wall=at_wall))

    def on_silences(self, event: Event) -> None:
        """Somebody wants quiet about what the matchers say; silences are called s1, s2 ..."""
        self.quieten(event, SilenceKind.SILENCE)

    def on_maintains(self, event: Event) -> None:
        """Somebody begins maintenance now."""
        self.quieten(event, SilenceKind.MAINTENANCE)

    def quieten(self, event: Event, kind: SilenceKind) -> None:
        """From now on, for as long as the script says."""
        matchers, _, reason = " ".join(event.args).partition(": ")
        now_wall = self.instant().wall
        silence = Silence(
            id=f"s{len(self.state.silences) + 1}",
            kind=kind,
            matchers=tuple(one for text in matchers.split() for one in matching.read_text(text)),
            author=event.subject,
            reason=reason,
            starts_wall=now_wall,
            ends_wall=now_wall + event.number,
            created_wall=now_wall,
        )
        self.say(r.SetSilence(silence=silence))

    def on_ends(self, event: Event) -> None:
        """Somebody ends a silence before its time."""
        self.say(r.EndSilence(id=event.args[0], by=event.subject, at_wall=self.instant().wall))
