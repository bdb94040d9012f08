"""Decides what of a source line may be printed beside a problem.

A value is shown only when its key is known to hold nothing secret; anything else is `***`, and so are
user info and query values of every URL. `${...}` is shown as written, never what it stands for. A line
that is not even YAML is shown word by word: known words, short numbers and references stay.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from watchtower.config.document import Path, Scalar, Sequence, Span, Table, Tree

HIDDEN: Final = "***"
SHOWN_MAX: Final = 110

# fmt: off
_OPEN_KEYS: Final = frozenset(
    {
        "name", "after", "policy", "profile", "zone", "provider", "witness", "raft", "interval",
        "timeout", "jitter", "per_host", "workers",
        "failures", "recheck", "partial_after", "peers", "successes", "alert", "expect", "warn",
        "title", "group", "method", "follow_redirects", "verify", "server_name", "type", "servers",
        "grace", "heartbeat", "tz", "dns", "resolved", "listen", "base_path", "anonymous_read", "scope",
        "path", "concurrency", "fallback", "search", "url", "http", "public_url", "reference", "runbook",
        "dashboard", "starttls", "connection", "address", "ip", "resolver", "http_version", "token_url",
        "hold", "suppress", "size", "history", "retention", "user", "tls", "queue", "publish",
        "error_threshold", "window", "buckets", "volume", "reset", "every", "channel", "within",
        "severity", "repeat", "high", "low",
    }
)
_ROUTE_KEYS: Final = frozenset(
    {"notify", "repeat", "active", "continue", "after", "start", "end", "cron", "for", "tz", "reason"}
)
_ROUTE_DEPTH: Final = {"routes": 2, "escalation": 3, "maintenance": 2}
_OPEN_PATHS: Final = (["cluster", "without_quorum", "notify"], ["alerting", "timezone"])
_OPEN_IN_AUTH: Final = frozenset({"token_url", "scope"})
_WORDS: Final = _OPEN_KEYS | frozenset(
    {
        "cluster", "secret", "without_quorum", "notify", "services", "defaults", "alerting",
        "breakers", "watchdog", "drill", "ping", "monday", "day",
        "tokens", "token", "ping_key", "storage", "probe", "confirm", "recover", "headers", "body",
        "labels", "status", "time", "time.dns", "time.connect", "time.tls", "cert.expires",
        "cert.issuer", "ip", "dns.rcode", "answers", "ttl", "in", "contains", "exists", "not", "or",
        "==", "!=", "<", "<=", ">", ">=", "~", "true", "false", "hold", "lan", "wan", "read", "write",
        "admin", "send", "banner", "lost", "exec", "env", "exit", "auth", "basic", "bearer", "oauth2",
        "proxy", "fresh", "reuse", "message", "grpc.status", "grpc.code",
        "password", "query", "rows", "value", "role", "time.login",
        "time.query", "messages", "consumers", "needs", "any_of", "k_of", "service", "degraded",
        "routes", "escalation", "match", "active", "continue", "critical", "warning", "info", "never",
        "timezone", "maintenance", "start", "end", "cron", "for", "reason", "flap", "high", "low",
    }
)
# fmt: on
_HARMLESS: Final = re.compile(r"[\d.]{1,6}(?:ms|s|m|h|d|w|%)?|true|false|on|off|yes|no|null")
_REFERENCE: Final = re.compile(r"\$\{(?:file:[^{}]*|[A-Za-z0-9_]*)\}")
_URL: Final = re.compile(r"(?:[A-Za-z][\w+.-]*://)(?P<user>.*@)?[^?#]*(?P<query>[?#].*)?", re.DOTALL)
"""Greedy on purpose: whatever stands before the last @ may be a password with odd characters in it."""
_PROGRAM: Final = re.compile(r"(?P<quote>['\"]?)exec:\S+\s+")
_LEXEME: Final = re.compile(r"\$\{[^{}]*\}|[\s{}\[\],\"'$|>&*!%@`#]+|[^\s{}\[\],\"'$]+")
_WORD: Final = re.compile(r"[^\s{}\[\],:?'\"-][^\s{}\[\],'\"]*")
_LINE_KEY: Final = re.compile(r"\s*[A-Za-z0-9_][A-Za-z0-9._-]{0,62}:(?=\s|$)")


class Mask(Struct, frozen=True, order=True):
    """Characters `start` to `end` (exclusive, from 0) of a line are shown as `instead`."""

    start: int
    end: int
    instead: str


class Masks:
    """Which parts of which lines of one file must not be shown, and where each line's content ends."""

    def __init__(self, tree: Tree | None, lines: list[str]) -> None:
        self._lines = lines
        self._by_line: dict[int, list[Mask]] = {}
        self._content_end: dict[int, int] = {}
        self._known: dict[int, list[tuple[int, int]]] = {}
        if tree is not None:
            self._walk(tree, ())

    def shown(self, number: int, column: int, width: int) -> tuple[str, int, int]:
        """Line `number` (from 1) without secrets and comments, and where its caret goes (from 0)."""
        raw = self._lines[number - 1] if number <= len(self._lines) else ""
        if number in self._content_end:
            text = raw[: self._content_end[number]]
            masks = _merged([*self._by_line.get(number, []), *self._gaps(number, text)])
        else:
            text, masks = raw.rstrip(), _lexical(raw)
        start, end = column - 1, column - 1 + width
        caret, stop = _moved(start, masks), _moved(end, masks)
        shown = "".join(char if char.isprintable() else " " for char in _applied(text, masks))
        return _window(shown, caret, max(1, stop - caret))

    def _walk(self, tree: Tree, path: Path) -> None:
        if isinstance(tree, Table):
            for name, entry in tree.entries.items():
                self._content(entry.key, with_colon=True)
                if "://" in name:
                    self._hide(entry.key)
                self._walk(entry.value, (*path, name))
            for key in tree.refused_keys:
                self._content(key, with_colon=True)
            for refused in tree.refused:
                # Nothing is known of these, so nothing of them is shown.
                self._walk(refused, ())
        elif isinstance(tree, Sequence):
            for index, item in enumerate(tree.items):
                self._walk(item, (*path, index))
        else:
            self._scalar(tree, path)
        if isinstance(tree, Scalar):
            self._content(tree.span)
        elif tree.flow:
            # Only the closing bracket: lines before it may end in comments.
            end = tree.span
            self._content(Span(end.end_line, end.end_column - 1, end.end_line, end.end_column))

    def _scalar(self, scalar: Scalar, path: Path) -> None:
        text = scalar.written or ""
        span = scalar.span
        if not text and span.width > len('""'):
            # An unquoted password that starts with & or ! is an anchor or a tag without a value.
            self._hide(span)
        is_open = _is_open(path)
        if not text or _HARMLESS.fullmatch(text) or (is_open and not _may_hold_secrets(text)):
            return
        if span.line != span.end_line:
            self._hide(span)
            return
        start, end = span.column - 1, span.end_column - 1
        raw = self._lines[span.line - 1][start:end]
        hidden = _credentials(raw) if is_open else [(len(_scheme(raw)), len(raw))]
        masks = self._by_line.setdefault(span.line, [])
        masks += [Mask(start + low, start + high, HIDDEN) for low, high in _around_references(raw, hidden)]

    def _hide(self, span: Span) -> None:
        for number in range(span.line, span.end_line + 1):
            line = self._lines[number - 1] if number <= len(self._lines) else ""
            start = span.column - 1 if number == span.line else 0
            end = span.end_column - 1 if number == span.end_line else len(line)
            if end > start:
                self._by_line.setdefault(number, []).append(Mask(start, end, HIDDEN))

    def _content(self, span: Span, *, with_colon: bool = False) -> None:
        for number in range(span.line, span.end_line + 1):
            is_last = number == span.end_line
            length = len(self._lines[number - 1]) if number <= len(self._lines) else 0
            start = span.column - 1 if number == span.line else 0
            end = min(span.end_column - 1 + with_colon if is_last else length, length)
            self._content_end[number] = max(self._content_end.get(number, 0), end)
            self._known.setdefault(number, []).append((start, end))

    def _gaps(self, number: int, text: str) -> list[Mask]:
        """Masks for what is neither key nor value nor punctuation: anchors, aliases and tags.

        `secret: !hunter2` is a tag to YAML, and a password without its quotes to whoever wrote it.
        """
        known = self._known.get(number, [])
        return [
            Mask(match.start(), match.end(), HIDDEN)
            for match in _WORD.finditer(text)
            if not any(start < match.end() and match.start() < end for start, end in known)
        ]


def _is_open(path: Path) -> bool:
    """True when the value at `path` holds nothing secret by what its key means."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return False
    if names[0] == "notify":
        is_rate = len(names) == 4 and names[2] == "rate"
        is_words = names[2:] in (["template", "subject"], ["template", "body"])
        return is_rate or is_words or names[2:] in (["fallback"], ["search"])
    if "headers" in names or "secret" in names or (names[0] == "http" and "tokens" in names[:-2]):
        return names[-1] == "scope" and names[0] == "http"
    is_label = names[0] == "services" and (len(names) == 2 or (len(names) == 4 and names[2] == "labels"))
    # What is needed are names of services, which are keys of this very file.
    if is_label or names in _OPEN_PATHS or (names[0], *names[2:3]) == ("services", "needs"):
        return True
    if names[0] in _ROUTE_DEPTH:
        return names[1:2] == ["match"] or (len(names) == _ROUTE_DEPTH[names[0]] and names[-1] in _ROUTE_KEYS)
    return len(names) > 1 and names[-1] in (_OPEN_IN_AUTH if "auth" in names else _OPEN_KEYS)


def _scheme(text: str) -> str:
    """The quote and the scheme that a value starts with."""
    match = re.match(r"[\"']?(?:[A-Za-z][\w+.-]{0,20}://)?", text)
    return match[0] if match else ""


def _may_hold_secrets(text: str) -> bool:
    """True for URLs, addresses and programs; other values of open keys are shown as they are."""
    return "://" in text or "@" in text or text.startswith("exec:")


def _credentials(text: str) -> list[tuple[int, int]]:
    """Where user info and query values stand in text with URLs in it, and arguments of a program."""
    program = _PROGRAM.match(text)
    if program:
        return [(program.end(), len(text) - text.endswith(program["quote"] or " "))]
    ranges = []
    for url in _URL.finditer(text):
        ranges += [url.span(part) for part in ("user", "query") if url[part] is not None]
    if not ranges and "://" not in text:
        at = text.rfind("@")
        ranges.append((0, at) if at > 0 else (0, 0))
    return [(low, high) for low, high in ranges if high > low]


def _around_references(text: str, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges without the `${VAR}` in them; of `${VAR:-default}` the default is not left out."""
    kept = [match.span() for match in _REFERENCE.finditer(text)]
    out = []
    for low, high in ranges:
        at = low
        for start, end in kept:
            if at <= start and end <= high:
                out.append((at, start))
                at = end
        out.append((at, high))
    # A quote or the @ before the host stays, so that the line keeps its shape.
    trimmed = [(low, high - (text[high - 1 : high] in {'"', "'", "@"})) for low, high in out]
    return [(low, high) for low, high in trimmed if high > low]


def mask_url(text: str) -> str:
    """Any text with the user info and query values of its URLs hidden; `${VAR}` stays."""
    hidden = sorted(_around_references(text, _credentials(text)))
    return _applied(text, [Mask(low, high, HIDDEN) for low, high in hidden])


def _lexical(line: str) -> list[Mask]:
    """Masks for a line of a file that could not be parsed."""
    masks: list[Mask] = []
    key = _LINE_KEY.match(line)
    comment = re.search(r"(?:^|\s)#", line)
    stop = comment.start() if comment else len(line)
    for lexeme in _LEXEME.finditer(line, key.end() if key else 0):
        word = lexeme[0]
        if lexeme.start() >= stop:
            break
        # Punctuation, references, the format's own words and short numbers tell nobody anything.
        bare = word.rstrip(":")
        if word.startswith("${") or not any(char.isalnum() for char in word):
            continue
        if bare in _WORDS or _HARMLESS.fullmatch(bare):
            continue
        scheme = re.match(r"[A-Za-z][\w+.-]{0,20}://", word)
        start = lexeme.start() + (scheme.end() if scheme else 0)
        end = lexeme.end() - (word.endswith(":"))
        if end > start:
            masks.append(Mask(start, end, HIDDEN))
    if comment:
        masks.append(Mask(stop, len(line), ""))
    return masks


def _merged(masks: list[Mask]) -> list[Mask]:
    """The masks in order, those that overlap as one."""
    out: list[Mask] = []
    for mask in sorted(masks):
        if out and mask.start < out[-1].end:
            out[-1] = Mask(out[-1].start, max(out[-1].end, mask.end), HIDDEN)
        else:
            out.append(mask)
    return out


def _applied(text: str, masks: list[Mask]) -> str:
    out, at = "", 0
    for mask in masks:
        if mask.start >= at:
            out += text[at : mask.start] + (mask.instead if mask.start < len(text) else "")
            at = mask.end
    return (out + text[at:]).rstrip()


def _moved(column: int, masks: list[Mask]) -> int:
    shift, at = 0, 0
    for mask in masks:
        if mask.start < at:
            continue
        at = mask.end
        if column >= mask.end:
            shift += len(mask.instead) - (mask.end - mask.start)
        elif column > mask.start:
            return mask.start + shift + min(column - mask.start, len(mask.instead))
    return column + shift


def _window(text: str, caret: int, width: int) -> tuple[str, int, int]:
    """At most SHOWN_MAX characters around the caret."""
    if len(text) <= SHOWN_MAX:
        return text, caret, max(1, min(width, len(text) - caret))
    start = max(0, min(caret - SHOWN_MAX // 2, len(text) - SHOWN_MAX))
    head, tail = ("…" if start else ""), ("…" if start + SHOWN_MAX < len(text) else "")
    caret = caret - start + len(head)
    return head + text[start : start + SHOWN_MAX] + tail, caret, max(1, min(width, SHOWN_MAX - caret))
