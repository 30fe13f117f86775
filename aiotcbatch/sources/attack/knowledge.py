"""`Attack`: all of ATT&CK as one value, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from aiotcbatch.checking import checked_bool, checked_path
from aiotcbatch.entities.values import is_encodable
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sources.attack import clusters
from aiotcbatch.sources.attack.groups import build_groups
from aiotcbatch.sources.attack.profile import Profiles
from aiotcbatch.sources.mapping import Counts

if TYPE_CHECKING:
    from os import PathLike

    from aiotcbatch.sources.attack.model import AttackObject, Relation, Statistics
    from aiotcbatch.sources.mapping import GroupSink, SourceGroup

__all__ = ["Attack", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """
    ATT&CK, read and ready to be added to a batch.

    Attributes:
        version: What it was read from.
        objects: Every object once, by kind and external id.
        relations: Every pair of related objects once.
        statistics: What was read and what was left out.
        groups: What the objects and relations become. No group points to a later one, so they can
            be cut into jobs anywhere.
    """

    version: str
    objects: tuple[AttackObject, ...] = field(repr=False)
    relations: tuple[Relation, ...] = field(repr=False)
    statistics: Statistics
    groups: tuple[SourceGroup, ...] = field(repr=False)
    _profiles: Profiles = field(repr=False, compare=False)

    def add_to(self, batch: GroupSink) -> Counts:
        """
        Add everything to a batch, where the caller may go on with each group under its xid.

        It takes about a tenth of a second. To stay more responsive than that, or to show progress,
        add ``groups`` one by one: each has an ``add_to()`` of its own.

        Args:
            batch: A `Batch`, or anything else with ``add_group()``.

        Returns:
            How much was added.

        Raises:
            ConfigurationError: When it has no such method.
        """
        for group in self.groups:
            group.add_to(batch)
        return Counts.of(self.groups)

    async def profile(self, xid: str) -> str:
        """
        Render what is known about one ATT&CK group.

        Args:
            xid: The xid of its Intrusion Set or of its Report.

        Returns:
            Markdown.

        Raises:
            KeyError: When no group has that xid.
        """
        return await self._profiles.render(xid)


async def load(
    *,
    directory: str | PathLike[str] | None = None,
    withdrawn: bool = False,
    namespace: str = "mitre-attack",
) -> Attack:
    """
    Read ATT&CK, in a worker thread.

    Args:
        directory: Where the misp-galaxy clusters are; by default those of the installed package
            pymispgalaxies, which the extra ``aiotcbatch[demo]`` brings.
        withdrawn: Whether to keep what ATT&CK has revoked, deprecated or replaced. It is tagged so.
        namespace: What every xid begins with.

    Returns:
        ATT&CK as a value.

    Raises:
        UsageError: When no directory is given and pymispgalaxies is not installed.
        ConfigurationError: When the namespace is no text or empty, ``withdrawn`` neither True nor
            False, or the directory has no such clusters.
    """
    if not isinstance(namespace, str) or not namespace or not is_encodable(namespace):
        raise ConfigurationError("namespace", namespace, "a text that is not empty")
    checked_bool("withdrawn", withdrawn)
    checked_path("directory", directory)
    where = None if directory is None else Path(directory)
    return await anyio.to_thread.run_sync(_load, where, withdrawn, namespace)


def _load(directory: Path | None, withdrawn: bool, namespace: str) -> Attack:
    if directory is None:
        directory, version = clusters.installed_directory()
    else:
        version = str(directory)
    objects, relations, statistics = clusters.assemble(
        clusters.read(directory), namespace=namespace, withdrawn=withdrawn
    )
    profiles = Profiles(objects, relations, namespace=namespace, version=version)
    return Attack(
        version=version,
        objects=objects,
        relations=relations,
        statistics=statistics,
        groups=build_groups(objects, profiles),
        _profiles=profiles,
    )
