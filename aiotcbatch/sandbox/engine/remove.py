"""Deleting what the groups and indicators of a job name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.engine.batch import StopError, unread, xid_of
from aiotcbatch.sandbox.engine.incoming import Incoming, MalformedError, RefusedError
from aiotcbatch.sandbox.store import entities as table

if TYPE_CHECKING:
    from aiotcbatch.sandbox.engine.batch import Context
    from aiotcbatch.sandbox.engine.document import Part
    from aiotcbatch.sandbox.store.database import Connection

__all__ = ["Remover"]


class Remover:
    """
    Deletes groups by xid, indicators by type and summary, Files by any of their hashes.

    Args:
        context: The job's tools.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        #: Spooled contents that nobody needs any more.
        self.files: list[str] = []

    def process(self, connection: Connection, part: Part) -> None:
        """
        Delete what a run of elements of one section names.

        Raises:
            StopError: The job stops at one of them.
        """
        report = self._context.report
        reader = self._context.readers.of(part.section)
        for index, value in enumerate(part.values):
            try:
                entity = reader.identify(value, part.first + index)
                ids = self._matching(connection, entity)
                self.files += table.delete(connection, self._context.owner_id, ids)
                report.stored(entity)
            except RefusedError as error:
                report.refused(unread(part.section, part.first + index, value), error)
                if self._context.config.halt:
                    raise StopError(index) from None
            except MalformedError as error:
                report.malformed(part.section, part.first + index, str(error), xid_of(value))
                raise StopError(index) from None

    def _matching(self, connection: Connection, entity: Incoming) -> list[int]:
        owner_id = self._context.owner_id
        if entity.hashes:
            values = [value.lower() for value in entity.hashes.values()]
            ids = sorted(set(table.match_hashes(connection, owner_id, values).values()))
        else:
            found = table.match(connection, owner_id, [entity.identity]).values()
            types = table.match_ids(connection, owner_id, list(found))
            ids = [number for number, (_, kind) in types.items() if entity.type in {"", kind}]
        if not ids:
            shown = entity.title.strip() or entity.xid
            raise RefusedError(f"The requested resource was not found: {shown}", "0x1007")
        return ids
