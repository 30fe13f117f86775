"""Interface 1: a method for each type, with its fields as arguments."""

from __future__ import annotations

from functools import lru_cache, partialmethod
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from aiotcbatch.collecting.dicts import DictBuilder
from aiotcbatch.entities import group as groups
from aiotcbatch.entities import indicator as indicators
from aiotcbatch.entities import summaries
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiotcbatch.dates import Moment
    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.entities.values import Number

    Xid = str | bool | None

__all__ = ["TypedBuilder"]


class CampaignFields(TypedDict, total=False):
    """What a Campaign can have beside."""

    source: Any
    last_seen: Moment | None
    date_added: Moment | None
    external_date_added: Moment | None
    external_date_expires: Moment | None
    external_last_modified: Moment | None


class CommonFields(CampaignFields, total=False):
    """What every entity can have as a keyword."""

    first_seen: Moment | None


class InsightFields(CommonFields, total=False):
    """What Documents, Events and Reports can have beside."""

    insights: str | None
    ai_provider: str | None
    ai_last_retrieval_date: Moment | None


class EmailFields(CommonFields, total=False):
    """What an Email can have beside."""

    score: int | None


class EventFields(InsightFields, total=False):
    """What an Event can have beside."""

    event_type: str | None


class IndicatorFields(CommonFields, total=False):
    """What every indicator can have as a keyword."""

    active: bool | None
    active_locked: bool | None
    private_flag: bool | None
    last_modified: Moment | None
    description: str | None


class TypedBuilder(DictBuilder):
    """
    A builder with a method for each type.

    Each adds an entity, or continues the one whose xid is given, and returns it. In all of
    them ``xid`` is True for the hash of type and name (or summary), False for a random one,
    or the text itself; a field that is None is not sent; and every field is a property of the
    returned entity too. They raise `ValidationError` when a value cannot be right, with the
    field, the value and what is accepted.

    All of them take ``source`` as a keyword too: your own reference, such as a file and line,
    which the `Outcome` of the entity has.
    """

    # Groups

    def adversary(
        self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]
    ) -> groups.Adversary:
        """Add an Adversary: a person or organization that attacks."""
        return self._group(groups.Adversary, name, xid, fields)

    def attack_pattern(
        self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]
    ) -> groups.AttackPattern:
        """Add an Attack Pattern: a way in which attackers proceed."""
        return self._group(groups.AttackPattern, name, xid, fields)

    def course_of_action(
        self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]
    ) -> groups.CourseOfAction:
        """Add a Course Of Action: what is done against an attack."""
        return self._group(groups.CourseOfAction, name, xid, fields)

    def intrusion_set(
        self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]
    ) -> groups.IntrusionSet:
        """Add an Intrusion Set: a set of activities that seem to come from one attacker."""
        return self._group(groups.IntrusionSet, name, xid, fields)

    def malware(self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]) -> groups.Malware:
        """Add a Malware: a family of malicious software."""
        return self._group(groups.Malware, name, xid, fields)

    def tactic(self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]) -> groups.Tactic:
        """Add a Tactic: what an attacker wants to reach with a technique."""
        return self._group(groups.Tactic, name, xid, fields)

    def threat(self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]) -> groups.Threat:
        """Add a Threat: a related body of threatening activity."""
        return self._group(groups.Threat, name, xid, fields)

    def tool(self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]) -> groups.Tool:
        """Add a Tool: legitimate software that attackers use."""
        return self._group(groups.Tool, name, xid, fields)

    def vulnerability(
        self, name: str, xid: Xid = True, **fields: Unpack[CommonFields]
    ) -> groups.Vulnerability:
        """Add a Vulnerability: a weakness that can be exploited."""
        return self._group(groups.Vulnerability, name, xid, fields)

    def campaign(
        self,
        name: str,
        first_seen: Moment | None = None,
        xid: Xid = True,
        **fields: Unpack[CampaignFields],
    ) -> groups.Campaign:
        """Add a Campaign: a set of incidents with a common aim, and when it began."""
        given = {"first_seen": first_seen, **fields}
        return self._group(groups.Campaign, name, xid, given)

    @overload
    def document(
        self,
        name: str,
        file_name: str,
        file_content: FileContent | None = None,
        malware: bool | None = None,
        password: str | None = None,
        xid: Xid = True,
        **fields: Unpack[InsightFields],
    ) -> groups.Document: ...
    @overload
    def document(self, name: str, *, xid: Xid) -> groups.Document: ...
    def document(
        self,
        name: str,
        file_name: str | None = None,
        file_content: FileContent | None = None,
        malware: bool | None = None,
        password: str | None = None,
        xid: Xid = True,
        **fields: Unpack[InsightFields],
    ) -> groups.Document:
        """
        Add a Document: a file that carries intelligence, or malware.

        Args:
            name: The name.
            file_name: The name of the file; a Delete does without.
            file_content: What is uploaded: bytes, str, a path, an open file, an async
                iterator of bytes, or a callable that is given the xid and returns one.
            malware: The file is malware, in a password-protected zip.
            password: The password of the zip; required with malware.
            xid: As in all of them.
            **fields: Further fields by their Python names.
        """
        given = {
            "file_name": file_name,
            "file_content": file_content,
            "malware": malware or None,
            "password": password,
            **fields,
        }
        self._check_given(groups.Document, name, given, "file_name")
        return self._group(groups.Document, name, xid, given)

    @overload
    def email(
        self,
        name: str,
        subject: str,
        header: str,
        body: str,
        to_addr: str | None = None,
        from_addr: str | None = None,
        xid: Xid = True,
        **fields: Unpack[EmailFields],
    ) -> groups.Email: ...
    @overload
    def email(self, name: str, *, xid: Xid) -> groups.Email: ...
    def email(
        self,
        name: str,
        subject: str | None = None,
        header: str | None = None,
        body: str | None = None,
        to_addr: str | None = None,
        from_addr: str | None = None,
        xid: Xid = True,
        **fields: Unpack[EmailFields],
    ) -> groups.Email:
        """Add an Email: a message, such as a phishing mail; a Delete needs its name and xid."""
        given = {
            "subject": subject,
            "header": header,
            "body": body,
            "to_addr": to_addr,
            "from_addr": from_addr,
            **fields,
        }
        self._check_given(groups.Email, name, given, "subject", "header", "body")
        return self._group(groups.Email, name, xid, given)

    def event(
        self,
        name: str,
        event_date: Moment | None = None,
        status: str | None = None,
        xid: Xid = True,
        **fields: Unpack[EventFields],
    ) -> groups.Event:
        """Add an Event: something that happened and may matter."""
        given = {"event_date": event_date, "status": status, **fields}
        return self._group(groups.Event, name, xid, given)

    def incident(
        self,
        name: str,
        event_date: Moment | None = None,
        status: str | None = None,
        xid: Xid = True,
        **fields: Unpack[CommonFields],
    ) -> groups.Incident:
        """Add an Incident: an attack that took place."""
        given = {"event_date": event_date, "status": status, **fields}
        return self._group(groups.Incident, name, xid, given)

    def report(
        self,
        name: str,
        file_name: str | None = None,
        file_content: FileContent | None = None,
        publish_date: Moment | None = None,
        xid: Xid = True,
        **fields: Unpack[InsightFields],
    ) -> groups.Report:
        """
        Add a Report: a publication, with or without its file.

        Args:
            name: The name.
            file_name: The name of the file.
            file_content: What is uploaded, as in `document`.
            publish_date: When it was published.
            xid: As in all of them.
            **fields: Further fields by their Python names.
        """
        given = {
            "file_name": file_name,
            "file_content": file_content,
            "publish_date": publish_date,
            **fields,
        }
        return self._group(groups.Report, name, xid, given)

    @overload
    def signature(
        self,
        name: str,
        file_name: str,
        file_type: str,
        file_text: str,
        xid: Xid = True,
        **fields: Unpack[CommonFields],
    ) -> groups.Signature: ...
    @overload
    def signature(self, name: str, *, xid: Xid) -> groups.Signature: ...
    def signature(
        self,
        name: str,
        file_name: str | None = None,
        file_type: str | None = None,
        file_text: str | None = None,
        xid: Xid = True,
        **fields: Unpack[CommonFields],
    ) -> groups.Signature:
        """
        Add a Signature: a detection rule, its file's name, its language and its text.

        A Delete needs its name and xid.
        """
        given = {"file_name": file_name, "file_type": file_type, "file_text": file_text, **fields}
        self._check_given(groups.Signature, name, given, "file_name", "file_type", "file_text")
        return self._group(groups.Signature, name, xid, given)

    def _check_given(
        self, cls: type[groups.Group], name: str, given: Mapping[str, Any], *required: str
    ) -> None:
        """Refuse a group without what its method takes, unless there is no need of it."""
        missing = next((field for field in required if given[field] is None), None)
        if missing is not None and self._wants_all():
            accepted = f"text; {cls.TYPE} takes {', '.join(('name', *required))}"
            raise ValidationError(missing, None, accepted, about=f"{cls.TYPE} {name!r}")

    # Indicators

    def address(
        self,
        ip: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.Address:
        """Add an Address: an IPv4 or IPv6 address."""
        return self._indicator(
            indicators.Address, indicators.Address.TYPE, ip, rating, confidence, xid, fields
        )

    def asn(
        self,
        as_number: str | int,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.ASN:
        """Add an ASN: an autonomous system number, such as ``ASN12345``."""
        return self._indicator(
            indicators.ASN, indicators.ASN.TYPE, as_number, rating, confidence, xid, fields
        )

    def cidr(
        self,
        block: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.CIDR:
        """Add a CIDR: a block of addresses, such as ``10.0.0.0/8``."""
        return self._indicator(
            indicators.CIDR, indicators.CIDR.TYPE, block, rating, confidence, xid, fields
        )

    def email_address(
        self,
        address: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.EmailAddress:
        """Add an Email Address: an e-mail address."""
        return self._indicator(
            indicators.EmailAddress,
            indicators.EmailAddress.TYPE,
            address,
            rating,
            confidence,
            xid,
            fields,
        )

    def email_subject(
        self,
        subject: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.EmailSubject:
        """Add an Email Subject: the subject line of a message."""
        return self._indicator(
            indicators.EmailSubject,
            indicators.EmailSubject.TYPE,
            subject,
            rating,
            confidence,
            xid,
            fields,
        )

    def hashtag(
        self,
        hashtag: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.Hashtag:
        """Add a Hashtag: a hashtag of a social network."""
        return self._indicator(
            indicators.Hashtag, indicators.Hashtag.TYPE, hashtag, rating, confidence, xid, fields
        )

    def mutex(
        self,
        mutex: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.Mutex:
        """Add a Mutex: the name of a mutex."""
        return self._indicator(
            indicators.Mutex, indicators.Mutex.TYPE, mutex, rating, confidence, xid, fields
        )

    def url(
        self,
        text: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.URL:
        """Add an URL: a URL with its scheme."""
        return self._indicator(
            indicators.URL, indicators.URL.TYPE, text, rating, confidence, xid, fields
        )

    def user_agent(
        self,
        text: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.UserAgent:
        """Add an User Agent: a user agent string."""
        return self._indicator(
            indicators.UserAgent, indicators.UserAgent.TYPE, text, rating, confidence, xid, fields
        )

    def file(
        self,
        md5: str | None = None,
        sha1: str | None = None,
        sha256: str | None = None,
        size: Number | None = None,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.File:
        """
        Add a File, known by at least one hash.

        Args:
            md5: 32 hexadecimal digits.
            sha1: 40 of them.
            sha256: 64 of them.
            size: Bytes.
            rating: 0 to 5.
            confidence: 0 to 100.
            xid: As in all of them.
            **fields: Further fields by their Python names.
        """
        summary = summaries.join_hashes(md5, sha1, sha256)
        given = {"size": size, **fields}
        return self._indicator(
            indicators.File, indicators.File.TYPE, summary, rating, confidence, xid, given
        )

    @overload
    def host(
        self,
        hostname: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        *,
        dns_active: bool | None = None,
        whois_active: bool | None = None,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.Host: ...
    @overload
    def host(
        self,
        hostname: str,
        dns_active: bool,
        whois_active: bool = False,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.Host: ...
    def host(self, hostname: str, *args: Any, **fields: Any) -> indicators.Host:
        """
        Add a Host: a host name.

        Its further arguments are those of every indicator, ``rating, confidence, xid``; a bool
        in the first place tells the order of TcEx of 2018, ``dns_active, whois_active, rating,
        confidence, xid``. By keyword there is no difference.
        """
        if args:
            flags = ("dns_active", "whois_active") if isinstance(args[0], bool) else ()
            names = (*flags, "rating", "confidence", "xid")
            fields = _positional("host", names, args, fields)
            fields |= {name: fields[name] or None for name in flags if name in fields}
        rating, confidence = fields.pop("rating", None), fields.pop("confidence", None)
        return self._indicator(
            indicators.Host,
            indicators.Host.TYPE,
            hostname,
            rating,
            confidence,
            fields.pop("xid", True),
            fields,
        )

    def registry_key(
        self,
        key_name: str,
        value_name: str,
        value_type: str,
        rating: Number | None = None,
        confidence: Number | None = None,
        xid: Xid = True,
        **fields: Unpack[IndicatorFields],
    ) -> indicators.RegistryKey:
        r"""
        Add a Registry Key.

        Args:
            key_name: Such as ``HKEY_LOCAL_MACHINE\SOFTWARE\Bad``; ``HKLM`` is written out.
            value_name: The value's name; the default value's is empty.
            value_type: Such as ``REG_DWORD``.
            rating: 0 to 5.
            confidence: 0 to 100.
            xid: As in all of them.
            **fields: Further fields by their Python names.
        """
        parts = (key_name, value_name or " ", value_type)
        summary = summaries.join_summary(parts, "registry key")
        return self._indicator(
            indicators.RegistryKey,
            indicators.RegistryKey.TYPE,
            summary,
            rating,
            confidence,
            xid,
            fields,
        )

    def _know_types(self, indicator_types: Mapping[str, int | Sequence[str]] | None) -> None:
        """Give each custom type a method, as TcEx does."""
        super()._know_types(indicator_types)
        if indicator_types:
            cls: Any = type(self)
            labels = {kind: _labels(values) for kind, values in indicator_types.items()}
            made: Any = _with_methods(cls, tuple(labels.items()))
            self.__class__ = made


def _labels(values: int | Sequence[str]) -> tuple[str, ...]:
    """Give the label of each value; without one it is called as its argument is."""
    return ("",) * values if isinstance(values, int) else tuple(values)


@lru_cache(maxsize=16)
def _with_methods(
    cls: type[TypedBuilder], types: tuple[tuple[str, tuple[str, ...]], ...]
) -> type[TypedBuilder]:
    """Make a class that has a method for each custom type, with as many values as it has."""
    # Not by __getattr__, which makes every attribute dearer: 0.4 µs for one indicator.
    methods: dict[str, Any] = {"__doc__": cls.__doc__, "__module__": cls.__module__}
    for kind, labels in types:
        name = kind.lower().replace(" ", "_")
        if not hasattr(cls, name):
            methods[name] = partialmethod(_custom, kind, labels)
    return type(cls.__name__, (cls,), methods)


def _custom(
    builder: TypedBuilder, kind: str, labels: tuple[str, ...], *args: Any, **fields: Any
) -> indicators.Indicator:
    """Add an indicator of a custom type with as many values as the type has."""
    value_names = tuple(f"value{number}" for number in range(1, len(labels) + 1))
    given = _positional(kind, (*value_names, "rating", "confidence", "xid"), args, fields)
    parts = [given.pop(name, None) for name in value_names]
    for name, label, part in zip(value_names, labels, parts, strict=True):
        if part is None:
            field = f"{name} ({label})" if label else name
            raise ValidationError(
                field, part, "text; a method of a type takes all of its values", about=kind
            )
    return builder.indicator(kind, summaries.join_summary(parts, kind), **given)


def _positional(
    method: str, names: tuple[str, ...], args: tuple[Any, ...], fields: dict[str, Any]
) -> dict[str, Any]:
    """Give positional arguments their names, as Python itself would."""
    if len(args) > len(names):
        raise TypeError(f"{method}() takes at most {len(names) + 1} positional arguments")
    named = dict(zip(names, args, strict=False))
    twice = next((name for name in named if name in fields), None)
    if twice is not None:
        raise TypeError(f"{method}() got multiple values for argument {twice!r}")
    return named | fields
