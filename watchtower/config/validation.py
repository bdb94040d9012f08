"""Holds content against the schema and turns what does not fit into faults with key paths.

The messages are ours, never the library's echo of the input, because the input may be a secret.
"""

from __future__ import annotations

from typing import Any, Final, get_args, get_origin

from msgspec import Struct

from watchtower.config.document import Path
from watchtower.config.kinds import LATER, MEANT, SERVICE_MODELS
from watchtower.config.problems import Wrong
from watchtower.config.schema import ClusterModel, FileModel, M, Model, PacedModel, ServiceModel, read_as
from watchtower.core.nearest import nearest, shown_key

_EXPECTED: Final = {
    "model_type": "a mapping belongs here",
    "model_attributes_type": "a mapping belongs here",
    "dict_type": "a mapping belongs here",
    "tuple_type": "a list belongs here",
    "list_type": "a list belongs here",
}
_SHAPE_FIX: Final = {
    "a mapping belongs here": "write `key: value` lines below the key, or {key: value}",
    "a list belongs here": "write [a, b], or one line starting with - for each",
}


class Fault(Struct, frozen=True):
    """What is wrong at a key path; `at_key` points at the key rather than at its value."""

    path: Path
    wrong: Wrong
    at_key: bool = False


def validate(model: type[M], content: object, prefix: Path = ()) -> tuple[M | None, list[Fault]]:
    """`content` as `model`, or None and all its faults with paths below `prefix`."""
    read, errors = read_as(model, content)
    return read, [_fault(model, error, prefix) for error in errors]


def _fault(model: type[Model], error: dict[str, Any], prefix: Path) -> Fault:
    kind: str = error["type"]
    inner: Path = tuple(error["loc"])
    path = prefix + inner
    context: dict[str, Any] = error.get("ctx", {})
    if kind == "value_error" and isinstance(context.get("error"), Wrong):
        return Fault(path, context["error"])
    if kind == "extra_forbidden":
        return Fault(path, unknown_key(_model_at(model, inner[:-1]), str(inner[-1])), at_key=True)
    if kind == "missing":
        return Fault(path, Wrong(f"`{inner[-1]}` is missing", f"add `{inner[-1]}:` here"), at_key=True)
    if kind == "too_long":
        return Fault(path, Wrong(f"more than {context.get('max_length')} entries", "remove some"))
    if kind == "too_short":
        return Fault(path, Wrong("at least one entry is needed", "add one"))
    what = _EXPECTED.get(kind, "this value does not fit")
    return Fault(path, Wrong(what, _SHAPE_FIX.get(what, "see docs/reference/config.md")))


def unknown_key(model: type[Model], key: str) -> Wrong:
    """What to say about a key that `model` does not have."""
    shown = shown_key(key)
    for owner, later in LATER.items():
        if issubclass(model, owner) and key in later:
            return Wrong(f"`{shown}` is not part of this release", "remove it")
    if issubclass(model, ServiceModel):
        here = next(kind for kind, one in SERVICE_MODELS.items() if one is model)
        kinds = [kind for kind, one in SERVICE_MODELS.items() if key in one.model_fields and " " not in kind]
        if here.endswith(" url") and kinds == [here.removesuffix(" url")]:
            kind = kinds[0]
            what = f"`{shown}` does not go with a{'n' * (kind == 'exec')} {kind}: URL"
            url = ", or dns://server/name?type=AAAA" if kind == "dns" else ""
            return Wrong(what, f"write {{{kind}: ..., {shown}: ...}} instead{url}")
        if kinds:
            what = (
                f"`{shown}` belongs to {', '.join(kinds)} services, this one is {here.removesuffix(' url')}"
            )
            return Wrong(what, "remove it")
    if model is FileModel and key in ClusterModel.model_fields:
        return Wrong(f"unknown key `{shown}`", f"`{shown}` belongs under `cluster:`: indent it deeper")
    meant = MEANT.get(key)
    if meant in model.model_fields:
        return Wrong(f"unknown key `{shown}`", f"did you mean `{meant}`?")
    # Those of this kind first: the list is cut, and what every service has is known best.
    shared = ServiceModel.model_fields.keys() | PacedModel.model_fields.keys()
    known = sorted(_keys(model), key=shared.__contains__)
    return Wrong(f"unknown key `{shown}`", nearest(key, known))


def _keys(model: type[Model]) -> list[str]:
    """The keys of `model` as they are written in the file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[Model], path: Path) -> type[Model]:
    """The model that the mapping at `path` is held against."""
    here: Any = model
    for part in path:
        here = _below(here, part)
    found = _models_in(here)
    return found[0] if found else model


def _below(annotation: Any, part: str | int) -> Any:
    for found in _models_in(annotation):
        if part in found.model_fields:
            return found.model_fields[str(part)].annotation
    arguments = get_args(annotation)
    return arguments[-1] if get_origin(annotation) is dict else annotation


def _models_in(annotation: Any) -> list[type[Model]]:
    """Models that `annotation` is or offers, not those inside a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    if get_origin(annotation) is dict:
        return []
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
