"""Groups, indicators and tags of v3, so that an import can be verified. Source: v3 API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import anyio.to_thread
import orjson

from aiotcbatch.sandbox import tql
from aiotcbatch.sandbox.face import answers, objects
from aiotcbatch.sandbox.face.answers import RefusalError
from aiotcbatch.sandbox.face.routing import Endpoint, number_in, segment
from aiotcbatch.sandbox.store import entities as table
from aiotcbatch.sandbox.store import reading, search

if TYPE_CHECKING:
    from aiohttp import web

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.reading import Entity

__all__ = ["ReadingFace"]

#: How many entities are read in one piece of work, so that jobs and others get their turn.
_SLICE = 500
#: How many unknown fields are told of.
_TOLD = 10


class Asked(NamedTuple):
    """
    What a request wants to read.

    Attributes:
        where: SQL on ``e`` and ``o``.
        values: What stands for its question marks.
        shape: What to show.
        start: How many to skip.
        limit: The most to show.
        query: The parameters as they were sent.
    """

    where: str
    values: list[tql.Value]
    shape: objects.Shape
    start: int
    limit: int
    query: list[tuple[str, str]]


class ReadingFace:
    """
    Reads and deletes groups and indicators.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers."""
        found = [Endpoint("tags", "GET", "/v3/tags", self.tags)]
        for name in ("groups", "indicators"):
            one = f"/v3/{name}/{{ref}}"
            found.append(Endpoint(name, "GET", f"/v3/{name}", self.listed))
            found.append(Endpoint(name, "GET", one, self.one))
            found.append(Endpoint(f"{name}_delete", "DELETE", one, self.delete))
        return found

    async def listed(self, request: web.Request, user: User) -> web.Response:
        """List groups or indicators, page by page."""
        asked = await self._asked(request, user)
        run = self._instance.store.database.run
        total = await run(reading.count, asked.where, asked.values)
        found: list[dict[str, Any]] = []
        for start in range(asked.start, min(asked.start + asked.limit, total), _SLICE):
            limit = min(_SLICE, asked.start + asked.limit - start)
            found += await run(_page, asked, limit, start)
        answer = answers.listing(request, asked.query, found, asked.start, asked.limit, total)
        return _with_warning(answer, asked.shape)

    async def one(self, request: web.Request, user: User) -> web.Response:
        """Show one group by id or xid, or one indicator by id, xid or summary."""
        asked = await self._asked(request, user)
        entity = await self._find(request, asked)
        found = await self._instance.store.database.run(objects.described, [entity], asked.shape)
        return _with_warning(answers.json({"data": found[0], "status": "Success"}), asked.shape)

    async def delete(self, request: web.Request, user: User) -> web.Response:
        """Delete one group or indicator."""
        if not user.may_write:
            raise RefusalError(answers.v3_failure(403, "Access Denied"))
        entity = await self._find(request, await self._asked(request, user))
        owner_id = self._instance.store.owners[entity.owner][0]
        files = await self._instance.store.database.run(table.delete, owner_id, [entity.id])
        for file in files:
            await anyio.to_thread.run_sync(self._instance.store.spool.remove, file)
        return answers.json({"message": "Deleted", "status": "Success"})

    async def tags(self, request: web.Request, user: User) -> web.Response:
        """List the tags that exist, and those that stand for ATT&CK techniques."""
        catalog = self._instance.catalog
        query = await _query(request)
        rows = await self._instance.store.database.run(reading.all_tags)
        found = [
            {"id": number, "name": name, "owner": owner}
            for number, owner, name in rows
            if user.sees(owner) and catalog.technique(name) is None
        ]
        first = max((number for number, _, _ in rows), default=0) + 1
        found += [
            {"id": number, "name": name, "techniqueId": technique, "owner": ""}
            for number, (technique, name) in enumerate(catalog.techniques.items(), first)
        ]
        text = dict(query).get("tql")
        if text:
            node = _parsed(text)
            found = [item for item in found if _accepts(item, node)]
        return answers.page(request, query, found)

    async def _asked(self, request: web.Request, user: User) -> Asked:
        query = await _query(request)
        owners = self._instance.store.owners
        seen = [name for name in owners if user.sees(name)]
        given = dict(query)
        if "owner" in given:
            if given["owner"] not in seen:
                text = "The requested owner was not found"
                raise RefusalError(answers.v3_failure(403, text))
            seen = [given["owner"]]
        kind = "G" if segment(request, 1) == "groups" else "I"
        ids = ",".join(str(owners[name][0]) for name in seen) or "NULL"
        where = f"e.kind = '{kind}' AND e.owner_id IN ({ids})"
        values: list[tql.Value] = []
        if given.get("tql"):
            condition, values = _condition(given["tql"])
            where = f"{where} AND {condition}"
        shape = objects.Shape(
            self._instance.catalog,
            {name: number for name, (number, _) in owners.items()},
            frozenset(value.lower() for name, value in query if name == "fields"),
        )
        start, limit = answers.window(given)
        return Asked(where, values, shape, start, limit, query)

    async def _find(self, request: web.Request, asked: Asked) -> Entity:
        ref = segment(request, 2)
        number = number_in(ref)
        run = self._instance.store.database.run
        named = "(e.identity = ? OR e.xid = ? OR e.summary = ?)"
        if segment(request, 1) == "groups":
            named = "e.identity = ? AND e.xid = ?"
        names = [f"@{ref}", ref, ref][: named.count("?")]
        found: list[Entity] = []
        if number is not None:
            found = await run(
                reading.select, f"{asked.where} AND e.id = ?", [*asked.values, number]
            )
        if not found:
            found = await run(
                reading.select, f"{asked.where} AND {named}", [*asked.values, *names], limit=1
            )
        if not found:
            text = "The requested resource was not found"
            raise RefusalError(answers.v3_failure(404, text))
        return found[0]


def _with_warning(answer: web.Response, shape: objects.Shape) -> web.Response:
    """
    Say in a header which ``fields`` were passed over.

    A real instance has more of them than the sandbox, so they are no mistake; but one that is
    misspelt looks in the answer as if nothing had been there.
    """
    if shape.unknown:
        names = quote(",".join(shape.unknown[:_TOLD]), safe=",")
        answer.headers["Warning"] = f'199 sandbox "fields passed over: {names}"'
    return answer


def _page(connection: Connection, asked: Asked, limit: int, start: int) -> list[dict[str, Any]]:
    found = reading.select(connection, asked.where, asked.values, limit=limit, start=start)
    return objects.described(connection, found, asked.shape)


async def _query(request: web.Request) -> list[tuple[str, str]]:
    """Return the parameters; clients put long ones into a JSON body."""
    query = list(request.query.items())
    body = await request.read()
    if not body:
        return query
    try:
        data = orjson.loads(body).get("data") or {}
        for name, value in data.items():
            values = value if isinstance(value, list) else [value]
            query += [(name, str(one)) for one in values]
    except (orjson.JSONDecodeError, AttributeError):
        text = "The request was not properly formed"
        raise RefusalError(answers.v3_failure(400, text)) from None
    return query


def _parsed(text: str) -> tql.Node:
    try:
        return tql.parse(text)
    except tql.TqlError as error:
        raise RefusalError(answers.v3_failure(400, f"Invalid TQL: {error}")) from None


def _condition(text: str) -> tuple[str, list[tql.Value]]:
    node = _parsed(text)
    try:
        return search.condition(node)
    except tql.TqlError as error:
        raise RefusalError(answers.v3_failure(400, f"Invalid TQL: {error}")) from None


def _accepts(item: dict[str, Any], node: tql.Node) -> bool:
    plain = {"techniqueid": "null", **{name.lower(): value for name, value in item.items()}}
    try:
        return search.accepts(plain, node)
    except tql.TqlError as error:
        raise RefusalError(answers.v3_failure(400, f"Invalid TQL: {error}")) from None
