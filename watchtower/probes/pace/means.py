"""Whether this process has what looking takes: descriptors, local ports, a resolver that answers.

What it lacks is no service's trouble, so while it lacks something failed looks prove nothing. It is noted
look by look and forgotten some time after the last sign. One name that DNS does not answer may be that
name's own trouble; several, and no name that is answered, are the resolver's. Pure.
"""

from __future__ import annotations

from typing import Final

LACK_REMEMBERED_S: Final = 10.0
NAMES_REMEMBERED_S: Final = 30.0
NAMES_AT_LEAST: Final = 2


class Means:
    """What speaks against this process' own means just now."""

    def __init__(self) -> None:
        self._lacking = ""
        self._lacked_boot = float("-inf")
        self._unanswered: dict[str, float] = {}

    def note_lack(self, what: str, now_boot: float) -> None:
        """A look failed for want of `what`, a sentence about this peer."""
        self._lacking, self._lacked_boot = what, now_boot

    def note_resolved(self, name: str, now_boot: float, *, answered: bool) -> None:
        """The resolver was asked for `name`; that there is no such name is an answer."""
        if answered:
            self._unanswered.clear()
        else:
            self._unanswered[name] = now_boot

    def reason(self, now_boot: float) -> str:
        """Why failed looks prove nothing now; "" when they do."""
        if now_boot - self._lacked_boot < LACK_REMEMBERED_S:
            return self._lacking
        if not self._unanswered:
            return ""
        since_boot = now_boot - NAMES_REMEMBERED_S
        self._unanswered = {name: boot for name, boot in self._unanswered.items() if boot > since_boot}
        return "its resolver answers for no name" if len(self._unanswered) >= NAMES_AT_LEAST else ""
