"""
The words of a ThreatConnect instance: its types, labels and lists, with those of a new one.

Sources: v2 Batch API, field tables of groups and indicators; v2 indicatorTypes and
associationTypes; v3 attributeTypes. What an instance adds of its own (custom indicator types,
attribute types, labels, association types) is given to the sandbox as values of the classes below.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiotcbatch.sandbox.fields import check_fields, refuse_unless

__all__ = [
    "ASSOCIATION_TYPES",
    "ATTRIBUTE_TYPES",
    "EVENT_STATUSES",
    "EVENT_TYPES",
    "GROUP_BRANCHES",
    "INCIDENT_STATUSES",
    "INDICATOR_TYPES",
    "REGISTRY_ROOTS",
    "REGISTRY_VALUE_TYPES",
    "SECURITY_LABELS",
    "SIGNATURE_TYPES",
    "TECHNIQUES",
    "AssociationType",
    "AttributeType",
    "IndicatorType",
    "SecurityLabel",
]

GROUP_BRANCHES: dict[str, str] = {
    "Adversary": "adversaries",
    "Attack Pattern": "attackPatterns",
    "Campaign": "campaigns",
    "Course of Action": "coursesOfAction",
    "Document": "documents",
    "Email": "emails",
    "Event": "events",
    "Incident": "incidents",
    "Intrusion Set": "intrusionSets",
    "Malware": "malware",
    "Report": "reports",
    "Signature": "signatures",
    "Tactic": "tactics",
    "Threat": "threats",
    "Tool": "tools",
    "Vulnerability": "vulnerabilities",
}

EVENT_STATUSES = (
    "Completed",
    "Escalated",
    "False Positive",
    "In Progress",
    "Needs Review",
    "New",
    "No Further Action",
    "Reopened",
)

INCIDENT_STATUSES = (
    "New",
    "Open",
    "Stalled",
    "Containment Achieved",
    "Restoration Achieved",
    "Incident Reported",
    "Closed",
    "Rejected",
    "Deleted",
)

EVENT_TYPES = (
    "Alert",
    "Alert [flash]",
    "Alert [hyper-local]",
    "Alert [local]",
    "Alert [urgent]",
    "Breach",
    "Campaign",
    "Compliance / Regulatory",
    "Disclosure",
    "Emerging Threat",
    "Exercise",
    "Exposure",
    "Finding [Compliance violations]",
    "Finding [Configuration weaknesses]",
    "Finding [Missing patches]",
    "Finding [Security posture gaps]",
    "Investigation",
    "None",
    "Operation",
    "Physical Security",
    "Response Action",
    "Social Engineering (non-phishing)",
    "Third Party Reported",
    "Trend",
)

SIGNATURE_TYPES = (
    "Bro",
    "ClamAV",
    "CybOX",
    "Iris Search Hash",
    "KQL",
    "OpenIOC",
    "Regex",
    "SPL",
    "Sigma",
    "Snort",
    "Suricata",
    "TQL Query",
    "YARA",
)

REGISTRY_ROOTS = (
    "HKEY_CLASSES_ROOT",
    "HKEY_CURRENT_CONFIG",
    "HKEY_CURRENT_USER",
    "HKEY_CURRENT_USER_LOCAL_SETTINGS",
    "HKEY_LOCAL_MACHINE",
    "HKEY_PERFORMANCE_DATA",
    "HKEY_PERFORMANCE_NLSTEXT",
    "HKEY_PERFORMANCE_TEXT",
    "HKEY_USERS",
)

REGISTRY_VALUE_TYPES = (
    "REG_NONE",
    "REG_BINARY",
    "REG_DWORD",
    "REG_DWORD_LITTLE_ENDIAN",
    "REG_DWORD_BIG_ENDIAN",
    "REG_EXPAND_SZ",
    "REG_LINK",
    "REG_MULTI_SZ",
    "REG_QWORD",
    "REG_QWORD_LITTLE_ENDIAN",
    "REG_SZ",
)


_NOT_EMPTY = "a text that is not empty"
_CASES = ("upper", "lower", "sensitive", "")
_HEX = frozenset("0123456789abcdefABCDEF")
_COLOR_LENGTH = 6
_MOST_FIELDS = 3


@dataclass(frozen=True, kw_only=True)
class IndicatorType:
    """
    One indicator type, as ``/v2/types/indicatorTypes`` describes it.

    Attributes:
        name: What stands in an indicator's ``type``.
        branch: The type's place in v2 paths (``apiBranch``).
        entity: Its name in v2 answers (``apiEntity``).
        custom: Whether it has named values instead of fields of its own.
        parsable: Whether the platform finds such values in free text.
        case: ``upper``, ``lower``, ``sensitive``, or "" where the type has rules of its own.
        fields: The names of its value fields in a batch document, in the order of the summary.
        options: For each field that takes one of a list: that list, else an empty tuple.
        keys: The names of its values in v2 and v3 answers.
        regexes: The patterns by which the platform finds it in text.
    """

    name: str
    branch: str = ""
    entity: str = ""
    custom: bool = True
    parsable: bool = False
    case: str = "sensitive"
    fields: tuple[str, ...] = ()
    options: tuple[tuple[str, ...], ...] = ()
    keys: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        about = "IndicatorType"
        refuse_unless(bool(self.name), "name", self.name, _NOT_EMPTY, about)
        refuse_unless(
            self.case in _CASES, "case", self.case, "upper, lower, sensitive or ''", about
        )
        few = len(self.fields) <= _MOST_FIELDS
        refuse_unless(few, "fields", self.fields, "names of at most three values", about)


@dataclass(frozen=True, kw_only=True)
class AttributeType:
    """
    One attribute type, as ``/v3/attributeTypes`` describes it.

    Attributes:
        name: What stands in an attribute's ``type``.
        max_size: Its longest value in characters.
        markdown: Whether its value may be Markdown.
        choices: The values it takes, when it takes only some.
        description: What it is for.
    """

    name: str
    max_size: int = 500
    markdown: bool = False
    choices: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        about = "AttributeType"
        refuse_unless(bool(self.name), "name", self.name, _NOT_EMPTY, about)
        refuse_unless(self.max_size > 0, "max_size", self.max_size, "a positive number", about)


@dataclass(frozen=True, kw_only=True)
class SecurityLabel:
    """
    A marking that exists on the instance before anyone sends it.

    Attributes:
        name: Its name.
        description: What it says.
        color: Its colour, six hexadecimal digits.
    """

    name: str
    description: str = ""
    color: str = "FFFFFF"

    def __post_init__(self) -> None:
        check_fields(self)
        about = "SecurityLabel"
        refuse_unless(bool(self.name), "name", self.name, _NOT_EMPTY, about)
        is_color = len(self.color) == _COLOR_LENGTH and _HEX.issuperset(self.color)
        refuse_unless(is_color, "color", self.color, "six hexadecimal digits", about)


@dataclass(frozen=True, kw_only=True)
class AssociationType:
    """
    One way in which two indicators can belong together.

    Attributes:
        name: What stands in ``associationType``.
        primary: The indicator type on the first side, "" for any.
        secondary: The indicator types on the other side, empty for any.
        custom: Whether the instance added it.
        file_action: Whether it is what a File does.
        branch: Its place in v2 paths.
    """

    name: str
    primary: str = ""
    secondary: tuple[str, ...] = ()
    custom: bool = False
    file_action: bool = False
    branch: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        refuse_unless(bool(self.name), "name", self.name, _NOT_EMPTY, "AssociationType")


_HASHES = (
    r"\b([a-fA-F\d]{32})\b",
    r"\b([a-fA-F\d]{40})\b",
    r"\b([a-fA-F\d]{64})\b",
)

INDICATOR_TYPES: tuple[IndicatorType, ...] = (
    IndicatorType(
        name="Address",
        branch="addresses",
        entity="address",
        custom=False,
        parsable=True,
        case="",
        fields=("ip",),
        keys=("ip",),
    ),
    IndicatorType(
        name="EmailAddress",
        branch="emailAddresses",
        entity="emailAddress",
        custom=False,
        parsable=True,
        case="",
        fields=("address",),
        keys=("address",),
    ),
    IndicatorType(
        name="File",
        branch="files",
        entity="file",
        custom=False,
        parsable=True,
        case="",
        fields=("md5", "sha1", "sha256"),
        keys=("md5", "sha1", "sha256"),
        regexes=_HASHES,
    ),
    IndicatorType(
        name="Host",
        branch="hosts",
        entity="host",
        custom=False,
        parsable=True,
        case="",
        fields=("hostName",),
        keys=("hostName",),
    ),
    IndicatorType(
        name="URL",
        branch="urls",
        entity="url",
        custom=False,
        parsable=True,
        case="",
        fields=("text",),
        keys=("text",),
    ),
    IndicatorType(
        name="ASN",
        branch="asns",
        entity="asn",
        parsable=True,
        case="upper",
        fields=("AS Number",),
    ),
    IndicatorType(
        name="CIDR",
        branch="cidrBlocks",
        entity="cidrBlock",
        parsable=True,
        case="lower",
        fields=("Block",),
    ),
    IndicatorType(name="Mutex", branch="mutexes", entity="mutex", fields=("Mutex",)),
    IndicatorType(
        name="Registry Key",
        branch="registryKeys",
        entity="registryKey",
        fields=("Key Name", "Value Name", "Value Type"),
        options=((), (), REGISTRY_VALUE_TYPES),
    ),
    IndicatorType(
        name="User Agent",
        branch="userAgents",
        entity="userAgent",
        fields=("User Agent String",),
    ),
    IndicatorType(name="Hashtag", branch="hashtags", entity="hashtag", fields=("Hashtag",)),
    IndicatorType(
        name="Email Subject",
        branch="emailSubjects",
        entity="emailSubject",
        fields=("Subject",),
    ),
)

#: A new instance's labels, and the names that they had in older ones.
SECURITY_LABELS: tuple[SecurityLabel, ...] = (
    SecurityLabel(name="TLP:CLEAR", description="Not limited.", color="FFFFFF"),
    SecurityLabel(name="TLP:WHITE", description="Not limited.", color="FFFFFF"),
    SecurityLabel(name="TLP:GREEN", description="Limited to the community.", color="33FF00"),
    SecurityLabel(name="TLP:AMBER", description="Limited, need to know.", color="FFC000"),
    SecurityLabel(
        name="TLP:AMBER+STRICT", description="Limited to the organization.", color="FFC000"
    ),
    SecurityLabel(name="TLP:RED", description="For its recipients only.", color="FF2B2B"),
    SecurityLabel(name="TLP White", description="Not limited.", color="FFFFFF"),
    SecurityLabel(name="TLP Green", description="Limited to the community.", color="33FF00"),
    SecurityLabel(name="TLP Amber", description="Limited, need to know.", color="FFC000"),
    SecurityLabel(name="TLP Red", description="For its recipients only.", color="FF2B2B"),
)

_LONG = 65_535
_TEXT_ATTRIBUTES = (
    ("Description", _LONG),
    ("Source", _LONG),
    ("Additional Analysis and Context", _LONG),
    ("Adversary Motivation Type", 500),
    ("Adversary Origin", 500),
    ("Adversary Type", 500),
    ("Aliases", 1000),
    ("Analyst Notes", _LONG),
    ("Attack Phase", 500),
    ("Attack Vector", 500),
    ("Campaign Objective", 1000),
    ("Capabilities", _LONG),
    ("Category", 500),
    ("Comment", 1000),
    ("Course of Action Recommendation", _LONG),
    ("CVSS Score", 100),
    ("Detection", _LONG),
    ("External Date Created", 100),
    ("External Date Expires", 100),
    ("External Date Last Modified", 100),
    ("External ID", 500),
    ("External References", _LONG),
    ("First Seen", 100),
    ("Impact", 1000),
    ("Infrastructure", 1000),
    ("Last Seen", 100),
    ("Malware Family", 500),
    ("Mitigation", _LONG),
    ("Network Traffic", 1000),
    ("Phase of Intrusion", 500),
    ("Platform", 1000),
    ("Recommended Action", _LONG),
    ("References", _LONG),
    ("Report ID", 500),
    ("Source Date Time", 100),
    ("Sophistication", 500),
    ("Summary", _LONG),
    ("Targeted Country", 500),
    ("Targeted Industry Sector", 500),
    ("Threat Level", 500),
    ("Threat Type", 500),
    ("Title", 500),
    ("Topic", 500),
    ("URL", 2000),
    ("Version", 100),
    ("Victim", 500),
    ("Vulnerability", 500),
)

ATTRIBUTE_TYPES: tuple[AttributeType, ...] = (
    *(
        AttributeType(name=name, max_size=size, markdown=size == _LONG)
        for name, size in _TEXT_ATTRIBUTES
    ),
    AttributeType(
        name="Confidence Level",
        choices=("Low", "Medium", "High"),
        description="How sure the author is.",
    ),
)

ASSOCIATION_TYPES: tuple[AssociationType, ...] = (
    AssociationType(name="Address to User Agent", primary="Address", secondary=("User Agent",)),
    AssociationType(name="ASN to Address", primary="ASN", secondary=("Address",)),
    AssociationType(name="ASN to CIDR", primary="ASN", secondary=("CIDR",)),
    AssociationType(name="CIDR to Address", primary="CIDR", secondary=("Address",)),
    AssociationType(name="DNS PTR Record", primary="Address", secondary=("Host",)),
    AssociationType(name="Domain Registrant Email", primary="Host", secondary=("EmailAddress",)),
    AssociationType(name="File Download", primary="URL", secondary=("File",)),
    AssociationType(name="URL Host", primary="URL", secondary=("Host", "Address")),
    AssociationType(name="Host to Indicators", primary="Host", custom=True),
    AssociationType(name="Address to Indicators", primary="Address", custom=True),
    *(
        AssociationType(name=name, primary="File", secondary=secondary, file_action=True)
        for name, secondary in (
            ("File Archive", ("File",)),
            ("File Drop", ("File",)),
            ("File Traffic", ("Address", "URL", "Host")),
            ("File Mutex", ("Mutex",)),
            ("File Registry Key", ("Registry Key",)),
            ("File User Agent", ("User Agent",)),
            ("File DNS Query", ("Host",)),
        )
    ),
)

#: Technique ids and names that tags are recognised by; a small excerpt of ATT&CK Enterprise.
TECHNIQUES: dict[str, str] = {
    "T1003": "OS Credential Dumping",
    "T1027": "Obfuscated Files or Information",
    "T1053": "Scheduled Task/Job",
    "T1055": "Process Injection",
    "T1055.001": "Process Injection: Dynamic-link Library Injection",
    "T1059": "Command and Scripting Interpreter",
    "T1059.001": "Command and Scripting Interpreter: PowerShell",
    "T1071": "Application Layer Protocol",
    "T1105": "Ingress Tool Transfer",
    "T1190": "Exploit Public-Facing Application",
    "T1204": "User Execution",
    "T1486": "Data Encrypted for Impact",
    "T1566": "Phishing",
    "T1566.001": "Phishing: Spearphishing Attachment",
}
