"""What a group or an indicator of a document comes down to once it was read and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiotcbatch.sandbox.store.entities import NO_NUMBER

__all__ = ["Incoming", "Link", "MalformedError", "RefusedError"]


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
        rating: For indicators; ``NO_NUMBER`` if absent, as the next two.
        confidence: For indicators.
        active: For indicators, 0 or 1.
        fields: What else it says, by stored name.
        attributes: Attributes as they are stored, but for id and date; None if the key is absent.
        tags: Names of tags, None if the key is absent.
        labels: Names of security labels, None if the key is absent.
        made_labels: Descriptions and colours that labels came with, by name.
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
    rating: float = NO_NUMBER
    confidence: int = NO_NUMBER
    active: int = NO_NUMBER
    attributes: list[dict[str, Any]] | None = None
    tags: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    made_labels: dict[str, tuple[str, str]] | None = None
    occurrences: list[list[str | None]] | None = None
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
