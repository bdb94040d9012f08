"""The scenarios by the rule that they show: the list in README.md, for whoever wants to know what alerts do.

Names are globs, and the first group that fits has the file; one that fits nowhere is a fault. What a file
shows is said by the comment at its top.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
README: Final = FOLDER / "README.md"
HEADING: Final = "## All scenarios, by the rule that they show"
GROUPS: Final = {
    "Verdicts": """
        majority_down one_vantage_* lost_vantage_* dissent_* flapping_vote unknown_for_long voter_*
        worse_and_better peer_doubts_* most_peers_* clock_is_off heartbeat_*
    """,
    "Alerter and delivery": """
        alerter_dies alerter_dies_before_* alerter_dies_with_* alerters_* answer_lost* cut_off_*
        closes_* down_again_* full_restart_* config_moves_* two_of_three_* egress_*
    """,
    "Routes and severities": """
        route_* hours_* severity_*
    """,
    "Escalation and reminders": """
        escalation_* clock_ahead_of_an_escalation reminders reminders_*
    """,
    "Acknowledged, silenced, in maintenance": """
        acknowledged* silence* silenced* maintenance_* worsened_in_silence
        well_again_as_the_silence_ends
    """,
    "Dependencies": """
        clock_ahead_while_folded clock_ahead_while_held a_cause_* a_healthy_* a_milder_*
        alerter_dies_while_it_holds cause_* causes_* child_* degraded_explains_* needs_* none_of_*
        nothing_is_* one_of_a_* the_deepest_* too_few_* unknown_explains_* worse_while_folded
    """,
    "Flapping": """
        flapping flapping_*
    """,
    "Storms and rates": """
        storm_* ceiling_* critical_alerts_* one_summary_* channel_asks_*
    """,
    "Sick channels": """
        channel_* broken_channel_* dead_channel_* misconfigured_* refusing_*
    """,
    "Proofs that alerting works": """
        drill_* clock_ahead_of_a_drill test_*
    """,
    "Peers and membership": """
        peer_dies planned_* drained_* gate_* ledgers_* resize_* witness_*
    """,
}


def scripts() -> list[Path]:
    """Every scenario, in the order of the names."""
    return sorted(FOLDER.glob("*.txt"))


def grouped() -> dict[str, list[Path]]:
    """Title of each group -> its scenarios; those that fit nowhere under ""."""
    found: dict[str, list[Path]] = {title: [] for title in (*GROUPS, "")}
    for path in scripts():
        found[_group(path.stem)].append(path)
    return found


def text() -> str:
    """The list as it stands in README.md."""
    lines = [HEADING]
    for title, paths in grouped().items():
        if not title:
            continue
        lines += ["", f"### {title}", ""]
        lines += [f"- [{path.stem.replace('_', ' ')}]({path.name}): {says(path)}" for path in paths]
    return "\n".join(lines) + "\n"


def says(path: Path) -> str:
    """The comment at the top."""
    comment: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        comment.append(line.removeprefix("# "))
    return " ".join(comment)


def _group(name: str) -> str:
    fits = (title for title, globs in GROUPS.items() if any(fnmatch(name, glob) for glob in globs.split()))
    return next(fits, "")
