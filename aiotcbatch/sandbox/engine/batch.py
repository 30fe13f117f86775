"""What the parts of the engine share: a run of elements, and how to say that the job stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiotcbatch.sandbox.engine.groups import GroupReader
from aiotcbatch.sandbox.engine.incoming import Incoming
from aiotcbatch.sandbox.engine.indicators import IndicatorReader

if TYPE_CHECKING:
    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.engine.associations import Resolver
    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.engine.report import Report
    from aiotcbatch.sandbox.settings import Settings
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Context", "Readers", "StopError"]


class StopError(Exception):
    """
    The job stops.

    Args:
        index: The element of the batch at which it stopped. It was dealt with; those that follow
            were not.
    """

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Readers:
    """
    What reads the elements of documents, made once for all jobs.

    Args:
        catalog: The types of the instance.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.groups = GroupReader(catalog)
        self.indicators = IndicatorReader(catalog)

    def of(self, section: str) -> GroupReader | IndicatorReader:
        """Return what reads the elements of a section."""
        return self.groups if section == "group" else self.indicators


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of a job's processing needs."""

    store: Store
    catalog: Catalog
    settings: Settings
    config: Config
    owner_id: int
    readers: Readers
    resolver: Resolver
    report: Report


def unread(section: str, position: int, value: Any) -> Incoming:
    """Return an entity that could not be read, with what is needed to speak of it."""
    entity = Incoming(section, position)
    entity.xid = xid_of(value)
    if isinstance(value, dict):
        names = (value.get("name"), value.get("summary"))
        entity.summary = next((name for name in names if isinstance(name, str)), "")
    return entity


def xid_of(value: Any) -> str | None:
    """Return the xid of an element that was not read, if it has one."""
    xid = value.get("xid") if isinstance(value, dict) else None
    return xid if isinstance(xid, str) and xid else None
