"""Two reasons why nobody is told of an incident now: a cause explains it, or its cause may still show.

An incident that an unmet need explains is folded into the incident of the deepest cause, for at most
`alerting.suppress`. What has needs is held for `alerting.hold` after it opened, so that the cause can come
first, and again when its cause is over, so that it can follow. No end of an incident is ever hidden here.
"""

from __future__ import annotations

from typing import Final

from watchtower.core import dependencies, eligibility
from watchtower.core.dependencies import Causes
from watchtower.core.model import Incident, Level, Opinion
from watchtower.core.policies import Why, Withheld
from watchtower.core.scene import Scene
from watchtower.core.settings import Need, Service

EARLY_S: Final = 1.0
"""By then every peer has looked at the needs: with all of them well there is nothing to wait for."""

_UNTOLD: Final = (Why.MAINTENANCE, Why.SILENCED, Why.FLAPPING, Why.UNROUTED)
"""Why a cause itself may not be told; that it is held for a moment is no news."""


def suppressed(scene: Scene, incident: Incident) -> Withheld | None:
    """The fold: `incident` is explained by another, and has not been hidden for too long."""
    if not _needs(scene, incident):
        return None
    roots = _roots(scene, incident)
    until_wall = _hidden_since(scene, incident) + scene.settings.alerting.suppress_s
    if not roots or scene.now.wall >= until_wall:
        return None
    known = incident.withheld.root if incident.withheld else 0
    root = next((one for one in roots if one.number == known), roots[0])
    text = f"caused by {_named(root)}"
    if len(roots) > 1:
        text += f" and {len(roots) - 1} more"
    if root.withheld is not None and root.withheld.why in _UNTOLD:
        text += f", of which nobody is told: {root.withheld.text}"
    return Withheld(why=Why.SUPPRESSED, text=text, until_wall=until_wall, root=root.number)


def held(scene: Scene, incident: Incident) -> Withheld | None:
    """The wait for a cause to show, or for the end of a cause to show here too."""
    needs, hold_s, before = _needs(scene, incident), scene.settings.alerting.hold_s, incident.withheld
    if not needs or not hold_s:
        return None
    if incident.number not in scene.state.incidents:
        return _holding(scene, scene.now.wall + hold_s, f"held for {hold_s:g} s: its cause may show")
    if before is not None and before.why is Why.HELD:
        is_first = before.root == 0
        is_early = is_first and scene.now.wall - incident.opened_wall >= EARLY_S
        if is_early and all(_is_safe(scene, need) for need in needs):
            return None
        return _holding(scene, before.until_wall, before.text, before.root)
    if before is None or before.why is not Why.SUPPRESSED or scene.now.wall >= before.until_wall:
        return None
    root = scene.state.incidents.get(before.root)
    how = "is over" if root is None or not root.is_open else "does not explain it any more"
    name = _named(root) if root else f"#{before.root}"
    return _holding(scene, scene.now.wall + hold_s, f"held for {hold_s:g} s: {name} {how}", before.root)


def aftermath(scene: Scene, incident: Incident) -> str:
    """What people should know of an incident that is told only after it was hidden behind another; or ""."""
    hidden = incident.hidden
    root = scene.state.incidents.get(hidden.root) if hidden else None
    if hidden is None or root is None:
        return ""
    if not root.is_open:
        return f"{_named(root)} is over, this is not"
    minutes = round((scene.now.wall - hidden.since_wall) / 60)
    return f"hidden behind {_named(root)} for {minutes} min, still {incident.level.value}"


def _needs(scene: Scene, incident: Incident) -> tuple[Need, ...]:
    service: Service | None = scene.settings.services.get(incident.service)
    return service.needs if service is not None else ()


def _named(root: Incident) -> str:
    return f"{root.service} (#{root.number})"


def _holding(scene: Scene, until_wall: float, text: str, root: int = 0) -> Withheld | None:
    if scene.now.wall >= until_wall:
        return None
    return Withheld(why=Why.HELD, text=text, until_wall=until_wall, root=root)


def _hidden_since(scene: Scene, incident: Incident) -> float:
    return incident.hidden.since_wall if incident.hidden else scene.now.wall


def _roots(scene: Scene, incident: Incident) -> list[Incident]:
    """The open incidents of the deepest causes, the oldest first."""
    state, found = scene.state, []
    for name in _causes(scene).roots(incident.service, incident.level):
        root = state.open_incident(name)
        if root is not None and _may_explain(scene, root, incident):
            found.append(root)
    return sorted(found, key=lambda root: root.number)


def _may_explain(scene: Scene, root: Incident, incident: Incident) -> bool:
    """What people know of already is folded only into what seems to have been there first, and lasts."""
    if incident.withheld is not None or incident.number not in scene.state.incidents:
        return True
    is_over = scene.view.standings[root.service].level is Level.UP
    return not is_over and root.since_wall <= incident.opened_wall + scene.settings.alerting.hold_s


def _causes(scene: Scene) -> Causes:
    known = scene.memo.get("causes")
    if not isinstance(known, Causes):
        failing = dependencies.failing(scene.state, scene.view.standings)
        known = scene.memo["causes"] = Causes(dependencies.graph_of(scene.settings), failing)
    return known


def _is_safe(scene: Scene, need: Need) -> bool:
    """True when enough of the group is up and no voter suspects it."""
    return sum(_is_calm(scene, name) for name in need.names) >= need.at_least


def _is_calm(scene: Scene, name: str) -> bool:
    standing = scene.view.standings.get(name)
    if standing is None or standing.level is not Level.UP or standing.verdict.level is not Level.UP:
        return False
    votes = (scene.state.row(peer).vote(name) for peer in _eligible(scene))
    return not any(vote.suspect or vote.opinion in (Opinion.DOWN, Opinion.DEGRADED) for vote in votes)


def _eligible(scene: Scene) -> tuple[str, ...]:
    known = scene.memo.get("eligible")
    if not isinstance(known, tuple):
        state, view, now = scene.state, scene.view, scene.now
        known = tuple(one for one in state.members if not eligibility.ineligible(state, one, view, now))
        scene.memo["eligible"] = known
    return known
