"""The documents that the sandbox is measured with."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.load import address, as_dict, as_unlike_dict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MIXES"]

#: One entity in so many is a group.
GROUPS = 10
_GROUP_TYPES = ("Adversary", "Campaign", "Incident", "Intrusion Set")


def feed(number: int, size: int) -> bytes:
    """
    Write the document of a job as the other benchmarks send it.

    All are Addresses, with a rating, a confidence, an attribute, two tags and a security label.

    Args:
        number: Which job it is; documents of other numbers share no entity with it.
        size: How many entities it has.

    Returns:
        The JSON, ready to be sent.
    """
    first = number * size
    return orjson.dumps({"group": [], "indicator": [as_dict(first + i) for i in range(size)]})


def unlike(number: int, size: int) -> bytes:
    """
    Write the document of a job as `feed` does, but with a text of its own in each attribute.

    Args:
        number: Which job it is; documents of other numbers share no entity with it.
        size: How many entities it has.

    Returns:
        The JSON, ready to be sent.
    """
    first = number * size
    indicators = [as_unlike_dict(first + i) for i in range(size)]
    return orjson.dumps({"group": [], "indicator": indicators})


def mixed(number: int, size: int) -> bytes:
    """
    Write the document of a job with groups, links and several types.

    One entity in ten is a group, with an attribute, two tags, and a link to the group before it.
    The others are indicators, as many Addresses as Hosts, URLs and Files, with a rating, a
    confidence, an attribute, two tags, a security label, and one in ten with a link to a group.

    Args:
        number: Which job it is; documents of other numbers share no entity with it.
        size: How many entities it has.

    Returns:
        The JSON, ready to be sent.
    """
    groups = max(2, size // GROUPS)
    first = number * size
    return orjson.dumps(
        {
            "group": [_group(first, index) for index in range(groups)],
            "indicator": [_indicator(first, index, groups) for index in range(size - groups)],
        }
    )


def _group(first: int, index: int) -> dict[str, Any]:
    group = {
        "type": _GROUP_TYPES[index % len(_GROUP_TYPES)],
        "name": f"group {first + index}",
        "xid": f"g-{first + index}",
        "attribute": _attributes(index),
        "tag": _tags(index),
    }
    if index:
        group["associatedGroupXid"] = [f"g-{first + index - 1}"]
    return group


def _indicator(first: int, index: int, groups: int) -> dict[str, Any]:
    number = first + index
    kind, summary = _KINDS[index % len(_KINDS)]
    indicator = {
        "type": kind,
        "summary": summary(number),
        "xid": f"i-{number}",
        "rating": 4.0,
        "confidence": 80,
        "attribute": _attributes(index),
        "tag": _tags(index),
        "securityLabel": [{"name": "TLP:GREEN"}],
    }
    if index % GROUPS == 0:
        indicator["associatedGroups"] = [{"groupXid": f"g-{first + index // GROUPS % groups}"}]
    return indicator


def _attributes(index: int) -> list[dict[str, Any]]:
    value = f"Seen in phishing campaign {index % 50}"
    return [{"type": "Description", "value": value, "displayed": True}]


def _tags(index: int) -> list[dict[str, str]]:
    return [{"name": "Phishing"}, {"name": f"Feed {index % 20}"}]


_KINDS: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("Address", address),
    ("Host", lambda number: f"host-{number}.bad.example.com"),
    ("URL", lambda number: f"https://host-{number}.bad.example.com/path?id={number}"),
    ("File", lambda number: sha256(b"%d" % number).hexdigest()),
)

#: What writes the document of a job, by the name of what is in it.
MIXES: dict[str, Callable[[int, int], bytes]] = {
    "feed": feed,
    "unlike": unlike,
    "mixed": mixed,
}
