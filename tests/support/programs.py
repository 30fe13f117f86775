"""
Programs: sequences of builder calls that both TcEx 5 and aiotcbatch understand.

A program is data, so that the same one can be run on both, printed when it fails and shrunk by
hypothesis. What the two treat differently on purpose is not generated unless
`support.differences` can undo it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import assume
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Call:
    """One call, on the batch or on what an earlier call of the program has returned."""

    name: str
    args: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    #: Which earlier call's result it is called on; None for the batch.
    on: int | None = None

    def __repr__(self) -> str:
        """Show it as the line of Python that it stands for."""
        target = "batch" if self.on is None else f"r{self.on}"
        if self.name.endswith("="):
            return f"{target}.{self.name[:-1]} = {self.args[0]!r}"
        arguments = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.keywords.items())]
        return f"{target}.{self.name}({', '.join(arguments)})"


Program: TypeAlias = "Sequence[Call]"


def run(program: Program, batch: Any) -> list[Any]:
    """Make every call of a program, each with arguments of its own, and give the results."""
    results: list[Any] = []
    for call in program:
        target = batch if call.on is None else results[call.on]
        if call.name.endswith("="):
            results.append(setattr(target, call.name[:-1], deepcopy(call.args[0])))
        else:
            method = getattr(target, call.name)
            results.append(method(*deepcopy(call.args), **deepcopy(dict(call.keywords))))
    return results


# Values

#: Text that JSON can hold and that nobody rewrites.
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda text: text == text.strip() and " : " not in text
)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
xids = st.one_of(words, texts)
booleans = st.booleans()
_seconds = st.integers(0, 4_000_000_000)


def _written(seconds: int, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


moments = st.one_of(
    st.builds(_written, _seconds, st.just("%Y-%m-%dT%H:%M:%SZ")),
    st.builds(_written, _seconds, st.just("%Y-%m-%dT%H:%M:%S+00:00")),
    st.builds(_written, _seconds, st.just("%Y-%m-%d %H:%M:%S")),
    st.builds(_written, _seconds, st.just("%Y-%m-%d")),
    st.builds(datetime.fromtimestamp, _seconds, st.just(UTC)),
    st.integers(1_000_000_000, 4_000_000_000),
)
#: As they go over the wire, for dicts, which TcEx does not look into.
wire_moments = st.builds(_written, _seconds, st.just("%Y-%m-%dT%H:%M:%SZ"))
ratings = st.one_of(
    st.floats(0, 5).map(lambda number: abs(round(number, 2))),
    st.integers(0, 5),
    st.sampled_from(["5.0", "3", "0.5"]),
)
confidences = st.one_of(st.integers(0, 100), st.integers(0, 100).map(str))
colors = st.text("0123456789abcdef", min_size=6, max_size=6)
_EVENT_STATUSES = st.sampled_from(
    ["Escalated", "False Positive", "Needs Review", "No Further Action"]
)
_INCIDENT_STATUSES = st.sampled_from(["New", "Open", "Stalled", "Closed", "Rejected", "Deleted"])
_SIGNATURE_TYPES = st.sampled_from(["Snort", "Suricata", "YARA", "ClamAV", "Regex", "Bro"])


@dataclass(frozen=True)
class Type:
    """How entities of one type are made."""

    name: str
    method: str
    #: Positional arguments.
    required: tuple[st.SearchStrategy[Any], ...]
    #: Keyword arguments.
    optional: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    #: Properties that can be set.
    properties: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    #: Further wire fields, for ``add_key_value`` and for dicts.
    wire: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)


_FILE_CONTENTS = st.one_of(st.binary(max_size=20), texts)

GROUPS = (
    *(
        Type(name, method, (texts,))
        for name, method in (
            ("Adversary", "adversary"),
            ("Attack Pattern", "attack_pattern"),
            ("Course of Action", "course_of_action"),
            ("Intrusion Set", "intrusion_set"),
            ("Malware", "malware"),
            ("Tactic", "tactic"),
            ("Threat", "threat"),
            ("Tool", "tool"),
            ("Vulnerability", "vulnerability"),
        )
    ),
    Type("Campaign", "campaign", (texts,), {"first_seen": moments}),
    Type(
        "Document",
        "document",
        (texts, texts),
        {"file_content": _FILE_CONTENTS, "password": texts},
        {"malware": st.just(False), "password": texts},
        {"fileName": texts, "password": texts},
    ),
    Type(
        "Email",
        "email",
        (texts, texts, texts, texts),
        {"from_addr": texts, "to_addr": texts},
        {"from_addr": texts, "to_addr": texts, "score": st.integers(1, 1000)},
        {"subject": texts, "header": texts, "body": texts, "from": texts, "to": texts},
    ),
    Type(
        "Event",
        "event",
        (texts,),
        {"event_date": moments, "status": _EVENT_STATUSES},
        {"event_date": moments, "status": _EVENT_STATUSES},
        {"eventDate": wire_moments, "status": _EVENT_STATUSES},
    ),
    Type(
        "Incident",
        "incident",
        (texts,),
        {"event_date": moments, "status": _INCIDENT_STATUSES},
        {"event_date": moments, "status": _INCIDENT_STATUSES},
        {"eventDate": wire_moments, "status": _INCIDENT_STATUSES},
    ),
    Type(
        "Report",
        "report",
        (texts,),
        {"file_name": texts, "file_content": _FILE_CONTENTS, "publish_date": moments},
        {"publish_date": moments},
        {"fileName": texts, "publishDate": wire_moments},
    ),
    Type(
        "Signature",
        "signature",
        (texts, texts, _SIGNATURE_TYPES, texts),
        wire={"fileName": texts, "fileType": _SIGNATURE_TYPES, "fileText": texts},
    ),
)
#: What interfaces 2 and 3 must give beside the name, by type.
_NEEDED = {
    "Email": ("subject", "header", "body"),
    "Signature": ("fileName", "fileType", "fileText"),
}
_GROUP_DATES = ("firstSeen", "lastSeen", "dateAdded", "externalDateExpires", "externalDateCreated")


def _digests(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=length, max_size=length)


_MD5, _SHA1, _SHA256 = _digests(32), _digests(40), _digests(64)
_HOSTS = st.builds("{}.{}.example".format, words, words)
_SUMMARIES = {
    "Address": st.builds("{}.{}.{}.{}".format, *[st.integers(0, 255)] * 4),
    "EmailAddress": st.builds("{}@{}".format, words, _HOSTS),
    "File": st.one_of(_MD5, _SHA1, _SHA256, st.builds("{} : {} : {}".format, _MD5, _SHA1, _SHA256)),
    "Host": _HOSTS,
    "URL": st.builds("https://{}/{}".format, _HOSTS, words),
    "ASN": st.integers(0, 2**32 - 1).map("ASN{}".format),
    "CIDR": st.builds("{}.{}.0.0/16".format, st.integers(0, 255), st.integers(0, 255)),
    "Mutex": texts,
    "User Agent": texts,
    "Registry Key": st.builds(
        "{} : {} : {}".format,
        words.map(r"HKEY_LOCAL_MACHINE\{}".format),
        words,
        st.sampled_from(["REG_DWORD", "REG_SZ", "REG_BINARY"]),
    ),
}
_RATED = {
    "rating": ratings,
    "confidence": confidences,
    "active": booleans,
    "private_flag": booleans,
    "date_added": moments,
    "last_modified": moments,
}
_INDICATOR_PROPERTIES = {
    **_RATED,
    "active": st.sampled_from([True, False, "true", "no", 1]),
    "first_seen": moments,
    "last_seen": moments,
    "external_date_expires": moments,
    "external_last_modified": moments,
}
_HOST_FLAGS = {"dns_active": booleans, "whois_active": booleans}
INDICATORS = (
    *(
        Type(name, method, (_SUMMARIES[name],), _RATED, _INDICATOR_PROPERTIES)
        for name, method in (
            ("Address", "address"),
            ("EmailAddress", "email_address"),
            ("URL", "url"),
            ("ASN", "asn"),
            ("CIDR", "cidr"),
            ("Mutex", "mutex"),
            ("User Agent", "user_agent"),
        )
    ),
    Type(
        "Host",
        "host",
        (_HOSTS,),
        {**_RATED, **_HOST_FLAGS},
        {**_INDICATOR_PROPERTIES, **_HOST_FLAGS},
        {"dnsActive": booleans, "whoisActive": booleans},
    ),
    Type(
        "File",
        "file",
        (_MD5, st.none() | _SHA1, st.none() | _SHA256),
        {**_RATED, "size": st.integers(0, 2**40)},
        {**_INDICATOR_PROPERTIES, "size": st.integers(0, 2**40)},
        {"size": st.integers(0, 2**40)},
    ),
    Type(
        "Registry Key",
        "registry_key",
        (
            words.map(r"HKEY_LOCAL_MACHINE\{}".format),
            words,
            st.sampled_from(["REG_DWORD", "REG_SZ"]),
        ),
        _RATED,
        _INDICATOR_PROPERTIES,
    ),
)


# Calls


def _some(draw: st.DrawFn, fields: Mapping[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    """Draw a few of the fields."""
    names = draw(st.sets(st.sampled_from(sorted(fields)), max_size=4)) if fields else set()
    return {name: draw(fields[name]) for name in sorted(names)}


_ATTRIBUTE_TYPES = st.sampled_from(["Description", "Source", "Notes"])
_ATTRIBUTE_VALUES = st.one_of(texts, st.just(""), st.none(), st.integers(2, 99))
_UPPER = str.upper


@st.composite
def _attributes(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    keywords = _some(
        draw,
        {"displayed": booleans, "source": texts, "unique": booleans},
    )
    calls = [("attribute", (draw(_ATTRIBUTE_TYPES), draw(_ATTRIBUTE_VALUES)), keywords)]
    return calls + [
        (f"{name}=", (value,), {})
        for name, value in _some(draw, {"displayed": booleans, "source": texts}).items()
    ]


@st.composite
def _tags(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    name = draw(st.one_of(words, texts.filter(lambda text: len(text) <= 128), st.just("")))
    return [("tag", (name,), {})]


@st.composite
def _labels(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("security_label", (draw(st.sampled_from(["TLP:GREEN", "TLP Green", "My Label"])),), {})
    ]
    return calls + [
        (f"{name}=", (value,), {})
        for name, value in _some(draw, {"description": texts, "color": colors}).items()
    ]


@st.composite
def _occurrences(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    fields = {"file_name": texts, "path": texts, "date": moments}
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("occurrence", (), _some(draw, fields))
    ]
    return calls + [(f"{name}=", (value,), {}) for name, value in _some(draw, fields).items()]


def _story(draw: st.DrawFn, first: int, make: Call, more: Sequence[Any]) -> list[Call]:
    """Make an entity, then call what was drawn on it; each part's own calls come on the part."""
    calls = [make]
    for part in more:
        opening, *rest = part
        calls.append(Call(opening[0], opening[1], opening[2], on=first))
        own = first + len(calls) - 1
        calls += [Call(name, args, keywords, on=own) for name, args, keywords in rest]
    return calls


def _one(strategy: st.SearchStrategy[Any], name: str) -> st.SearchStrategy[Any]:
    return strategy.map(lambda value: [(name, (value,), {})])


def _parts(kind: Type, known: Sequence[str]) -> st.SearchStrategy[list[Any]]:
    """Draw what is called on an entity of a type."""
    choices = [_attributes(), _tags(), _labels(), _one(st.sampled_from(known), "association")]
    choices += [_one(strategy, f"{name}=") for name, strategy in kind.properties.items()]
    if kind.name == "File":
        choices += [_occurrences(), _occurrences()]
    return st.lists(st.one_of(choices), max_size=6)


def _key_values(draw: st.DrawFn, fields: Mapping[str, Any]) -> list[Any]:
    return [[("add_key_value", (key, value), {})] for key, value in fields.items()]


def _typed(draw: st.DrawFn, kind: Type, xid: str) -> Call:
    args = tuple(draw(strategy) for strategy in kind.required)
    return Call(kind.method, args, {"xid": xid, **_some(draw, kind.optional)})


@st.composite
def _metadata(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the lists of an entity that is given as a dict."""
    attribute = st.fixed_dictionaries(
        {"type": _ATTRIBUTE_TYPES, "value": texts},
        optional={"displayed": st.just(True), "source": texts},
    )
    return _some(
        draw,
        {
            "attribute": st.lists(attribute, min_size=1, max_size=3),
            "tag": st.lists(st.fixed_dictionaries({"name": words}), min_size=1, max_size=3),
            "securityLabel": st.lists(
                st.fixed_dictionaries({"name": words}, optional={"color": colors}),
                min_size=1,
                max_size=2,
            ),
        },
    )


@st.composite
def _group(draw: st.DrawFn, first: int, xid: str, known: Sequence[str]) -> list[Call]:
    kind = draw(st.sampled_from(GROUPS))
    interface = draw(st.integers(1, 3))
    needed = {name: draw(kind.wire[name]) for name in _NEEDED.get(kind.name, ())}
    if interface == 1:
        parts = draw(_parts(kind, known))
        return _story(draw, first, _typed(draw, kind, xid), parts)
    fields = {**needed, **_some(draw, {**kind.wire, **dict.fromkeys(_GROUP_DATES, wire_moments)})}
    if interface == 2:
        make = Call("group", (kind.name, draw(texts)), {"xid": xid})
        plain = Type(kind.name, kind.method, ())
        return _story(draw, first, make, _key_values(draw, fields) + draw(_parts(plain, known)))
    links = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
    data = {"type": kind.name, "name": draw(texts), "xid": xid, **fields, **draw(_metadata())}
    if links:
        data["associatedGroupXid"] = links
    if kind.name in {"Document", "Report"} and draw(booleans):
        data["fileContent"] = draw(_FILE_CONTENTS)
    return [Call("add_group", (data,))]


@st.composite
def _indicator(draw: st.DrawFn, first: int, xid: str, known: Sequence[str]) -> list[Call]:
    kind = draw(st.sampled_from(INDICATORS))
    interface = draw(st.integers(1, 3))
    if interface == 1:
        parts = draw(_parts(kind, known))
        return _story(draw, first, _typed(draw, kind, xid), parts)
    summary = draw(_SUMMARIES[kind.name])
    dates = dict.fromkeys(("firstSeen", "lastModified", "externalLastModified"), wire_moments)
    if interface == 2:
        rated = _some(draw, {"rating": ratings, "confidence": confidences})
        make = Call("indicator", (kind.name, summary), {"xid": xid, **rated})
        fields = _some(draw, {**kind.wire, **dates})
        plain = Type(kind.name, kind.method, ())
        return _story(draw, first, make, _key_values(draw, fields) + draw(_parts(plain, known)))
    rated = _some(draw, {"rating": st.floats(0, 5), "confidence": st.integers(0, 100)})
    fields = {**_some(draw, {**kind.wire, **dates}), **draw(_metadata())}
    data = {"type": kind.name, "summary": summary, "xid": xid, **rated, **fields}
    if draw(booleans):
        data["associatedGroups"] = [{"groupXid": draw(st.sampled_from(known))}]
    return [Call("add_indicator", (data,))]


def _ends(xid: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({"ref": xid, "type": "Adversary"}),
        st.fixed_dictionaries({"ref": _HOSTS, "type": st.just("Host")}),
        st.fixed_dictionaries({"id": st.integers(1, 99), "type": st.just("Campaign")}),
    )


@st.composite
def _association(draw: st.DrawFn, known: Sequence[str]) -> list[Call]:
    first, second = (draw(_ends(draw(st.sampled_from(known)))) for _ in range(2))
    assume(first != second)
    data = {f"{name}_1": value for name, value in first.items()}
    data |= {f"{name}_2": value for name, value in second.items()}
    if first["type"] == second["type"] == "Host":
        data["association_type"] = "Host to Indicators"
    return [Call("add_association", (data,))]


@st.composite
def programs(draw: st.DrawFn) -> list[Call]:
    """Draw a program of some entities and associations, by any of the three interfaces."""
    names = draw(st.lists(xids, min_size=1, max_size=6, unique=True))
    known = [*names, "an-xid-of-the-owner"]
    program: list[Call] = []
    for xid in names:
        make = draw(st.sampled_from([_group, _group, _indicator]))
        program += draw(make(len(program), xid, known))
    for _ in range(draw(st.integers(0, 3))):
        program += draw(_association(known))
    return program
