"""
Interface 3: entities as the dicts that go over the wire, checked and copied.

What TcEx rewrites is rewritten here too, so that the same dict gives the same document: the
content of a file is taken out, ``size``, ``dnsActive`` and ``whoisActive`` get the names under
which clients send them, and the parts of a custom indicator are set beside its summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from aiotcbatch.entities import summaries, values
from aiotcbatch.entities.contents import check_content
from aiotcbatch.entities.group import GROUP_CLASSES, FileGroup
from aiotcbatch.entities.indicator import INDICATOR_CLASSES, CustomIndicator, File
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.entities.entity import Entity, Field
    from aiotcbatch.entities.indicator import Indicator

__all__ = [
    "WHOLE",
    "copied",
    "group",
    "indicator",
    "mapping",
    "merge",
    "size_limit",
    "value_fields",
]

#: The parts of an entity that are lists, with their own rules.
_LISTS = frozenset(
    {
        "attribute",
        "tag",
        "securityLabel",
        "associatedGroupXid",
        "associatedGroups",
        "associatedIndicators",
        "fileOccurrence",
    }
)
#: Those of them that a builder may hold back.
_LINKS = frozenset({"associatedGroupXid", "associatedGroups"})
_IDENTITY = frozenset({"type", "xid", "name", "summary"})
#: Wire fields that are known beside those of the entity's class.
_KNOWN = _LISTS | _IDENTITY | {"fileAction", "fileContent", "value1", "value2", "value3"}
#: Types whose parts TcEx does not set beside the summary.
WHOLE = frozenset({"Address", "EmailAddress", "File", "Host", "URL"})


def group(given: Mapping[str, Any], *, validate: bool = True) -> tuple[dict[str, Any], Any | None]:
    """
    Check and copy the dict of a group.

    Returns:
        The wire dict, and what is to be uploaded as its file or None.

    Raises:
        ValidationError: When a field is missing or cannot be right.
    """
    data = dict(mapping(given, "group"))
    xid = _xid(data)
    about = f"group {xid!r}"
    cls = GROUP_CLASSES[_named(values.group_type, data.get("type"), "type", about)]
    data["type"] = cls.TYPE
    content = data.pop("fileContent", None)
    if content is not None and not issubclass(cls, FileGroup):
        raise ValidationError("fileContent", content, "only on Document and Report", about=about)
    check_content(content, "fileContent", about)
    data["name"] = _named(values.text, data.get("name"), "name", about)
    _check(data, cls.fields, about, validate=validate)
    if validate and "associatedGroups" in data:
        _refuse_links(data, "associatedGroups", "associatedGroupXid, a list of xids", about)
    return data, content


def indicator(
    given: Mapping[str, Any],
    type_of: Callable[[str], str],
    *,
    validate: bool = True,
) -> dict[str, Any]:
    """
    Check and copy the dict of an indicator.

    Args:
        given: The dict.
        type_of: Gives an indicator type in the spelling of the wire.
        validate: False takes values as they are.

    Returns:
        The wire dict.

    Raises:
        ValidationError: When a field is missing or cannot be right.
    """
    data = dict(mapping(given, "indicator"))
    xid = _xid(data)
    about = f"indicator {xid!r}"
    try:
        kind = data["type"] = type_of(data.get("type"))  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValidationError("type", error.value, error.accepted, about=about) from None
    cls = INDICATOR_CLASSES.get(kind, CustomIndicator)
    _summarise(data, cls, about, validate=validate)
    for name, wire in (("size", "intValue1"), ("dnsActive", "flag1"), ("whoisActive", "flag2")):
        if name in data and cls.fields.get(wire) is not None:
            value = data.pop(name)
            if value is not None:
                data.setdefault(wire, value)
    _check(data, cls.fields, about, validate=validate, extra=cls.VALUE_FIELDS)
    if validate and "associatedGroupXid" in data:
        accepted = 'associatedGroups, a list of {"groupXid": xid}'
        _refuse_links(data, "associatedGroupXid", accepted, about)
    return data


def _refuse_links(data: Mapping[str, Any], key: str, accepted: str, about: str) -> NoReturn:
    """Refuse links in the form of the other kind, which the server would not make."""
    raise ValidationError(key, data[key], accepted, about=about)


def _summarise(data: dict[str, Any], cls: type[Indicator], about: str, *, validate: bool) -> None:
    """Check the summary, make it from the type's own value fields if it is not there."""
    parts = [data[name] for name in cls.VALUE_FIELDS if data.get(name) is not None]
    if parts and (cls is File or data.get("summary") is None):
        # A File's own hashes win over a summary (input document, 5.3).
        data["summary"] = summaries.join_summary(parts, "summary")
        for name in cls.VALUE_FIELDS:
            data.pop(name, None)
    check = cls.normalise if validate else values.text
    data["summary"] = _named(check, data.get("summary"), "summary", about)
    if data["type"] not in WHOLE:
        for name, part in value_fields(data["summary"]).items():
            data.setdefault(name, part)


def value_fields(summary: str) -> dict[str, Any]:
    """Give the parts of a summary as TcEx sets them beside it."""
    parts = summaries.split_summary(summary)
    return {f"value{number}": part for number, part in enumerate(parts, 1)}


def _check(
    data: dict[str, Any],
    fields: Mapping[str, Field[Any, Any]],
    about: str,
    *,
    validate: bool,
    extra: tuple[str, ...] = (),
) -> None:
    """Check every field of an entity, in place."""
    for key in list(data):
        value = data[key]
        if key in _LISTS:
            data[key] = _copied(value, key, about)
            if validate:
                _LIST_CHECKS[key](data[key], about)
        elif key in _IDENTITY:
            continue
        elif value is None:
            del data[key]
        elif (field := fields.get(key)) is not None and key in (field.wire, *field.aliases):
            del data[key]
            data[field.wire] = _converted(field, value, about, validate=validate)
        elif validate and key not in _KNOWN and key not in extra:
            _refuse_near_miss(key, fields, about)
            if value.__class__ is float and not isfinite(value):
                raise ValidationError(key, value, "a number that JSON can hold", about=about)


def _converted(field: Field[Any, Any], value: Any, about: str, *, validate: bool) -> Any:
    if not validate:
        return value
    return _named(field.convert, value, field.wire, about)


def _refuse_near_miss(key: str, fields: Mapping[str, Field[Any, Any]], about: str) -> None:
    """Refuse a slip of a known name; what resembles nothing may be a newer field."""
    wires = {field.wire for field in fields.values()} | _KNOWN
    near = values.nearest(key, wires)
    if near is not None:
        raise ValidationError(
            "key", key, f"a field of the input document, such as {near!r}", about=about
        )


def mapping(given: object, field: str) -> Mapping[str, Any]:
    """
    Give what is a dict, or can be read like one.

    Raises:
        ValidationError: When it is anything else.
    """
    if isinstance(given, Mapping):
        return given
    raise ValidationError(field, given, "a dict with wire names")


def _xid(data: Mapping[str, Any]) -> str:
    xid = data.get("xid")
    if xid.__class__ is str and xid:
        return str(xid)
    raise ValidationError("xid", xid, "text that names the entity; it is required here")


def _named(convert: Callable[[Any, str], Any], value: Any, field: str, about: str) -> Any:
    """Convert a value, and say in the error what it is about."""
    try:
        return convert(value, field)
    except ValidationError as error:
        raise ValidationError(error.field, error.value, error.accepted, about=about) from None


def _copied(value: Any, key: str, about: str) -> list[Any]:
    """Copy a list and the dicts in it, so that the caller's are never changed."""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValidationError(key, value, "a list", about=about)
    return [dict(item) if item.__class__ is dict else item for item in value]


def copied(data: Mapping[str, Any], max_bytes: int) -> dict[str, Any]:
    """
    Copy a wire dict as deep as it is, so that the caller's is never changed.

    Args:
        data: The dict.
        max_bytes: Bytes that a job has room for.

    Raises:
        ValidationError: When it cannot be encoded, or is larger than a job.
    """
    try:
        record = orjson.dumps(data)
        copy: dict[str, Any] = orjson.loads(record)
    except (TypeError, orjson.JSONEncodeError) as error:
        about = f"{data['type']} {data['xid']!r}"
        field = next((key for key in data if not _is_json(data[key])), "data")
        accepted = f"what JSON can hold ({error})"
        raise ValidationError(field, data.get(field, data), accepted, about=about) from None
    if len(record) > max_bytes:
        _refuse_large(copy, max_bytes)
    return copy


def _refuse_large(data: dict[str, Any], max_bytes: int) -> None:
    """Refuse what is larger than a job without its links, which may be sent by themselves."""
    alone = {key: value for key, value in data.items() if key not in _LINKS}
    if len(orjson.dumps(alone)) > max_bytes:
        about = f"{data['type']} {data['xid']!r}"
        raise ValidationError("data", data["xid"], size_limit(max_bytes), about=about)


def size_limit(max_bytes: int) -> str:
    """Say how large an entity may be."""
    return f"at most max_bytes_per_job, {max_bytes} bytes"


def _is_json(value: object) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return False
    return True


def _check_attributes(items: list[Any], about: str) -> None:
    for item in items:
        _require_dict(item, "attribute", about)
        _named(values.text, item.get("type"), "attribute type", about)
        value = item.get("value")
        if value is None or value == "":
            raise ValidationError("attribute value", value, "text, a number or a bool", about=about)
        if value.__class__ is not str:
            _named(values.attribute_value, value, "attribute value", about)
        if "securityLabel" in item:
            item["securityLabel"] = _copied(item["securityLabel"], "securityLabel", about)
            _check_labels(item["securityLabel"], about)


def _check_tags(items: list[Any], about: str) -> None:
    for item in items:
        _require_dict(item, "tag", about)
        name = item.get("name")
        if name.__class__ is not str or not 0 < len(name) <= values.MAX_TAG_LENGTH:
            _named(values.tag_name, name, "tag name", about)


def _check_labels(items: list[Any], about: str) -> None:
    for item in items:
        _require_dict(item, "securityLabel", about)
        _named(values.label_name, item.get("name"), "securityLabel name", about)
        if item.get("color") is not None:
            item["color"] = _named(values.label_color, item["color"], "securityLabel color", about)


def _check_group_xids(items: list[Any], about: str) -> None:
    for item in items:
        _named(values.text, item, "associatedGroupXid", about)


def _check_group_links(items: list[Any], about: str) -> None:
    for item in items:
        xid = item
        if item.__class__ is not str:  # plain xids are taken by the server too
            _require_dict(item, "associatedGroups", about)
            xid = item.get("groupXid")
        _named(values.text, xid, "groupXid", about)


def _check_indicator_links(items: list[Any], about: str) -> None:
    for item in items:
        _require_dict(item, "associatedIndicators", about)
        _named(values.text, item.get("summary"), "associatedIndicators summary", about)
        _named(values.text, item.get("indicatorType"), "indicatorType", about)


def _check_occurrences(items: list[Any], about: str) -> None:
    for item in items:
        _require_dict(item, "fileOccurrence", about)
        if not any(item.get(key) for key in ("fileName", "path", "date")):
            raise ValidationError(
                "fileOccurrence", item, "at least one of fileName, path and date", about=about
            )
        if item.get("date") is not None:
            item["date"] = _named(values.moment, item["date"], "fileOccurrence date", about)


def _require_dict(item: object, key: str, about: str) -> None:
    if not isinstance(item, dict):
        raise ValidationError(key, item, "a list of dicts", about=about)


_LIST_CHECKS: dict[str, Callable[[list[Any], str], None]] = {
    "attribute": _check_attributes,
    "tag": _check_tags,
    "securityLabel": _check_labels,
    "associatedGroupXid": _check_group_xids,
    "associatedGroups": _check_group_links,
    "associatedIndicators": _check_indicator_links,
    "fileOccurrence": _check_occurrences,
}


def merge(entity: Entity, data: Mapping[str, Any]) -> None:
    """
    Add to an entity what another dict of the same xid holds: fields win, lists are joined.

    Raises:
        ValidationError: When the dict is of another type or another indicator.
    """
    held = entity.data
    if data["type"] != held["type"]:
        raise ValidationError("xid", entity.xid, f"another one, it is that of {entity!r}")
    if isinstance(entity, File):
        entity.add_hashes(data["summary"])
    elif data.get("summary") != held.get("summary"):
        raise ValidationError("xid", entity.xid, f"another one, it is that of {entity!r}")
    for key, value in data.items():
        if key in _LISTS:
            items = held.setdefault(key, [])
            items.extend(item for item in value if item not in items)
        elif key not in {"type", "xid", "summary"}:
            held[key] = value
