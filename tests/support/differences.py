"""
Where the document of aiotcbatch differs from that of TcEx 5 on purpose.

What a fixed rule can undo is a `Rule`, applied to the document of TcEx before the two are
compared. What cannot be undone is an `Example`: a program, what TcEx makes of it, and what
aiotcbatch makes of it. The documentation has the title of every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

from aiotcbatch import UsageError, ValidationError
from support.programs import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.programs import Program


@dataclass(frozen=True)
class Rule:
    """A difference that holds for every document."""

    title: str
    #: Changes the document of TcEx into the one that is wanted.
    apply: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Example:
    """A difference that depends on what was called."""

    title: str
    program: Program
    #: The groups and indicators that TcEx sends, or what it raises.
    tcex: Any
    #: The groups and indicators that are sent here, or what is raised.
    ours: Any


def entities(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the groups, then the indicators."""
    yield from document["group"]
    yield from document["indicator"]


# Rules


def _no_empty_lists(document: dict[str, Any]) -> None:
    for entity in entities(document):
        for key in [key for key, value in entity.items() if value == []]:
            del entity[key]


def _no_empty_occurrences(document: dict[str, Any]) -> None:
    for entity in entities(document):
        if "fileOccurrence" in entity:
            entity["fileOccurrence"] = [found for found in entity["fileOccurrence"] if found]


def _displayed_only_when_true(document: dict[str, Any]) -> None:
    for entity in entities(document):
        for attribute in entity.get("attribute", ()):
            if attribute.get("displayed") is False:
                del attribute["displayed"]


def _external_date_added(document: dict[str, Any]) -> None:
    for entity in entities(document):
        if "externalDateCreated" in entity:
            entity["externalDateAdded"] = entity.pop("externalDateCreated")


def _no_score_of_nought(document: dict[str, Any]) -> None:
    for group in document["group"]:
        if group["type"] == "Email" and group.get("score") == 0:
            del group["score"]


def _links_once(document: dict[str, Any]) -> None:
    for entity in entities(document):
        for key in ("associatedGroupXid", "associatedGroups"):
            links = entity.get(key)
            if links is not None:
                entity[key] = [link for n, link in enumerate(links) if link not in links[:n]]


def _no_nulls(document: dict[str, Any]) -> None:
    for entity in entities(document):
        for key in [key for key, value in entity.items() if value is None]:
            del entity[key]


def _only_files_with_content(document: dict[str, Any]) -> None:
    files = document["file"]
    for xid in [xid for xid, file in files.items() if file["fileContent"] is None]:
        del files[xid]


RULES = (
    Rule("An occurrence without any field is not sent", _no_empty_occurrences),
    Rule("Empty lists are not sent", _no_empty_lists),
    Rule("displayed is sent only when it is true", _displayed_only_when_true),
    Rule("externalDateCreated is externalDateAdded", _external_date_added),
    Rule("An Email has no score unless it is given one", _no_score_of_nought),
    Rule("A group that is linked twice is named once", _links_once),
    Rule("value3 of two parts is left out", _no_nulls),
    Rule("A file without content is not kept for upload", _only_files_with_content),
)


def like_ours(document: dict[str, Any]) -> dict[str, Any]:
    """Apply every rule to a document of TcEx, in place."""
    for rule in RULES:
        rule.apply(document)
    return document


# Examples


def _made(method: str, *args: Any, **keywords: Any) -> Call:
    return Call(method, args, keywords)


def _then(method: str, *args: Any, **keywords: Any) -> Call:
    return Call(method, args, keywords, on=0)


def _group(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "name": "n", "xid": "x", **fields}


def _indicator(kind: str, summary: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "summary": summary, "xid": "x", **fields}


_TYPE_TWICE = [
    _then("attribute", "Description", "first"),
    _then("attribute", "Description", "second"),
    _then("attribute", "Description", "third", unique="Type"),
]
_THIRD = [{"type": "Description", "value": "third"}]
_MD5 = "43c3609411c83f363e051d455ade78a6"
_HASH_OF_ADVERSARY_N = "c323fba3ed9e6a767763374bed8d5aa951e4137ec763d138797bf5acb7bdac2d"

EXAMPLES = (
    Example(
        "An offset is converted to UTC",
        [_made("campaign", "n", xid="x", first_seen="2020-01-01T00:00:00-05:00")],
        [_group("Campaign", firstSeen="2020-01-01T00:00:00Z")],
        [_group("Campaign", firstSeen="2020-01-01T05:00:00Z")],
    ),
    Example(
        "yesterday, today and tomorrow are dates",
        [_made("group", "Event", "n", xid="x"), _then("add_key_value", "eventDate", "yesterday")],
        RuntimeError,
        [_group("Event", eventDate=ANY)],
    ),
    Example(
        "The xid follows from type and name unless another one is given",
        [_made("adversary", "n"), _made("adversary", "n")],
        [_group("Adversary", xid=ANY), _group("Adversary", xid=ANY)],
        [_group("Adversary", xid=ANY)],
    ),
    Example(
        "True and False as xid are those of the documents",
        [_made("adversary", "n", xid=True)],
        AttributeError,
        [_group("Adversary", xid=_HASH_OF_ADVERSARY_N)],
    ),
    Example(
        "unique='Type' keeps the last one, on groups",
        [_made("adversary", "n", xid="x"), *_TYPE_TWICE],
        [_group("Adversary", attribute=[{"type": "Description", "value": "second"}, *_THIRD])],
        [_group("Adversary", attribute=_THIRD)],
    ),
    Example(
        "unique='Type' keeps the last one, on indicators",
        [_made("mutex", "m", xid="x"), *_TYPE_TWICE],
        [
            _indicator(
                "Mutex",
                "m",
                attribute=[
                    {"type": "Description", "value": "first"},
                    {"type": "Description", "value": "second"},
                ],
            )
        ],
        [_indicator("Mutex", "m", attribute=_THIRD)],
    ),
    Example(
        "Tags are compared after formatting",
        [
            _made("adversary", "n", xid="x"),
            _then("tag", "APT", str.lower),
            _then("tag", "APT", str.lower),
        ],
        [_group("Adversary", tag=[{"name": "apt"}, {"name": "apt"}])],
        [_group("Adversary", tag=[{"name": "apt"}])],
    ),
    Example(
        "0 and False are different attribute values",
        [_made("mutex", "m", xid="x"), _then("attribute", "A", 0), _then("attribute", "A", False)],
        [_indicator("Mutex", "m", attribute=[{"type": "A", "value": 0}])],
        [
            _indicator(
                "Mutex", "m", attribute=[{"type": "A", "value": 0}, {"type": "A", "value": False}]
            )
        ],
    ),
    Example(
        "A security label that is named again takes description and color",
        [
            _made("adversary", "n", xid="x"),
            _then("security_label", "L"),
            _then("security_label", "L", "what it means", "ffc0cb"),
        ],
        [_group("Adversary", securityLabel=[{"name": "L"}])],
        [
            _group(
                "Adversary",
                securityLabel=[{"name": "L", "description": "what it means", "color": "ffc0cb"}],
            )
        ],
    ),
    Example(
        "None stands for a field that is not given",
        [_made("mutex", "m", xid="x", rating=None)],
        TypeError,
        [_indicator("Mutex", "m")],
    ),
    Example(
        "Every date is a keyword of indicators too",
        [_made("mutex", "m", xid="x", first_seen="2020-01-01")],
        [_indicator("Mutex", "m", first_seen="2020-01-01")],
        [_indicator("Mutex", "m", firstSeen="2020-01-01T00:00:00Z")],
    ),
    Example(
        "Booleans may be words as keywords too",
        [_made("mutex", "m", xid="x", active="no")],
        [_indicator("Mutex", "m", active="no")],
        [_indicator("Mutex", "m", active=False)],
    ),
    Example(
        "A keyword that does not exist is refused",
        [_made("campaign", "n", xid="x", frist_seen="2020-01-01")],
        [_group("Campaign", frist_seen="2020-01-01")],
        ValidationError,
    ),
    Example(
        "store is not a field",
        [_made("adversary", "n", xid="x", store=True)],
        [_group("Adversary", store=True)],
        ValidationError,
    ),
    Example(
        "An xid that is named again with other fields continues the entity",
        [
            _made("incident", "n", xid="x", status="New"),
            _made("incident", "n", xid="x", status="Open"),
        ],
        [_group("Incident", status="New")],
        [_group("Incident", status="Open")],
    ),
    Example(
        "An xid is not taken for another type",
        [_made("adversary", "n", xid="x"), _made("campaign", "n", xid="x")],
        [_group("Adversary")],
        ValidationError,
    ),
    Example(
        "The score of an Email can be a keyword",
        [_made("email", "n", "s", "h", "b", xid="x", score=5)],
        [_group("Email", subject="s", header="h", body="b", score=0)],
        [_group("Email", subject="s", header="h", body="b", score=5)],
    ),
    Example(
        "The type is written as the server lists it",
        [_made("add_indicator", {"type": "Url", "summary": "http://example.com", "xid": "x"})],
        [_indicator("Url", "http://example.com", value1="http://example.com")],
        [_indicator("URL", "http://example.com")],
    ),
    Example(
        "An IPv6 block has eight sections",
        [_made("cidr", "2001:db8:1234::/48", xid="x")],
        [_indicator("CIDR", "2001:db8:1234::/48")],
        [_indicator("CIDR", "2001:db8:1234:0:0:0:0:0/48")],
    ),
    Example(
        "A host name is ASCII",
        [_made("host", "österreich.icom.museum", xid="x")],
        [_indicator("Host", "österreich.icom.museum")],
        [_indicator("Host", "xn--sterreich-z7a.icom.museum")],
    ),
    Example(
        "The host of a URL is in lower case",
        [_made("url", "http://EXAMPLE.com/A", xid="x")],
        [_indicator("URL", "http://EXAMPLE.com/A")],
        [_indicator("URL", "http://example.com/A")],
    ),
    Example(
        "HKLM and its like are written out, and a value without a name is a space",
        [_made("registry_key", r"HKLM\Software", "", "REG_SZ", xid="x")],
        [_indicator("Registry Key", r"HKLM\Software :  : REG_SZ")],
        [_indicator("Registry Key", r"HKEY_LOCAL_MACHINE\Software :   : REG_SZ")],
    ),
    Example(
        "A File has at least one hash",
        [_made("file", xid="x")],
        [_indicator("File", "")],
        ValidationError,
    ),
    Example(
        "What is out of range is refused at the call",
        [_made("mutex", "m", xid="x", confidence=101)],
        [_indicator("Mutex", "m", confidence=101)],
        ValidationError,
    ),
    Example(
        "What is no member of a closed list is refused at the call",
        [_made("incident", "n", xid="x", status="Bogus")],
        [_group("Incident", status="Bogus")],
        ValidationError,
    ),
    Example(
        "A tag has at most 128 characters",
        [_made("adversary", "n", xid="x"), _then("tag", "t" * 129)],
        [_group("Adversary", tag=[{"name": "t" * 129}])],
        ValidationError,
    ),
    Example(
        "Only a File has occurrences",
        [_made("mutex", "m", xid="x"), _then("occurrence", "drop1.exe")],
        [_indicator("Mutex", "m")],
        UsageError,
    ),
    Example(
        "Associations by id are compared without failing",
        [
            _made("add_association", {"id_1": 1, "id_2": 2, "type_2": "Address"}),
            _made("add_association", {"id_1": 2, "type_1": "Address", "id_2": 1}),
        ],
        TypeError,
        [],
    ),
    Example(
        "Hashes of a File can be added later",
        [_made("file", _MD5, xid="x"), _made("file", None, "a" * 40, xid="x")],
        [_indicator("File", _MD5)],
        [_indicator("File", f"{_MD5} : {'a' * 40}")],
    ),
)
