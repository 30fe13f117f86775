"""
What every source turns its content into: groups, as plain values.

A source reads its own format and yields `SourceGroup` values. From there on all sources are alike:
adding them to a batch, counting what was added, fitting text into the limits of the server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

__all__ = [
    "MAX_NAME",
    "MAX_TAG",
    "Counts",
    "GroupSink",
    "SourceAttribute",
    "SourceGroup",
    "shorten",
    "unique",
]

#: Characters that the name of a group may have. Source: TcEx, help text of the group name.
MAX_NAME = 100

#: Characters that a tag may have. Source: ThreatConnect REST API, tags.
MAX_TAG = 128


class GroupSink(Protocol):
    """What a source needs of a batch: interface 3 for groups."""

    def add_group(self, group_data: dict[str, Any], /) -> Any:
        """
        Take one group.

        Args:
            group_data: The group in the form of the wire, with ``fileContent`` if it has a file.

        Returns:
            Whatever the batch gives for it; a source does not use it.
        """


@dataclass(frozen=True, slots=True)
class SourceAttribute:
    """
    One attribute of a group.

    Attributes:
        type: Name of the attribute type.
        value: Its text.
        displayed: Whether it is the one shown by default; for Description and Source only.
        source: Where the text comes from, usually a URL.
    """

    type: str
    value: str
    displayed: bool = False
    source: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """
        Give the form of the wire.

        Returns:
            A new dict, without the fields that say nothing.
        """
        data: dict[str, Any] = {"type": self.type, "value": self.value}
        if self.displayed:
            data["displayed"] = True
        if self.source is not None:
            data["source"] = self.source
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGroup:
    """
    One group of a source, complete and independent of any batch.

    Attributes:
        type: ThreatConnect's group type, such as ``Intrusion Set``.
        name: Its name, at most 100 characters.
        xid: Its identity, the same at every load.
        attributes: Its attributes.
        tags: Its tags, each once, at most 128 characters.
        associations: Xids of groups that it is associated with. A source yields those before it.
        file_name: For a Document or Report, the name of its file.
        file_content: For a Document or Report, asked for the content when it is uploaded.
    """

    type: str
    name: str
    xid: str
    attributes: tuple[SourceAttribute, ...] = ()
    tags: tuple[str, ...] = ()
    associations: tuple[str, ...] = ()
    file_name: str | None = None
    file_content: Callable[[str], Awaitable[str]] | None = field(default=None, repr=False)

    def to_wire(self) -> dict[str, Any]:
        """
        Give the form of the wire, as interface 3 takes it.

        Returns:
            A new dict that the batch may keep; ``fileContent`` never reaches the server.
        """
        data: dict[str, Any] = {"type": self.type, "name": self.name, "xid": self.xid}
        if self.file_name is not None:
            data["fileName"] = self.file_name
        if self.attributes:
            data["attribute"] = [attribute.to_wire() for attribute in self.attributes]
        if self.tags:
            data["tag"] = [{"name": tag} for tag in self.tags]
        if self.associations:
            data["associatedGroupXid"] = list(self.associations)
        if self.file_content is not None:
            data["fileContent"] = self.file_content
        return data

    def add_to(self, batch: GroupSink) -> None:
        """
        Add this group to a batch.

        Args:
            batch: A `Batch`, or anything else with ``add_group()``.

        Raises:
            ConfigurationError: When it has no such method.
        """
        if isinstance(batch, type) or not callable(getattr(batch, "add_group", None)):
            raise ConfigurationError("batch", batch, "a Batch, or what else has add_group()")
        batch.add_group(self.to_wire())


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """
    How much there is of what, to compare with what arrived.

    Attributes:
        groups: Groups by type, in the order in which the types first appear.
        attributes: Attributes of all groups together.
        tags: Tags of all groups together, a tag on two groups counted twice.
        associations: Associations, each pair once.
        files: Files to upload.
    """

    groups: Mapping[str, int]
    attributes: int
    tags: int
    associations: int
    files: int

    @classmethod
    def of(cls, groups: Iterable[SourceGroup]) -> Counts:
        """
        Count.

        Args:
            groups: What to count.

        Returns:
            The counts.
        """
        types: Counter[str] = Counter()
        attributes = tags = associations = files = 0
        for group in groups:
            types[group.type] += 1
            attributes += len(group.attributes)
            tags += len(group.tags)
            associations += len(group.associations)
            files += group.file_content is not None
        return cls(
            groups=dict(types),
            attributes=attributes,
            tags=tags,
            associations=associations,
            files=files,
        )

    @property
    def entities(self) -> int:
        """All groups together."""
        return sum(self.groups.values())


def shorten(text: str, limit: int) -> str:
    """
    Fit a text into a limit of the server, at a word's end where there is one near.

    Args:
        text: The text.
        limit: The most characters that it may have.

    Returns:
        The text itself if it fits, else its beginning and an ellipsis.
    """
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    words = kept.rpartition(" ")[0]
    if len(words) > limit // 2 and not text[limit - 1].isspace():
        kept = words
    return f"{kept.rstrip(' .,;:')}…"


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """
    Drop empty texts and repetitions, the first of equal ones stays where it is.

    Args:
        texts: The texts.

    Returns:
        Each text once, in order.
    """
    return tuple(dict.fromkeys(text for text in texts if text))
