"""What a group or an indicator of a document comes down to once it was read and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Attribute", "Incoming", "Label", "MalformedError", "RefusedError"]


class RefusedError(Exception):
    """
    One entity or association is not acceptable; the others may be.

    Args:
        reason: What was wrong, as the API says it.
        code: The error code.
        field: The field that it is about, if it is about one.
    """

    def __init__(self, reason: str, code: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.field = field


class MalformedError(Exception):
    """Something has the wrong JSON shape, which makes the server give up on the document."""


class Attribute(NamedTuple):
    """An attribute as it will be stored."""

    type: str
    value: str
    displayed: bool
    pinned: bool
    source: str | None
    labels: str | None


class Label(NamedTuple):
    """A security label as it was sent."""

    name: str
    description: str | None
    color: str | None


class Incoming:
    """
    A group or an indicator that can be stored.

    Attributes:
        section: ``group`` or ``indicator``.
        position: The index in that section.
        xid: Its xid, None for an indicator without.
        type: The proper name of its type.
        identity: What tells it from all others in its owner.
        summary: Its name or summary as it will be stored.
        rating: For indicators, None if absent.
        confidence: For indicators, None if absent.
        active: For indicators, None if absent.
        fields: What else it says, by stored name.
        attributes: Attributes, None if the key is absent.
        tags: Names of tags, None if the key is absent.
        labels: Security labels, None if the key is absent.
        occurrences: File occurrences as file name, path and date.
        hashes: The hashes of a File by kind.
        id: The id under which it is stored, 0 until then.
        links: What its embedded associations point to.
        loss: Why some part of it was left out, "" if nothing was.
    """

    # Defaults of the class: most entities have few of these, and there are very many entities.
    xid: str | None = None
    type: str = ""
    id: int = 0
    identity: str = ""
    summary: str = ""
    rating: float | None = None
    confidence: int | None = None
    active: bool | None = None
    attributes: list[Attribute] | None = None
    tags: list[str] | None = None
    labels: list[Label] | None = None
    occurrences: list[tuple[str | None, str | None, str | None]] | None = None
    hashes: dict[str, str] | None = None
    links: list[Link] | None = None
    loss: str = ""

    def __init__(self, section: str, position: int) -> None:
        self.section = section
        self.position = position
        self.fields: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"{self.type} {self.summary}"


class Link(NamedTuple):
    """
    What an association points to.

    Attributes:
        ref: The xid of a group, or the summary of an indicator.
        type: The type of an indicator as it was sent, "" for a group.
        association: The association type, "" for a plain link.
        id: The id of an entity, which wins over the others.
    """

    ref: str
    type: str = ""
    association: str = ""
    id: int | None = None
