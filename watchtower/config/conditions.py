"""The grammar of `expect:` and `warn:` lines: text of one line to a core Condition.

    line   = clause { " or " clause }
    clause = ["not "] field op [value]

Which fields there are depends on the probe kind, which ops and values a field takes on the field. A
mistake is reported at its very column. What a condition means is core/conditions.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

from watchtower.config import condition_slips as slips
from watchtower.config.patterns import check_pattern
from watchtower.config.problems import Wrong
from watchtower.config.units import parse_duration
from watchtower.core.conditions import Clause, Condition, Value
from watchtower.core.nearest import nearest
from watchtower.core.targets import GRPC_CODES, GRPC_STATUSES

LENGTH_MAX: Final = 300

_TIMES: Final = ("time", "time.dns", "time.connect", "time.tls")
_HTTP_TIMES: Final = (*_TIMES, "time.first_byte", "time.transfer")
_LOGIN_TIMES: Final = (*_TIMES, "time.login", "time.query")
_LOGIN: Final = ("cert.expires", "cert.issuer", "ip")
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "http": (
        *("status", *_HTTP_TIMES, "body", "json.<path>", "header.<name>"),
        *("cert.expires", "cert.issuer", "ip"),
    ),
    "tcp": ("time", "time.dns", "time.connect", "ip", "banner"),
    "tls": (*_TIMES, "cert.expires", "cert.issuer", "ip"),
    "dns": ("time", "dns.rcode", "answers", "ttl"),
    "smtp": (*_TIMES, "banner", "cert.expires", "cert.issuer", "ip"),
    "imap": (*_TIMES, "banner", "cert.expires", "cert.issuer", "ip"),
    "ssh": ("time", "time.dns", "time.connect", "banner", "ip"),
    "icmp": ("time", "time.dns", "lost", "ip"),
    "grpc": ("grpc.status", "grpc.code", *_TIMES, "cert.expires", "cert.issuer", "ip"),
    "ws": ("status", *_TIMES, "message", "json.<path>", "cert.expires", "cert.issuer", "ip"),
    "postgres": (*_LOGIN_TIMES, "rows", "value", "role", *_LOGIN),
    "exec": ("exit", "time", "body", "perf.<label>"),
    "mysql": (*_LOGIN_TIMES, "rows", "value", *_LOGIN),
    "redis": (*_LOGIN_TIMES, "rows", "value", "role", *_LOGIN),
    "amqp": (*_LOGIN_TIMES, "messages", "consumers", *_LOGIN),
}
"""Fields by probe kind; heartbeats and peers have none."""

_EQUAL: Final = ("==", "!=")
_ORDER: Final = ("<", "<=", ">", ">=")
_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "status": (*_EQUAL, *_ORDER, "in"),
    "duration": (*_EQUAL, *_ORDER),
    "seconds": (*_EQUAL, *_ORDER),
    "text": (*_EQUAL, "in", "contains", "~", "exists"),
    "ip": (*_EQUAL, "in", "contains", "~", "exists"),
    "loose": (*_EQUAL, *_ORDER, "in", "contains", "~", "exists"),
    "rcode": (*_EQUAL, "in"),
    "health": (*_EQUAL, "in"),
    "code": (*_EQUAL, "in"),
    "role": (*_EQUAL, "in"),
    "answers": (*_EQUAL, "in", "contains", "~", "exists"),
    "number": (*_EQUAL, *_ORDER, "in", "exists"),
}
_TYPE_OF: Final = {
    "status": "status",
    **dict.fromkeys((*_HTTP_TIMES, *_LOGIN_TIMES, "cert.expires"), "duration"),
    "ttl": "seconds",
    "body": "text",
    "cert.issuer": "text",
    "ip": "ip",
    "json.<path>": "loose",
    "header.<name>": "loose",
    "dns.rcode": "rcode",
    "answers": "answers",
    "banner": "text",
    "lost": "number",
    "grpc.status": "health",
    "grpc.code": "code",
    "message": "text",
    "rows": "number",
    "value": "loose",
    "role": "role",
    "exit": "number",
    "perf.<label>": "number",
    "messages": "number",
    "consumers": "number",
}
_WITH_AN: Final = ("http", "smtp", "imap", "ssh", "icmp", "exec", "amqp")
_OPS: Final = ("==", "!=", "<=", ">=", "<", ">", "in", "contains", "~", "exists")
_OP: Final = re.compile(r"==|!=|<=|>=|<|>|~(?!=)|(?:in|contains|exists)(?=\s|$)")
_QUOTED: Final = slips.QUOTED
_OR: Final = re.compile(rf"{slips.OPAQUE}|(?P<or>\s+or\s+)")
_HEAD: Final = re.compile(r"\s*(?P<not>not\s+)?(?P<field>(?:\[\"[^\"]*\"\]|[^\s=!<>~])+)\s*")
_ITEM: Final = re.compile(rf"{_QUOTED}|[^\s,]+")
_JSON_PATH: Final = re.compile(r"json(?:\.[^.\[\]\"]+|\[\d{1,6}\]|\[\"[^\"]{1,100}\"\])+", re.ASCII)
_HEADER: Final = re.compile(r"header\.[A-Za-z0-9!#$%&'*+.^_`|-]{1,80}")
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?", re.ASCII)
_PATH_FIX: Final = 'write it like json.db.state, json.items[0].name or json["a key"]'
_RCODE: Final = re.compile(r"[A-Za-z]{2,12}")


class _Word(Struct, frozen=True):
    """A piece of the line and where it starts."""

    text: str
    start: int

    def wrong(self, what: str, fix: str = "") -> Wrong:
        return Wrong(what, fix, start=self.start, width=max(1, len(self.text)))


def parse_condition(text: str, kind: str) -> Condition:
    """The condition that `text` writes, for a probe of `kind` (`http`, `tcp`, `tls`, `dns`).

    Raises Wrong, whose `start` is the offset of the mistake in `text`.
    """
    if len(text) > LENGTH_MAX:
        raise Wrong(f"longer than {LENGTH_MAX} characters", "split it into several lines")
    if not text.strip():
        raise Wrong("an empty condition", "write one like `status == 200`, or remove the line")
    slips.check_line(text, FIELDS.get(kind, ()))
    clauses = tuple(_clause(piece, kind) for piece in _split(text))
    return Condition(text=text.strip(), clauses=clauses)


def _split(text: str) -> list[_Word]:
    pieces, start = [], 0
    for match in _OR.finditer(text):
        if match["or"]:
            pieces.append(_Word(text[start : match.start()], start))
            start = match.end()
    return [*pieces, _Word(text[start:], start)]


def _clause(piece: _Word, kind: str) -> Clause:
    head = _HEAD.match(piece.text)
    if head is None:
        fix = "put `not` in front" if piece.text.lstrip().startswith("!") else "write it like `status == 200`"
        raise piece.wrong("a condition starts with a field", fix)
    field = _Word(head["field"], piece.start + head.start("field"))
    name, kind_of_value = _field(field, kind)
    op = _op(piece, head.end(), field, kind_of_value)
    if kind_of_value == "role":
        kind_of_value = f"role in {kind}"
    after = piece.text[op.start - piece.start + len(op.text) :]
    lead = len(after) - len(after.lstrip())
    value = _Word(after.strip(), op.start + len(op.text) + lead)
    return Clause(
        field=name, op=op.text, value=_value(value, op, kind_of_value), negated=head["not"] is not None
    )


def _field(word: _Word, kind: str) -> tuple[str, str]:
    """The field's name as facts have it, and the type of its values."""
    allowed = FIELDS.get(kind, ())
    if word.text.startswith("json") and "json.<path>" in allowed:
        if not _JSON_PATH.fullmatch(word.text):
            raise word.wrong("this is no JSON path", _PATH_FIX)
        return word.text, _TYPE_OF["json.<path>"]
    if word.text.startswith("header") and "header.<name>" in allowed:
        if not _HEADER.fullmatch(word.text):
            raise word.wrong("this is no header", "write it like header.content-type")
        return word.text.lower(), _TYPE_OF["header.<name>"]
    if word.text.startswith("perf") and "perf.<label>" in allowed:
        if not word.text.startswith("perf.") or word.text == "perf.":
            raise word.wrong("this is no label of performance data", "write it like perf.load1 or perf./var")
        return word.text, _TYPE_OF["perf.<label>"]
    if word.text in allowed:
        return word.text, _TYPE_OF[word.text]
    plain = word.text.strip("[]").lower()
    stem = plain.partition(".")[0]
    if word.text in _TYPE_OF or any(name.startswith(f"{stem}.<") for name in _TYPE_OF):
        article = "an" if kind in _WITH_AN else "a"
        raise word.wrong(
            f"{article} {kind} probe does not have this field", f"known here: {', '.join(allowed)}"
        )
    raise word.wrong("there is no such field", slips.field_advice(word.text) or nearest(plain, allowed))


def _op(piece: _Word, offset: int, field: _Word, kind_of_value: str) -> _Word:
    match = _OP.match(piece.text, offset)
    rest = piece.text[offset:]
    found = _Word(re.split(r"\s", rest, maxsplit=1)[0], piece.start + offset)
    allowed = _TYPES[kind_of_value]
    if match is None:
        if not rest.strip():
            raise field.wrong("a comparison is missing", f"follow the field with one of {' '.join(allowed)}")
        advice = slips.op_advice(found.text) or nearest(found.text, _OPS)
        is_list = advice.startswith("known")
        raise found.wrong("there is no such comparison", f"one of {' '.join(allowed)}" if is_list else advice)
    op = _Word(match[0], piece.start + offset)
    if op.text not in allowed:
        raise op.wrong("this field cannot be compared so", f"one of {' '.join(allowed)}")
    return op


def _value(word: _Word, op: _Word, kind_of_value: str) -> Value:
    if op.text == "exists":
        if word.text:
            raise word.wrong("`exists` takes no value", "remove what follows it")
        return ""
    if not word.text:
        raise op.wrong("a value is missing", "write what to compare with")
    if op.text == "~":
        return _pattern(word)
    if op.text == "contains":
        return _unquoted(word)
    if op.text == "in" or kind_of_value == "answers":
        return _several(word, kind_of_value)
    single = _single(word, kind_of_value)
    if kind_of_value == "ip" and "/" in word.text:
        raise word.wrong("an address is in a network, never equal to it", "write `ip in 10.0.0.0/8`")
    if op.text in _ORDER and not isinstance(single, float):
        raise word.wrong("this needs a number", "write it like 5 or 2.5")
    return single


def _several(word: _Word, kind_of_value: str) -> Value:
    if word.text.startswith("["):
        raise word.wrong("a list of values has no brackets", "write them with blanks between: 200 204")
    items = tuple(_Word(match[0], word.start + match.start()) for match in _ITEM.finditer(word.text))
    if not items:
        raise word.wrong("a value is missing", "write what to compare with")
    return tuple(_listed(item, kind_of_value) for item in items)


def _listed(word: _Word, kind_of_value: str) -> str | float:
    value = _single(word, kind_of_value)
    # A list holds text and numbers only; true and false compare as the words they are.
    return str(value).lower() if isinstance(value, (bool, tuple)) else value


def _single(word: _Word, kind_of_value: str) -> Value:
    if kind_of_value in {"duration", "seconds"}:
        return _seconds(word, kind_of_value)
    if kind_of_value in _READ:
        return _READ[kind_of_value](word)
    if kind_of_value == "loose":
        if word.text in {"true", "false"}:
            return word.text == "true"
        if _JSON_NUMBER.fullmatch(word.text):
            return float(word.text)
    return _unquoted(word)


def _number(word: _Word) -> float:
    if not _JSON_NUMBER.fullmatch(word.text):
        raise word.wrong("this needs a number", "write it like 5 or 2.5, without a unit")
    return float(word.text)


def _status(word: _Word) -> str | float:
    if re.fullmatch(r"[1-5]xx", word.text, re.IGNORECASE):
        return word.text.lower()
    if re.fullmatch(r"[1-5][0-9][0-9]", word.text):
        return float(word.text)
    raise word.wrong("this is no HTTP status", "write it like 200 or 2xx, several as `status in 200 204`")


def _address(word: _Word) -> str:
    """An address or a network, as the ipaddress module writes it: so is what was found."""
    text = _unquoted(word)
    try:
        return str(ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        raise word.wrong("this is no address", "write it like 192.0.2.1, 2001:db8::1 or 10.0.0.0/8") from None


def _rcode(word: _Word) -> str:
    if not _RCODE.fullmatch(word.text):
        raise word.wrong("this is no DNS response code", "write it like NOERROR or NXDOMAIN")
    return word.text.upper()


def _role(known: tuple[str, ...], word: _Word) -> str:
    """A role; what is none here would never be seen, and a service that is well always be down."""
    name = _unquoted(word).lower()
    if name not in known:
        raise word.wrong("there is no such role here", f"one of {' '.join(known)}")
    return name


def _one_of(known: tuple[str, ...], word: _Word) -> str:
    name = word.text.upper()
    if name not in known:
        raise word.wrong("gRPC does not have this word", nearest(name, known))
    return name


_READ: Final[dict[str, Callable[[_Word], Value]]] = {
    "status": _status,
    "number": _number,
    "ip": _address,
    "rcode": _rcode,
    "health": partial(_one_of, GRPC_STATUSES),
    "code": partial(_one_of, GRPC_CODES),
    "role in postgres": partial(_role, ("primary", "standby")),
    "role in redis": partial(_role, ("primary", "replica", "sentinel")),
}
"""By type of value: what reads it, where that takes more than a line."""


def _seconds(word: _Word, kind_of_value: str) -> float:
    if kind_of_value == "seconds" and re.fullmatch(r"[0-9]{1,9}", word.text):
        return float(word.text)
    try:
        return parse_duration(word.text)
    except Wrong as wrong:
        raise word.wrong(wrong.what, wrong.fix) from None


def _unquoted(word: _Word) -> str:
    """The text inside quotes, or the text as it is; a backslash escapes within double quotes only."""
    text = word.text
    if not text.startswith(('"', "'")):
        return text
    if not re.fullmatch(_QUOTED, text):
        raise word.wrong("text follows the closing quote, or there is none", "quote the whole value")
    return text[1:-1] if text[0] == "'" else re.sub(r"\\(.)", r"\1", text[1:-1])


def _pattern(word: _Word) -> str:
    quoted = word.text.startswith(('"', "'")) and word.text[-1:] == word.text[0] and len(word.text) > 1
    pattern = word.text[1:-1] if quoted else word.text
    try:
        check_pattern(pattern)
    except Wrong as wrong:
        start = word.start + quoted + (wrong.start or 0)
        raise Wrong(wrong.what, wrong.fix, start=start, width=wrong.width) from None
    return pattern
