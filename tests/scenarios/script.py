"""The language of scenario scripts: text in, a Script of peers, services, channels and timed events out.

One statement a line, `#` begins a comment, everything after a line of `---` is the expected trace. README.md
lists the statements. Parsing knows nothing of what they do; an unknown line is refused with its number.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from support.core_support import WALL

UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Watched(Struct, frozen=True, kw_only=True):
    """A service or heartbeat: who votes, who is told, and in which config it exists ("" = in all)."""

    name: str
    voters: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    config: str = ""
    period_s: float = 0.0
    grace_s: float = 0.0


class Event(Struct, frozen=True, kw_only=True):
    """Something that happens at a time: `what` is a verb, `subject` its object, `args` the rest."""

    at_s: float
    what: str
    subject: str
    args: tuple[str, ...] = ()
    number: float = 0.0


class Script(Struct, kw_only=True):
    """A whole scenario."""

    name: str
    text: str
    golden: str
    peers: tuple[str, ...] = ("a", "b", "c")
    founders: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    watched: list[Watched] = []
    channels: dict[str, str] = {}
    channel_configs: dict[str, str] = {}
    events: list[Event] = []
    until_s: float = 60.0
    config: str = ""
    starts_wall: float = WALL


_STARTS = re.compile(r"starts (?P<date>\S+ \S+) (?P<zone>\S+)")
_PEERS = re.compile(r"peers (?P<names>.+?)(?: founded by (?P<founders>.+))?")
_WITNESS = re.compile(r"witness (?P<names>.+)")
_SERVICE = re.compile(
    r"service (?P<name>\S+)(?: in config (?P<config>\S+))?(?: seen by (?P<voters>.+?))?"
    r"(?: told to (?P<told>.+))?"
)
_HEARTBEAT = re.compile(
    r"heartbeat (?P<name>\S+) every (?P<period>\S+) grace (?P<grace>\S+)(?: told to (?P<told>.+))?"
)
_CHANNEL = re.compile(
    r"channel (?P<name>\S+)(?: in config (?P<config>\S+))?(?: falls back to (?P<fallback>\S+))?"
)
_RUN = re.compile(r"run until (?P<until>\S+)")
_AT = re.compile(r"at (?P<at>\S+) (?P<rest>.+)")
_EVENTS: Final = (
    ("beats", re.compile(r"(?P<subject>\S+) beats(?: every (?P<number>\S+) until (?P<args>\S+))?")),
    ("runs", re.compile(r"(?P<subject>\S+) starts its run")),
    ("exits", re.compile(r"(?P<subject>\S+) exits with (?P<args>\d+)")),
    ("silent", re.compile(r"peer (?P<subject>\S+) goes silent")),
    ("returns", re.compile(r"peer (?P<subject>\S+) returns")),
    ("dies", re.compile(r"peer (?P<subject>\S+) dies")),
    ("starts", re.compile(r"peer (?P<subject>\S+) starts")),
    ("leaves", re.compile(r"peer (?P<subject>\S+) leaves for (?P<number>\S+)")),
    ("drains", re.compile(r"peer (?P<subject>\S+) drains for (?P<number>\S+)")),
    ("upgrades", re.compile(r"peer (?P<subject>\S+) starts with command version (?P<args>\S+)")),
    ("resizes", re.compile(r"peer (?P<subject>\S+) resizes to (?P<args>.+)")),
    ("differs", re.compile(r"peer (?P<subject>\S+) holds another ledger")),
    ("doubts", re.compile(r"peer (?P<subject>\S+) doubts itself: (?P<args>.+)")),
    ("trusts", re.compile(r"peer (?P<subject>\S+) trusts itself")),
    ("loads", re.compile(r"peer (?P<subject>\S+) loads config (?P<args>\S+)")),
    ("clock", re.compile(r"clock of peer (?P<subject>\S+) is (?P<number>\S+) fast")),
    ("asks", re.compile(r"channel (?P<subject>\S+) asks to wait (?P<number>\S+)")),
    ("answers", re.compile(r"channel (?P<subject>\S+) answers after (?P<number>\S+)")),
    (
        "channel",
        re.compile(
            r"channel (?P<subject>\S+) (?P<number>accepts|refuses|is dead|is misconfigured|loses answers"
            r"|is unreachable)"
            r"(?: for (?P<args>.+))?"
        ),
    ),
    ("acknowledges", re.compile(r"(?P<subject>\S+) acknowledges #(?P<args>\d+(?: .+)?)")),
    ("tests", re.compile(r"(?P<subject>\S+) tests (?P<args>.+)")),
    ("link", re.compile(r"(?P<subject>\S+) follows the link of #(?P<args>\d+(?: .+)?)")),
    ("drill", re.compile(r"(?P<subject>\S+) starts a drill on (?P<args>\S+)")),
    ("silences", re.compile(r"(?P<subject>\S+) silences for (?P<number>\S+) (?P<args>.+: .+)")),
    ("maintains", re.compile(r"(?P<subject>\S+) begins maintenance for (?P<number>\S+) of (?P<args>.+: .+)")),
    ("ends", re.compile(r"(?P<subject>\S+) ends silence (?P<args>\S+)")),
    ("withdraws", re.compile(r"(?P<subject>\S+) withdraws the acknowledgement of #(?P<args>\d+)")),
    ("suspected", re.compile(r"(?P<subject>\S+) is suspected(?: for (?P<args>.+))?")),
    ("fails", re.compile(r"(?P<subject>\S+) fails(?: for (?P<args>.+))?")),
    ("degrades", re.compile(r"(?P<subject>\S+) degrades(?: for (?P<args>.+))?")),
    ("recovers", re.compile(r"(?P<subject>\S+) recovers(?: for (?P<args>.+))?")),
    ("unclear", re.compile(r"(?P<subject>\S+) is unclear(?: for (?P<args>.+))?")),
)


def read(path: Path) -> Script:
    """The script of a file. Raises ValueError with file, line and what was not understood."""
    text, _, golden = path.read_text().partition("---\n")
    script = Script(name=path.stem, text=text, golden=golden)
    for number, line in enumerate(text.splitlines(), 1):
        statement = _bare(line)
        if statement and not _understood(script, statement):
            raise ValueError(f"{path.name}:{number}: not understood: {statement}")
    script.events.sort(key=lambda event: event.at_s)
    return script


def _bare(line: str) -> str:
    """The line without its comment; `#1` is an incident, `# ` begins a comment."""
    said = "" if line.startswith("#") else line.partition(" # ")[0]
    return said.rstrip() if said.startswith("| ") else said.strip()


def seconds(text: str) -> float:
    """`90s`, `2m`, `1.5h` as seconds."""
    return float(text[:-1]) * UNIT_S[text[-1]]


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split())


def _understood(script: Script, statement: str) -> bool:
    if match := _PEERS.fullmatch(statement):
        script.peers = _words(match["names"])
        script.founders = _words(match["founders"]) or script.peers
    elif match := _WITNESS.fullmatch(statement):
        script.witnesses = _words(match["names"])
    elif match := _SERVICE.fullmatch(statement):
        script.watched.append(
            Watched(
                name=match["name"],
                config=match["config"] or "",
                voters=_words(match["voters"]),
                told=_words(match["told"]),
            )
        )
    elif match := _HEARTBEAT.fullmatch(statement):
        script.watched.append(
            Watched(
                name=match["name"],
                period_s=seconds(match["period"]),
                grace_s=seconds(match["grace"]),
                told=_words(match["told"]),
            )
        )
    elif match := _CHANNEL.fullmatch(statement):
        script.channels[match["name"]] = match["fallback"] or ""
        script.channel_configs[match["name"]] = match["config"] or ""
    elif statement.startswith("| "):
        script.config += f"{statement[2:]}\n"
    elif match := _STARTS.fullmatch(statement):
        at = datetime.fromisoformat(match["date"]).replace(tzinfo=ZoneInfo(match["zone"]))
        script.starts_wall = at.timestamp()
    elif match := _RUN.fullmatch(statement):
        script.until_s = seconds(match["until"])
    elif match := _AT.fullmatch(statement):
        return _event(script, seconds(match["at"]), match["rest"])
    else:
        return False
    return True


def _event(script: Script, at_s: float, rest: str) -> bool:
    for what, pattern in _EVENTS:
        match = pattern.fullmatch(rest)
        if match is None:
            continue
        groups = match.groupdict()
        subject, args = match["subject"], _words(groups.get("args"))
        if what == "channel":
            script.events.append(Event(at_s=at_s, what=match["number"], subject=subject, args=args))
            return True
        number = seconds(groups["number"]) if groups.get("number") else 0.0
        times = [at_s]
        if what == "beats" and number:
            while times[-1] + number <= seconds(args[0]):
                times.append(times[-1] + number)
        script.events += [
            Event(at_s=time_s, what=what, subject=subject, args=args, number=number) for time_s in times
        ]
        return True
    return False
