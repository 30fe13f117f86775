"""From ATT&CK objects to the groups that they become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiotcbatch.sources.mapping import (
    MAX_NAME,
    MAX_TAG,
    SourceAttribute,
    SourceGroup,
    shorten,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiotcbatch.sources.attack.model import AttackObject
    from aiotcbatch.sources.attack.profile import Profiles

__all__ = ["build_groups"]

#: On every group, so that all of ATT&CK can be found, and told from the rest of an owner.
_SOURCE_TAG = "MITRE ATT&CK"

_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9]+")


def build_groups(objects: Sequence[AttackObject], profiles: Profiles) -> tuple[SourceGroup, ...]:
    """
    Make the groups.

    An association has no direction, so each stands on whichever of its two groups comes later.

    Args:
        objects: The objects, in the order in which their groups shall come.
        profiles: Their relations, and what renders the files of the reports.

    Returns:
        A group for each object in their order, then a report for each intrusion set.
    """
    position = {item.uuid: index for index, item in enumerate(objects)}
    groups = []
    for index, item in enumerate(objects):
        related = profiles.related(item)
        earlier = tuple(other.xid for other in related if position[other.uuid] < index)
        groups.append(
            SourceGroup(
                type=item.group_type,
                name=item.name,
                xid=item.xid,
                attributes=tuple(_attributes(item)),
                tags=_tags(item, related),
                associations=earlier,
            )
        )
    reports = [_report(item, profiles) for item in objects if item.group_type == "Intrusion Set"]
    return (*groups, *reports)


def _attributes(item: AttackObject) -> Iterator[SourceAttribute]:
    source = item.url or None
    if item.description:
        yield SourceAttribute("Description", item.description, displayed=True, source=source)
    if item.external_id:
        yield SourceAttribute("External ID", item.external_id, source=source)
    for alias in item.aliases:
        yield SourceAttribute("Aliases", alias, source=source)
    for reference in unique((item.url, *item.references)):
        yield SourceAttribute("External References", reference)


def _tags(item: AttackObject, related: Sequence[AttackObject]) -> tuple[str, ...]:
    tags = [_SOURCE_TAG, item.external_id]
    if item.group_type == "Attack Pattern":
        tags.append(item.name)
    if item.group_type == "Intrusion Set":
        tags += [other.name for other in related if other.group_type == "Attack Pattern"]
    tags += [*item.tactics, *item.platforms]
    tags += [f"ATT&CK {domain}" for domain in item.domains]
    if item.withdrawn:
        tags.append(f"ATT&CK {item.withdrawn}")
    return unique(shorten(tag, MAX_TAG) for tag in tags)


def _report(item: AttackObject, profiles: Profiles) -> SourceGroup:
    plain_name = _NOT_IN_FILE_NAMES.sub("-", item.name).strip("-")
    text = f"What ATT&CK knows about {item.name}: techniques by tactic, software, mitigations."
    return SourceGroup(
        type="Report",
        name=shorten(f"{item.name} ({item.external_id}): ATT&CK profile", MAX_NAME),
        xid=profiles.report_xid(item),
        attributes=(SourceAttribute("Description", text, displayed=True, source=item.url or None),),
        tags=unique((_SOURCE_TAG, item.external_id)),
        associations=(item.xid,),
        file_name=f"{item.external_id}-{plain_name}.md",
        file_content=profiles.render,
    )
