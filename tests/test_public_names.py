"""What users import: pinned, documented, and said to be where they import it from."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aiotcbatch
import aiotcbatch.events
import aiotcbatch.sandbox
import aiotcbatch.sources
import aiotcbatch.telemetry

MODULES = (
    aiotcbatch,
    aiotcbatch.sandbox,
    aiotcbatch.events,
    aiotcbatch.telemetry,
    aiotcbatch.sources,
)
_REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

#: Taking a name away, or giving it another meaning, breaks somebody's program.
NAMES = {
    "aiotcbatch": """
        ASN AccessDeniedError Address Adversary AiotcbatchError Association AttackPattern
        Attribute AttributeType Auth AuthenticationError Batch BatchDisabledError BatchError
        BatchStatus CIDR Campaign CircuitOpenError Client ClientStatistics ClockError
        ClosedError ConfigurationError ConnectError ConnectionLostError CourseOfAction
        CriticalError CustomIndicator DeadLettersError Document ERROR_CODES
        Email EmailAddress EmailSubject
        Entity ErrorCode Event File FileContent FileOccurrence FileUploadError Group Hashtag
        HmacAuth Host Incident Indicator IndicatorType IntrusionSet JobError
        JournalDamagedError JournalError JournalLockedError Malware Mutex NotFoundError Outcome
        Outcomes Owner
        PollTimeoutError RateLimitedError RegistryKey Report RequestRefusedError
        RequestTimeoutError ResponseError RetryPolicy SealedError SecurityLabel Settings
        Signature Stream StreamStatistics Tactic Tag Threat TokenAuth Tool TransportError URL
        UnavailableError UnreadableAnswerError UploadResult UploadTooLargeError UsageError
        UserAgent ValidationError Vulnerability generate_xid
    """,
    "aiotcbatch.sandbox": """
        AssociationType AttributeType Clock Counts Entity Exchange FailedJob Fault Faults Files
        IndicatorType JobError JobView Latency ManualClock Owner PoisonedJob Replay Reset Rule
        Sandbox SandboxThread SecurityLabel Settings SlowDrip Snapshot State Status StoredAttribute
        StoredFile StuckJob SystemClock Truncated User WrongContentType WrongShape bad_gateway
        forbidden internal_error rate_limited storage_full unauthorized unavailable
    """,
    "aiotcbatch.events": """
        BatchAbandoned CircuitClosed CircuitOpened ClientEvent ClockCorrected FileFailed
        FileUploaded JobCompleted JobCreated JobFailed JobFinished JobPolled JobRecut JobUploaded
        RequestRetried RetryRefused SubmitEnded SubmitStarted
    """,
    "aiotcbatch.telemetry": "OpenTelemetry",
    "aiotcbatch.sources": "Counts GroupSink SourceAttribute SourceGroup attack",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_are_pinned(module: str) -> None:
    """The names are those that were promised, and each of them is there."""
    found = importlib.import_module(module)

    assert sorted(found.__all__) == sorted(NAMES[module].split())
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


def _classes() -> list[Any]:
    return [
        pytest.param(module, thing, id=f"{module.__name__}.{name}")
        for module in MODULES
        for name in module.__all__
        if isinstance(thing := getattr(module, name), type)
    ]


@pytest.mark.parametrize(("module", "cls"), _classes())
def test_classes_report_where_they_are_imported_from(module: Any, cls: type) -> None:
    """A traceback names the class as the user knows it, and so does pickle."""
    assert cls.__module__ == module.__name__
    assert pickle.loads(pickle.dumps(cls)) is cls  # noqa: S301 (our own)


def _members(cls: type) -> list[tuple[str, Any]]:
    """Give the public functions and properties of a class that are ours."""
    found = []
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(inspect.unwrap(function or cls)):
            continue
        if str(Path(aiotcbatch.__file__).parent) in inspect.unwrap(function).__code__.co_filename:
            found.append((name, member))
    return found


@pytest.mark.parametrize(("module", "cls"), _classes())
def test_everything_has_a_docstring(module: Any, cls: type) -> None:
    """Classes say what they are for, and so does each of their methods and properties."""
    bare = [name for name, member in _members(cls) if not inspect.getdoc(member)]

    assert inspect.getdoc(cls), cls
    assert bare == []


@pytest.mark.parametrize("cls", [aiotcbatch.Client, aiotcbatch.Batch, aiotcbatch.Stream])
def test_coroutines_say_what_they_raise(cls: type) -> None:
    """What does I/O says what can come of it."""
    silent = [
        name
        for name, member in _members(cls)
        if (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
        and "Raises:" not in (inspect.getdoc(member) or "")
        and "`submit`" not in (inspect.getdoc(member) or "")
    ]

    assert set(silent) <= {"aclose", "close"}


def _names() -> list[tuple[str, str]]:
    return [(module.__name__, name) for module in MODULES[:-1] for name in module.__all__]


@pytest.mark.parametrize(("module", "name"), _names())
def test_names_are_in_the_reference(module: str, name: str) -> None:
    """Every public name has its place in the reference."""
    sections: dict[str, str] = {}
    for page in _REFERENCE.glob("*.md"):
        for section in page.read_text("utf-8").split(".. currentmodule:: "):
            package, _, text = section.partition("\n")
            sections[package] = sections.get(package, "") + text

    assert f":: {name}\n" in sections[module]


def test_codes_are_in_the_reference() -> None:
    """Every code of the server is told with its meaning and its hint."""
    page = (_REFERENCE / "errors.md").read_text("utf-8")
    rows = [f"| {code} | {e.meaning} | {e.hint} |" for code, e in aiotcbatch.ERROR_CODES.items()]

    assert [row for row in rows if row not in page] == []


def test_import_takes_no_more_than_needed() -> None:
    """Importing the library loads neither the sandbox nor the command line nor an extra."""
    code = "import sys, aiotcbatch; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(aiotcbatch.__file__).parents[1])},
    )

    loaded = set(done.stdout.split())
    assert "aiotcbatch.client" in loaded
    assert not loaded & {
        "aiotcbatch.sandbox",
        "aiotcbatch.cli",
        "aiotcbatch.sources",
        "aiotcbatch.telemetry",
        "opentelemetry",
        "rich",
        "click",
    }


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers take the annotations of the installed package."""
    assert Path(aiotcbatch.__file__).with_name("py.typed").exists()
