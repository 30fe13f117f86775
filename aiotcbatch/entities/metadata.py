"""Attributes, tags, labels, file occurrences and associations, as views over wire dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiotcbatch.entities import values
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from aiotcbatch.dates import Moment
    from aiotcbatch.entities.entity import Entity

__all__ = ["Association", "Attribute", "FileOccurrence", "SecurityLabel", "Tag"]


class _View:
    """A part of an entity: its wire dict, and the entity to which a change belongs."""

    __slots__ = ("_data", "_entity")

    def __init__(self, data: dict[str, Any], entity: Entity) -> None:
        self._data = data
        self._entity = entity

    @property
    def data(self) -> dict[str, Any]:
        """The wire dict; changes to it are sent as long as the entity is open."""
        return self._data

    def _put(self, key: str, value: Any) -> None:
        self._entity.data.get(key)  # a sealed entity refuses here
        if value is None:
            self._data.pop(key, None)
        else:
            self._data[key] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._data!r})"


class Attribute(_View):
    """
    A typed note on an entity, as returned by ``attribute()``.

    Source: v2 Batch API, input document, ``attribute``.
    """

    __slots__ = ()

    @property
    def type(self) -> str:
        """The attribute type, such as ``Description``."""
        kind: str = self._data["type"]
        return kind

    @property
    def value(self) -> Any:
        """The value as it goes over the wire, after the formatter."""
        return self._data.get("value")

    @property
    def valid(self) -> bool:
        """Whether it is sent: an attribute without a value is not."""
        return self._data.get("value") not in (None, "")

    @property
    def displayed(self) -> bool:
        """Whether it is the one shown by default (Description and Source only)."""
        return bool(self._data.get("displayed", False))

    @displayed.setter
    def displayed(self, displayed: bool) -> None:
        self._put("displayed", self._entity.checked(values.boolean, displayed, "displayed") or None)

    @property
    def pinned(self) -> bool:
        """Whether it is pinned to the top of the entity's page."""
        return bool(self._data.get("pinned", False))

    @pinned.setter
    def pinned(self, pinned: bool) -> None:
        self._put("pinned", self._entity.checked(values.boolean, pinned, "pinned") or None)

    @property
    def source(self) -> str | None:
        """Where the value comes from, None if not said."""
        return self._data.get("source")

    @source.setter
    def source(self, source: str | None) -> None:
        self._put("source", self._entity.checked(values.any_text, source, "source"))

    def security_label(
        self, name: str, description: str | None = None, color: str | None = None
    ) -> SecurityLabel:
        """
        Mark this attribute, not the entity, with a security label.

        Args:
            name: The label's name, such as ``TLP:AMBER``.
            description: What it means; needed if the label does not exist yet.
            color: Six hexadecimal digits, such as ``ffc0cb``; needed likewise.

        Returns:
            The label, the one that was there if this attribute has it already.

        Raises:
            ValidationError: When a value cannot be right.
            SealedError: When the entity has been drained.
        """
        return add_label(self._data, self._entity, name, description, color)


class Tag:
    """
    A short label on an entity, as returned by ``tag()``; there is one object of each name.

    Args:
        name: The tag as it goes over the wire, after the formatter.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def valid(self) -> bool:
        """Whether it is sent: an empty tag is not."""
        return bool(self.name)

    @property
    def data(self) -> dict[str, str]:
        """The wire dict."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return f"Tag({self.name!r})"


class SecurityLabel(_View):
    """
    A handling marking, as returned by ``security_label()``.

    A label that exists on the server is used as it is there, whatever colour is sent.
    Source: v2 Batch API, input document, ``securityLabel``.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The label's name."""
        name: str = self._data["name"]
        return name

    @property
    def description(self) -> str | None:
        """What the label means, None if not said."""
        return self._data.get("description")

    @description.setter
    def description(self, description: str | None) -> None:
        self._put("description", self._entity.checked(values.any_text, description, "description"))

    @property
    def color(self) -> str | None:
        """Six hexadecimal digits, None if not said."""
        return self._data.get("color")

    @color.setter
    def color(self, color: str | None) -> None:
        self._put("color", self._entity.checked(values.label_color, color, "color"))


class FileOccurrence(_View):
    """
    Where a File was seen, as returned by ``occurrence()``.

    At least one of the three fields is needed: it is part of the File from the first on.
    Source: v2 Batch API, input document, ``fileOccurrence``.
    """

    __slots__ = ()

    def _put(self, key: str, value: Any) -> None:
        super()._put(key, value)
        occurrences = self._entity.data.setdefault("fileOccurrence", [])
        if not any(occurrence is self._data for occurrence in occurrences):
            occurrences.append(self._data)

    @property
    def file_name(self) -> str | None:
        """The file's name, such as ``drop1.exe``."""
        return self._data.get("fileName")

    @file_name.setter
    def file_name(self, file_name: str | None) -> None:
        self._put("fileName", self._entity.checked(values.any_text, file_name, "file_name"))

    @property
    def path(self) -> str | None:
        r"""The folder, such as ``C:\test\``."""
        return self._data.get("path")

    @path.setter
    def path(self, path: str | None) -> None:
        self._put("path", self._entity.checked(values.any_text, path, "path"))

    @property
    def date(self) -> str | None:
        """When, in UTC as ``%Y-%m-%dT%H:%M:%SZ``."""
        return self._data.get("date")

    @date.setter
    def date(self, when: Moment | None) -> None:
        self._put("date", self._entity.checked(values.moment, when, "date"))


def add_label(
    holder: dict[str, Any],
    entity: Entity,
    name: str,
    description: str | None,
    color: str | None,
) -> SecurityLabel:
    """Put a label on an entity's or an attribute's wire dict, once."""
    entity.data.get("securityLabel")  # a sealed entity refuses here
    name = entity.named(values.label_name, name, "name")
    description = entity.checked(values.any_text, description, "description")
    color = entity.checked(values.label_color, color, "color")
    labels = holder.setdefault("securityLabel", [])
    found = next((label for label in labels if label["name"] == name), None)
    if found is None:
        found = {"name": name}
        labels.append(found)
    if description is not None:
        found["description"] = description
    if color is not None:
        found["color"] = color
    return SecurityLabel(found, entity)


#: The wire name of each field of an association.
_ASSOCIATION_FIELDS = {
    "ref_1": "ref_1",
    "type_1": "type_1",
    "id_1": "id_1",
    "ref_2": "ref_2",
    "type_2": "type_2",
    "id_2": "id_2",
    "association_type": "associationType",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """
    A link between two entities that are in the owner or in the same batch.

    Each end is named by ``ref_n`` (a group's xid or an indicator's summary) or by ``id_n``
    (the number that ThreatConnect gave it, which wins over ``ref_n``); an indicator's end
    needs ``type_n``, and two indicators need ``association_type``.
    Source: v2 Batch API, input document, ``association`` (platform 7.8.2 and later).

    Raises:
        ValidationError: When an end is not named, or two indicators have no association type.
    """

    ref_1: str | None = None
    type_1: str | None = None
    id_1: int | None = None
    ref_2: str | None = None
    type_2: str | None = None
    id_2: int | None = None
    association_type: str | None = None

    def __post_init__(self) -> None:
        for end in ("1", "2"):
            self._check_end(end)
        if self.association_type is not None:
            values.text(self.association_type, "association_type")
        elif self._is_indicator(self.type_1) and self._is_indicator(self.type_2):
            raise ValidationError(
                "association_type",
                None,
                "the name of an association type, such as 'URL Host', for two indicators",
                about=repr(self),
            )

    def _check_end(self, end: str) -> None:
        ref, number = getattr(self, f"ref_{end}"), getattr(self, f"id_{end}")
        if ref is None and number is None:
            raise ValidationError(f"ref_{end}", None, f"an xid or a summary, or id_{end} instead")
        if ref is not None:
            values.text(ref, f"ref_{end}")
        if number is not None:
            values.integer(number, f"id_{end}")
        kind = getattr(self, f"type_{end}")
        if kind is not None:
            values.text(kind, f"type_{end}")

    @staticmethod
    def _is_indicator(kind: str | None) -> bool:
        return kind is not None and kind.lower() not in values.GROUP_TYPE_NAMES

    @classmethod
    def from_dict(cls, association: Mapping[str, Any]) -> Association:
        """
        Read wire names or Python names; None stands for an absent field.

        Raises:
            ValidationError: When it is no dict, a key is unknown or an end is not named.
        """
        if not isinstance(association, Mapping):
            raise ValidationError("association", association, "a dict")
        known = {**_ASSOCIATION_FIELDS, "associationType": "associationType"}
        unknown = next((key for key in association if key not in known), None)
        if unknown is not None:
            raise ValidationError(unknown, association[unknown], f"one of {', '.join(known)}")
        fields = {
            name: association[name]
            for name in _ASSOCIATION_FIELDS
            if association.get(name) is not None
        }
        if association.get("associationType") is not None:
            fields["association_type"] = association["associationType"]
        return cls(**fields)

    @property
    def data(self) -> dict[str, Any]:
        """The wire dict."""
        return {
            wire: value
            for name, wire in _ASSOCIATION_FIELDS.items()
            if (value := getattr(self, name)) is not None
        }

    def group_xid(self, end: int) -> str | None:
        """The xid of the group at an end, 1 or 2; None if that is an indicator or has an id."""
        if getattr(self, f"id_{end}") is not None or self._is_indicator(
            getattr(self, f"type_{end}")
        ):
            return None
        xid: str | None = getattr(self, f"ref_{end}")
        return xid

    @property
    def key(self) -> str:
        """The same text for the same link, in whichever direction it is written."""
        first = f"{self.id_1 or ''}\0{'' if self.id_1 else self.ref_1}\0{self.type_1 or ''}"
        second = f"{self.id_2 or ''}\0{'' if self.id_2 else self.ref_2}\0{self.type_2 or ''}"
        ends = sorted((first, second))
        return f"{ends[0]}\1{ends[1]}\1{self.association_type or ''}"
