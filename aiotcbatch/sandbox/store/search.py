"""Queries turned into SQL; every value of a query is bound, none ever becomes part of the text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiotcbatch.sandbox import tql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["accepts", "condition"]

#: More values in one query than this are refused; SQLite itself binds some 32,000.
_MOST_VALUES = 10_000

_COLUMNS = {
    "id": "e.id",
    "summary": "e.summary",
    "name": "e.summary",
    "type": "e.type",
    "typename": "e.type",
    "xid": "e.xid",
    "owner": "e.owner_id",
    "ownername": "o.name",
    "rating": "e.rating",
    "confidence": "e.confidence",
    "active": "e.active",
    "indicatoractive": "e.active",
}
_TIMES = {"dateadded": "e.date_added", "lastmodified": "e.last_modified"}
_FIELDS = {
    "status": "status",
    "eventdate": "eventDate",
    "eventtype": "eventType",
    "firstseen": "firstSeen",
    "lastseen": "lastSeen",
    "publishdate": "publishDate",
    "externaldateadded": "externalDateAdded",
    "externaldateexpires": "externalDateExpires",
    "externallastmodified": "externalLastModified",
    "documentfilename": "fileName",
    "signaturefilename": "fileName",
    "signaturetype": "fileType",
    "filename": "fileName",
    "emailsubject": "subject",
    "emailfrom": "from",
    "emailscore": "score",
    "filesize": "size",
    "dnsactive": "dnsActive",
    "whoisactive": "whoisActive",
    "activelocked": "activeLocked",
    "privateflag": "privateFlag",
    "isprivate": "privateFlag",
    "insights": "insights",
    "aiprovider": "aiProvider",
}
#: Fields that are booleans.
_FLAGS = frozenset(
    {
        "active",
        "activelocked",
        "displayed",
        "dnsactive",
        "indicatoractive",
        "isprivate",
        "pinned",
        "privateflag",
        "whoisactive",
    }
)
_HASHES = frozenset({"md5", "sha1", "sha256", "filehash"})

#: All that a group or an indicator can be asked for.
_NAMES = frozenset(
    {"tag", "securitylabel", "associatedgroup", "associatedindicator"}
    | _COLUMNS.keys()
    | _TIMES.keys()
    | _FIELDS.keys()
    | _HASHES
)

_ALIAS = re.compile(r"\b([eo])\.")

#: Conditions on things that belong to an entity: the table with its alias, and its fields.
_OWNED = {
    "tag": (
        "entity_tag x JOIN tag n ON n.id = x.tag_id WHERE x.entity_id = e.id",
        {"name": "n.name", "id": "n.id", "owner": "n.owner_id"},
    ),
    "securitylabel": (
        "entity_label x JOIN label n ON n.id = x.label_id WHERE x.entity_id = e.id",
        {"name": "n.name", "id": "n.id", "color": "n.color", "description": "n.description"},
    ),
    "attribute": (
        "attribute n WHERE n.entity_id = e.id",
        {
            "typename": "n.type",
            "type": "n.type",
            "text": "n.value",
            "value": "n.value",
            "source": "n.source",
            "displayed": "n.displayed",
            "pinned": "n.pinned",
            "id": "n.id",
        },
    ),
}
_NEIGHBOURS = (
    "(SELECT high AS other FROM association WHERE low = e.id"
    " UNION SELECT low FROM association WHERE high = e.id) a WHERE 1"
)
_LINKED = (
    "EXISTS (SELECT 1 FROM association a JOIN entity {e} ON {e}.id ="
    " CASE WHEN a.low = {outer}.id THEN a.high ELSE a.low END"
    " JOIN owner {o} ON {o}.id = {e}.owner_id"
    " WHERE (a.low = {outer}.id OR a.high = {outer}.id) AND {e}.kind = '{kind}' AND {inner})"
)


def condition(node: tql.Node) -> tuple[str, list[tql.Value]]:
    """
    Turn a query about groups or indicators into a condition.

    Args:
        node: The query.

    Returns:
        SQL on ``e`` (entity) and ``o`` (owner), and the values for its question marks.

    Raises:
        TqlError: It names a field that does not exist.
    """
    values: list[tql.Value] = []
    text = _node(node, values, 0)
    if len(values) > _MOST_VALUES:
        raise tql.TqlError("The query has too many values")
    return text, values


def _node(node: tql.Node, values: list[tql.Value], depth: int) -> str:
    if isinstance(node, tql.AllOf):
        return "(" + " AND ".join(_node(part, values, depth) for part in node.parts) + ")"
    if isinstance(node, tql.AnyOf):
        return "(" + " OR ".join(_node(part, values, depth) for part in node.parts) + ")"
    if isinstance(node, tql.Not):
        return f"NOT ifnull({_node(node.part, values, depth)}, 0)"
    if isinstance(node, tql.Has):
        return _has(node, values, depth)
    return _at(_comparison(node, values), depth)


def _at(text: str, depth: int) -> str:
    """Let a condition speak of the entity of its own level."""
    return text if depth == 0 else _ALIAS.sub(rf"\g<1>{depth}.", text)


def _has(node: tql.Has, values: list[tql.Value], depth: int) -> str:
    outer = "e" if depth == 0 else f"e{depth}"
    if node.what in {"group", "indicator"}:
        inner = _node(node.part, values, depth + 1)
        names = {"e": f"e{depth + 1}", "o": f"o{depth + 1}"}
        kind = "G" if node.what == "group" else "I"
        return _LINKED.format(outer=outer, kind=kind, inner=inner, **names)
    source, columns = _OWNED[node.what]
    inner = _owned(node.part, columns, values)
    return _exists(source.replace("e.id", f"{outer}.id"), inner)


def _owned(node: tql.Node, columns: dict[str, str], values: list[tql.Value]) -> str:
    """Turn the query inside of a ``has...`` into a condition on what it speaks of."""
    if isinstance(node, tql.AllOf):
        return "(" + " AND ".join(_owned(part, columns, values) for part in node.parts) + ")"
    if isinstance(node, tql.AnyOf):
        return "(" + " OR ".join(_owned(part, columns, values) for part in node.parts) + ")"
    if isinstance(node, tql.Not):
        return f"NOT ifnull({_owned(node.part, columns, values)}, 0)"
    field = f"has{node.what}" if isinstance(node, tql.Has) else node.field
    if isinstance(node, tql.Has) or field not in columns:
        raise _unknown(field, columns)
    return _operator(columns[node.field], node, values)


def _comparison(node: tql.Comparison, values: list[tql.Value]) -> str:
    field = node.field
    if field in _COLUMNS:
        return _operator(_COLUMNS[field], node, values)
    if field in _TIMES:
        moments = tuple(_moment(value) for value in node.values)
        return _operator(_TIMES[field], tql.Comparison(field, node.operator, moments), values)
    if field in _FIELDS:
        column = f"json_extract(e.fields, '$.{_FIELDS[field]}')"
        return f"ifnull({_operator(column, node, values)}, 0)"
    if field in {"tag", "securitylabel"}:
        source, columns = _OWNED[field]
        inner = _operator(columns["name"], node, values)
        return _exists(source, inner)
    if field in _HASHES:
        inner = _operator("h.hash", _lower(node), values)
        return _exists("file_hash h WHERE h.entity_id = e.id", inner)
    if field in {"associatedgroup", "associatedindicator"}:
        inner = _operator("a.other", node, values)
        return _exists(_NEIGHBOURS, inner)
    raise _unknown(field, _NAMES)


def _unknown(field: str, known: Iterable[str]) -> tql.TqlError:
    names = ", ".join(sorted(known))
    return tql.TqlError(f"{field[:80]} is not a known field here; those are {names}")


def _exists(source: str, inner: str) -> str:
    """Join a source that is ours and a condition whose values are bound."""
    return f"EXISTS (SELECT 1 FROM {source} AND {inner})"  # noqa: S608  (nothing of it was sent)


def _lower(node: tql.Comparison) -> tql.Comparison:
    lowered = tuple(str(value).lower() for value in node.values)
    return tql.Comparison(node.field, node.operator, lowered)


def _operator(column: str, node: tql.Comparison, values: list[tql.Value]) -> str:
    given = [_flag(value) for value in node.values] if node.field in _FLAGS else [*node.values]
    if node.operator == "in":
        values.extend(given)
        return f"{column} IN ({','.join('?' * len(given))})"
    value = given[0]
    if node.operator in {"=", "!=", "<", ">", "<=", ">="}:
        values.append(value)
        return f"{column} {node.operator} ?"
    text = str(value)
    if node.operator == "like":
        values.append(text)
        return f"{column} LIKE ?"
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    before = "" if node.operator == "startswith" else "%"
    after = "" if node.operator == "endswith" else "%"
    values.append(f"{before}{escaped}{after}")
    return f"{column} LIKE ? ESCAPE '\\'"


def _flag(value: tql.Value) -> tql.Value:
    """Take the name of a boolean in quotes, too."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return int(value.lower() == "true")
    return value


def _moment(value: tql.Value) -> float:
    """Read a date as seconds since the epoch."""
    if not isinstance(value, str):
        return float(value)
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise tql.TqlError(f"{value[:40]} is not a date") from None


def accepts(item: dict[str, object], node: tql.Node) -> bool:
    """
    Tell whether a plain object meets a query; for short lists that are not in a table.

    Args:
        item: The object, its keys in lower case.
        node: The query.

    Raises:
        TqlError: It names a field that the object does not have, or asks for more than this does.
    """
    if isinstance(node, tql.AllOf):
        return all(accepts(item, part) for part in node.parts)
    if isinstance(node, tql.AnyOf):
        return any(accepts(item, part) for part in node.parts)
    if isinstance(node, tql.Not):
        return not accepts(item, node.part)
    if isinstance(node, tql.Has) or node.field not in item:
        raise _unknown(f"has{node.what}" if isinstance(node, tql.Has) else node.field, item)
    return _holds(str(item[node.field]), node.operator, [str(value) for value in node.values])


def _holds(text: str, operator: str, given: Sequence[str]) -> bool:
    first = given[0].lower()
    lower = text.lower()
    return {
        "=": text == given[0],
        "!=": text != given[0],
        "in": text in given,
        "contains": first in lower,
        "startswith": lower.startswith(first),
        "endswith": lower.endswith(first),
        "like": first.strip("%") in lower,
    }.get(operator, False)
