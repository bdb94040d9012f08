"""Two reasons why nobody is told of an incident now: a cause explains it, or its cause may still show.

An incident that an unmet need explains is folded into the incident of the deepest cause, for at most
`alerting.suppress`. What has needs is held for `alerting.hold` after it opened, so that the cause can come
first, and again when its cause is over, so that it can follow. No end of an incident is ever hidden here.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from watchtower.core.alerting import dependencies
from watchtower.core.alerting.dependencies import Causes
from watchtower.core.alerting.scene import Scene
from watchtower.core.judging import eligibility
from watchtower.core.model import Incident, Level, Opinion
from watchtower.core.policies import Severity, Why, Withheld
from watchtower.core.settings import Need, Service

EARLY_S: Final = 1.0
"""By then every peer has looked at the needs: with all of them well there is nothing to wait for."""

_UNTOLD: Final = (Why.MAINTENANCE, Why.SILENCED)
"""Why people may not know of a cause itself; that it is held for a moment, or known to flap, is no news."""

_LOUDEST_FIRST: Final = tuple(Severity)


Key = tuple[tuple[str, ...], int]
"""The causes of an incident, and the number of the one it is folded into already."""


class _Found(Struct, frozen=True, kw_only=True):
    """What one pass has worked out for all incidents: the folds are the root's number and words by Key."""

    causes: dict[Severity, Causes]
    folds: dict[Key, tuple[int, str]]
    eligible: tuple[str, ...]


def suppressed(scene: Scene, incident: Incident) -> Withheld | None:
    """The fold: `incident` is explained by another, and has not been hidden for too long."""
    found = _found(scene)
    causes = _causes(scene, incident.severity).roots(incident.service, incident.level)
    if not causes:
        return None
    # A time that lies ahead was written by a wrong clock: it prolongs nothing.
    since_wall = min(incident.hidden.since_wall, scene.now.wall) if incident.hidden else scene.now.wall
    until_wall = since_wall + scene.settings.alerting.suppress_s
    if scene.now.wall >= until_wall:
        return None
    key = (causes, incident.withheld.root if incident.withheld else 0)
    if incident.withheld is None and incident.number in scene.state.incidents:
        number, text = _fold(scene, key, told=incident)
    else:  # thousands may share a cause: what is said of it is worked out once
        number, text = found.folds.get(key) or found.folds.setdefault(key, _fold(scene, key))
    return Withheld(why=Why.SUPPRESSED, text=text, until_wall=until_wall, root=number) if number else None


def _fold(scene: Scene, key: Key, told: Incident | None = None) -> tuple[int, str]:
    """The number of the root and the words for it; 0 when nothing explains an incident that was `told`."""
    causes, known = key
    opened = (scene.state.open_incident(name) for name in causes)
    roots = [one for one in opened if one is not None and (told is None or _may_explain(scene, one, told))]
    if not roots:
        return 0, ""
    # The oldest, but one that has it keeps it.
    root = min(roots, key=lambda one: (one.number != known, one.number))
    text = f"caused by {_named(root)}"
    if len(roots) > 1:
        text += f" and {len(roots) - 1} more"
    why = root.withheld
    if why is not None and why.why in _UNTOLD and not 0 < why.until_wall <= scene.now.wall:
        text += f", of which nobody is told: {why.text}"
    return root.number, text


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
        until_wall = min(before.until_wall, scene.now.wall + hold_s)
        return _holding(scene, until_wall, before.text, before.root)
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


def _may_explain(scene: Scene, root: Incident, told: Incident) -> bool:
    """What people know of already is folded only into what seems to have been there first, and lasts."""
    is_over = scene.view.standings[root.service].level is Level.UP
    return not is_over and root.since_wall <= told.opened_wall + scene.settings.alerting.hold_s


def _found(scene: Scene) -> _Found:
    known = scene.memo.get("suppression")
    if not isinstance(known, _Found):
        state, view, now = scene.state, scene.view, scene.now
        known = scene.memo["suppression"] = _Found(
            causes={},
            folds={},
            eligible=tuple(one for one in state.members if not eligibility.ineligible(state, one, view, now)),
        )
    return known


def _causes(scene: Scene, severity: Severity) -> Causes:
    """What may hide an incident of that severity: nothing milder, and nothing that no route wants told.

    One member of a group is enough for that, however mild the others are; what may not hide it may still lead
    to what does.
    """
    found, state = _found(scene), scene.state
    known = found.causes.get(severity)
    if known is None:
        failing = dependencies.failing(state, scene.view.standings)
        louder = _LOUDEST_FIRST[: _LOUDEST_FIRST.index(severity) + 1]
        heard = {name for name in failing if _is_heard(state.open_incident(name), louder)}
        known = found.causes[severity] = Causes(dependencies.graph_of(scene.settings), failing, heard)
    return known


def _is_heard(root: Incident | None, louder: tuple[Severity, ...]) -> bool:
    if root is None or root.severity not in louder:
        return False
    return root.withheld is None or root.withheld.why is not Why.UNROUTED


def _is_safe(scene: Scene, need: Need) -> bool:
    """True when enough of the group is up and no voter suspects it."""
    return sum(_is_calm(scene, name) for name in need.names) >= need.at_least


def _is_calm(scene: Scene, name: str) -> bool:
    standing = scene.view.standings.get(name)
    if standing is None or standing.level is not Level.UP or standing.verdict.level is not Level.UP:
        return False
    votes = (scene.state.row(peer).vote(name) for peer in _found(scene).eligible)
    return not any(vote.suspect or vote.opinion in (Opinion.DOWN, Opinion.DEGRADED) for vote in votes)
