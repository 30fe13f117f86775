"""Writing checked groups and indicators under a job's write types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aiotcbatch.sandbox.store.entities import NO_NUMBER, NO_TEXT

if TYPE_CHECKING:
    from collections.abc import Sized

    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.engine.incoming import Details, Incoming
    from aiotcbatch.sandbox.store.entities import Plan, Stored
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Writer"]

#: How many details are remembered; when there are more, it begins anew.
_MOST = 1000


class _Columns(NamedTuple):
    """
    What goes into a row, where it is not merged with what is stored.

    Attributes:
        fields: JSON, ``NO_TEXT`` for what stays or is empty, as the next four.
        tags: Names of tags.
        labels: Names of labels that exist.
        occurrences: File occurrences.
        attributes: Without any that was sent; else they are made of the next one.
        heads: Each attribute that was sent as the beginning of its JSON, up to its id.
    """

    fields: str
    tags: str
    labels: str
    occurrences: str
    attributes: str
    heads: list[str]


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
        self._now = 0.0
        self._stamp = ""
        #: What was prepared of details that others may share, when nothing of them was lost.
        self._prepared: dict[Details, _Columns] = {}
        #: The columns of lists that were met: the same few come with very many entities.
        self._tag_lists: dict[tuple[str, ...], str] = {}
        self._label_lists: dict[tuple[str, ...], str] = {}

    def at(self, now: float) -> None:
        """Say when what is planned from now on is written."""
        self._now = now
        self._stamp = f',"date_added":{now!r}}}'

    def merges(self, details: Details) -> bool:
        """Tell whether an entity is merged with what is stored, which must be loaded then."""
        config = self._config
        return bool(
            details.fields
            or details.occurrences
            or (config.attributes != "Replace" and details.attributes)
            or (config.tags == "Append" and details.tags)
            or (config.labels == "Append" and details.labels)
        )

    def create(self, plan: Plan, entity: Incoming) -> None:
        """Plan a new entity; it gets its id."""
        columns = self._prepared.get(entity.details) or self._prepare(plan, entity)
        entity.id = number = self._store.next_entity
        self._store.next_entity = number + 1
        fields, tags, labels, occurrences, attributes, heads = columns
        if heads:
            attributes = self._numbered(heads)
        now = self._now
        if entity.section == "group":
            plan.new_groups.append(
                (
                    number,
                    self._owner_id,
                    entity.identity,
                    entity.type,
                    entity.xid,
                    entity.summary,
                    now,
                    now,
                    tags or "[]",
                    labels or "[]",
                    attributes or "[]",
                    fields or "{}",
                )
            )
            return
        details = entity.details
        active = details.active
        row = (
            number,
            self._owner_id,
            entity.identity,
            entity.type,
            entity.xid or NO_TEXT,
            entity.summary,
            details.rating,
            details.confidence,
            1 if active == NO_NUMBER else active,
            now,
            now,
            tags or "[]",
            labels or "[]",
            attributes or "[]",
        )
        if fields or occurrences:
            plan.new_full_indicators.append((*row, fields or "{}", occurrences or "[]"))
        else:
            plan.new_indicators.append(row)
        if entity.hashes and len(entity.hashes) > 1:
            plan.hashes += [
                (self._owner_id, value.lower(), number) for value in entity.hashes.values()
            ]

    def change(self, plan: Plan, entity: Incoming, entity_id: int, stored: Stored | None) -> None:
        """
        Plan an update of an entity that exists; Files keep their hashes.

        Args:
            plan: Where to put it.
            entity: What came.
            entity_id: Which one it is.
            stored: What it is merged with; None if it is not merged.
        """
        columns = self._prepared.get(entity.details) or self._prepare(plan, entity)
        if stored is not None:
            columns = self._merged(columns, entity.details, stored)
        fields, tags, labels, occurrences, attributes, heads = columns
        if heads:
            attributes = self._numbered(heads)
        now = self._now
        if entity.section == "group":
            plan.changed_groups.append(
                (entity.summary, now, tags, labels, attributes, fields, entity_id)
            )
            return
        details = entity.details
        scores = (details.rating, details.confidence, details.active)
        row = (entity.xid or NO_TEXT, *scores, now, tags, labels, attributes)
        if fields or occurrences:
            plan.changed_full_indicators.append((*row, fields, occurrences, entity_id))
        else:
            plan.changed_indicators.append((*row, entity_id))

    def _prepare(self, plan: Plan, entity: Incoming) -> _Columns:
        """Write as JSON what is not merged, having made the tags and labels that are new."""
        details, before, config = entity.details, entity.loss, self._config
        attributes = self._attributes(plan, entity)
        if len(attributes) > 1:
            _show_one(attributes)
        columns = _Columns(
            _json(details.fields) if details.fields else NO_TEXT,
            self._tags(plan, details.tags),
            self._labels(plan, entity),
            _json(_each_once(details.occurrences)) if details.occurrences else NO_TEXT,
            NO_TEXT if details.attributes else self._without(config.attributes, details.attributes),
            [f'{_json(one)[:-1]},"id":' for one in attributes],
        )
        if details.remembered and entity.loss == before:
            if len(self._prepared) >= _MOST:
                self._prepared.clear()
            self._prepared[details] = columns
        return columns

    def _merged(self, columns: _Columns, details: Details, stored: Stored) -> _Columns:
        """Merge with what is stored, as the write types say."""
        fields, tags, labels, occurrences, attributes, heads = columns
        config = self._config
        if details.fields:
            fields = _json({**stored.fields, **details.fields})
        if details.occurrences:
            occurrences = _json(_each_once([*stored.occurrences, *details.occurrences]))
        if details.tags and config.tags == "Append":
            tags = _union(stored.tags, tags)
        if details.labels and config.labels == "Append":
            labels = _union(stored.labels, labels)
        if heads and config.attributes != "Replace":
            new = orjson.loads(self._numbered(heads))
            kept = stored.attributes
            if config.attributes == "Singleton":
                types = {one["type"] for one in new}
                kept = [one for one in kept if one["type"] not in types]
            merged = kept + new
            _show_one(merged)
            attributes, heads = _json(merged), []
        return _Columns(fields, tags, labels, occurrences, attributes, heads)

    def _tags(self, plan: Plan, sent: tuple[str, ...] | None) -> str:
        if not sent:
            return self._without(self._config.tags, sent)
        text = self._tag_lists.get(sent)
        if text is None:
            names = self._store.tags
            for name in names.missing(plan.connection, self._owner_id, sent):
                names.add(plan.connection, self._owner_id, name)
            text = self._tag_lists[sent] = _json(list(dict.fromkeys(sent)))
        return text

    def _labels(self, plan: Plan, entity: Incoming) -> str:
        sent = entity.details.labels
        if not sent:
            return self._without(self._config.labels, sent)
        text = self._label_lists.get(sent)
        if text is None:
            existing = self._existing(plan, entity, sent)
            text = _json(list(dict.fromkeys(existing)))
            if existing == sent:
                self._label_lists[sent] = text
        return text

    def _existing(self, plan: Plan, entity: Incoming, sent: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels that exist, having made those that are new and came with all."""
        names, made = self._store.labels, entity.details.made_labels or {}
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

    def _attributes(self, plan: Plan, entity: Incoming) -> list[dict[str, Any]]:
        """Return the attributes that are written, without ids, with those labels that exist."""
        if self._config.attributes == "Static":
            return []
        attributes: list[dict[str, Any]] = []
        for sent in entity.details.attributes or ():
            one = sent.copy()
            if "labels" in one:
                marked = self._existing(plan, entity, one.pop("labels"))
                if marked:
                    one["labels"] = marked
            attributes.append(one)
        return attributes

    def _numbered(self, heads: list[str]) -> str:
        """Return attributes as JSON, each with the next id and the time."""
        first, stamp = self._store.next_attribute, self._stamp
        self._store.next_attribute = first + len(heads)
        if len(heads) == 1:
            return f"[{heads[0]}{first}{stamp}]"
        whole = [f"{head}{number}{stamp}" for number, head in enumerate(heads, first)]
        return f"[{','.join(whole)}]"

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


def _each_once(occurrences: list[list[str | None]]) -> list[list[str | None]]:
    found: list[list[str | None]] = []
    for one in occurrences:
        if one not in found:
            found.append(one)
    return found


def _union(kept: list[str], sent: str) -> str:
    return _json(list(dict.fromkeys((*kept, *orjson.loads(sent)))))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
