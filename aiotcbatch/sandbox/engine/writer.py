"""Writing checked groups and indicators under a job's write types, many at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.sandbox.engine.incoming import RefusedError
from aiotcbatch.sandbox.store import entities as table

if TYPE_CHECKING:
    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.engine.incoming import Attribute, Incoming
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.entities import Found
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Plan", "Writer"]


@dataclass(slots=True)
class Plan:
    """
    The rows that a set of entities comes down to, gathered before any is written.

    Of what is inserted in great numbers, which are the fields of type ``list[Any]``, the values of
    all rows stand one behind the other: there are five rows for an entity, and each would be a
    tuple to make and to take apart.
    """

    connection: Connection
    new: list[Any] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    renamed: list[tuple[str, str, int]] = field(default_factory=list)
    attributes: list[Any] = field(default_factory=list)
    attributes_cleared: list[int] = field(default_factory=list)
    types_cleared: list[tuple[int, str]] = field(default_factory=list)
    hidden: list[tuple[int, str]] = field(default_factory=list)
    tags: list[Any] = field(default_factory=list)
    tags_cleared: list[int] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    labels_cleared: list[int] = field(default_factory=list)
    occurrences: list[tuple[Any, ...]] = field(default_factory=list)
    hashes: list[Any] = field(default_factory=list)

    def carry_out(self) -> None:
        """Write it all; what is cleared goes before what is added."""
        connection = self.connection
        table.insert(connection, self.new)
        table.update(connection, self.changed)
        table.rename(connection, self.renamed)
        table.delete_attributes(connection, self.attributes_cleared)
        table.delete_attributes_of_types(connection, self.types_cleared)
        table.hide_attributes(connection, self.hidden)
        table.insert_attributes(connection, self.attributes)
        table.insert_occurrences(connection, self.occurrences)
        table.insert_hashes(connection, self.hashes)
        for kind, cleared, values in (
            ("tag", self.tags_cleared, self.tags),
            ("label", self.labels_cleared, self.labels),
        ):
            table.unlink_names(connection, kind, cleared)
            table.link_names(connection, kind, values)


class Writer:
    """
    Writes the entities of one job into one owner.

    Args:
        store: Where to.
        owner_id: The owner.
        config: The job's configuration.
        absent_clears: Whether a key that is absent counts as an empty array under Replace.
    """

    def __init__(
        self, store: Store, owner_id: int, config: Config, *, absent_clears: bool = False
    ) -> None:
        self._store = store
        self._owner_id = owner_id
        self._config = config
        self._absent_clears = absent_clears

    def labels(self, plan: Plan, entity: Incoming) -> list[int] | None:
        """
        Look up the labels of an entity, making those that are new and come with all they need.

        Returns:
            Their ids, None if the entity does not speak of labels.
        """
        if not entity.labels:
            return None if entity.labels is None else []
        names = self._store.labels
        ids: list[int] = []
        for label in entity.labels:
            known = names.known.get((self._owner_id, label.name))
            if known is None:
                known = names.find(plan.connection, self._owner_id, label.name)
            if known is not None:
                ids.append(known)
            elif label.description and label.color:
                ids.append(
                    names.label(
                        plan.connection,
                        self._owner_id,
                        label.name,
                        label.description,
                        label.color,
                    )
                )
            else:
                entity.loss = entity.loss or (
                    f"Security label {label.name} does not exist and requires"
                    " a description and a color."
                )
        return ids

    def create(
        self, plan: Plan, entity: Incoming, entity_id: int, labels: list[int] | None, now: float
    ) -> None:
        """Plan a new entity."""
        kind = "G" if entity.section == "group" else "I"
        active = table.NO_NUMBER if kind == "G" else 0 if entity.active is False else 1
        plan.new += (
            entity_id,
            self._owner_id,
            entity.identity,
            kind,
            entity.type,
            entity.xid or table.NO_TEXT,
            entity.summary,
            table.NO_NUMBER if entity.rating is None else entity.rating,
            table.NO_NUMBER if entity.confidence is None else entity.confidence,
            active,
            orjson.dumps(entity.fields).decode() if entity.fields else "{}",
            now,
            now,
        )
        if entity.hashes:
            for value in entity.hashes.values():
                plan.hashes += (self._owner_id, value.lower(), entity_id)
        self._add(plan, entity, entity_id, labels, now)

    def change(
        self,
        plan: Plan,
        entity: Incoming,
        found: Found,
        labels: list[int] | None,
        now: float,
    ) -> None:
        """
        Plan an update of an entity that exists.

        Raises:
            RefusedError: It is a group of another type.
        """
        if found.type != entity.type:
            raise RefusedError(
                f"{entity.title} has the xid of a {found.type}: {entity.xid}.", "0x1006", "type"
            )
        self.overwrite(plan, entity, found, now)
        self.decorate(plan, entity, found.id, labels, now)

    def overwrite(self, plan: Plan, entity: Incoming, found: Found, now: float) -> None:
        """Plan new values for the fields of an entity that exists; Files keep their hashes."""
        fields = table.NO_TEXT
        if entity.fields:
            fields = orjson.dumps({**orjson.loads(found.fields), **entity.fields}).decode()
        plan.changed.append(
            (
                entity.summary if entity.hashes is None else table.NO_TEXT,
                entity.xid or table.NO_TEXT,
                table.NO_NUMBER if entity.rating is None else entity.rating,
                table.NO_NUMBER if entity.confidence is None else entity.confidence,
                table.NO_NUMBER if entity.active is None else int(entity.active),
                fields,
                now,
                found.id,
            )
        )

    def decorate(
        self, plan: Plan, entity: Incoming, entity_id: int, labels: list[int] | None, now: float
    ) -> None:
        """Plan what hangs on an entity that exists, under the write types."""
        self._clear_attributes(plan, entity, entity_id)
        config, absent_clears = self._config, self._absent_clears
        if config.tags == "Replace" and (entity.tags is not None or absent_clears):
            plan.tags_cleared.append(entity_id)
        if config.labels == "Replace" and (labels is not None or absent_clears):
            plan.labels_cleared.append(entity_id)
        self._add(plan, entity, entity_id, labels, now)

    def _clear_attributes(self, plan: Plan, entity: Incoming, entity_id: int) -> None:
        mode = self._config.attributes
        sent = entity.attributes
        if mode == "Replace" and (sent is not None or self._absent_clears):
            plan.attributes_cleared.append(entity_id)
        elif sent and mode == "Singleton":
            plan.types_cleared.extend((entity_id, name) for name in {one.type for one in sent})
        elif sent and mode == "Append":
            plan.hidden.extend((entity_id, one.type) for one in sent if one.displayed)

    def _add(
        self, plan: Plan, entity: Incoming, entity_id: int, labels: list[int] | None, now: float
    ) -> None:
        sent = entity.attributes
        if sent and self._config.attributes != "Static":
            if len(sent) > 1:
                sent = _one_shown(sent)
            for one in sent:
                kind, value, shown, pinned, source, marked = one
                plan.attributes += (
                    entity_id,
                    kind,
                    value,
                    1 if shown else 0,
                    1 if pinned else 0,
                    source or table.NO_TEXT,
                    marked or table.NO_TEXT,
                    now,
                )
        if entity.tags:
            tags, owner_id = self._store.tags, self._owner_id
            for name in entity.tags:
                known = tags.known.get((owner_id, name))
                if known is None:
                    known = tags.tag(plan.connection, owner_id, name)
                plan.tags += (entity_id, known)
        for label in labels or ():
            plan.labels += (entity_id, label)
        if entity.occurrences:
            plan.occurrences.extend([(entity_id, *one) for one in entity.occurrences])


def _one_shown(attributes: list[Attribute]) -> list[Attribute]:
    """Let only the last attribute of each type be the one that is shown."""
    seen: set[str] = set()
    kept: list[Attribute] = []
    for one in reversed(attributes):
        if one.displayed and one.type in seen:
            one = one._replace(displayed=False)  # noqa: PLW2901  (the loop goes on with the copy)
        elif one.displayed:
            seen.add(one.type)
        kept.append(one)
    kept.reverse()
    return kept
