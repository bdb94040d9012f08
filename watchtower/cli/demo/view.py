"""The demo on a terminal: peers, services with the votes of each peer, and messages as they arrive.

Draws what it is given and decides nothing. Words carry the meaning, colours only help.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from watchtower.cli.demo.sink import Message
from watchtower.cli.demo.tour import Report
from watchtower.cli.tables import STYLES
from watchtower.core.settings import PEER_PREFIX

_MARK: Final = {"up": "●", "degraded": "◐", "partial": "◐", "down": "✖", "unknown": "○"}
_MESSAGES_SHOWN: Final = 8


def screen(
    status: dict[str, Any],
    urls: dict[str, str],
    alive: Sequence[str],
    messages: Sequence[Message],
    reports: Sequence[Report],
) -> RenderableType:
    """The whole picture from one status document and the sink's messages."""
    parts: list[RenderableType] = [_peers(status, urls, alive), _services(status), _messages(messages)]
    if reports:
        parts.append(_tour(reports))
    hint = "open a URL above in a browser, kill a peer, or press Ctrl-C to end"
    return Group(*parts, Text(hint, style="dim"))


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    return table


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=f"[bold]{title}[/]", title_align="left", border_style="dim", box=box.ROUNDED)


def _peers(status: dict[str, Any], urls: dict[str, str], alive: Sequence[str]) -> Panel:
    rows = {row["name"]: row for row in status.get("peers", [])}
    table = _table("peer", "state", "role", "page")
    for name, url in urls.items():
        row = rows.get(name, {})
        state, style = "eligible", STYLES["up"]
        if name not in alive:
            state, style = "dead", STYLES["down"]
        elif not row.get("eligible"):
            state, style = str(row.get("reason") or "starting"), STYLES["unknown"]
        roles = [role for role in ("alerter", "leader") if status.get(role) == name]
        table.add_row(
            Text(name, style="bold"),
            Text(state, style=style),
            Text(" + ".join(roles)),
            Text(url, style="dim"),
        )
    quorum = "quorum" if status.get("quorum") else "no quorum"
    return _panel(f"peers · {quorum}", table)


def _services(status: dict[str, Any]) -> Panel:
    table = _table("service", "verdict", "votes", "evidence")
    table.columns[3].ratio = 1
    for service in status.get("services", []):
        if str(service["name"]).startswith(PEER_PREFIX):
            continue
        verdict = str(service["verdict"])
        votes = Text()
        for vote in service["votes"]:
            opinion = str(vote["opinion"])
            votes.append(f"{vote['peer']}", style="dim")
            votes.append(f"{_MARK.get(opinion, '○')} ", style=STYLES.get(opinion, ""))
        failing = [v["text"] for v in service["votes"] if v["opinion"] in ("down", "degraded") and v["text"]]
        why = str(failing[0] if failing else service["reason"])
        shown = Text(f"{_MARK.get(verdict, '○')} {verdict}", style=STYLES.get(verdict, ""))
        table.add_row(Text(str(service["title"]), style="bold"), shown, votes, Text(why, style="dim"))
    return _panel("services", table)


def _messages(messages: Sequence[Message]) -> Panel:
    if not messages:
        return _panel("messages in the local Slack", Text("none yet: nothing is wrong", style="dim"))
    table = _table("at", "message", "sent by")
    table.columns[1].ratio = 1
    for message in messages[-_MESSAGES_SHOWN:]:
        at = datetime.fromtimestamp(message.at_wall, UTC).astimezone().strftime("%H:%M:%S")
        table.add_row(Text(at, style="dim"), Text(message.subject), Text(f"peer {message.sender}"))
    return _panel("messages in the local Slack", table)


def _tour(reports: Sequence[Report]) -> Panel:
    table = _table("", "step", "expected", "took")
    table.columns[1].ratio = 1
    for report in reports:
        mark = Text("✖", style=STYLES["bad"]) if report.problem else Text("✔", style=STYLES["good"])
        expected = ", ".join(report.expected) or "no message"
        table.add_row(
            mark, report.title, report.problem or expected, Text(f"{report.seconds:.1f} s", style="dim")
        )
    return _panel("tour", table)
