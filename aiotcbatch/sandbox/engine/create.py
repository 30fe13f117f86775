"""Creating and updating the groups and indicators of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from aiotcbatch.sandbox.engine.batch import StopError, unread, xid_of
from aiotcbatch.sandbox.engine.files import FileMerger
from aiotcbatch.sandbox.engine.incoming import Incoming, MalformedError, RefusedError
from aiotcbatch.sandbox.engine.writer import Writer
from aiotcbatch.sandbox.store import entities as table
from aiotcbatch.sandbox.store.entities import Plan

if TYPE_CHECKING:
    from aiotcbatch.sandbox.engine.associations import Joiner
    from aiotcbatch.sandbox.engine.batch import Context
    from aiotcbatch.sandbox.engine.document import Part
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.entities import Stored

__all__ = ["Creator"]


@dataclass(slots=True)
class _Known:
    """
    What exists of a run of entities.

    Attributes:
        ids: Those that exist, by identity.
        types: Kind and type of groups, by id.
        stored: What those have that are merged, by id.
        hashes: Which File has the hashes of Files.
        room: How many more indicators there may be, None for no bound.
    """

    ids: dict[str, int]
    types: dict[int, tuple[str, str]]
    stored: dict[int, Stored]
    hashes: dict[str, int]
    room: int | None


class Creator:
    """
    Writes entities in runs of which no two are the same, so that each run is matched at once.

    Args:
        context: The job's tools.
        joiner: Is told of the links of entities.
    """

    def __init__(self, context: Context, joiner: Joiner) -> None:
        self._context = context
        self._joiner = joiner
        self._report = context.report
        self._writer = Writer(
            context.store,
            context.owner_id,
            context.config,
            absent_clears=context.settings.absent_clears,
        )
        self._files = FileMerger(context, self._writer)
        self._ready: list[Incoming] = []
        self._names: set[str] = set()
        self._first = 0

    def process(self, connection: Connection, part: Part, now: float) -> None:
        """
        Write a run of elements of one section.

        Args:
            connection: The database.
            part: The elements.
            now: The time.

        Raises:
            StopError: The job stops at one of them.
        """
        self._first = part.first
        self._writer.at(now)
        read = self._context.readers.of(part.section).read
        limit = self._context.settings.max_indicators if part.section == "indicator" else None
        for position, value in enumerate(part.values, part.first):
            if limit is not None and position >= limit:
                self._flush(connection)
                self._over(position, limit)
            try:
                if type(value) is not dict:
                    raise MalformedError("Not a JSON Object")  # noqa: TRY301  (as within it)
                entity = read(value, position)
            except RefusedError as error:
                self._flush(connection)
                self._refuse(unread(part.section, position, value), error)
            except MalformedError as error:
                self._flush(connection)
                self._give_up(part.section, position, str(error), xid_of(value))
            else:
                if entity.hashes is not None:
                    self._make_room(connection, entity.hashes)
                elif entity.identity in self._names:
                    self._flush(connection)
                self._names.add(entity.identity)
                self._ready.append(entity)
        self._flush(connection)

    def _make_room(self, connection: Connection, hashes: dict[str, str]) -> None:
        """Write what was collected if a File shares a hash with any of it."""
        names = [value.lower() for value in hashes.values()]
        if not self._names.isdisjoint(names):
            self._flush(connection)
        self._names.update(names)

    def _flush(self, connection: Connection) -> None:
        """Match and write what was collected."""
        ready, self._ready, self._names = self._ready, [], set()
        if not ready:
            return
        known = self._look_up(connection, ready)
        plan = Plan(connection)
        for entity in ready:
            try:
                self._plan(plan, entity, known)
            except RefusedError as error:
                self._report.refused(entity, error)
                stop = self._context.config.halt
            else:
                self._report.stored(entity)
                if entity.section == "group":
                    self._joiner.know(entity)
                if entity.links and entity.id:
                    self._joiner.later(entity, entity.links)
                stop = self._context.config.halt and bool(entity.loss)
            if stop:
                plan.carry_out()
                raise StopError(entity.position - self._first)
        plan.carry_out()

    def _look_up(self, connection: Connection, ready: list[Incoming]) -> _Known:
        """Find out what of a run of entities exists."""
        owner_id = self._context.owner_id
        ids = table.match(connection, owner_id, [entity.identity for entity in ready])
        groups = ready[0].section == "group"
        quota = None if groups else self._context.settings.indicator_quota
        if quota is not None:
            quota -= table.count(connection, owner_id, "I")
        return _Known(
            ids,
            table.match_ids(connection, owner_id, list(ids.values())) if groups else {},
            self._stored(connection, ready, ids),
            self._files.known(
                connection, [one for one in ready if one.hashes and one.identity not in ids]
            ),
            quota,
        )

    def _plan(self, plan: Plan, entity: Incoming, known: _Known) -> None:
        """
        Plan what an entity asks for.

        Raises:
            RefusedError: It is of another type than the group of its xid.
            StopError: There may not be any more indicators.
        """
        number = known.ids.get(entity.identity)
        if number is not None:
            if known.types and known.types[number][1] != entity.type:
                stored = known.types[number][1]
                raise RefusedError(
                    f"{entity.title} has the xid of a {stored}: {entity.xid}.", "0x1006", "type"
                )
            entity.id = number
            self._writer.change(plan, entity, number, known.stored.get(number))
        elif known.hashes and self._files.touches(entity, known.hashes):
            plan.carry_out()
            self._files.merge(plan, entity)
        else:
            if known.room is not None:
                known.room -= 1
                if known.room < 0:
                    plan.carry_out()
                    self._over(entity.position, self._context.settings.indicator_quota or 0)
            self._writer.create(plan, entity)

    def _stored(
        self, connection: Connection, ready: list[Incoming], found: dict[str, int]
    ) -> dict[int, Stored]:
        """Load what entities are merged with."""
        merges = self._writer.merges
        return table.load(
            connection,
            [
                found[entity.identity]
                for entity in ready
                if entity.identity in found and merges(entity.details)
            ],
        )

    def _refuse(self, entity: Incoming, error: RefusedError) -> None:
        self._report.refused(entity, error)
        if self._context.config.halt:
            raise StopError(entity.position - self._first)

    def _give_up(self, section: str, position: int, reason: str, xid: str | None) -> NoReturn:
        self._report.malformed(section, position, reason, xid)
        raise StopError(position - self._first)

    def _over(self, position: int, limit: int) -> NoReturn:
        """Stop since there may not be so many indicators."""
        reason = f"This batch would exceed the number of allowed indicators: {limit}"
        message = f"{reason} JSON path: '$.indicator[{position}]'."
        self._report.whole("0x1008", reason, message)
        raise StopError(position - self._first)
