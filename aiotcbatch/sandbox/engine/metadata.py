"""Attributes, tags, security labels and file occurrences as they come in an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.sandbox.engine import values
from aiotcbatch.sandbox.engine.incoming import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.engine.incoming import Details
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


def tags(details: Details, value: Any, _: Catalog) -> None:
    """Read the tags of an entity."""
    names: list[str] = []
    for element in value if type(value) is list else _objects(value):
        if type(element) is not dict:
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
        name = element.get("name")
        if type(name) is not str:
            name = _text(name)
        if 0 < len(name) <= LONGEST_TAG:
            names.append(name)
        elif name:
            details.lose(f"Tag {name[:40]}... is longer than {LONGEST_TAG} characters.")
        else:
            details.lose("A tag requires a name.")
    details.tags = tuple(names)


def labels(details: Details, value: Any, _: Catalog) -> None:
    """Read the security labels of an entity; whether they exist is looked up later."""
    details.labels = tuple(_label_names(details, value))


def _label_names(details: Details, value: Any) -> list[str]:
    """Read the labels of an entity or of an attribute, and note what makes those that are new."""
    names: list[str] = []
    for element in value if type(value) is list else _objects(value):
        if type(element) is not dict:
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
        name = element.get("name")
        if type(name) is not str:
            name = _text(name)
        if not name:
            details.lose("A security label requires a name.")
            continue
        names.append(name)
        if len(element) > 1:
            description, color = _text(element.get("description")), _text(element.get("color"))
            if description and color:
                made = details.made_labels = details.made_labels or {}
                made[name] = (description, color)
    return names


def attributes(details: Details, value: Any, catalog: Catalog) -> None:
    """Read the attributes of an entity and leave out those that its instance does not take."""
    kept = details.attributes = details.attributes or []
    types = catalog.attributes
    for element in value if type(value) is list else _objects(value):
        if type(element) is not dict:
            raise MalformedError(f"Not a JSON Object: {_shown(element)}")
        get = element.get
        name = get("type")
        kind = types.get(name) if type(name) is str else None
        if kind is None:
            details.lose(f"The requested attribute type was not found: {_text(name)}")
            continue
        text = get("value")
        if type(text) is not str:
            text = _text(text)
        if not 0 < len(text) <= kind.max_size or kind.choices:
            problem = _unfit(kind, text)
            if problem:
                details.lose(problem)
                continue
        attribute = {"type": name, "value": text}
        if len(element) > 2:  # noqa: PLR2004  (more than type and value)
            _add_more(details, attribute, get)
        kept.append(attribute)


def _add_more(details: Details, attribute: dict[str, Any], get: Callable[[str], Any]) -> None:
    """Read what few attributes have; what is false or absent is not stored."""
    shown, pinned = get("displayed"), get("pinned")
    source, marked = get("source"), get("securityLabel")
    if shown and attribute["type"] in SHOWN_TYPES and (shown is True or _truth(shown)):
        attribute["displayed"] = True
    if pinned and _truth(pinned):
        attribute["pinned"] = True
    if source is not None and (text := _text(source)):
        attribute["source"] = text
    if marked and (names := _label_names(details, marked)):
        attribute["labels"] = tuple(names)


def shorthand(details: Details, name: str, value: Any, catalog: Catalog) -> None:
    """Read the ``description`` or ``source`` of an indicator, which is an attribute in short."""
    text = _text(value)
    if text:
        attributes(details, [{"type": name, "value": text, "displayed": True}], catalog)


def occurrences(details: Details, value: Any) -> None:
    """Read where a File was seen."""
    details.occurrences = []
    for element in _objects(value):
        try:
            moment = values.date(element["date"]) if element.get("date") else None
        except ValueError:
            details.lose("A file occurrence has an invalid date.")
            continue
        found = [
            _text(element.get("fileName")) or None,
            _text(element.get("path")) or None,
            moment,
        ]
        if any(found):
            details.occurrences.append(found)
        else:
            details.lose("A file occurrence requires a fileName, a path or a date.")


def _unfit(kind: AttributeType, text: str) -> str:
    """Say why a value is not one of an attribute type, "" if it is."""
    if not text:
        return f"This attribute requires a value: {kind.name}"
    if len(text) > kind.max_size:
        return f"Attribute {kind.name} is longer than {kind.max_size} characters."
    if kind.choices and text not in kind.choices:
        return f"Attribute {kind.name} must be one of: {'; '.join(kind.choices)}"
    return ""


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
