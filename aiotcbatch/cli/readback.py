"""Reading groups back over the v3 API, and comparing them with what was sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio

from aiotcbatch.transport.settings import quote_segment

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from aiotcbatch.sources import SourceGroup
    from aiotcbatch.transport.http import Transport

__all__ = [
    "Comparison",
    "FoundGroup",
    "Row",
    "compare",
    "read_files",
    "read_groups",
    "without_others",
]

_PAGE = 500
_NOT_FOUND = 404
#: Files that are fetched at once.
_DOWNLOADS = 8
_FIELDS = ("associatedGroups", "attributes", "tags")

_Things = Counter[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """
    A group as the server has it.

    Attributes:
        id: The server's id.
        type: Its type.
        name: Its name.
        xid: Its xid.
        attributes: Type and value of each attribute.
        tags: Its tags.
        associated: Ids of the groups that it is associated with.
    """

    id: int
    type: str
    name: str
    xid: str
    attributes: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]
    associated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line of a comparison.

    Attributes:
        what: What was counted.
        sent: How many were sent.
        found: How many are there.
        different: How many of either side have no equal on the other.
    """

    what: str
    sent: int
    found: int
    different: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    What was sent beside what is there.

    Attributes:
        rows: The figures.
        differences: All differences in words.
    """

    rows: tuple[Row, ...]
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether everything that was sent is there, and nothing else."""
        return not any(row.different for row in self.rows)


async def read_groups(
    transport: Transport, owner: str, *, on_page: Callable[[int], None] | None = None
) -> list[FoundGroup]:
    """
    Read all groups of an owner, with attributes, tags and associations.

    Args:
        transport: Where to ask.
        owner: The owner's name.
        on_page: Called with the number of groups of each page.

    Returns:
        The groups.
    """
    groups = []
    async for items in _pages(transport, owner):
        groups += [_found(item) for item in items]
        if on_page is not None:
            on_page(len(items))
    return groups


async def _pages(transport: Transport, owner: str) -> AsyncIterator[list[dict[str, Any]]]:
    start = 0
    while True:
        query = [("owner", owner), ("resultStart", str(start)), ("resultLimit", str(_PAGE))]
        query += [("fields", field) for field in _FIELDS]
        answer = await transport.request("GET", "/v3/groups", query=query)
        items: list[dict[str, Any]] = answer.json()["data"]
        if items:
            yield items
        if len(items) < _PAGE:
            return
        start += len(items)


def _found(item: Mapping[str, Any]) -> FoundGroup:
    return FoundGroup(
        id=item["id"],
        type=item["type"],
        name=item["name"],
        xid=item.get("xid") or "",
        attributes=tuple((one["type"], one["value"]) for one in _inner(item, "attributes")),
        tags=tuple(one["name"] for one in _inner(item, "tags")),
        associated=tuple(one["id"] for one in _inner(item, "associatedGroups")),
    )


def _inner(item: Mapping[str, Any], field: str) -> Sequence[Mapping[str, Any]]:
    return (item.get(field) or {}).get("data") or ()


async def read_files(
    transport: Transport,
    owner: str,
    xids: Iterable[str],
    *,
    on_file: Callable[[], None] | None = None,
) -> dict[str, bytes]:
    """
    Fetch the files of Documents and Reports.

    Args:
        transport: Where to ask.
        owner: The owner's name.
        xids: The groups' xids.
        on_file: Called after each file.

    Returns:
        The contents by xid; a group that has none is not in it.
    """
    files: dict[str, bytes] = {}
    limiter = anyio.CapacityLimiter(_DOWNLOADS)

    async def fetch(xid: str) -> None:
        path = f"/v3/groups/{quote_segment(xid)}/download"
        async with limiter:
            answer = await transport.request("GET", path, query={"owner": owner}, accept={404})
        if answer.status != _NOT_FOUND:
            files[xid] = answer.body
        if on_file is not None:
            on_file()

    async with anyio.create_task_group() as tasks:
        for xid in xids:
            tasks.start_soon(fetch, xid)
    return files


def without_others(
    found: Sequence[FoundGroup], sent: Sequence[SourceGroup], before: Collection[int]
) -> list[FoundGroup]:
    """
    Leave out what was in the owner before and is not about what was sent.

    Args:
        found: What is there.
        sent: What was sent.
        before: Ids of the groups that were there before it was sent.

    Returns:
        The groups that have been sent or are new, with the associations between them.
    """
    xids = {group.xid for group in sent}
    kept = [group for group in found if group.xid in xids or group.id not in before]
    others = {group.id for group in found} - {group.id for group in kept}
    if not others:
        return kept
    return [
        replace(group, associated=tuple(one for one in group.associated if one not in others))
        for group in kept
    ]


def compare(
    sent: Sequence[SourceGroup],
    found: Sequence[FoundGroup],
    *,
    sent_files: Mapping[str, bytes],
    found_files: Mapping[str, bytes],
) -> Comparison:
    """
    Compare every group, attribute, tag, association and file, not only their numbers.

    Args:
        sent: What was sent.
        found: What is there.
        sent_files: The contents that were sent, by xid.
        found_files: The contents that are there, by xid.

    Returns:
        The figures, and the differences in words.
    """
    xids = {group.id: group.xid for group in found}
    both: list[SourceGroup | FoundGroup] = [*sent, *found]
    types = dict.fromkeys(group.type for group in both)
    pairs: list[tuple[str, _Things, _Things]] = [
        (type_, _groups(sent, type_), _groups(found, type_)) for type_ in types
    ]
    pairs += [
        ("Attributes", _sent_attributes(sent), _found_attributes(found)),
        ("Tags", _tags(sent), _tags(found)),
        ("Associations", _sent_pairs(sent), _found_pairs(found, xids)),
        ("Files", _digests(sent_files), _digests(found_files)),
    ]
    rows = tuple(_row(what, ours, theirs) for what, ours, theirs in pairs)
    words = [text for what, ours, theirs in pairs for text in _words(what, ours, theirs)]
    return Comparison(rows=rows, differences=tuple(words))


def _row(what: str, ours: _Things, theirs: _Things) -> Row:
    different = (ours - theirs).total() + (theirs - ours).total()
    return Row(what, ours.total(), theirs.total(), different)


def _words(what: str, ours: _Things, theirs: _Things) -> Iterator[str]:
    for key in ours - theirs:
        yield f"{what}: sent and not there: {' | '.join(key)}"
    for key in theirs - ours:
        yield f"{what}: there and not sent: {' | '.join(key)}"


def _groups(groups: Iterable[SourceGroup | FoundGroup], type_: str) -> _Things:
    return Counter((group.xid, group.name) for group in groups if group.type == type_)


def _tags(groups: Iterable[SourceGroup | FoundGroup]) -> _Things:
    return Counter((group.xid, tag) for group in groups for tag in group.tags)


def _digests(files: Mapping[str, bytes]) -> _Things:
    return Counter((xid, sha256(content).hexdigest()) for xid, content in files.items())


def _sent_attributes(sent: Iterable[SourceGroup]) -> _Things:
    return Counter((g.xid, one.type, one.value) for g in sent for one in g.attributes)


def _found_attributes(found: Iterable[FoundGroup]) -> _Things:
    return Counter((g.xid, *one) for g in found for one in g.attributes)


def _sent_pairs(sent: Iterable[SourceGroup]) -> _Things:
    return Counter(_pair(g.xid, other) for g in sent for other in g.associations)


def _found_pairs(found: Iterable[FoundGroup], xids: Mapping[int, str]) -> _Things:
    """Each association stands on both of its groups and counts once."""
    pairs = {
        _pair(group.xid, xids.get(other, f"group {other}"))
        for group in found
        for other in group.associated
    }
    return Counter(pairs)


def _pair(one: str, other: str) -> tuple[str, ...]:
    return tuple(sorted((one, other)))
