"""What a group or an indicator of a document comes down to once it was read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiotcbatch.sandbox.store.entities import NO_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Details", "Incoming", "Link", "MalformedError", "RefusedError"]


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


class Link(NamedTuple):
    """
    What an association points to.

    Attributes:
        ref: The xid of a group, or the summary of an indicator.
        type: The type of an indicator as it was sent, "" for a group.
        association: The association type, "" for a plain link.
        id: The id of an entity, which wins over the others.
        parent: The xid of the indicator that it goes out from, "" for the entity that names it.
    """

    ref: str
    type: str = ""
    association: str = ""
    id: int | None = None
    parent: str = ""


class Details:
    """
    What a group or an indicator says beside which one it is and what it is linked with.

    Very many elements of a feed say the same, and then share one of these: once it was read it
    does not change. Two are never equal, so that they are quickly found again in a dict.

    Attributes:
        rating: For indicators; ``NO_NUMBER`` if absent, as the next two.
        confidence: For indicators.
        active: For indicators, 0 or 1.
        fields: What has no place of its own, by stored name.
        attributes: Attributes as they are stored, but for id and date; None if the key is absent.
        tags: Names of tags, None if the key is absent.
        labels: Names of security labels, None if the key is absent.
        made_labels: Descriptions and colours that labels came with, by name.
        occurrences: File occurrences as file name, path and date.
        links: What it points to, as far as that was not taken out before.
        loss: Why some part of it was left out, "" if nothing was.
        remembered: Whether others may come to share it.
    """

    # Defaults of the class: most have few of these.
    rating: float = NO_NUMBER
    confidence: int = NO_NUMBER
    active: int = NO_NUMBER
    attributes: list[dict[str, Any]] | None = None
    tags: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    made_labels: dict[str, tuple[str, str]] | None = None
    occurrences: list[list[str | None]] | None = None
    links: list[Link] | None = None
    loss: str = ""
    remembered: bool = False

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def lose(self, why: str) -> None:
        """Note that a part is left out; only the first one is reported."""
        self.loss = self.loss or why

    def link(self, links: Iterable[Link]) -> None:
        """Note more of what it points to."""
        self.links = [*(self.links or ()), *links]


class Incoming:
    """
    A group or an indicator that can be stored.

    Attributes:
        section: ``group`` or ``indicator``.
        position: The index in that section.
        type: The proper name of its type, "" if it is not known.
        xid: Its xid, None for an indicator without.
        summary: Its name or summary as it will be stored.
        identity: What tells it from all others in its owner.
        hashes: The hashes of a File by kind, None for anything else.
        details: What else it says.
        id: The id under which it is stored, 0 until then.
        links: What its embedded associations point to.
        loss: Why some part of it was left out, "" if nothing was.
    """

    # Defaults of the class: there are very many entities.
    hashes: dict[str, str] | None = None
    details: Details = Details()
    links: list[Link] | None = None
    id: int = 0
    loss: str = ""

    def __init__(
        self,
        section: str,
        position: int,
        type_name: str = "",
        xid: str | None = None,
        summary: str = "",
        identity: str = "",
    ) -> None:
        self.section = section
        self.position = position
        self.type = type_name
        self.xid = xid
        self.summary = summary
        self.identity = identity

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"{self.type} {self.summary}"

    def say(self, details: Details) -> None:
        """Take in what else it says."""
        self.details = details
        if details.loss:
            self.loss = details.loss
        if details.links:
            self.links = details.links

    def link(self, links: list[Link]) -> None:
        """Take in more of what it points to."""
        self.links = [*self.links, *links] if self.links else links
