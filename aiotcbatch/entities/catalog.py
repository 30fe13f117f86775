"""
The names that ThreatConnect itself defines: types, statuses and other closed lists.

Source: v2 Batch API, input document and indicator types; TcEx Batch module, methods.
"""

from __future__ import annotations

from aiotcbatch.value import Value

__all__ = [
    "EVENT_STATUSES",
    "EVENT_TYPES",
    "GROUP_TYPES",
    "INCIDENT_STATUSES",
    "INDICATOR_TYPES",
    "REGISTRY_HIVES",
    "REGISTRY_VALUE_TYPES",
    "SIGNATURE_TYPES",
    "BuiltInType",
]


class BuiltInType(Value, kw_only=False):
    """A group or indicator type that every instance has."""

    #: The wire ``type``.
    name: str
    #: The builder's method.
    method: str
    #: The class of its entities.
    class_name: str
    #: Its branch of the v2 API, such as ``adversaries``; "" where each instance has its own.
    branch: str


GROUP_TYPES = (
    BuiltInType("Adversary", "adversary", "Adversary", "adversaries"),
    BuiltInType("Attack Pattern", "attack_pattern", "AttackPattern", "attackPatterns"),
    BuiltInType("Campaign", "campaign", "Campaign", "campaigns"),
    BuiltInType("Course of Action", "course_of_action", "CourseOfAction", "coursesOfAction"),
    BuiltInType("Document", "document", "Document", "documents"),
    BuiltInType("Email", "email", "Email", "emails"),
    BuiltInType("Event", "event", "Event", "events"),
    BuiltInType("Incident", "incident", "Incident", "incidents"),
    BuiltInType("Intrusion Set", "intrusion_set", "IntrusionSet", "intrusionSets"),
    BuiltInType("Malware", "malware", "Malware", "malware"),
    BuiltInType("Report", "report", "Report", "reports"),
    BuiltInType("Signature", "signature", "Signature", "signatures"),
    BuiltInType("Tactic", "tactic", "Tactic", "tactics"),
    BuiltInType("Threat", "threat", "Threat", "threats"),
    BuiltInType("Tool", "tool", "Tool", "tools"),
    BuiltInType("Vulnerability", "vulnerability", "Vulnerability", "vulnerabilities"),
)

INDICATOR_TYPES = (
    BuiltInType("Address", "address", "Address", "addresses"),
    BuiltInType("ASN", "asn", "ASN", "asns"),
    BuiltInType("CIDR", "cidr", "CIDR", "cidrBlocks"),
    BuiltInType("EmailAddress", "email_address", "EmailAddress", "emailAddresses"),
    BuiltInType("Email Subject", "email_subject", "EmailSubject", ""),
    BuiltInType("File", "file", "File", "files"),
    BuiltInType("Hashtag", "hashtag", "Hashtag", ""),
    BuiltInType("Host", "host", "Host", "hosts"),
    BuiltInType("Mutex", "mutex", "Mutex", "mutexes"),
    BuiltInType("Registry Key", "registry_key", "RegistryKey", "registryKeys"),
    BuiltInType("URL", "url", "URL", "urls"),
    BuiltInType("User Agent", "user_agent", "UserAgent", "userAgents"),
)

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

#: Known rule languages; an instance may define more.
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

REGISTRY_HIVES = (
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
