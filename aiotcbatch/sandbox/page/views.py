"""What each page shows: a template's name and the values for it, gathered from the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from aiohttp import web

from aiotcbatch.sandbox.face.routing import number_in
from aiotcbatch.sandbox.page import connect, jobs
from aiotcbatch.sandbox.store import browsing, reading
from aiotcbatch.sandbox.store import jobs as job_table
from aiotcbatch.sandbox.store.browsing import Search, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.jobs import Job
    from aiotcbatch.sandbox.store.reading import StoredAttribute

__all__ = ["Asked", "Pager", "Shown", "Views"]

_PAGE = 50
_LATEST_JOBS = 8
_ATTRIBUTES = 25
_LINKS = 40
_MANY = 500
#: The longest text that is searched for.
_LONGEST_SEARCH = 500
#: Characters of an attribute that its entity's page shows before one asks for all of it.
_EXCERPT = 2000

_KINDS = {"/groups": "G", "/indicators": "I", "/search": ""}
#: Fields that have a place of their own.
_APART = frozenset({"fileText", "fileName"})


class Shown(NamedTuple):
    """A template and the values for it."""

    template: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a browser asked for.

    Attributes:
        path: The path.
        query: The query, without odd characters.
        id: The number in the path, None if there is none that can be one.
        api_url: The base of the API as the browser sees this machine.
        local: Whether the browser runs on this machine.
    """

    path: str
    query: Mapping[str, str]
    id: int | None
    api_url: str
    local: bool

    def text(self, name: str) -> str:
        """Return a part of the query, "" if it is not there."""
        return self.query.get(name, "")[:_LONGEST_SEARCH].strip()

    def page(self, name: str = "page") -> int:
        """Return which page is wanted, the first if it does not say."""
        return max(1, number_in(self.query.get(name, "")) or 1)


@dataclass(frozen=True, slots=True)
class Pager:
    """
    One page of a list.

    Attributes:
        page: Which, counted from 1.
        total: How long the list is.
        size: How many stand on a page.
    """

    page: int
    total: int
    size: int

    @classmethod
    def at(cls, page: int, total: int, size: int = _PAGE) -> Pager:
        """Return the page that is wanted, the last one if there are not so many."""
        return cls(min(page, max(1, -(-total // size))), total, size)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // self.size))

    @property
    def start(self) -> int:
        """How many elements stand before this page."""
        return (self.page - 1) * self.size

    @property
    def end(self) -> int:
        """How many elements stand before the next page."""
        return min(self.total, self.start + self.size)


class Views:
    """
    Gathers what pages show.

    Everything is read in the store's thread and in bounded pieces.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._store = instance.store
        self._totals: tuple[int, Totals] | None = None

    async def _read(self, work: Any, *args: Any) -> Any:
        return await self._store.database.run(work, *args)

    def frame(self, asked: Asked) -> dict[str, Any]:
        """Return what every page shows."""
        return {
            "path": asked.path,
            "query": asked.query,
            "api_url": asked.api_url,
            "now": self._instance.clock.time(),
            "waiting": self._instance.worker.waiting,
            "owners": {number: name for name, (number, _) in self._store.owners.items()},
        }

    # Overview -------------------------------------------------------------------------------

    async def overview(self, asked: Asked) -> Shown:
        """Show what there is, and how to send something."""
        totals, latest = await self._read(self._overview)
        owner = next(iter(self._store.owners), "")
        user = next(iter(self._instance.gate.users), None)
        lines = (
            ""
            if user is None
            else connect.environment(asked.api_url, owner, user, secrets=asked.local)
        )
        return Shown(
            "overview.html",
            {
                "totals": totals,
                "jobs": self._cards(latest),
                "groups": _by_type(totals, "G"),
                "indicators": _by_type(totals, "I"),
                "by_owner": [
                    (name, kind, _of_owner(totals, number, "G"), _of_owner(totals, number, "I"))
                    for name, (number, kind) in self._store.owners.items()
                ],
                "environment": lines,
                "curl": connect.curl(owner),
            },
        )

    def _overview(self, connection: Connection) -> tuple[Totals, list[Job]]:
        latest = job_table.listed(connection, newest_first=True, limit=_LATEST_JOBS)
        return self._counted(connection), latest

    def _counted(self, connection: Connection) -> Totals:
        """Count everything again only if anything has changed."""
        version = self._store.database.version
        if self._totals is None or self._totals[0] != version:
            self._totals = version, browsing.totals(connection)
        return self._totals[1]

    # Jobs -----------------------------------------------------------------------------------

    def _cards(self, listed: list[Job]) -> list[jobs.JobCard]:
        return [self._card(job) for job in listed]

    def _card(self, job: Job) -> jobs.JobCard:
        worker = self._instance.worker
        current = worker.recall(job.id) or job
        return jobs.card(current, worker.share(job.id), self._instance.clock.time())

    async def jobs(self, asked: Asked) -> Shown:
        """List the jobs, the latest first."""
        pager, listed = await self._read(self._jobs, asked.page())
        return Shown("jobs.html", {"pager": pager, "jobs": self._cards(listed)})

    def _jobs(self, connection: Connection, page: int) -> tuple[Pager, list[Job]]:
        pager = Pager.at(page, self._counted(connection).jobs)
        listed = job_table.listed(
            connection, newest_first=True, limit=pager.size, start=pager.start
        )
        return pager, listed

    async def job(self, asked: Asked) -> Shown:
        """Show one job."""
        values = await self._read(self._job, asked.id, asked.page())
        if values is None:
            raise web.HTTPNotFound
        job = self._instance.worker.recall(values["job"].id) or values["job"]
        return Shown("job.html", {**values, "job": self._card(job), "timeline": jobs.timeline(job)})

    @staticmethod
    def _job(connection: Connection, job_id: int | None, page: int) -> dict[str, Any] | None:
        job = None if job_id is None else job_table.get(connection, job_id)
        if job is None:
            return None
        counts = browsing.error_counts(connection, job.id)
        pager = Pager.at(page, sum(number for _, _, number in counts))
        return {
            "job": job,
            "config": orjson.dumps(job.config, option=orjson.OPT_INDENT_2).decode(),
            "has_document": browsing.has_document(connection, job.id),
            "error_counts": counts,
            "pager": pager,
            "errors": browsing.errors(connection, job.id, pager.size, pager.start),
        }

    # Groups and indicators ------------------------------------------------------------------

    async def entities(self, asked: Asked) -> Shown:
        """List groups, indicators, or both."""
        kind = _KINDS[asked.path]
        owner = asked.text("owner")
        owner_id = None if not owner else self._store.owners.get(owner, (0, ""))[0]
        search = Search(kind, asked.text("q"), asked.text("type"), owner_id, asked.text("tag"))
        values = await self._read(self._entities, search, asked.page())
        return Shown(
            "entities.html",
            {
                **values,
                "kind": kind,
                "text": search.text,
                "type": search.type,
                "owner": owner,
                "tag": search.tag,
                "owner_names": list(self._store.owners),
                "narrowed": bool(search.text or search.type or owner or search.tag),
            },
        )

    def _entities(self, connection: Connection, search: Search, page: int) -> dict[str, Any]:
        totals = self._counted(connection)
        if search.text or search.tag:
            total = browsing.matching(connection, search)
        else:
            total = sum(
                count.number
                for count in totals.entities
                if search.kind in {"", count.kind}
                and search.type in {"", count.type}
                and search.owner_id in {None, count.owner_id}
            )
        pager = Pager.at(page, total)
        rows = browsing.page(connection, search, pager.size, pager.start) if total else []
        return {"pager": pager, "rows": rows, "types": _by_type(totals, search.kind)}

    async def entity(self, asked: Asked) -> Shown:
        """Show one group or indicator."""
        values = await self._read(self._entity, asked)
        if values is None:
            raise web.HTTPNotFound
        return Shown("entity.html", values)

    def _entity(self, connection: Connection, asked: Asked) -> dict[str, Any] | None:
        found = reading.select(connection, "e.id = ?", (asked.id,), limit=1)
        if not found:
            return None
        parts = {"attributes", "tags", "labels", "occurrences"}
        (entity,) = reading.complete(connection, found, parts)
        owner_id = self._store.owners[entity.owner][0]
        linked = asked.text("linked")
        links = browsing.link_counts(connection, entity.id)
        link_pager = Pager.at(
            asked.page("links"),
            sum(number for _, kind, number in links if linked in {"", kind}),
            _LINKS,
        )
        attributes = sorted(entity.attributes, key=lambda one: (not one.pinned, not one.displayed))
        pager = Pager.at(asked.page(), len(attributes), _ATTRIBUTES)
        return {
            "entity": entity,
            "fields": [(k, v) for k, v in entity.fields.items() if k not in _APART][:_MANY],
            "text": entity.fields.get("fileText"),
            "labels": browsing.labels_of(connection, owner_id, entity.labels[:_MANY]),
            "tags": entity.tags[:_MANY],
            "tag_count": len(entity.tags),
            "attributes": _together(attributes[pager.start : pager.end]),
            "pager": pager,
            "whole": number_in(asked.text("attribute")),
            "excerpt": _EXCERPT,
            "occurrences": entity.occurrences[:_MANY],
            "occurrence_count": len(entity.occurrences),
            "link_counts": links,
            "linked": linked,
            "links": browsing.links(connection, entity.id, _LINKS, link_pager.start, kind=linked),
            "link_pager": link_pager,
            "file": browsing.file_of(connection, entity.id),
        }

    # Files ----------------------------------------------------------------------------------

    async def files(self, asked: Asked) -> Shown:
        """List the files."""
        return Shown("files.html", await self._read(self._files, asked.page()))

    def _files(self, connection: Connection, page: int) -> dict[str, Any]:
        totals = self._counted(connection)
        pager = Pager.at(page, totals.files)
        rows = browsing.files(connection, pager.size, pager.start)
        return {"pager": pager, "files": rows, "file_bytes": totals.file_bytes}


def _together(attributes: list[StoredAttribute]) -> list[tuple[str, list[StoredAttribute]]]:
    """Put attributes of one type together, in the order in which the types are met."""
    groups: dict[str, list[StoredAttribute]] = {}
    for attribute in attributes:
        groups.setdefault(attribute.type, []).append(attribute)
    return list(groups.items())


def _by_type(totals: Totals, kind: str) -> list[tuple[str, int]]:
    """Return how many entities there are of each type, the most frequent first."""
    numbers: dict[str, int] = {}
    for count in totals.entities:
        if kind in {"", count.kind}:
            numbers[count.type] = numbers.get(count.type, 0) + count.number
    return sorted(numbers.items(), key=lambda item: (-item[1], item[0]))


def _of_owner(totals: Totals, owner_id: int, kind: str) -> int:
    return sum(
        count.number
        for count in totals.entities
        if count.owner_id == owner_id and count.kind == kind
    )
