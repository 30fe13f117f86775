"""What a sandbox cannot be made of, or be told, is refused by its name."""

from __future__ import annotations

import inspect
import math
from dataclasses import MISSING, fields, is_dataclass

import pytest

from aiotcbatch import ConfigurationError
from aiotcbatch import sandbox as sandboxes
from aiotcbatch.sandbox import (
    AssociationType,
    AttributeType,
    FailedJob,
    IndicatorType,
    Latency,
    ManualClock,
    Owner,
    PoisonedJob,
    Replay,
    Reset,
    Rule,
    Sandbox,
    SecurityLabel,
    Settings,
    SlowDrip,
    Status,
    SystemClock,
    Truncated,
    User,
    WrongContentType,
    WrongShape,
    rate_limited,
    unavailable,
)
from tests.sandbox.conftest import calling

#: Of no kind that anything takes.
NOTHING = object()
TOO_LONG = 10**400

#: What users make, with what it cannot do without.
MADE = {
    Owner: {"name": "MyOrg"},
    User: {"access_id": "1", "secret_key": "k"},
    Settings: {},
    IndicatorType: {"name": "Zip Code"},
    AttributeType: {"name": "Rank"},
    AssociationType: {"name": "Zip to Host"},
    SecurityLabel: {"name": "Ours"},
    Latency: {"seconds": 1},
    Reset: {},
    Status: {"status": 500},
    Truncated: {},
    SlowDrip: {},
    WrongContentType: {},
    WrongShape: {},
    FailedJob: {},
    PoisonedJob: {"xids": {"x"}},
    Rule: {"endpoint": "owners", "fault": Reset()},
}
#: What only the sandbox makes.
GIVEN = {"Counts", "Entity", "Exchange", "JobError", "JobView", "StoredAttribute"}
FIELDS = [(kind, field.name) for kind in MADE for field in fields(kind)]


def _refused(field, value, call, *args, **named):
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **named)

    assert (field, value) == (caught.value.field, caught.value.value)
    assert caught.value.accepted


def test_every_class_of_values_is_known_here():
    """What comes to the public names is either made by users and checked, or only given to them."""
    public = {name for name in sandboxes.__all__ if is_dataclass(getattr(sandboxes, name))}
    without_fields = {"StuckJob"}

    assert public == {kind.__name__ for kind in MADE} | GIVEN | without_fields


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_every_field_of_every_value_is_checked(kind, name):
    """None of them takes what is of no kind that it knows; the error says what of."""
    with pytest.raises(ConfigurationError, match=f"^{kind.__name__}: {name} is ") as caught:
        kind(**{**MADE[kind], name: NOTHING})

    assert (name, NOTHING) == (caught.value.field, caught.value.value)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_none_is_taken_where_it_means_something(kind, name):
    """Elsewhere it is refused, and where it is taken it is in the annotation."""
    optional = next(f.type for f in fields(kind) if f.name == name).endswith(" | None")
    given = {**MADE[kind], name: None}
    if optional:
        assert getattr(kind(**given), name) is None
    else:
        _refused(name, None, kind, **given)


@pytest.mark.parametrize("kind", MADE)
def test_what_is_left_out_is_right(kind):
    """Defaults pass their own checks, and what is said here to be needed is."""
    kind(**MADE[kind])
    needed = {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}

    assert needed == set(MADE[kind])


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Owner, "name", ""),
        (Owner, "name", "\ud800"),
        (User, "access_id", ""),
        (User, "secret_key", ""),
        (User, "owners", "MyOrg"),
        (User, "owners", {"MyOrg": True}),
        (Settings, "batch_enabled", 1),
        (Settings, "latency", True),
        (Settings, "latency", math.nan),
        (Settings, "latency", math.inf),
        (Settings, "latency", TOO_LONG),
        (Settings, "latency", -1),
        (Settings, "chunk", 0),
        (Settings, "chunk", 1.5),
        (Settings, "entities_per_second", 0),
        (Settings, "keep_bodies", -1),
        (Settings, "upload_limit", None),
        (IndicatorType, "name", ""),
        (IndicatorType, "case", "Upper"),
        (IndicatorType, "fields", "Zip"),
        (IndicatorType, "fields", ("a", "b", "c", "d")),
        (IndicatorType, "options", ("a", "b")),
        (AttributeType, "choices", "Low"),
        (AttributeType, "max_size", 0),
        (AssociationType, "secondary", "Host"),
        (SecurityLabel, "color", "red"),
        (SecurityLabel, "color", "#FF000"),
        (Latency, "seconds", -1),
        (Reset, "after_bytes", -1),
        (Status, "status", 100),
        (Status, "status", 600),
        (Truncated, "keep", 1.5),
        (SlowDrip, "piece", 0),
        (WrongContentType, "content_type", "text/html\r\nX: y"),
        (WrongShape, "body", "[]"),
        (PoisonedJob, "xids", [5]),
        (PoisonedJob, "hint", "left"),
        (Rule, "probability", 1.5),
        (Rule, "times", -1),
        (Rule, "fault", Reset),
        (Rule, "fault", 503),
    ],
)
def test_what_only_looks_right_is_refused(kind, name, value):
    """Such as text where a list of texts is meant, or a class of faults that was not called."""
    with pytest.raises(ConfigurationError) as caught:
        kind(**{**MADE[kind], name: value})

    assert (name, kind.__name__) == (caught.value.field, caught.value.about)


def test_a_header_is_one_line():
    """Else it would be more than one."""
    for said in (
        {"content_type": "a\nb"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X\n": ""}},
    ):
        with pytest.raises(ConfigurationError, match="one line"):
            Status(500, **said)


@pytest.mark.parametrize("made", [rate_limited, unavailable])
@pytest.mark.parametrize("value", [-1, math.inf, True, b"1", NOTHING])
def test_retry_after_is_seconds_or_a_date(made, value):
    """What is neither is refused."""
    _refused("retry_after", value, made, value)


PARAMETERS = [name for name in inspect.signature(Sandbox).parameters if name != "limits"]
SECRET = {"access_id", "secret_key", "token"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_argument_of_a_sandbox_is_checked(name):
    """None of them takes what is of no kind that it knows; what may be secret is not shown."""
    shown = "object" if name in SECRET else NOTHING
    _refused(name, shown, Sandbox, **{name: NOTHING})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("owners", b"MyOrg", b"MyOrg"),
        ("owners", (), []),
        ("owners", ["MyOrg", "MyOrg"], ["MyOrg", "MyOrg"]),
        ("db", "", ""),
        ("db", None, None),
        ("db", b"tc.db", b"tc.db"),
        ("port", True, True),
        ("port", 65_536, 65_536),
        ("settings", {}, {}),
        ("secret_key", b"hunter2", "bytes"),
        ("seed", "one", "one"),
        ("clock", 0, 0),
        ("clock", ManualClock, ManualClock),
        ("record", "no/such/directory/tc.recording", "no/such/directory/tc.recording"),
        ("indicator_types", ["Zip"], "Zip"),
        ("security_labels", ["Ours"], "Ours"),
        ("techniques", {"T1": 1}, {"T1": 1}),
        ("techniques", ["T1"], ["T1"]),
        ("signature_types", "YARA", "YARA"),
        ("signature_types", [5], 5),
        ("routes", ["/"], "/"),
    ],
)
def test_what_only_looks_like_an_argument_is_refused(name, value, shown):
    """Of a list, what is wrong in it is shown."""
    _refused(name, shown, Sandbox, **{name: value})


async def test_what_a_sandbox_is_told_is_checked():
    """It goes on as it was."""
    async with Sandbox() as sandbox:
        _refused("user", NOTHING, sandbox.add_user, NOTHING)
        _refused("token", NOTHING, sandbox.expire_token, NOTHING)
        _refused("owner", NOTHING, sandbox.entities, owner=NOTHING)
        _refused("type", NOTHING, sandbox.entities, type=NOTHING)
        _refused("latency", "slow", sandbox.configure, latency="slow")
        with pytest.raises(ConfigurationError, match="snapshot"):
            await sandbox.restore(NOTHING)
        assert sandbox.settings == Settings()


async def test_entities_of_no_type_are_refused():
    """A slip would look like nothing stored; types in any letter case and custom ones are known."""
    asset = IndicatorType(name="Network Asset", fields=("Name",))
    stored = {"type": "Network Asset", "summary": "printer-7"}
    async with calling(Sandbox(indicator_types=[asset])) as call:
        await call.job({"indicator": [stored]})
        for name, number in (("network asset", 1), ("Network Asset", 1), ("HOST", 0), ("tool", 0)):
            assert len(call.sandbox.entities(type=name)) == number
        with pytest.raises(ConfigurationError) as caught:
            call.sandbox.entities(type="Hots")

    assert caught.value.accepted.startswith("'Host'? or one of Adversary, ")
    assert caught.value.accepted.endswith(", Network Asset")


def test_an_owner_that_is_not_there_has_no_entities(call):
    """Nor is an empty list given, by which a test might pass that looks in the wrong place."""
    with pytest.raises(ConfigurationError) as caught:
        call.sandbox.entities(owner="MyOgr")

    assert caught.value.accepted == "'MyOrg'? or one of MyOrg, Other"


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, TOO_LONG, NOTHING])
def test_time_is_a_number(value):
    """On every clock, and wherever it is put to."""
    _refused("offset", value, SystemClock, value)
    _refused("start", value, ManualClock, value)
    _refused("seconds", value, ManualClock().advance, value)
    _refused("now", value, ManualClock().set, value)


@pytest.mark.parametrize("path", [None, "", 0, b"tc.recording"])
def test_a_recording_has_a_path(path):
    """A number is none, though Python would read from the file that is open under it."""
    _refused("path", path, Replay, path)
