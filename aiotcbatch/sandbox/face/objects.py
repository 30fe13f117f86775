"""Groups and indicators in the form of v3. Source: v3 API, available fields of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiotcbatch.sandbox.clock import iso
from aiotcbatch.sandbox.engine import summaries
from aiotcbatch.sandbox.store import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.reading import Entity

__all__ = ["Shape", "described"]

#: What is read for each name that ``fields`` can have.
_PARTS = {
    "tags": {"tags"},
    "attributes": {"attributes"},
    "securitylabels": {"labels"},
    "associatedgroups": {"links"},
    "associatedindicators": {"links"},
    "fileoccurrences": {"occurrences"},
}
#: What is shown in another form for it.
_FORMS = frozenset({"genericcustomindicatorvalues"})
_SECRET = frozenset({"password"})


class Shape(NamedTuple):
    """
    What of an entity is shown, and how.

    Attributes:
        catalog: The types of the instance.
        owners: The ids of owners by name.
        fields: What was asked for beside the usual, in lower case.
    """

    catalog: Catalog
    owners: dict[str, int]
    fields: frozenset[str]

    @property
    def unknown(self) -> list[str]:
        """What was asked for that the sandbox does not know, in the order of the alphabet."""
        return sorted(self.fields - _PARTS.keys() - _FORMS)

    @property
    def parts(self) -> set[str]:
        """What must be read for it."""
        parts: set[str] = {"file"}
        for field in self.fields:
            parts |= _PARTS.get(field, set())
        return parts


def described(
    connection: Connection, entities: Sequence[Entity], shape: Shape
) -> list[dict[str, Any]]:
    """
    Describe entities as v3 does.

    Args:
        connection: The database.
        entities: What was selected.
        shape: What to show.

    Returns:
        An object for each.
    """
    reading.complete(connection, entities, shape.parts)
    linked = _linked(connection, entities, shape)
    labels = {
        name: reading.labels_by_name(connection, shape.owners[name])
        for name in {entity.owner for entity in entities}
        if "securitylabels" in shape.fields
    }
    found = []
    for entity in entities:
        item = head(entity, shape)
        _add_parts(item, entity, shape, labels.get(entity.owner, {}))
        for field, ids in (
            ("associatedGroups", entity.associated_groups),
            ("associatedIndicators", entity.associated_indicators),
        ):
            if field.lower() in shape.fields:
                item[field] = {"data": [linked[one] for one in ids if one in linked]}
        found.append(item)
    return found


def head(entity: Entity, shape: Shape) -> dict[str, Any]:
    """Describe an entity without what hangs on it."""
    item: dict[str, Any] = {
        "id": entity.id,
        "ownerId": shape.owners[entity.owner],
        "ownerName": entity.owner,
        "dateAdded": entity.fields.get("dateAdded") or iso(entity.date_added),
        "lastModified": entity.fields.get("lastModified") or iso(entity.last_modified),
        "type": entity.type,
    }
    if entity.xid is not None:
        item["xid"] = entity.xid
    item.update({k: v for k, v in entity.fields.items() if k not in _SECRET and k not in item})
    if entity.kind == "G":
        item["name"] = entity.summary
        if entity.file is not None:
            item["fileSize"] = entity.file[0]
            item["documentType"] = "File"
    else:
        _add_indicator(item, entity, shape)
    return item


def _add_indicator(item: dict[str, Any], entity: Entity, shape: Shape) -> None:
    item["summary"] = entity.summary
    item["active"] = bool(entity.active)
    if entity.rating is not None:
        item["rating"] = entity.rating
    if entity.confidence is not None:
        item["confidence"] = entity.confidence
    kind = shape.catalog.indicator(entity.type)
    if kind is None:
        return
    if kind.name == "File":
        for value in entity.summary.split(summaries.SEPARATOR):
            item[summaries.hash_kind(value)] = value
        return
    generic = kind.custom and "genericcustomindicatorvalues" in shape.fields
    names = [f"value{n}" for n, _ in enumerate(kind.fields, 1)] if generic else kind.fields
    values = summaries.split(entity.summary, len(names))
    item.update(zip(names, values, strict=False))


def _add_parts(
    item: dict[str, Any],
    entity: Entity,
    shape: Shape,
    labels: dict[str, tuple[int, str, str]],
) -> None:
    if "tags" in shape.fields:
        item["tags"] = {"data": [tag(name, shape.catalog) for name in entity.tags]}
    if "attributes" in shape.fields:
        item["attributes"] = {"data": [_attribute(one) for one in entity.attributes]}
    if "securitylabels" in shape.fields:
        item["securityLabels"] = {
            "data": [
                {
                    "id": labels[name][0],
                    "name": name,
                    "description": labels[name][1],
                    "color": labels[name][2],
                }
                for name in entity.labels
                if name in labels
            ]
        }
    if "fileoccurrences" in shape.fields:
        item["fileOccurrences"] = {
            "data": [
                {"fileName": name, "path": path, "date": date}
                for name, path, date in entity.occurrences
            ]
        }


def tag(name: str, catalog: Catalog) -> dict[str, Any]:
    """Describe a tag; one that names an ATT&CK technique is turned into that technique's."""
    technique = catalog.technique(name)
    if technique is None:
        return {"name": name}
    return {"name": catalog.techniques[technique], "techniqueId": technique}


def _attribute(attribute: reading.StoredAttribute) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": attribute.id,
        "type": attribute.type,
        "value": attribute.value,
        "default": attribute.displayed,
        "pinned": attribute.pinned,
        "dateAdded": iso(attribute.date_added),
        "lastModified": iso(attribute.date_added),
    }
    if attribute.source is not None:
        item["source"] = attribute.source
    if attribute.labels:
        item["securityLabels"] = {"data": [{"name": name} for name in attribute.labels]}
    return item


def _linked(
    connection: Connection, entities: Sequence[Entity], shape: Shape
) -> dict[int, dict[str, Any]]:
    """Describe in short what entities are associated with, each once."""
    ids: set[int] = set()
    for entity in entities:
        if "associatedgroups" in shape.fields:
            ids.update(entity.associated_groups)
        if "associatedindicators" in shape.fields:
            ids.update(entity.associated_indicators)
    return {entity.id: head(entity, shape) for entity in reading.by_ids(connection, sorted(ids))}
