"""A local ThreatConnect, to develop, demonstrate and test against."""

from aiotcbatch.sandbox.clock import Clock, ManualClock, SystemClock
from aiotcbatch.sandbox.faults import Faults, Rule
from aiotcbatch.sandbox.misbehaviour import (
    FailedJob,
    Fault,
    Latency,
    PoisonedJob,
    Reset,
    SlowDrip,
    Status,
    StuckJob,
    Truncated,
    WrongContentType,
    WrongShape,
    bad_gateway,
    forbidden,
    internal_error,
    rate_limited,
    storage_full,
    unauthorized,
    unavailable,
)
from aiotcbatch.sandbox.replaying import Exchange, Replay
from aiotcbatch.sandbox.sandbox import Sandbox
from aiotcbatch.sandbox.settings import Owner, Settings, User
from aiotcbatch.sandbox.snapshots import Snapshot
from aiotcbatch.sandbox.store.contents import StoredFile
from aiotcbatch.sandbox.store.jobs import Counts, JobError, State
from aiotcbatch.sandbox.store.reading import Entity, StoredAttribute
from aiotcbatch.sandbox.threaded import SandboxThread
from aiotcbatch.sandbox.views import Files, JobView
from aiotcbatch.sandbox.vocabulary import (
    AssociationType,
    AttributeType,
    IndicatorType,
    SecurityLabel,
)

__all__ = [
    "AssociationType",
    "AttributeType",
    "Clock",
    "Counts",
    "Entity",
    "Exchange",
    "FailedJob",
    "Fault",
    "Faults",
    "Files",
    "IndicatorType",
    "JobError",
    "JobView",
    "Latency",
    "ManualClock",
    "Owner",
    "PoisonedJob",
    "Replay",
    "Reset",
    "Rule",
    "Sandbox",
    "SandboxThread",
    "SecurityLabel",
    "Settings",
    "SlowDrip",
    "Snapshot",
    "State",
    "Status",
    "StoredAttribute",
    "StoredFile",
    "StuckJob",
    "SystemClock",
    "Truncated",
    "User",
    "WrongContentType",
    "WrongShape",
    "bad_gateway",
    "forbidden",
    "internal_error",
    "rate_limited",
    "storage_full",
    "unauthorized",
    "unavailable",
]

# Users import from here, so this is where tracebacks and documentation say that things are.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
