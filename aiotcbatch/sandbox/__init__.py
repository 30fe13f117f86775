"""A local ThreatConnect, to develop, demonstrate and test against."""

from aiotcbatch.sandbox.clock import Clock, ManualClock, SystemClock
from aiotcbatch.sandbox.sandbox import Sandbox
from aiotcbatch.sandbox.settings import Owner, Settings, User
from aiotcbatch.sandbox.store.contents import StoredFile
from aiotcbatch.sandbox.store.jobs import Counts, JobError, State
from aiotcbatch.sandbox.store.reading import Entity, StoredAttribute
from aiotcbatch.sandbox.views import JobView
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
    "IndicatorType",
    "JobError",
    "JobView",
    "ManualClock",
    "Owner",
    "Sandbox",
    "SecurityLabel",
    "Settings",
    "State",
    "StoredAttribute",
    "StoredFile",
    "SystemClock",
    "User",
]
