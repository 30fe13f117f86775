"""What the server takes and what it refuses, value by value."""

from __future__ import annotations

import pytest

from aiotcbatch.sandbox import AttributeType, IndicatorType, Sandbox
from tests.sandbox.conftest import calling

HASH = "0123456789abcdef" * 4


def indicator(kind, summary, **more):
    """Return an indicator as a document has it."""
    return {"type": kind, "summary": summary, **more}


GOOD = [
    (indicator("Address", "1.2.3.4"), "1.2.3.4"),
    (indicator("Address", "2001:DB8::1"), "2001:db8::1"),
    (indicator("address", "", ip="1.2.3.4"), "1.2.3.4"),
    (indicator("ASN", "asn12345"), "ASN12345"),
    ({"type": "ASN", "AS Number": "ASN1"}, "ASN1"),
    (indicator("CIDR", "10.0.0.0/8"), "10.0.0.0/8"),
    (indicator("CIDR", "2001:DB8:1234:0:0:0:0:0/48"), "2001:db8:1234:0:0:0:0:0/48"),
    (indicator("EmailAddress", "A@example.com"), "a@example.com"),
    (indicator("File", HASH[:32]), HASH[:32]),
    (indicator("File", f"{HASH} : {HASH[:40]}"), f"{HASH[:40]} : {HASH}"),
    ({"type": "File", "sha256": HASH, "summary": "ignored"}, HASH),
    (indicator("File", f"{HASH[:32]} : {HASH[:32].upper()}"), HASH[:32]),
    (indicator("Host", "WWW.Example.com"), "www.example.com"),
    (indicator("Host", "xn--sterreich-z7a.icom.museum"), "xn--sterreich-z7a.icom.museum"),
    (indicator("Url", "http://example.com/A?b=C#d"), "http://example.com/A?b=C#d"),
    (indicator("URL", "http://user:Pass@example.com:80"), "http://user:Pass@example.com:80"),
    (indicator("Mutex", "a : b"), "a : b"),
    (
        indicator("Registry Key", "HKEY_USERS\\a : b : REG_SZ"),
        "HKEY_USERS\\a : b : REG_SZ",
    ),
    (
        {
            "type": "Registry Key",
            "Key Name": "HKEY_USERS",
            "Value Name": " ",
            "Value Type": "REG_DWORD",
        },
        "HKEY_USERS :   : REG_DWORD",
    ),
    (
        {"type": "Registry Key", "value1": "HKEY_USERS", "value2": "n", "value3": "REG_SZ"},
        "HKEY_USERS : n : REG_SZ",
    ),
    (indicator("User Agent", "Mozilla/5.0"), "Mozilla/5.0"),
    (indicator("Hashtag", "#x"), "#x"),
    (indicator("Email Subject", "Re: x"), "Re: x"),
]


@pytest.mark.parametrize(("sent", "summary"), GOOD)
async def test_indicators_that_are_taken(call, sent, summary):
    """Each type takes its values by summary or by its own fields, in one stored form."""
    _, status = await call.job({"indicator": [sent]})

    assert status["successIndicatorCount"] == 1
    assert [entity.summary for entity in call.sandbox.entities()] == [summary]


BAD = [
    indicator("Address", "1.2.3"),
    indicator("Address", "01.2.3.4"),
    indicator("Address", "::g"),
    indicator("ASN", "12345"),
    indicator("ASN", "AS12345"),
    indicator("ASN", "ASN 12345"),
    indicator("CIDR", "2001:db8:1234::/48"),
    indicator("CIDR", "2001:db8:1234:0000:0:0:0:0/48"),
    indicator("CIDR", "10.0.0.0"),
    indicator("CIDR", "10.0.0.0/33"),
    indicator("CIDR", f"10.0.0.0/{'9' * 5000}"),
    indicator("EmailAddress", "nobody"),
    indicator("File", "abc"),
    indicator("File", ""),
    {"type": "File", "md5": "x" * 32},
    {"type": "File", "md5": HASH[:40]},
    {"type": "File", "sha256": HASH, "sha1": HASH[:32]},
    indicator("File", f"{'a' * 32} : {'b' * 32}"),
    indicator("File", f"{'a' * 40} : {HASH} : {'b' * 40}"),
    indicator("Host", "österreich.icom.museum"),
    indicator("Host", "a b"),
    indicator("Host", ""),
    indicator("URL", "example.com"),
    indicator("URL", "http://EXAMPLE.com"),
    indicator("URL", "http://exämple.com"),
    indicator("Registry Key", "HKLM\\a : b : REG_SZ"),
    indicator("Registry Key", "HKEY_USERS\\a : b"),
    indicator("Registry Key", "HKEY_USERS\\a :  : REG_SZ"),
    indicator("Registry Key", "HKEY_USERS\\a : b : REG_X"),
    indicator("Mutex", ""),
    indicator("Nothing", "a"),
    {"summary": "a"},
    {},
    indicator("Host", "a.example", rating=5.1),
    indicator("Host", "a.example", rating="many"),
    indicator("Host", "a.example", confidence=101),
    indicator("Host", "a.example", confidence=-1),
    indicator("Host", "a.example", confidence="5.5"),
    indicator("Host", "a.example", active="perhaps"),
    indicator("Host", "a.example", firstSeen="yesterday"),
    indicator("Host", "a.example", flag1="x"),
    indicator("File", "a" * 32, size=10**30),
]


@pytest.mark.parametrize("sent", BAD)
async def test_indicators_that_are_refused(call, sent):
    """A value that is not one of its type is 0x1005, and the next entity is stored."""
    job_id, status = await call.job({"indicator": [sent, indicator("Host", "good.example")]})

    assert (status["successIndicatorCount"], status["errorIndicatorCount"]) == (1, 1)
    assert [error["code"] for error in await call.results(job_id)] == ["0x1005"]
    assert [entity.summary for entity in call.sandbox.entities()] == ["good.example"]


def group(kind, **more):
    """Return a group as a document has it."""
    return {"type": kind, "name": "n", "xid": "x", **more}


EMAIL = {"subject": "s", "header": "h", "body": "b"}
SIGNATURE = {"fileName": "f", "fileText": "t", "fileType": "snort"}


@pytest.mark.parametrize(
    "sent",
    [
        group("adversary"),
        group("Course of Action"),
        group("course OF action"),
        group("Document", malware=True, password="p"),
        group("Email", **EMAIL, score=0),
        group("Event", status="needs review", eventType="trend"),
        group("Incident", status=None),
        group("Signature", **SIGNATURE),
        group("Signature", **{**SIGNATURE, "fileType": "Snort ®"}),
        group("Signature", **{**SIGNATURE, "fileType": "CybOX™"}),
        group("Report", insights="i", aiProvider="p"),
    ],
)
async def test_groups_that_are_taken(call, sent):
    """Types and listed values are taken in any letter case, and nothing more is required."""
    _, status = await call.job({"group": [sent]})

    assert status["successGroupCount"] == 1


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (group("Task"), "type"),
        ({"name": "n", "xid": "x"}, "type"),
        (group("Adversary", name=""), "name"),
        (group("Adversary", xid=None), "xid"),
        (group("Document", malware=True), "password"),
        (group("Email", subject="s", header="h"), "body"),
        (group("Event", status="Open"), "status"),
        (group("Event", eventType="Party"), "eventType"),
        (group("Incident", status="Completed"), "status"),
        (group("Incident", eventDate="2026-13-01"), "eventDate"),
        (group("Signature", **{**SIGNATURE, "fileType": "x"}), "fileType"),
        (group("Signature", fileName="f", fileType="YARA"), "fileText"),
        (group("Report", insights="i"), "aiProvider"),
    ],
)
async def test_groups_that_are_refused(call, sent, field):
    """What a group lacks or has wrong is 0x1006, and its message has the path of the field."""
    job_id, status = await call.job({"group": [sent, group("Threat", xid="y")]})

    (error,) = await call.results(job_id)

    assert (status["successGroupCount"], status["errorGroupCount"]) == (1, 1)
    assert error["code"] == "0x1006"
    assert f"'$.group[0].{field}'" in error["errorMessage"]


async def test_custom_signature_types():
    """What an instance has beside the default values is taken as well."""
    async with calling(Sandbox(signature_types=["Zeek"])) as call:
        _, status = await call.job(
            {"group": [group("Signature", **{**SIGNATURE, "fileType": "zeek"})]}
        )
        (stored,) = call.sandbox.entities()

    assert status["successGroupCount"] == 1
    assert stored.fields["fileType"] == "Zeek"


async def test_the_documented_example(call):
    """A wrong status is worded as the documents show it."""
    sent = group("Incident", name="incident-001", status="Wrong")
    job_id, _ = await call.job({"group": [sent]})

    reply = await call("GET", f"/v2/batch/{job_id}/errors")

    assert reply.json == [
        {
            "errorReason": "Incident incident-001 has an invalid status.",
            "errorSource": "incident-001 is not valid.",
        }
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"tag": [{"name": "x" * 129}]},
        {"tag": [{}]},
        {"attribute": [{"type": "Nothing", "value": "x"}]},
        {"attribute": [{"value": "x"}]},
        {"attribute": [{"type": "Description"}]},
        {"attribute": [{"type": "Description", "value": ""}]},
        {"attribute": [{"type": "Short", "value": "12345"}]},
        {"attribute": [{"type": "Confidence Level", "value": "Some"}]},
        {"securityLabel": [{"name": "Unknown"}]},
        {"securityLabel": [{"name": "Unknown", "color": "FF0000"}]},
        {"securityLabel": [{}]},
    ],
)
async def test_partial_loss(part):
    """A part that is not taken is left out; the entity is stored and has a 0x200x warning."""
    sandbox = Sandbox(attribute_types=[AttributeType(name="Short", max_size=4)])
    async with calling(sandbox) as call:
        job_id, status = await call.job(
            {"group": [group("Threat", **part)], "indicator": [indicator("Host", "a.b", **part)]}
        )
        errors = await call.results(job_id)
        stored = sandbox.entities()

    assert [(error["code"], error["severity"]) for error in errors] == [
        ("0x2002", "Warning"),
        ("0x2001", "Warning"),
    ]
    assert (status["successCount"], status["errorCount"]) == (0, 2)
    assert [(len(e.tags), len(e.attributes), len(e.labels)) for e in stored] == [(0, 0, 0)] * 2


async def test_an_occurrence_needs_something(call):
    """An occurrence without name, path and date is lost."""
    sent = indicator("File", "a" * 32, fileOccurrence=[{}, {"path": "p"}, {"date": "x"}])
    job_id, _ = await call.job({"indicator": [sent]})

    assert [error["code"] for error in await call.results(job_id)] == ["0x2001"]
    assert call.sandbox.entities()[0].occurrences == [(None, "p", None)]


async def test_one_error_an_entity(call):
    """Only the first thing that is wrong with an entity is reported."""
    sent = group("Threat", tag=[{"name": ""}], attribute=[{"type": "?"}], associatedGroupXid=["z"])
    job_id, status = await call.job({"group": [sent]})

    assert status["errorGroupCount"] == 1
    assert len(await call.results(job_id)) == 1


async def test_the_longest_that_is_taken(call):
    """A tag of 128 characters and an attribute of its type's size are whole."""
    sent = group(
        "Threat",
        tag=[{"name": "ü" * 128}],
        attribute=[{"type": "Description", "value": "ü" * 65_535}],
    )
    _, status = await call.job({"group": [sent]})

    assert status["successGroupCount"] == 1
    assert len(call.sandbox.entities()[0].attributes[0].value) == 65_535


async def test_custom_indicator_types():
    """A custom type has one to three named values, options and a letter case."""
    kind = IndicatorType(
        name="Payment",
        case="upper",
        fields=("Bank", "Account"),
        options=(("A", "B"), ()),
    )
    async with calling(Sandbox(indicator_types=[kind])) as call:
        _, status = await call.job(
            {
                "indicator": [
                    indicator("payment", "a : x : y"),
                    {"type": "Payment", "Bank": "b", "Account": "z"},
                    {"type": "Payment", "value1": "a", "value2": "w"},
                    indicator("Payment", "c : x"),
                    indicator("Payment", "a"),
                ]
            }
        )
        listed = await call("GET", "/v2/types/indicatorTypes/Payment")
        stored = [entity.summary for entity in call.sandbox.entities()]

    assert stored == ["A : X : Y", "B : Z", "A : W"]
    assert status["errorIndicatorCount"] == 2
    assert listed.json["data"]["indicatorType"]["value1Option"] == "A;B"


async def test_odd_forms_of_what_is_taken(call):
    """One object stands for an array of it, 1 for true, and what is no boolean is none."""
    attribute = {"type": "Confidence Level", "value": "High", "displayed": None, "pinned": "maybe"}
    sent = indicator("File", "a" * 32, tag={"name": "one"}, active=0, attribute=attribute)
    _, status = await call.job({"indicator": [{**sent, "fileAction": "none"}]})
    (entity,) = call.sandbox.entities()

    assert (status["successCount"], status["errorCount"]) == (1, 0)
    assert (entity.tags, entity.active) == (["one"], False)
    assert [(one.value, one.displayed, one.pinned) for one in entity.attributes] == [
        ("High", False, False)
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"tag": ["one"]},
        {"tag": 10**30},
        {"fileOccurrence": ["a.exe"]},
        {"attribute": ["Description"]},
        {"attribute": [5]},
        {"fileAction": {"children": ["h-1"]}},
    ],
)
async def test_a_part_of_a_wrong_shape_ends_the_job(call, part):
    """It is no JSON that the server can take: the document ends there."""
    sent = indicator("File", "a" * 32, **part)
    job_id, status = await call.job({"indicator": [sent, indicator("Host", "a.example")]})
    (error,) = await call.results(job_id)

    assert (status["status"], status["successCount"]) == ("Completed", 0)
    assert (error["code"], "$.indicator[0]" in error["errorMessage"]) == ("0x1003", True)


async def test_a_date_that_utc_does_not_have(call):
    """The first day of all in a zone that is ahead is refused as a value."""
    sent = indicator("Host", "a.example", firstSeen="0001-01-01T00:00:00+14:00")
    job_id, _ = await call.job({"indicator": [sent]})
    (error,) = await call.results(job_id)

    assert error["errorReason"] == "Host a.example has an invalid firstSeen."


async def test_the_case_of_a_type_of_ones_own():
    """Its values are stored in the case that it prefers."""
    kinds = [IndicatorType(name=case, fields=("V",), case=case) for case in ("upper", "lower")]
    async with calling(Sandbox(indicator_types=kinds)) as call:
        await call.job({"indicator": [indicator("upper", "aB"), indicator("lower", "aB")]})

        assert [entity.summary for entity in call.sandbox.entities()] == ["AB", "ab"]


async def test_only_objects_can_be_deleted(call):
    """An element that is none ends the job."""
    job_id, _ = await call.job({"indicator": [5]}, action="Delete")
    (error,) = await call.results(job_id)

    assert error["code"] == "0x1003"
