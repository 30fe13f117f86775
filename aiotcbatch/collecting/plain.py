"""
Interface 3, the fast way: dicts that are right and of the usual kind.

Most dicts of a feed are. Those that are not, or are wrong, go to `aiotcbatch.collecting.raw`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.raw import WHOLE, value_fields
from aiotcbatch.entities import values
from aiotcbatch.entities.group import GROUP_CLASSES
from aiotcbatch.entities.indicator import INDICATOR_CLASSES
from aiotcbatch.entities.values import MAX_CONFIDENCE, MAX_RATING, MAX_TAG_LENGTH
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiotcbatch.entities.entity import Entity, Field

    Kinds = Mapping[str, tuple[type[Entity], Callable[[Any, str], str], bool, bool]]

__all__ = ["GROUPS", "INDICATORS", "plain"]

#: What `_plain` has looked at; of the scores, if there are any.
_LOOKED_AT = frozenset({"type", "xid"})
_SCORES = frozenset({"rating", "confidence"})
_PARTS = frozenset({"attribute", "tag", "securityLabel"})
#: The links to groups, of an indicator and of a group.
_LINKS = {"summary": "associatedGroups", "name": "associatedGroupXid"}

#: Of each type its class, what brings its name or summary into the form of the wire, whether it
#: has scores, and whether its summary is all of its value.
INDICATORS: Kinds = {
    kind: (cls, cls.normalise, True, kind in WHOLE) for kind, cls in INDICATOR_CLASSES.items()
}
GROUPS: Kinds = {kind: (cls, values.text, False, True) for kind, cls in GROUP_CLASSES.items()}

#: Tags, labels and attribute types that were found right. Feeds repeat a few over and over, and
#: to look one up takes half of the time that it takes to check it.
FAMILIAR: set[str] = set()
_MAX_FAMILIAR = 4096


def plain(given: Any, kinds: Kinds, named: str) -> dict[str, Any] | None:
    """
    Give the wire dict of an entity, if its dict is right and of the usual kind.

    It is several times as fast as `raw.indicator`, as it looks up each key once and copies
    nothing but what it changes. It may say no to a dict that is right, but never yes to one that
    is not.

    Args:
        given: The dict.
        kinds: `INDICATORS` or `GROUPS`.
        named: The key of what names it, ``summary`` or ``name``.

    Returns:
        The dict itself if nothing is to be changed, or a changed copy; its parts are not copied.
        None when `raw` has to look at it, and say what is wrong if anything is.
    """
    try:
        name, xid = given[named], given["xid"]
        cls, normalise, scored, is_whole = kinds[given["type"]]
        if given.__class__ is not dict or xid.__class__ is not str or not xid:
            return None
        data: dict[str, Any] = given
        wire = normalise(name, named)
        if wire is not name:
            data = {**data, named: wire}
        if scored:
            data = _with_exact_scores(data)
        elif "rating" in data or "confidence" in data:
            return None
        looked_at = plain_parts(data)
        if looked_at != len(data) and not (looked_at and rest_is_plain(data, cls, named)):
            return None
    except (KeyError, TypeError, ValidationError):
        return None
    return data if is_whole else value_fields(wire) | data


def _with_exact_scores(data: dict[str, Any]) -> dict[str, Any]:
    """
    Give scores as the numbers that go over the wire, in a copy if that changes them.

    Raises:
        ValidationError: When one cannot be right.
    """
    rating, confidence = data.get("rating"), data.get("confidence")
    if rating is not None and rating.__class__ is not float and rating.__class__ is not int:
        data = {**data, "rating": values.rating(rating, "rating")}
    if confidence is not None and confidence.__class__ is not int:
        data = {**data, "confidence": values.confidence(confidence, "confidence")}
    return data


def plain_parts(  # noqa: C901, PLR0911, PLR0912 - hot: a call for each part would cost a tenth
    given: dict[str, Any],
) -> int:
    """
    Count the keys of an entity whose values go over the wire as they are.

    These are the three that name it, which are not looked at here, and the scores, attributes,
    tags and labels, if they are right and of the usual kind; 0 if one of those is not.

    Raises:
        KeyError: When something in it is not there.
        TypeError: When something in it is of the wrong kind.
        ValidationError: When a value cannot be right.
    """
    familiar = FAMILIAR
    looked_at = 3
    if (rating := given.get("rating")) is not None:
        if not 0 < rating <= MAX_RATING or rating is True:
            return 0
        looked_at += 1
    if (confidence := given.get("confidence")) is not None:
        if confidence.__class__ is not int or not 0 <= confidence <= MAX_CONFIDENCE:
            return 0
        looked_at += 1
    if (attributes := given.get("attribute")) is not None:
        if attributes.__class__ is list:
            looked_at += 1
        for item in attributes:
            value = item["value"]
            if value.__class__ is not str or not value:
                values.attribute_value(value, "value")
            if "securityLabel" in item:
                return 0
            if item["type"] not in familiar and not is_short_text(item["type"]):
                return 0
    if (tags := given.get("tag")) is not None:
        if tags.__class__ is list:
            looked_at += 1
        for item in tags:
            if item["name"] not in familiar and not is_short_text(item["name"]):
                return 0
    if (labels := given.get("securityLabel")) is not None:
        if labels.__class__ is list:
            looked_at += 1
        for item in labels:
            if item["name"] not in familiar and not is_short_text(item["name"]):
                return 0
            if "color" in item and values.label_color(item["color"], "color") != item["color"]:
                return 0
    return looked_at


def rest_is_plain(given: dict[str, Any], cls: type[Entity], named: str) -> bool:
    """
    Whether all that a dict has is right and of the usual kind, its names, parts and scores aside.

    Raises:
        KeyError: When something in it is not there.
        TypeError: When something in it is of the wrong kind.
        ValidationError: When a value cannot be right.
    """
    fields, links = cls.fields, _LINKS[named]
    for key, value in given.items():
        if key in _LOOKED_AT or key == named:
            continue
        if key in _PARTS:
            right = value.__class__ is list
        elif key == links:
            right = value.__class__ is list and all(
                map(_is_link if named == "summary" else _is_text, value)
            )
        else:
            right = key in fields and _is_plain(fields[key], key, value)
        if not right:
            return False
    return True


def _is_plain(field: Field[Any, Any], key: str, value: Any) -> bool:
    """Whether a field is called by its wire name, and its value goes over the wire as it is."""
    if field.wire != key or value is None:
        return False
    if key in _SCORES:
        return True
    wire = field.convert(value, key)
    return wire.__class__ is value.__class__ and wire == value


def _is_text(xid: Any) -> bool:
    return xid.__class__ is str and bool(xid)


def _is_link(link: Any) -> bool:
    """Whether it is an indicator's link to a group: an xid, or an object that has one."""
    xid = link if link.__class__ is str else link["groupXid"]
    return xid.__class__ is str and bool(xid)


def is_short_text(name: Any) -> bool:
    """Whether a name is right as a tag, as a label and as an attribute type; remember it if so."""
    if name.__class__ is not str or not 0 < len(name) <= MAX_TAG_LENGTH:
        return False
    if len(FAMILIAR) >= _MAX_FAMILIAR:
        FAMILIAR.clear()
    FAMILIAR.add(name)
    return True
