"""A program as a look, by the convention of Nagios plugins: exit code 0 is up, 1 degraded, 2 down, 3 unknown.

Everything else about its end (another code, a signal, no start at all) tells nothing about the service and
leads to unknown. A condition on `exit` replaces the convention. perfdata.py reads what it wrote.
"""

from __future__ import annotations

import errno
import math
import re
import signal
from collections.abc import Mapping
from typing import Any, Final

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import ExecTarget
from watchtower.core.text import HIDDEN, clean
from watchtower.probes.judging import unmet
from watchtower.probes.look import Finding, Look, Shortfall
from watchtower.probes.programs.children import Ended, environment
from watchtower.probes.programs.perfdata import Said, parse_output
from watchtower.probes.tools import Tools

KEPT_MAX: Final = 16
"""Metrics that stay in the Result; conditions see all of them."""
_LATE_SHARE: Final = 0.1
"""A program that waited longer for its place than this share of its time has too little of it left."""
_SHORTEST_SECRET: Final = 4
_NOT_IN_A_FIELD: Final = re.compile(r"[\s=!<>~]")
_NO_START: Final = {
    errno.ENOENT: "there is no such program, or not the interpreter that its first line names",
    errno.ENOTDIR: "there is no such program: a part of its path is no folder",
    errno.EACCES: "the program is not executable for this peer's user",
    errno.EPERM: "running the program is not permitted here",
    errno.ENOEXEC: "the program is neither a binary of this machine nor a script that begins with #!",
    errno.E2BIG: "its arguments and environment are too long",
    errno.EMFILE: "this peer has no free file descriptor",
    errno.ENFILE: "this peer's machine has no free file descriptor",
    errno.EAGAIN: "this peer may start no more processes",
    errno.ENOMEM: "this peer's machine has no memory left",
}
_SHELLS_SAY: Final = {
    126: " (a shell's word for not executable)",
    127: " (a shell's word for not found)",
}


async def probe(target: ExecTarget, tools: Tools, look: Look) -> Finding:
    """Run the program once."""
    await _place(tools, look)
    look.enter("run")
    argv = [target.program, *(argument.reveal() for argument in target.arguments)]
    env = environment({name: value.reveal() for name, value in target.env})
    try:
        ended = await tools.children.run(argv, env, cpu_s=math.ceil(look.budget_s) + 1)
    except OSError as error:
        number = error.errno or 0
        return _untold(f"{target.program}: {_NO_START.get(number) or error.strerror or 'cannot be started'}")
    look.enter("")
    said = parse_output(_shown(ended.said, target))
    # The last line of a complaint is the one that says why: an interpreter's trace comes before it.
    complained = _shown(ended.complained, target).strip().rpartition("\n")[2]
    return _finding(ended, said, said.line or complained, look)


async def _place(tools: Tools, look: Look) -> None:
    """Until the program has its place, and when it has lost time by it, a timeout is this peer's doing."""
    look.is_lack_shared = False
    look.own_fault = f"{tools.children.at_once} programs of this peer were running already"
    await tools.children.place()
    if look.elapsed_s() <= look.budget_s * _LATE_SHARE:
        look.own_fault, look.is_lack_shared = "", True


def _finding(ended: Ended, said: Said, line: str, look: Look) -> Finding:
    if ended.flooded or ended.signal or ended.code < 0:
        return _untold(_killed(ended, look) + (f": {line}" if line else ""))
    numbers = {_field(metric.label): metric.value for metric in said.metrics if metric.value is not None}
    facts = {
        "exit": float(ended.code),
        "body": f"{said.line}\n{said.more}".rstrip(),
        **look.times(),
        **numbers,
    }
    why = _shortfall(ended.code, line)
    is_judged = any(clause.field == "exit" for condition in look.judged for clause in condition.clauses)
    return Finding(
        text=line or f"exit code {ended.code}, no output",
        facts=facts,
        kept=_kept(ended, said, numbers),
        failure=None if is_judged else _beside_conditions(why, facts, look),
        default=why,
    )


def _shortfall(code: int, line: str) -> Shortfall | None:
    told = line or f"exit code {code}, no output"
    match code:
        case 0:
            return None
        case 1:
            return Shortfall(Opinion.DEGRADED, Kind.STATUS, told)
        case 2:
            return Shortfall(Opinion.DOWN, Kind.STATUS, told)
        case 3:
            return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, told)
    text = f"exit code {code}, which means nothing{_SHELLS_SAY.get(code, '')}" + (f": {line}" if line else "")
    return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, text)


def _beside_conditions(why: Shortfall | None, facts: Mapping[str, Any], look: Look) -> Shortfall | None:
    """What the exit code says, unless it is a mere warning and a condition says worse."""
    if why is None or why.opinion is not Opinion.DEGRADED:
        return why
    return why if not unmet(look.judged, facts) else None


def _killed(ended: Ended, look: Look) -> str:
    if ended.flooded:
        return f"killed after {ended.cut_bytes // 1_000_000} MB of output"
    if ended.code < 0:
        return "its exit code got lost: this process ignores SIGCHLD"
    if ended.signal == signal.SIGXCPU:
        return f"killed: more than {math.ceil(look.budget_s)} s of CPU"
    try:
        return f"killed by {signal.Signals(ended.signal).name}"
    except ValueError:
        return f"killed by signal {ended.signal}"


def _kept(ended: Ended, said: Said, numbers: Mapping[str, float]) -> dict[str, float | str]:
    kept: dict[str, float | str] = {"exit": float(ended.code)}
    kept |= dict(list(numbers.items())[:KEPT_MAX])
    if said.more:
        kept["more"] = clean(said.more)
    if said.refused:
        kept["perf.refused"] = float(said.refused)
    if ended.cut_bytes:
        kept["cut_bytes"] = float(ended.cut_bytes)
    return kept


def _field(label: str) -> str:
    """The field of conditions for a metric; what cannot stand in one becomes `_`."""
    return "perf." + _NOT_IN_A_FIELD.sub("_", "".join(char for char in label if char.isprintable()))


def _shown(written: bytes, target: ExecTarget) -> str:
    """What the program wrote, without the secrets that it was given."""
    text = written.decode("utf-8", "replace")
    for value in (*(value for _, value in target.env), *target.hidden):
        if len(value.reveal()) >= _SHORTEST_SECRET:
            text = text.replace(value.reveal(), HIDDEN)
    return text


def _untold(text: str) -> Finding:
    return Finding(text=text, failure=Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, text))
