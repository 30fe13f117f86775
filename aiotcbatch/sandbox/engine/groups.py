"""Reading and checking the groups of a document. Source: v2 Batch API, group fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.sandbox import vocabulary
from aiotcbatch.sandbox.engine import metadata, values
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

__all__ = ["GroupReader", "identity", "indicator_links", "plain"]

INVALID = "0x1006"


def identity(xid: str) -> str:
    """Return what tells a group from all others in its owner."""
    return f"@{xid}"


def _choice(choices: tuple[str, ...]) -> Callable[[Any], str]:
    """Make a converter that takes one of a list, in any letter case and as a trademark or not."""
    known = {_bare(choice): choice for choice in choices}

    def convert(value: Any) -> str:
        bare = _bare(values.text(value))
        if bare not in known:
            raise ValueError(value)
        return known[bare]

    return convert


def _bare(choice: str) -> str:
    """Take away what older clients write otherwise, such as the sign in ``Snort ®``."""
    return choice.translate(_TRADEMARKS).strip().lower()


_TRADEMARKS = dict.fromkeys(map(ord, "®™"))

_COMMON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "firstSeen": ("firstSeen", values.date),
    "lastSeen": ("lastSeen", values.date),
    "externalDateAdded": ("externalDateAdded", values.date),
    "externalDateCreated": ("externalDateAdded", values.date),
    "externalDateExpires": ("externalDateExpires", values.date),
    "externalLastModified": ("externalLastModified", values.date),
    "externalDateLastModified": ("externalLastModified", values.date),
    "dateAdded": ("dateAdded", values.date),
}

_INSIGHTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "insights": ("insights", values.text),
    "aiProvider": ("aiProvider", values.text),
    "aiLastRetrievalDate": ("aiLastRetrievalDate", values.date),
}

_OF_TYPE: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "Document": {
        "fileName": ("fileName", values.text),
        "malware": ("malware", values.flag),
        "password": ("password", values.text),
        **_INSIGHTS,
    },
    "Report": {
        "fileName": ("fileName", values.text),
        "publishDate": ("publishDate", values.date),
        **_INSIGHTS,
    },
    "Signature": {
        "fileName": ("fileName", values.text),
        "fileText": ("fileText", values.text),
    },
    "Email": {
        "subject": ("subject", values.text),
        "header": ("header", values.text),
        "body": ("body", values.text),
        "from": ("from", values.text),
        "to": ("to", values.text),
        "score": ("score", values.integer),
    },
    "Event": {
        "eventDate": ("eventDate", values.date),
        "eventType": ("eventType", _choice(vocabulary.EVENT_TYPES)),
        "status": ("status", _choice(vocabulary.EVENT_STATUSES)),
        **_INSIGHTS,
    },
    "Incident": {
        "eventDate": ("eventDate", values.date),
        "status": ("status", _choice(vocabulary.INCIDENT_STATUSES)),
    },
}

_REQUIRED: dict[str, tuple[str, ...]] = {
    "Email": ("subject", "header", "body"),
    "Signature": ("fileName", "fileType", "fileText"),
}


class GroupReader:
    """
    Turns the groups of documents into what is stored.

    Args:
        catalog: The types of the instance.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._fields = {
            name: {**_COMMON, **_OF_TYPE.get(name, {})} for name in vocabulary.GROUP_BRANCHES
        }
        self._fields["Signature"]["fileType"] = ("fileType", _choice(catalog.signature_types))
        self._alike = Alike(self._details)

    def identify(self, value: Any, position: int) -> Incoming:
        """
        Read only what tells which group it is, as a Delete needs.

        Raises:
            MalformedError: It is not an object.
            RefusedError: It has no xid.
        """
        entity = Incoming("group", position)
        if not isinstance(value, dict):
            raise MalformedError("Not a JSON Object")
        entity.type = self._catalog.group(plain(value.get("type"))) or ""
        entity.summary = plain(value.get("name"))
        xid = plain(value.get("xid"))
        if not xid:
            raise RefusedError("A group requires an xid.", INVALID, "xid")
        entity.xid = xid
        entity.identity = identity(xid)
        return entity

    def read(self, value: dict[str, Any], position: int) -> Incoming:
        """
        Read and check a group.

        Args:
            value: The object as it stands in the document.
            position: Its index.

        Returns:
            What is to be stored.

        Raises:
            RefusedError: A field is missing or has a value that is not taken.
            MalformedError: A part of it has the wrong JSON shape.
        """
        entity = Incoming("group", position)
        self._head(entity, value)
        said = value.copy()
        said.pop("name", None)
        said.pop("xid", None)
        linked = said.pop("associatedGroupXid", None)
        entity.say(self._alike.details(entity, said))
        if linked is not None:
            entity.link(group_links(linked))
        return entity

    def _details(self, entity: Incoming, said: dict[str, Any]) -> Details:
        """Read and check what a group says beside which one it is."""
        details = Details()
        fields = self._fields[entity.type]
        stored = details.fields
        for key, given in said.items():
            if given is None:
                continue
            known = fields.get(key)
            if known is not None:
                try:
                    stored[known[0]] = known[1](given)
                except ValueError:
                    raise RefusedError(
                        f"{entity.title} has an invalid {key}.", INVALID, key
                    ) from None
            elif key == "tag":
                metadata.tags(details, given, self._catalog)
            elif key == "attribute":
                metadata.attributes(details, given, self._catalog)
            elif key == "securityLabel":
                metadata.labels(details, given, self._catalog)
            elif key == "associatedIndicators":
                details.link(indicator_links(given))
        self._complete(entity, stored)
        return details

    def _head(self, entity: Incoming, value: dict[str, Any]) -> None:
        kind = value.get("type")
        name = plain(value.get("name"))
        xid = plain(value.get("xid"))
        entity.summary = name
        entity.xid = xid or None
        if not kind:
            raise RefusedError(f"Group {name} requires a type.", INVALID, "type")
        proper = self._catalog.group(plain(kind))
        if proper is None:
            raise RefusedError(f"{kind} is not a valid group type.", INVALID, "type")
        entity.type = proper
        if not name:
            raise RefusedError(f"{proper} requires a name.", INVALID, "name")
        if not xid:
            raise RefusedError(f"{proper} {name} requires an xid.", INVALID, "xid")
        entity.identity = f"@{xid}"

    def _complete(self, entity: Incoming, fields: dict[str, Any]) -> None:
        for name in _REQUIRED.get(entity.type, ()):
            if name not in fields:
                raise RefusedError(f"{entity.title} requires a {name}.", INVALID, name)
        if fields.get("malware") and not fields.get("password"):
            raise RefusedError(f"{entity.title} requires a password.", INVALID, "password")
        if fields.get("insights") and not fields.get("aiProvider"):
            raise RefusedError(f"{entity.title} requires an aiProvider.", INVALID, "aiProvider")


def plain(value: Any) -> str:
    """
    Take a text, "" for none.

    Raises:
        MalformedError: It is an object or an array.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    try:
        return values.text(value)
    except ValueError:
        raise MalformedError("Not a JSON Primitive") from None


def group_links(value: Any) -> list[Link]:
    """Return links to the groups whose xids are named."""
    return [Link(plain(xid)) for xid in _array(value)]


def indicator_links(value: Any) -> list[Link]:
    """Return links to the indicators that are named, by summaries that are not normalised yet."""
    links: list[Link] = []
    for element in _array(value):
        if not isinstance(element, dict):
            raise MalformedError("Not a JSON Object")
        kind = plain(element.get("indicatorType") or element.get("type"))
        links.append(Link(plain(element.get("summary")), kind or "?"))
    return links


def _array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
