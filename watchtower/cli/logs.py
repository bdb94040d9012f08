"""How a peer's log looks: plain text on a terminal, one line of key=value (logfmt) everywhere else.

One event is one line whatever it holds: foreign text cannot begin a new line or move the cursor, and
lines have a longest length. Decides nothing about what is logged, except that libraries are heard only
from warnings on.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Final

from watchtower.core.text import clean

MESSAGE_MAX: Final = 2_000
TRACE_MAX: Final = 8_000


class Text(logging.Formatter):
    """For people: time, level unless it is usual, message; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """One event."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname}: "
        text = f"{at}  {level}{_message(record)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class Logfmt(logging.Formatter):
    """For programs: `at=... level=... from=... msg="..."`, a traceback escaped into `trace="..."`."""

    def format(self, record: logging.LogRecord) -> str:
        """One event in one line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        pairs = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "from": record.name,
            "msg": _quoted(_message(record)),
        }
        if record.exc_info:
            pairs["trace"] = _quoted(self.formatException(record.exc_info)[-TRACE_MAX:])
        return " ".join(f"{key}={value}" for key, value in pairs.items())


def log_to_stderr(level: str, style: str) -> None:
    """Send the log of this process to stderr. `style` is `text`, `logfmt` or `auto`."""
    if style == "auto":
        style = "text" if sys.stderr.isatty() else "logfmt"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Text() if style == "text" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("watchtower").setLevel(level.upper())


def _message(record: logging.LogRecord) -> str:
    return clean(record.getMessage(), MESSAGE_MAX)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    visible = "".join(char if char.isprintable() else "?" for char in escaped)
    return f'"{visible}"'
