"""Writing checked groups and indicators under a job's write types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.sandbox.store.entities import NO_NUMBER, NO_TEXT, Stored

if TYPE_CHECKING:
    from collections.abc import Sized

    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.engine.incoming import Incoming
    from aiotcbatch.sandbox.store.entities import Plan
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Writer"]

_NOTHING = Stored(0)


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
        #: The columns of lists that were met: the same few come with very many entities.
        self._tag_lists: dict[tuple[str, ...], str] = {}
        self._label_lists: dict[tuple[str, ...], str] = {}

    def merges(self, entity: Incoming) -> bool:
        """Tell whether an entity is merged with what is stored, which must be loaded then."""
        config = self._config
        return bool(
            entity.fields
            or entity.occurrences
            or (entity.attributes and config.attributes != "Replace")
            or (entity.tags and config.tags == "Append")
            or (entity.labels and config.labels == "Append")
        )

    def create(self, plan: Plan, entity: Incoming, now: float) -> None:
        """Plan a new entity; it gets its id."""
        entity.id = self._store.next_entity
        self._store.next_entity += 1
        group = entity.section == "group"
        row = (
            entity.id,
            self._owner_id,
            entity.identity,
            "G" if group else "I",
            entity.type,
            entity.xid or NO_TEXT,
            entity.summary,
            entity.rating,
            entity.confidence,
            1 if entity.active == NO_NUMBER and not group else entity.active,
            now,
            now,
            *self._parts(plan, entity, _NOTHING, now),
        )
        plan.new.append(row)
        if entity.hashes:
            plan.hashes += [
                (self._owner_id, value.lower(), entity.id) for value in entity.hashes.values()
            ]

    def change(self, plan: Plan, entity: Incoming, stored: Stored, now: float) -> None:
        """
        Plan an update of an entity that exists; Files keep their hashes.

        Args:
            plan: Where to put it.
            entity: What came.
            stored: What it is merged with; its id alone will do if it is not merged.
            now: The time.
        """
        row = (
            entity.summary if entity.hashes is None else NO_TEXT,
            entity.xid or NO_TEXT,
            entity.rating,
            entity.confidence,
            entity.active,
            now,
            *self._parts(plan, entity, stored, now),
            stored.id,
        )
        plan.changed.append(row)

    def _parts(
        self, plan: Plan, entity: Incoming, stored: Stored, now: float
    ) -> tuple[str, str, str, str, str]:
        """Return the columns of JSON under the write types, ``NO_TEXT`` for what stays."""
        fields = occurrences = NO_TEXT
        if entity.fields:
            fields = _json({**stored.fields, **entity.fields})
        if entity.occurrences:
            merged = stored.occurrences[:]
            for one in entity.occurrences:
                if one not in merged:
                    merged.append(one)
            occurrences = _json(merged)
        return (
            fields,
            self._tags(plan, entity.tags, stored),
            self._labels(plan, entity, stored),
            self._attributes(plan, entity, stored, now),
            occurrences,
        )

    def _tags(self, plan: Plan, sent: tuple[str, ...] | None, stored: Stored) -> str:
        mode = self._config.tags
        if not sent:
            return self._without(mode, sent)
        text = self._tag_lists.get(sent)
        if text is None:
            names = self._store.tags
            for name in names.missing(plan.connection, self._owner_id, sent):
                names.add(plan.connection, self._owner_id, name)
            text = self._tag_lists[sent] = _json(list(dict.fromkeys(sent)))
        return text if mode == "Replace" else _union(stored.tags, sent)

    def _labels(self, plan: Plan, entity: Incoming, stored: Stored) -> str:
        sent, mode = entity.labels, self._config.labels
        if not sent:
            return self._without(mode, sent)
        text = self._label_lists.get(sent)
        if text is None:
            sent = self._existing(plan, entity, sent)
            text = _json(list(dict.fromkeys(sent)))
            if sent == entity.labels:
                self._label_lists[sent] = text
        return text if mode == "Replace" else _union(stored.labels, sent)

    def _existing(self, plan: Plan, entity: Incoming, sent: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels that exist, having made those that are new and came with all."""
        names, made = self._store.labels, entity.made_labels or {}
        lost: list[str] = []
        for name in names.missing(plan.connection, self._owner_id, sent):
            if name in made:
                description, color = made[name]
                names.add(
                    plan.connection, self._owner_id, name, description=description, color=color
                )
            else:
                lost.append(name)
                entity.loss = entity.loss or (
                    f"Security label {name} does not exist and requires a description and a color."
                )
        return tuple(name for name in sent if name not in lost)

    def _attributes(self, plan: Plan, entity: Incoming, stored: Stored, now: float) -> str:
        sent, mode = entity.attributes, self._config.attributes
        if not sent:
            return self._without(mode, sent)
        if mode == "Static":
            return NO_TEXT
        number = self._store.next_attribute
        self._store.next_attribute += len(sent)
        for one in sent:
            one["id"] = number
            one["date_added"] = now
            number += 1
            marked = self._existing(plan, entity, one.pop("labels", ()))
            if marked:
                one["labels"] = marked
        if mode == "Append":
            sent = stored.attributes + sent
        elif mode == "Singleton":
            types = {one["type"] for one in sent}
            sent = [one for one in stored.attributes if one["type"] not in types] + sent
        if len(sent) > 1:
            _show_one(sent)
        return _json(sent)

    def _without(self, mode: str, sent: Sized | None) -> str:
        """Return the column of a part of which nothing was sent, not even an array if None."""
        clears = mode == "Replace" and (sent is not None or self._absent_clears)
        return "[]" if clears else NO_TEXT


def _show_one(attributes: list[dict[str, Any]]) -> None:
    """Let only the last attribute of each type that is to be shown first be so."""
    seen: set[str] = set()
    for one in reversed(attributes):
        if "displayed" in one and one["type"] in seen:
            del one["displayed"]
        elif "displayed" in one:
            seen.add(one["type"])


def _union(kept: list[str], sent: tuple[str, ...]) -> str:
    return _json(list(dict.fromkeys((*kept, *sent))))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
