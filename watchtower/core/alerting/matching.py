"""Matchers: which incidents somebody means. Routes, silences, maintenance and filters all ask here.

A matcher names one label and globs for it: `team=payments`, `service=shop-*`, `severity!=info`. Several are
all to fit. The facts of an incident are the labels of its service and what everybody has: `service`,
`severity`, `level`, `group`. Reading refuses what nothing could ever fit, with the word that was meant; who
reads files or requests adds the place. Pure.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.model import Level
from watchtower.core.nearest import nearest, shown_key
from watchtower.core.policies import Matcher, Severity
from watchtower.core.settings import CHANNEL_PREFIX, CLUSTER_SUBJECT, Service, Settings

Facts = Mapping[str, str]
"""What there is to match: label to value."""
Known = Mapping[str, Iterable[str]]
"""Every label there is, with the values it has somewhere."""

BUILT_IN: Final = ("service", "severity", "level", "group")
"""Facts that every subject has; no label of a service may carry one of these names."""
PATTERNS_MAX: Final = 20
PATTERN_MAX: Final = 200
_LEVELS: Final = (Level.DEGRADED, Level.PARTIAL, Level.DOWN)


class NoMatcher(ValueError):  # noqa: N818 - a person wrote something else, the program is well
    """Text that is no matcher, or one that nothing could fit: what is wrong, and what to do."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(f"{what}; {fix}" if fix else what)
        self.what = what
        self.fix = fix


def facts(subject: str, level: Level, severity: Severity, settings: Settings) -> dict[str, str]:
    """What matchers see of an incident of `subject`. A fact that it lacks is not there."""
    service = settings.services.get(subject)
    found = dict(service.labels) if service else {}
    if service and service.group:
        found["group"] = service.group
    found.update(service=subject, severity=severity.value, level=level.value)
    return found


def fits(matchers: Iterable[Matcher], found: Facts) -> bool:
    """True when all of them fit; without any, everything does."""
    return all(_fits(matcher, found) for matcher in matchers)


def misfit(matchers: Iterable[Matcher], found: Facts) -> Matcher | None:
    """The first of them that does not fit."""
    return next((matcher for matcher in matchers if not _fits(matcher, found)), None)


def _fits(matcher: Matcher, found: Facts) -> bool:
    """`team=*` fits whatever has a team at all; where there is none, only the negated ones fit."""
    value = found.get(matcher.label)
    is_hit = value is not None and (
        value in matcher.patterns or any(_is_like(value, pattern) for pattern in matcher.patterns)
    )
    return is_hit is not matcher.is_not


def _is_like(value: str, pattern: str) -> bool:
    return _is_glob(pattern) and _glob(pattern).match(value) is not None


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` are all there is: a bracket stands for itself."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def shown(matchers: Iterable[Matcher]) -> str:
    """The matchers as people write them: `team=payments severity!=info`; "everything" without any."""
    texts = (
        f"{matcher.label}{'!=' if matcher.is_not else '='}{','.join(matcher.patterns)}"
        for matcher in matchers
    )
    return " ".join(texts) or "everything"


def known(settings: Settings) -> dict[str, set[str]]:
    """Every label that some subject has, with its values."""
    return known_of(settings.services.values(), settings.channels)


def known_of(services: Iterable[Service], channels: Iterable[str]) -> dict[str, set[str]]:
    """The same of services and channels that are not in one Settings."""
    found: dict[str, set[str]] = {
        "service": {
            CLUSTER_SUBJECT,
            *(prefix + name for name in channels for prefix in (CHANNEL_PREFIX, DRILL_PREFIX)),
        },
        "severity": {severity.value for severity in Severity},
        "level": {level.value for level in _LEVELS},
        "group": set(),
    }
    for service in services:
        found["service"].add(service.name)
        if service.group:
            found["group"].add(service.group)
        for label, value in service.labels:
            found.setdefault(label, set()).add(value)
    return found


def read(label: str, values: Iterable[str], known: Known | None = None) -> tuple[Matcher, ...]:
    """The matchers of one key of a `match:`: one of the values, and none of those that begin with `!`.

    With `known`, what nothing has is refused. Raises NoMatcher.
    """
    words = tuple(values)
    if not 1 <= len(words) <= PATTERNS_MAX:
        raise NoMatcher(f"1 to {PATTERNS_MAX} values belong here", "write one, or [one, another]")
    wanted = tuple(word for word in words if not word.startswith("!"))
    unwanted = tuple(word[1:] for word in words if word.startswith("!"))
    for word in (*wanted, *unwanted):
        _check_word(word)
    if known is not None:
        _check_known(label, (*wanted, *unwanted), known)
    made = (Matcher(label=label, patterns=wanted), Matcher(label=label, patterns=unwanted, is_not=True))
    return tuple(matcher for matcher in made if matcher.patterns)


def read_text(text: str, known: Known | None = None) -> tuple[Matcher, ...]:
    """The matchers of `label=value`, `label!=value` or `label=one,another`. Raises NoMatcher."""
    label, equals, value = text.partition("=")
    is_not = label.endswith("!")
    label = label.removesuffix("!").strip()
    if not equals or not label or value.startswith("~"):
        raise NoMatcher("this is no matcher", "write it like team=payments, service=shop-* or severity!=info")
    words = [word.strip() for word in value.split(",")]
    return read(label, [f"!{word}" for word in words] if is_not else words, known)


def read_match(match: Mapping[str, Iterable[str]], known: Known | None = None) -> tuple[Matcher, ...]:
    """The matchers of a whole `match:`. Raises NoMatcher."""
    return tuple(matcher for label, values in match.items() for matcher in read(label, values, known))


def _check_word(word: str) -> None:
    if not word or len(word) > PATTERN_MAX or not word.isprintable():
        what = f"a value has 1 to {PATTERN_MAX} printable characters"
        raise NoMatcher(what, "`*` stands for any value at all")
    if word.startswith("!"):
        raise NoMatcher("a value is negated twice", "write one `!`, or none")


def _check_known(label: str, words: Iterable[str], known: Known) -> None:
    """Refuses a label that nothing has, and a plain value that this label has nowhere."""
    if label not in known:
        raise NoMatcher(f"nothing has a label `{shown_key(label)}`", nearest(label, known))
    values = sorted(known[label])
    for word in words:
        if not _is_glob(word) and word not in values:
            raise NoMatcher(f"nothing has the {shown_key(label)} `{shown_key(word)}`", nearest(word, values))
