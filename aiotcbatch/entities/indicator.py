"""Indicators: typed values whose identity is their type and summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiotcbatch.dates import Moment
from aiotcbatch.entities import summaries, values
from aiotcbatch.entities.entity import Entity, Field
from aiotcbatch.entities.metadata import FileOccurrence
from aiotcbatch.entities.values import Number
from aiotcbatch.errors import UsageError, ValidationError

if TYPE_CHECKING:
    from aiotcbatch.entities.group import Group

__all__ = [
    "ASN",
    "CIDR",
    "INDICATOR_CLASSES",
    "URL",
    "Address",
    "CustomIndicator",
    "EmailAddress",
    "EmailSubject",
    "File",
    "Hashtag",
    "Host",
    "Indicator",
    "Mutex",
    "RegistryKey",
    "UserAgent",
]


class Indicator(Entity):
    """
    A typed value, such as an Address; there is one of each type and summary in an owner.

    Source: v2 Batch API, input document, ``indicator``.
    """

    __slots__ = ()

    #: The wire ``type``.
    TYPE: ClassVar[str] = ""
    #: The wire fields that can stand for the summary.
    VALUE_FIELDS: ClassVar[tuple[str, ...]] = ()

    rating = Field[float, Number]("rating", values.rating, doc="How bad it is, 0 to 5.")
    confidence = Field[int, Number]("confidence", values.confidence, doc="How sure, 0 to 100.")
    active = Field[bool, bool]("active", values.boolean, doc="Whether it is in use now.")
    active_locked = Field[bool, bool](
        "activeLocked", values.boolean, doc="Whether the platform may not change `active`."
    )
    private_flag = Field[bool, bool]("privateFlag", values.boolean, doc="Whether it is private.")
    last_modified = Field[str, Moment](
        "lastModified", values.moment, doc="When it was last changed."
    )
    description = Field[str, str](
        "description", values.any_text, doc="Short for the default Description attribute."
    )

    @staticmethod
    def normalise(value: Any, field: str) -> str:
        """Check a summary, and give it in the form that the server takes."""
        return values.text(value, field)

    @property
    def summary(self) -> str:
        """The value as one text, its parts joined by ``" : "``."""
        summary: str = self.data["summary"]
        return summary

    def association(self, group_xid: str | Group) -> None:
        """
        Link this indicator to a group.

        Args:
            group_xid: The group or its xid, in this batch or already in the owner.

        Raises:
            ValidationError: When it is not an xid, or is an indicator; `Batch.add_association`
                links two of these.
            SealedError: When the indicator has been drained.
        """
        xid = self._xid_of(group_xid) if isinstance(group_xid, Entity) else group_xid
        if xid.__class__ is not str or not xid or not xid.isascii():
            xid = self.named(values.text, xid, "group_xid")
        link = {"groupXid": xid}
        links = self.data.get("associatedGroups")
        if links is None:
            self.data["associatedGroups"] = [link]
        elif link not in links:
            links.append(link)

    def _xid_of(self, group: Entity) -> str:
        if isinstance(group, Indicator) and self.term.validate:
            accepted = "a group or its xid; add_association() links two indicators"
            raise ValidationError("group_xid", group, accepted, about=self._about())
        return group.xid

    def occurrence(
        self,
        file_name: str | None = None,
        path: str | None = None,
        date: Moment | None = None,
    ) -> FileOccurrence:
        """
        Say where a File was seen.

        Raises:
            UsageError: When the indicator is not a File.
        """
        raise UsageError(
            f"{self.type} {self.xid!r} cannot have an occurrence"
            f" ({file_name or path or date!r}); File can"
        )


class Address(Indicator):
    """An IPv4 or IPv6 address."""

    __slots__ = ()
    TYPE = "Address"
    VALUE_FIELDS = ("ip",)
    normalise = staticmethod(summaries.address)


class ASN(Indicator):
    """An autonomous system number, written ``ASN12345``."""

    __slots__ = ()
    TYPE = "ASN"
    VALUE_FIELDS = ("AS Number",)
    normalise = staticmethod(summaries.asn)


class CIDR(Indicator):
    """A block of addresses."""

    __slots__ = ()
    TYPE = "CIDR"
    VALUE_FIELDS = ("Block",)
    normalise = staticmethod(summaries.cidr)


class EmailAddress(Indicator):
    """An e-mail address."""

    __slots__ = ()
    TYPE = "EmailAddress"
    VALUE_FIELDS = ("address",)
    normalise = staticmethod(summaries.email_address)


class EmailSubject(Indicator):
    """The subject line of a message."""

    __slots__ = ()
    TYPE = "Email Subject"
    VALUE_FIELDS = ("Subject",)


class File(Indicator):
    """A file, known by up to three hashes; the summary joins them by ``" : "``."""

    __slots__ = ()
    TYPE = "File"
    VALUE_FIELDS = ("md5", "sha1", "sha256")
    normalise = staticmethod(summaries.file_summary)

    size = Field[int, Number]("intValue1", values.integer, doc="Its size in bytes.")

    @property
    def md5(self) -> str | None:
        """The MD5 hash, None if not given."""
        return summaries.split_hashes(self.summary)[0]

    @property
    def sha1(self) -> str | None:
        """The SHA-1 hash, None if not given."""
        return summaries.split_hashes(self.summary)[1]

    @property
    def sha256(self) -> str | None:
        """The SHA-256 hash, None if not given."""
        return summaries.split_hashes(self.summary)[2]

    def occurrence(
        self,
        file_name: str | None = None,
        path: str | None = None,
        date: Moment | None = None,
    ) -> FileOccurrence:
        r"""
        Say where this file was seen; the fields can be set later too.

        Args:
            file_name: The file's name there.
            path: The folder, such as ``C:\test\``.
            date: When it was seen.

        Returns:
            The occurrence; one in which no field is set is not sent.

        Raises:
            ValidationError: When a value cannot be right.
            SealedError: When the indicator has been drained.
        """
        checked = {
            "fileName": self.checked(values.any_text, file_name, "file_name"),
            "path": self.checked(values.any_text, path, "path"),
            "date": self.checked(values.moment, date, "date"),
        }
        data = {key: value for key, value in checked.items() if value is not None}
        if data:
            self.data.setdefault("fileOccurrence", []).append(data)
        return FileOccurrence(data, self)

    def add_hashes(self, summary: str) -> None:
        """
        Add the hashes of another summary of the same file.

        Raises:
            ValidationError: When it has another hash of a kind that is there.
        """
        ours, theirs = summaries.split_hashes(self.summary), summaries.split_hashes(summary)
        merged = []
        for old, new in zip(ours, theirs, strict=True):
            if old is not None and new is not None and old.lower() != new.lower():
                raise ValidationError("hash", new, f"{old!r}", about=self._about())
            merged.append(old or new)
        self.data["summary"] = " : ".join(digest for digest in merged if digest)


class Hashtag(Indicator):
    """A hashtag of a social network."""

    __slots__ = ()
    TYPE = "Hashtag"
    VALUE_FIELDS = ("Hashtag",)


class Host(Indicator):
    """A host name."""

    __slots__ = ()
    TYPE = "Host"
    VALUE_FIELDS = ("hostName",)
    normalise = staticmethod(summaries.host)

    dns_active = Field[bool, bool](
        "flag1",
        values.boolean,
        aliases=("dnsActive",),
        doc="Whether the platform looks up its addresses.",
    )
    whois_active = Field[bool, bool](
        "flag2",
        values.boolean,
        aliases=("whoisActive",),
        doc="Whether the platform looks up its registration.",
    )


class Mutex(Indicator):
    """The name of a mutex."""

    __slots__ = ()
    TYPE = "Mutex"
    VALUE_FIELDS = ("Mutex",)


class RegistryKey(Indicator):
    r"""A Windows registry entry: ``key name : value name : value type``."""

    __slots__ = ()
    TYPE = "Registry Key"
    VALUE_FIELDS = ("Key Name", "Value Name", "Value Type")
    normalise = staticmethod(summaries.registry_summary)


class URL(Indicator):
    """A URL with its scheme."""

    __slots__ = ()
    TYPE = "URL"
    VALUE_FIELDS = ("text",)
    normalise = staticmethod(summaries.url)


class UserAgent(Indicator):
    """A user agent string."""

    __slots__ = ()
    TYPE = "User Agent"
    VALUE_FIELDS = ("User Agent String",)


class CustomIndicator(Indicator):
    """An indicator of a type that the instance defines, with one to three values."""

    __slots__ = ()


#: The class of every built-in indicator type, by its wire ``type``.
INDICATOR_CLASSES: dict[str, type[Indicator]] = {
    cls.TYPE: cls
    for cls in (
        Address,
        ASN,
        CIDR,
        EmailAddress,
        EmailSubject,
        File,
        Hashtag,
        Host,
        Mutex,
        RegistryKey,
        URL,
        UserAgent,
    )
}
