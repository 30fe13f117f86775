"""Reading and checking the indicators of a document. Source: v2 Batch API, indicator fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.sandbox.engine import groups, metadata, summaries, values
from aiotcbatch.sandbox.engine.alike import Alike
from aiotcbatch.sandbox.engine.incoming import (
    Details,
    Incoming,
    Link,
    MalformedError,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.vocabulary import IndicatorType

    _Reader = Callable[[Details, Any, Catalog], None]

__all__ = ["IndicatorReader"]

INVALID = "0x1005"
_HASHES = summaries.HASH_KINDS
_BEST_RATING = 5
_SUREST = 100

#: Wire name to stored name, for fields that every indicator may have.
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "firstSeen": ("firstSeen", values.date),
    "lastSeen": ("lastSeen", values.date),
    "externalDateAdded": ("externalDateAdded", values.date),
    "externalDateCreated": ("externalDateAdded", values.date),
    "externalDateExpires": ("externalDateExpires", values.date),
    "externalLastModified": ("externalLastModified", values.date),
    "externalDateLastModified": ("externalLastModified", values.date),
    "dateAdded": ("dateAdded", values.date),
    "lastModified": ("lastModified", values.date),
    "activeLocked": ("activeLocked", values.flag),
    "privateFlag": ("privateFlag", values.flag),
}

_OF_TYPE: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "Host": {
        "flag1": ("dnsActive", values.flag),
        "dnsActive": ("dnsActive", values.flag),
        "flag2": ("whoisActive", values.flag),
        "whoisActive": ("whoisActive", values.flag),
    },
    "File": {
        "intValue1": ("size", values.integer),
        "size": ("size", values.integer),
    },
}


class IndicatorReader:
    """
    Turns the indicators of documents into what is stored.

    Args:
        catalog: The types of the instance.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        #: What reads the fields of each type. Those that are not here are ignored.
        self._readers: dict[str, dict[str, _Reader]] = {
            kind.name: {
                key: _stored(name, convert)
                for key, (name, convert) in {**_FIELDS, **_OF_TYPE.get(kind.name, {})}.items()
            }
            | _OTHERS
            | (_OF_FILES if kind.name == "File" else {})
            for kind in catalog.indicators
        }
        self._alike = Alike(self._details)
        self._checks = {kind.name: summaries.check_of(kind) for kind in catalog.indicators}

    def identify(self, value: Any, position: int) -> Incoming:
        """
        Read only what tells which indicator it is: its type and its values.

        Raises:
            MalformedError: It is not an object.
            RefusedError: The type is unknown or the values are not of that type.
        """
        if not isinstance(value, dict):
            raise MalformedError("Not a JSON Object")
        entity = Incoming("indicator", position)
        xid = value.get("xid")
        entity.xid = xid if type(xid) is str else groups.plain(xid) or None
        given = value.get("type")
        if not given:
            raise RefusedError("An indicator requires a type.", INVALID, "type")
        kind = self._catalog.indicator(given if type(given) is str else groups.plain(given))
        if kind is None:
            raise RefusedError(f"{given} is not a valid indicator type.", INVALID, "type")
        entity.type = kind.name
        if kind.name == "File":
            self._file(entity, value)
        else:
            self._values(entity, kind, value)
        return entity

    def read(self, value: dict[str, Any], position: int) -> Incoming:
        """
        Read and check an indicator.

        Args:
            value: The object as it stands in the document.
            position: Its index.

        Returns:
            What is to be stored.

        Raises:
            RefusedError: A field is missing or has a value that is not taken.
            MalformedError: A part of it has the wrong JSON shape.
        """
        entity = self._quickly(value, position) or self.identify(value, position)
        said = value.copy()
        said.pop("summary", None)
        said.pop("xid", None)
        linked = said.pop("associatedGroups", None)
        entity.say(self._alike.details(entity, said))
        if linked is not None:
            entity.link(_groups(linked))
        return entity

    def _details(self, entity: Incoming, said: dict[str, Any]) -> Details:
        """Read and check what an indicator says beside which one it is."""
        details = Details()
        reader_of = self._readers[entity.type].get
        catalog = self._catalog
        key = ""
        try:
            for key, given in said.items():
                reader = reader_of(key)
                if reader is not None and given is not None:
                    reader(details, given, catalog)
        except ValueError:
            raise RefusedError(f"{entity.title} has an invalid {key}.", INVALID, key) from None
        return details

    def _quickly(self, value: dict[str, Any], position: int) -> Incoming | None:
        """Do what `identify` does for the most usual forms; None for all others and for faults."""
        kind, given, xid = value.get("type"), value.get("summary"), value.get("xid")
        if type(kind) is not str or type(given) is not str or type(xid) is not str or not xid:
            return None
        hashes = None
        check = self._checks.get(kind)
        try:
            if check is not None:
                summary = check(given)
                identity = f"{kind}:{summary}"
            elif kind == "File" and value.keys().isdisjoint(_HASHES):
                hashes = {summaries.hash_kind(given): given}
                summary, identity = given, f"File:{given.lower()}"
            else:
                return None
        except summaries.UnfitError:
            return None
        entity = Incoming("indicator", position, kind, xid, summary, identity)
        if hashes is not None:
            entity.hashes = hashes
        return entity

    def reference(self, kind_name: str, summary: str) -> tuple[str, list[str]]:
        """
        Find out what a reference to an indicator by type and summary means.

        Returns:
            Its identity, or for a File "" and its hashes.

        Raises:
            RefusedError: The type is unknown, or the summary is not one of that type.
        """
        entity = self.identify({"type": kind_name, "summary": summary}, 0)
        return entity.identity, list((entity.hashes or {}).values())

    def _values(self, entity: Incoming, kind: IndicatorType, value: dict[str, Any]) -> None:
        names = kind.fields or ("value1",)
        summary = value.get("summary")
        if type(summary) is not str:
            summary = groups.plain(summary)
        if not summary:
            parts = _named(value, names)
        elif len(names) == 1:
            parts = [summary]
        else:
            parts = summaries.split(summary, len(names))
        entity.summary = summary or summaries.join(parts)
        if len(parts) != len(names):
            raise self._unfit(entity)
        try:
            parts = summaries.normal(kind, parts)
        except summaries.UnfitError:
            raise self._unfit(entity) from None
        entity.summary = parts[0] if len(parts) == 1 else summaries.join(parts)
        entity.identity = f"{kind.name}:{entity.summary}"

    def _file(self, entity: Incoming, value: dict[str, Any]) -> None:
        given = [(name, groups.plain(value[name])) for name in _HASHES if value.get(name)]
        if not given:
            parts = groups.plain(value.get("summary")).split(summaries.SEPARATOR)
            given = [("", part) for part in parts]
        hashes: dict[str, str] = {}
        for name, text in given:
            entity.summary = text.strip()
            if entity.summary and not _take_hash(hashes, entity.summary, name):
                raise self._unfit(entity)
        if not hashes:
            raise self._unfit(entity)
        if len(hashes) > 1:
            hashes = {name: hashes[name] for name in _HASHES if name in hashes}
            entity.summary = summaries.join(list(hashes.values()))
        else:
            (entity.summary,) = hashes.values()
        entity.hashes = hashes
        entity.identity = f"File:{entity.summary.lower()}"

    @staticmethod
    def _unfit(entity: Incoming) -> RefusedError:
        return RefusedError(
            f"{entity.summary or 'An empty summary'} is not a valid {entity.type}.",
            INVALID,
            "summary",
        )


def _take_hash(hashes: dict[str, str], text: str, name: str) -> bool:
    """
    Add a hash to those of a File.

    Args:
        hashes: Those that are there, by kind.
        text: The hash.
        name: The kind that it is said to be, "" if that is left to its length.

    Returns:
        Whether it is one, of that kind, and no other one of its kind is there.
    """
    try:
        kind = summaries.hash_kind(text)
    except summaries.UnfitError:
        return False
    return kind == (name or kind) and hashes.setdefault(kind, text).lower() == text.lower()


def _named(value: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """Take the values from the fields of the type, or from ``value1`` to ``value3``."""
    if value.get(names[0]) is not None:
        return [groups.plain(value.get(name)) for name in names]
    return [groups.plain(value.get(f"value{number}")) for number, _ in enumerate(names, 1)]


def _stored(name: str, convert: Callable[[Any], Any]) -> _Reader:
    """Make a reader of a field that is one value to store."""

    def read(details: Details, given: Any, _: Catalog) -> None:
        details.fields[name] = convert(given)

    return read


def _rating(details: Details, given: Any, _: Catalog) -> None:
    rating = details.rating = values.fraction(given)
    if not 0 <= rating <= _BEST_RATING:
        raise ValueError(given)


def _confidence(details: Details, given: Any, _: Catalog) -> None:
    confidence = details.confidence = values.integer(given)
    if not 0 <= confidence <= _SUREST:
        raise ValueError(given)


def _active(details: Details, given: Any, _: Catalog) -> None:
    details.active = int(values.flag(given))


def _groups(given: Any) -> list[Link]:
    """Return links to the groups that an indicator names: objects with an xid, or plain xids."""
    links: list[Link] = []
    for element in _array(given):
        xid = element.get("groupXid") if isinstance(element, dict) else element
        links.append(Link(groups.plain(xid)))
    return links


def _group_ids(details: Details, given: Any, _: Catalog) -> None:
    """Note the groups that an indicator of a V1 document names by id."""
    details.link(Link("", id=values.integer(each)) for each in _array(given))


def _indicators(details: Details, given: Any, _: Catalog) -> None:
    details.link(groups.indicator_links(given))


def _occurrences(details: Details, given: Any, _: Catalog) -> None:
    metadata.occurrences(details, given)


def _actions(details: Details, given: Any, _: Catalog) -> None:
    """
    Note what a File does: links to other indicators by xid, and from these to their own children.

    What stands in ``parentIndicatorXid`` is not looked at: whose child it is says its place.
    """
    if not isinstance(given, dict):
        return
    if given.get("fileOccurrence") is not None:
        metadata.occurrences(details, given["fileOccurrence"])
    links: list[Link] = []
    # Not by recursion: how deep they are nested is up to who sends them.
    left: list[tuple[str, Any]] = [("", child) for child in _children(given)]
    for parent, child in left:
        if not isinstance(child, dict):
            raise MalformedError("Not a JSON Object")
        xid = groups.plain(child.get("indicatorXid"))
        kind = groups.plain(child.get("relationship")) or "File Drop"
        links.append(Link(xid, "xid", kind, parent=parent))
        left += [(xid, each) for each in _children(child) if xid]
    details.link(links)


def _children(given: dict[str, Any]) -> list[Any]:
    return _array(given.get("children") or [])


def _array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


#: Fields that are more than one value to store, and what reads them.
_OTHERS: dict[str, _Reader] = {
    "rating": _rating,
    "confidence": _confidence,
    "active": _active,
    "tag": metadata.tags,
    "attribute": metadata.attributes,
    "securityLabel": metadata.labels,
    "associatedGroup": _group_ids,
    "associatedIndicators": _indicators,
    "description": lambda details, given, catalog: metadata.shorthand(
        details, "Description", given, catalog
    ),
    "source": lambda details, given, catalog: metadata.shorthand(details, "Source", given, catalog),
}

#: The same of Files only.
_OF_FILES: dict[str, _Reader] = {"fileOccurrence": _occurrences, "fileAction": _actions}
