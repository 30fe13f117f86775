"""
A second, independent account of what batch jobs do, kept in plain dicts.

It is written from the rules of the API and shares no code with the engine: no validation, no SQL,
one entity after the other. Documents that it is given are good, but for names that do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Thing:
    """A group or an indicator."""

    summary: str
    rating: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


Key = tuple[str, str]


@dataclass
class Outcome:
    """What a job's status should say."""

    success: int = 0
    error: int = 0
    unprocessed: int = 0
    associations: int = 0
    failed_associations: int = 0


@dataclass
class Model:
    """All of one owner's data: things by kind and name, links as pairs of keys with a type."""

    things: dict[Key, Thing] = field(default_factory=dict)
    links: set[tuple[frozenset[Key], str]] = field(default_factory=set)

    def run(self, document: dict[str, Any], config: dict[str, Any]) -> Outcome:
        """Do a job and say what its status should be."""
        outcome = Outcome()
        entities = [
            (section, entity)
            for section in document
            if section != "association"
            for entity in document[section]
        ]
        done: list[tuple[Key, dict[str, Any]]] = []
        halted = False
        for number, (section, entity) in enumerate(entities):
            key = key_of(section, entity)
            good = self._remove(key) if config["action"] == "Delete" else True
            if config["action"] == "Create":
                self._write(key, entity, config)
                done.append((key, entity))
            outcome.success += good
            outcome.error += not good
            if not good and config["haltOnError"]:
                outcome.unprocessed = len(entities) - number - 1
                halted = True
                break
        if not halted:
            halted = self._associate(document.get("association", ()), config, outcome)
        if not halted:
            self._embed(done, config, outcome)
        return outcome

    def _write(self, key: Key, entity: dict[str, Any], config: dict[str, Any]) -> None:
        thing = self.things.setdefault(key, Thing(summary_of(entity)))
        thing.summary = summary_of(entity)
        if entity.get("rating") is not None:
            thing.rating = float(entity["rating"])
        if entity.get("status"):
            thing.fields["status"] = entity["status"]
        if "attribute" in entity:
            sent = [(one["type"], one["value"]) for one in entity["attribute"]]
            mode = config["attributeWriteType"]
            if mode == "Replace":
                thing.attributes = sent
            elif mode == "Singleton":
                types = {kind for kind, _ in sent}
                thing.attributes = [one for one in thing.attributes if one[0] not in types] + sent
            elif mode == "Append":
                thing.attributes = thing.attributes + sent
        for name, setting, kept in (
            ("tag", "tagWriteType", thing.tags),
            ("securityLabel", "securityLabelWriteType", thing.labels),
        ):
            if name in entity:
                if config[setting] == "Replace":
                    kept.clear()
                kept.update(one["name"] for one in entity[name])

    def _remove(self, key: Key) -> bool:
        if key not in self.things:
            return False
        del self.things[key]
        self.links = {link for link in self.links if key not in link[0]}
        return True

    def _associate(
        self, associations: list[dict[str, Any]], config: dict[str, Any], outcome: Outcome
    ) -> bool:
        """Do the association array; tell whether the job stopped there."""
        seen = set()
        for association in associations:
            ends = [
                (association.get(f"type_{n}", "group"), association[f"ref_{n}"]) for n in (1, 2)
            ]
            known = all(end in self.things for end in ends)
            both = all(end[0] != "group" for end in ends)
            if not known or ends[0] == ends[1] or (both and "associationType" not in association):
                outcome.failed_associations += 1
                if config["haltOnError"]:
                    return True
                continue
            link = (frozenset(ends), association.get("associationType", "") if both else "")
            if link not in seen:
                seen.add(link)
                outcome.associations += 1
            if config["action"] == "Delete":
                self.links.discard(link)
            else:
                self.links.add(link)
        return False

    def _embed(
        self, done: list[tuple[Key, dict[str, Any]]], config: dict[str, Any], outcome: Outcome
    ) -> None:
        for key, entity in done:
            names = [("group", xid) for xid in entity.get("associatedGroupXid", ())]
            names += [("group", one["groupXid"]) for one in entity.get("associatedGroups", ())]
            for name in names:
                if name in self.things and name != key:
                    self.links.add((frozenset([key, name]), ""))
            if any(name not in self.things for name in names):
                outcome.success -= 1
                outcome.error += 1
                if config["haltOnError"]:
                    return


def key_of(section: str, entity: dict[str, Any]) -> Key:
    """Return what tells an entity from others: kind and name."""
    if section == "group":
        return ("group", entity["xid"])
    return (entity["type"], entity["summary"])


def summary_of(entity: dict[str, Any]) -> str:
    """Return a group's name or an indicator's summary."""
    return entity.get("name") or entity["summary"]
