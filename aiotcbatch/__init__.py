"""
The ThreatConnect Batch API for asyncio: build, encode, submit, and know what became of it.

::

    async with Client.from_env() as client:
        batch = client.batch("MyOrg")
        host = batch.host("bad.example.com", rating=5, confidence=100)
        host.tag("APT")
        status = await batch.submit()
"""

from __future__ import annotations

from aiotcbatch.auth import Auth, HmacAuth, TokenAuth
from aiotcbatch.batch import Batch
from aiotcbatch.client import AttributeType, Client, IndicatorType, Owner
from aiotcbatch.entities.contents import FileContent
from aiotcbatch.entities.entity import Entity
from aiotcbatch.entities.group import (
    Adversary,
    AttackPattern,
    Campaign,
    CourseOfAction,
    Document,
    Email,
    Event,
    Group,
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
from aiotcbatch.entities.indicator import (
    ASN,
    CIDR,
    URL,
    Address,
    CustomIndicator,
    EmailAddress,
    EmailSubject,
    File,
    Hashtag,
    Host,
    Indicator,
    Mutex,
    RegistryKey,
    UserAgent,
)
from aiotcbatch.entities.metadata import (
    Association,
    Attribute,
    FileOccurrence,
    SecurityLabel,
    Tag,
)
from aiotcbatch.errors import (
    ERROR_CODES,
    AccessDeniedError,
    AiotcbatchError,
    AuthenticationError,
    BatchDisabledError,
    CircuitOpenError,
    ClockError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    CriticalError,
    DeadLettersError,
    ErrorCode,
    FileUploadError,
    JobError,
    JournalDamagedError,
    JournalError,
    JournalLockedError,
    NotFoundError,
    PollTimeoutError,
    RateLimitedError,
    RequestRefusedError,
    RequestTimeoutError,
    ResponseError,
    SealedError,
    TransportError,
    UnavailableError,
    UnreadableAnswerError,
    UploadTooLargeError,
    UsageError,
    ValidationError,
)
from aiotcbatch.results.outcomes import Outcome, Outcomes
from aiotcbatch.results.status import BatchError, BatchStatus, UploadResult
from aiotcbatch.stream import Stream, StreamStatistics
from aiotcbatch.transport.http import ClientStatistics
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings
from aiotcbatch.xid import generate_xid

__all__ = [
    "ASN",
    "CIDR",
    "ERROR_CODES",
    "URL",
    "AccessDeniedError",
    "Address",
    "Adversary",
    "AiotcbatchError",
    "Association",
    "AttackPattern",
    "Attribute",
    "AttributeType",
    "Auth",
    "AuthenticationError",
    "Batch",
    "BatchDisabledError",
    "BatchError",
    "BatchStatus",
    "Campaign",
    "CircuitOpenError",
    "Client",
    "ClientStatistics",
    "ClockError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLostError",
    "CourseOfAction",
    "CriticalError",
    "CustomIndicator",
    "DeadLettersError",
    "Document",
    "Email",
    "EmailAddress",
    "EmailSubject",
    "Entity",
    "ErrorCode",
    "Event",
    "File",
    "FileContent",
    "FileOccurrence",
    "FileUploadError",
    "Group",
    "Hashtag",
    "HmacAuth",
    "Host",
    "Incident",
    "Indicator",
    "IndicatorType",
    "IntrusionSet",
    "JobError",
    "JournalDamagedError",
    "JournalError",
    "JournalLockedError",
    "Malware",
    "Mutex",
    "NotFoundError",
    "Outcome",
    "Outcomes",
    "Owner",
    "PollTimeoutError",
    "RateLimitedError",
    "RegistryKey",
    "Report",
    "RequestRefusedError",
    "RequestTimeoutError",
    "ResponseError",
    "RetryPolicy",
    "SealedError",
    "SecurityLabel",
    "Settings",
    "Signature",
    "Stream",
    "StreamStatistics",
    "Tactic",
    "Tag",
    "Threat",
    "TokenAuth",
    "Tool",
    "TransportError",
    "UnavailableError",
    "UnreadableAnswerError",
    "UploadResult",
    "UploadTooLargeError",
    "UsageError",
    "UserAgent",
    "ValidationError",
    "Vulnerability",
    "generate_xid",
]

# Users import from here, so this is where tracebacks and documentation say that things are.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
generate_xid.__module__ = __name__
