"""
Files that share some of their hashes with Files that exist. Source: v2 Batch API, file merging.

The superset rule comes first: where incoming and existing agree, the result has every kind of
hash that any of them has. ``hashCollisionMode`` decides where they differ, ``fileMergeMode`` what
happens when the incoming one brings several together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.engine import summaries
from aiotcbatch.sandbox.store import entities as table

if TYPE_CHECKING:
    from aiotcbatch.sandbox.engine.batch import Context
    from aiotcbatch.sandbox.engine.incoming import Incoming
    from aiotcbatch.sandbox.engine.writer import Writer
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.entities import Plan, Stored

__all__ = ["FileMerger"]

Hashes = dict[str, str]


def hashes_in(summary: str) -> Hashes:
    """Return the hashes of a File's summary by kind."""
    values = summary.split(summaries.SEPARATOR) if summary else []
    return {summaries.hash_kind(value): value for value in values}


def disagree(one: Hashes, other: Hashes) -> bool:
    """Tell whether two Files have different hashes of one kind."""
    return any(
        kind in other and other[kind].lower() != value.lower() for kind, value in one.items()
    )


class FileMerger:
    """
    Decides what becomes of a File that shares hashes with others, and does it.

    Args:
        context: The job's tools.
        writer: Writes the outcome.
    """

    def __init__(self, context: Context, writer: Writer) -> None:
        self._context = context
        self._writer = writer

    def known(self, connection: Connection, files: list[Incoming]) -> dict[str, int]:
        """
        Return which hashes of incoming Files exist, and where.

        Args:
            connection: The database.
            files: Files that do not exist as they are.
        """
        single: list[str] = []
        multi: list[str] = []
        for entity in files:
            hashes = [value.lower() for value in (entity.hashes or {}).values()]
            if len(hashes) == 1:
                single += hashes
            else:
                multi += hashes
        owner_id = self._context.owner_id
        known = table.match_multi_hashes(connection, owner_id, single) if single else {}
        return known | table.match_hashes(connection, owner_id, multi) if multi else known

    @staticmethod
    def touches(entity: Incoming, known: dict[str, int]) -> bool:
        """Tell whether a File shares a hash with one that exists."""
        return any(value.lower() in known for value in (entity.hashes or {}).values())

    def merge(self, plan: Plan, entity: Incoming) -> None:
        """
        Bring an incoming File together with those that it shares hashes with.

        Args:
            plan: Empty; what is to be written.
            entity: The incoming File; it gets the id of the File that it became, 0 for none.
        """
        connection, owner_id = plan.connection, self._context.owner_id
        incoming = entity.hashes or {}
        ids = set(
            table.match_hashes(
                connection, owner_id, [value.lower() for value in incoming.values()]
            ).values()
        )
        matched = [stored for _, stored in sorted(table.load(connection, list(ids)).items())]
        if not matched:
            self._create(plan, entity, incoming)
            return
        existing = [hashes_in(stored.summary) for stored in matched]
        among = any(
            disagree(one, other) for index, one in enumerate(existing) for other in existing[:index]
        )
        with_incoming = any(disagree(incoming, one) for one in existing)
        mode = self._context.config.collision
        if (among or with_incoming) and mode == "IgnoreIncoming":
            self._note(entity, "it collides with an existing File and was ignored")
            entity.id = 0
        elif among and mode == "IgnoreExisting":
            table.delete(connection, owner_id, [stored.id for stored in matched])
            self._create(plan, entity, incoming)
        elif with_incoming and mode == "IgnoreExisting":
            taken = {value.lower() for hashes in existing for value in hashes.values()}
            # One is left at least: the hash that disagrees belongs to none of those that agree.
            left = {k: value for k, value in incoming.items() if value.lower() not in taken}
            self._create(plan, entity, left)
        elif ((among or with_incoming) and mode == "Split") or (
            len(matched) > 1 and self._context.config.merge == "Distribute"
        ):
            self._distribute(plan, entity, matched)
        else:
            self._join(plan, entity, matched)

    def _create(self, plan: Plan, entity: Incoming, hashes: Hashes) -> None:
        """Store the incoming File as a new one with these hashes."""
        entity.hashes = {kind: hashes[kind] for kind in summaries.HASH_KINDS if kind in hashes}
        entity.summary = summaries.join(list(entity.hashes.values()))
        entity.identity = f"File:{entity.summary.lower()}"
        self._writer.create(plan, entity)

    def _distribute(self, plan: Plan, entity: Incoming, matched: list[Stored]) -> None:
        """Put the incoming metadata on every File that shares a hash; no File gets new hashes."""
        entity.id = matched[0].id
        for stored in matched:
            self._writer.change(plan, entity, stored.id, stored)

    def _join(self, plan: Plan, entity: Incoming, matched: list[Stored]) -> None:
        """Make one File of all that share a hash; the one changed last takes in the others."""
        connection, owner_id = plan.connection, self._context.owner_id
        primary = max(matched, key=lambda stored: (stored.last_modified, -stored.id))
        existing = dict(hashes_in(primary.summary))
        for stored in matched:
            if stored.id != primary.id:
                existing = {**hashes_in(stored.summary), **existing}
                primary.take_in(stored)
                table.copy_links(connection, stored.id, primary.id)
                self._note(entity, f"File {stored.summary} was merged", code="0x3001")
        table.delete_hashes(connection, primary.id, owner_id)
        table.delete(connection, owner_id, [one.id for one in matched if one.id != primary.id])
        incoming = entity.hashes or {}
        favored = self._context.config.collision != "FavorExisting"
        result = {**existing, **incoming} if favored else {**incoming, **existing}
        hashes = {kind: result[kind] for kind in summaries.HASH_KINDS if kind in result}
        if len(hashes) > 1:
            plan.hashes += [(owner_id, value.lower(), primary.id) for value in hashes.values()]
        entity.id = primary.id
        summary = summaries.join(list(hashes.values()))
        plan.renamed.append((f"File:{summary.lower()}", summary, primary.id))
        table.save(connection, primary)
        self._writer.change(plan, entity, primary.id, primary)

    def _note(self, entity: Incoming, what: str, code: str = "0x2003") -> None:
        severity = "Warning" if code == "0x2003" else "Info"
        self._context.report.noted(entity, code, severity, f"{entity.title}: {what}.")
