"""Attributes, tags, security labels and file occurrences as they come in an entity."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.sandbox.engine import values
from aiotcbatch.sandbox.engine.incoming import Attribute, Label, MalformedError

if TYPE_CHECKING:
    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.engine.incoming import Incoming
    from aiotcbatch.sandbox.vocabulary import AttributeType

__all__ = ["attributes", "labels", "occurrences", "tags"]

LONGEST_TAG = 128
#: The types of which one attribute can be the one that is shown first.
SHOWN_TYPES = ("Description", "Source")


def _objects(value: Any) -> list[dict[str, Any]]:
    """Take an array of objects. One object without its array is taken too."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise MalformedError(f"Not a JSON Array: {_shown(value)}")
    for element in value:
        if not isinstance(element, dict):
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
    return value


def _shown(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()[:60]
    except (TypeError, RecursionError):
        return str(type(value).__name__)


def _lose(entity: Incoming, why: str) -> None:
    """Note that a part is left out; only the first one is reported."""
    entity.loss = entity.loss or why


def tags(entity: Incoming, value: Any, _: Catalog) -> None:
    """Read the tags of an entity."""
    names = entity.tags = []
    for element in value if type(value) is list else _objects(value):
        if type(element) is not dict:
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
        name = element.get("name")
        if type(name) is not str:
            name = _text(name)
        if 0 < len(name) <= LONGEST_TAG:
            names.append(name)
        elif name:
            _lose(entity, f"Tag {name[:40]}... is longer than {LONGEST_TAG} characters.")
        else:
            _lose(entity, "A tag requires a name.")


@lru_cache(1024)
def _known_label(name: str) -> Label:
    """Make a label of which only the name was sent: the same few come with very many entities."""
    return Label(name, None, None)


def labels(entity: Incoming, value: Any, _: Catalog) -> None:
    """Read the security labels of an entity; whether they exist is looked up later."""
    entity.labels = []
    for element in _objects(value):
        name = element.get("name")
        if name and type(name) is str and len(element) == 1:
            entity.labels.append(_known_label(name))
            continue
        name = _text(name)
        if not name:
            _lose(entity, "A security label requires a name.")
            continue
        entity.labels.append(
            Label(
                name,
                _text(element.get("description")) or None,
                _text(element.get("color")) or None,
            )
        )


def attributes(entity: Incoming, value: Any, catalog: Catalog) -> None:
    """Read the attributes of an entity and leave out those that its instance does not take."""
    kept = entity.attributes = entity.attributes or []
    types = catalog.attributes
    for element in value if type(value) is list else _objects(value):
        if type(element) is not dict:
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
        get = element.get
        name = get("type")
        kind = types.get(name) if type(name) is str else None
        if kind is None:
            _lose(entity, f"The requested attribute type was not found: {_text(name)}")
            continue
        text = get("value")
        if type(text) is not str:
            text = _text(text)
        if not 0 < len(text) <= kind.max_size or kind.choices:
            problem = _unfit(kind, text)
            if problem:
                _lose(entity, problem)
                continue
        shown, pinned = get("displayed"), get("pinned")
        source, marked = get("source"), get("securityLabel")
        kept.append(
            Attribute(
                kind.name,
                text,
                bool(shown) and kind.name in SHOWN_TYPES and (shown is True or _truth(shown)),
                bool(pinned) and _truth(pinned),
                None if source is None else _text(source) or None,
                None if marked is None else _label_names(marked),
            )
        )


def shorthand(entity: Incoming, name: str, value: Any, catalog: Catalog) -> None:
    """Read the ``description`` or ``source`` of an indicator, which is an attribute in short."""
    text = _text(value)
    if text:
        attributes(entity, [{"type": name, "value": text, "displayed": True}], catalog)


def occurrences(entity: Incoming, value: Any) -> None:
    """Read where a File was seen."""
    entity.occurrences = []
    for element in _objects(value):
        try:
            moment = values.date(element["date"]) if element.get("date") else None
        except ValueError:
            _lose(entity, "A file occurrence has an invalid date.")
            continue
        found = (
            _text(element.get("fileName")) or None,
            _text(element.get("path")) or None,
            moment,
        )
        if any(found):
            entity.occurrences.append(found)
        else:
            _lose(entity, "A file occurrence requires a fileName, a path or a date.")


def _unfit(kind: AttributeType, text: str) -> str:
    """Say why a value is not one of an attribute type, "" if it is."""
    if not text:
        return f"This attribute requires a value: {kind.name}"
    if len(text) > kind.max_size:
        return f"Attribute {kind.name} is longer than {kind.max_size} characters."
    if kind.choices and text not in kind.choices:
        return f"Attribute {kind.name} must be one of: {'; '.join(kind.choices)}"
    return ""


def _label_names(value: Any) -> str | None:
    if not value:
        return None
    names = [_text(element.get("name")) for element in _objects(value)]
    return orjson.dumps([name for name in names if name]).decode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    try:
        return values.text(value)
    except ValueError:
        raise MalformedError(f"Not a JSON Primitive: {_shown(value)}") from None


def _truth(value: Any) -> bool:
    if value is None:
        return False
    try:
        return values.flag(value)
    except ValueError:
        return False
