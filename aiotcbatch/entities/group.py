"""Groups: named intelligence objects whose identity is their xid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiotcbatch.dates import Moment
from aiotcbatch.entities import values
from aiotcbatch.entities.contents import check_content
from aiotcbatch.entities.entity import Entity, Field
from aiotcbatch.errors import UsageError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.entities.entity import Term
    from aiotcbatch.entities.indicator import Indicator

__all__ = [
    "GROUP_CLASSES",
    "Adversary",
    "AttackPattern",
    "Campaign",
    "CourseOfAction",
    "Document",
    "Email",
    "Event",
    "FileGroup",
    "Group",
    "Incident",
    "IntrusionSet",
    "Malware",
    "Report",
    "Signature",
    "Tactic",
    "Threat",
    "Tool",
    "Vulnerability",
]


class Group(Entity):
    """
    A named intelligence object, such as an Adversary; its identity is its xid.

    Source: v2 Batch API, input document, ``group``.
    """

    __slots__ = ()

    #: The wire ``type``.
    TYPE: ClassVar[str] = ""
    #: Wire fields without which the server refuses a group of this type.
    REQUIRED: ClassVar[tuple[str, ...]] = ()

    name = Field[str, str]("name", values.text, doc="The name; many groups may share it.")

    def association(self, group_xid: str | Group | Indicator) -> None:
        """
        Link this group to another group, or to an indicator of the same batch.

        Args:
            group_xid: The other group or its xid, in this batch or already in the owner; or
                an indicator that is still open, which then points to this group.

        Raises:
            ValidationError: When it is not an xid.
            SealedError: When this group, or the indicator, has been drained.
        """
        if isinstance(group_xid, Entity) and not isinstance(group_xid, Group):
            self.data.get("xid")
            group_xid.association(self.xid)
            return
        xid = group_xid.xid if isinstance(group_xid, Group) else group_xid
        if xid.__class__ is not str or not xid or not xid.isascii():
            xid = self.named(values.text, xid, "group_xid")
        xids = self.data.get("associatedGroupXid")
        if xids is None:
            self.data["associatedGroupXid"] = [xid]
        elif xid not in xids:
            xids.append(xid)

    def add_file(self, filename: str, content: FileContent | None) -> None:
        """
        Give a Document or Report its file.

        Raises:
            UsageError: When groups of this type have no file.
        """
        del content
        raise UsageError(
            f"{self.type} {self.xid!r} cannot have a file ({filename!r}); Document and Report can"
        )

    def missing(self) -> str | None:
        """Name the first required field that is not there, None if all are."""
        return next((wire for wire in self.REQUIRED if self.data.get(wire) in (None, "")), None)


class FileGroup(Group):
    """A group that has a file of its own: Document or Report."""

    __slots__ = ("_file_content",)

    _file_content: FileContent | None

    file_name = Field[str, str]("fileName", values.text, doc="The name of the file.")

    def __init__(self, data: dict[str, Any], term: Term) -> None:
        super().__init__(data, term)
        self._file_content = None

    @property
    def file_content(self) -> FileContent | None:
        """
        What is uploaded after the job: bytes, str, a path, an open file, or a callable.

        A callable is given the xid and returns any of these, or None for no file; it may be
        a coroutine function. It is the way to have many files without holding any.
        """
        return self._file_content

    @file_content.setter
    def file_content(self, content: FileContent | None) -> None:
        self.data.get("xid")  # a sealed entity refuses here
        check_content(content, "file_content", self._about())
        self._file_content = content

    @property
    def file_data(self) -> dict[str, Any]:
        """The file as TcEx shows it: ``fileContent``, ``fileName`` and ``type``."""
        return {
            "fileContent": self._file_content,
            "fileName": self.file_name,
            "type": self.type,
        }

    def add_file(self, filename: str, content: FileContent | None) -> None:
        """
        Set the file's name and content.

        Args:
            filename: The name that the platform shows.
            content: As `file_content`.

        Raises:
            ValidationError: When the name is not text, or no file can come from the content.
            SealedError: When the group has been drained.
        """
        self.file_name = filename
        self.file_content = content

    def put_all(self, given: Mapping[str, Any]) -> None:
        """Set several fields by keyword; the file's content counts as one."""
        fields = {name: value for name, value in given.items() if name != "file_content"}
        super().put_all(fields)
        if given.get("file_content") is not None:
            self.file_content = given["file_content"]

    def add_key_value(self, key: str, value: Any) -> None:
        """Set a field by its wire or Python name; the file's content counts as one."""
        if key in {"file_content", "fileContent"}:
            self.file_content = value
        else:
            super().add_key_value(key, value)


class _Insights:
    """The fields that an AI provider fills in."""

    __slots__ = ()

    insights = Field[str, str]("insights", values.text, doc="A summary made by an AI provider.")
    ai_provider = Field[str, str](
        "aiProvider", values.text, doc="Who made the insights; required with them."
    )
    ai_last_retrieval_date = Field[str, Moment](
        "aiLastRetrievalDate", values.moment, doc="When the insights were fetched."
    )


class Adversary(Group):
    """A person or organization that attacks."""

    __slots__ = ()
    TYPE = "Adversary"


class AttackPattern(Group):
    """A way in which attackers proceed."""

    __slots__ = ()
    TYPE = "Attack Pattern"


class Campaign(Group):
    """A set of incidents with a common aim; ``first_seen`` says when it began."""

    __slots__ = ()
    TYPE = "Campaign"


class CourseOfAction(Group):
    """What is done against an attack."""

    __slots__ = ()
    TYPE = "Course of Action"


class Document(FileGroup, _Insights):
    """A file that carries intelligence, or malware in a password-protected archive."""

    __slots__ = ()
    TYPE = "Document"

    malware = Field[bool, bool](
        "malware",
        values.boolean,
        doc="Whether the file is malware: then a password-protected zip, with its `password`.",
    )
    password = Field[str, str]("password", values.any_text, doc="The password of the archive.")

    def missing(self) -> str | None:
        """Name the first required field that is not there: malware needs a password."""
        if self.data.get("malware") and not self.data.get("password"):
            return "password"
        return super().missing()


class Email(Group):
    """A message, such as a phishing mail."""

    __slots__ = ()
    TYPE = "Email"
    REQUIRED = ("subject", "header", "body")

    subject = Field[str, str]("subject", values.any_text, doc="The subject line.")
    header = Field[str, str]("header", values.any_text, doc="The headers, as text.")
    body = Field[str, str]("body", values.any_text, doc="The message itself.")
    from_addr = Field[str, str]("from", values.any_text, doc="The sender's address.")
    to_addr = Field[str, str]("to", values.any_text, doc="The recipient's address.")
    score = Field[int, int]("score", values.any_integer, doc="A score that an analyser gave.")


class Event(Group, _Insights):
    """Something that happened and may matter."""

    __slots__ = ()
    TYPE = "Event"

    event_date = Field[str, Moment]("eventDate", values.moment, doc="When it happened.")
    event_type = Field[str, str]("eventType", values.event_type, doc="What kind it is.")
    status = Field[str, str]("status", values.event_status, doc="How far its handling is.")


class Incident(Group):
    """An attack that took place."""

    __slots__ = ()
    TYPE = "Incident"

    event_date = Field[str, Moment]("eventDate", values.moment, doc="When it happened.")
    status = Field[str, str]("status", values.incident_status, doc="How far its handling is.")


class IntrusionSet(Group):
    """A set of activities that seem to come from one attacker."""

    __slots__ = ()
    TYPE = "Intrusion Set"


class Malware(Group):
    """A family of malicious software."""

    __slots__ = ()
    TYPE = "Malware"


class Report(FileGroup, _Insights):
    """A publication, with or without its file."""

    __slots__ = ()
    TYPE = "Report"

    publish_date = Field[str, Moment]("publishDate", values.moment, doc="When it was published.")


class Signature(Group):
    """A detection rule."""

    __slots__ = ()
    TYPE = "Signature"
    REQUIRED = ("fileName", "fileType", "fileText")

    file_name = Field[str, str]("fileName", values.text, doc="The name of the rule's file.")
    file_type = Field[str, str]("fileType", values.signature_type, doc="The rule's language.")
    file_text = Field[str, str]("fileText", values.text, doc="The rule itself.")


class Tactic(Group):
    """What an attacker wants to reach with a technique."""

    __slots__ = ()
    TYPE = "Tactic"


class Threat(Group):
    """A related body of threatening activity."""

    __slots__ = ()
    TYPE = "Threat"


class Tool(Group):
    """Legitimate software that attackers use."""

    __slots__ = ()
    TYPE = "Tool"


class Vulnerability(Group):
    """A weakness that can be exploited."""

    __slots__ = ()
    TYPE = "Vulnerability"


#: The class of every group type, by its wire ``type``.
GROUP_CLASSES: dict[str, type[Group]] = {
    cls.TYPE: cls
    for cls in (
        Adversary,
        AttackPattern,
        Campaign,
        CourseOfAction,
        Document,
        Email,
        Event,
        Incident,
        IntrusionSet,
        Malware,
        Report,
        Signature,
        Tactic,
        Threat,
        Tool,
        Vulnerability,
    )
}


def require(group: Group, hint: str = "") -> None:
    """
    Check that what the server requires of this type is there.

    Args:
        group: The group.
        hint: What the error says beside, about what can be done.

    Raises:
        ValidationError: With the first field that is missing.
    """
    missing = group.missing()
    if missing is not None:
        accepted = f"text, which this {group.type} needs{hint}"
        raise ValidationError(
            missing, group.data.get(missing), accepted, about=f"{group.type} {group.xid!r}"
        )
