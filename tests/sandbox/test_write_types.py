"""What a job writes: creating, updating and deleting under each write type."""

from __future__ import annotations

from functools import partial

import pytest

from aiotcbatch.sandbox import Sandbox
from tests.sandbox.conftest import calling


def group(**changes):
    """Return a group as a document has it."""
    return {"type": "Adversary", "name": "one", "xid": "x-1", **changes}


def attributes(*pairs, **more):
    """Return attributes as a document has them."""
    return [{"type": kind, "value": value, **more} for kind, value in pairs]


def pairs_of(entity):
    """Return the attributes of a stored entity as pairs."""
    return [(one.type, one.value) for one in entity.attributes]


async def _shown(call, query):
    """Return what somebody sees who reads the database."""
    return await call.sandbox.instance.store.database.run(lambda db: db.execute(query).fetchall())


OLD = [("Description", "old"), ("Source", "old"), ("Description", "older")]
NEW = [("Description", "new"), ("Title", "new")]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("Append", [*OLD, *NEW]),
        ("Replace", NEW),
        ("Singleton", [("Source", "old"), *NEW]),
        ("Static", OLD),
    ],
)
async def test_attribute_write_types(call, mode, expected):
    """Append adds, Replace clears first, Singleton clears the types that come, Static ignores."""
    await call.job({"group": [group(attribute=attributes(*OLD))]})
    await call.job({"group": [group(attribute=attributes(*NEW))]}, attributeWriteType=mode)

    assert pairs_of(call.sandbox.entities()[0]) == expected


async def test_append_does_not_look_for_duplicates(call):
    """Append stores an equal attribute a second time."""
    document = {"group": [group(attribute=attributes(("Source", "a")))]}
    await call.job(document)
    await call.job(document, attributeWriteType="Append")

    assert pairs_of(call.sandbox.entities()[0]) == [("Source", "a")] * 2


@pytest.mark.parametrize(
    ("mode", "expected"), [("Append", ["a", "b", "c"]), ("Replace", ["b", "c"])]
)
async def test_tag_write_types(call, mode, expected):
    """Append unites tags, Replace leaves only the incoming ones."""
    await call.job({"group": [group(tag=[{"name": "a"}, {"name": "b"}])]})
    await call.job({"group": [group(tag=[{"name": "b"}, {"name": "c"}])]}, tagWriteType=mode)

    assert call.sandbox.entities()[0].tags == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("Append", ["TLP:GREEN", "TLP:RED"]), ("Replace", ["TLP:RED"])]
)
async def test_label_write_types(call, mode, expected):
    """Append unites security labels, Replace leaves only the incoming ones."""
    await call.job({"group": [group(securityLabel=[{"name": "TLP:GREEN"}])]})
    await call.job(
        {"group": [group(securityLabel=[{"name": "TLP:RED"}])]}, securityLabelWriteType=mode
    )

    assert call.sandbox.entities()[0].labels == expected


FULL = {
    "tag": [{"name": "a"}],
    "attribute": attributes(("Source", "a")),
    "securityLabel": [{"name": "TLP:RED"}],
}


@pytest.mark.parametrize(
    ("clears", "sent", "left"),
    [
        (False, {}, 1),
        (True, {}, 0),
        (False, {"tag": [], "attribute": [], "securityLabel": []}, 0),
        (False, {"tag": None, "attribute": None, "securityLabel": None}, 1),
    ],
)
async def test_keys_that_are_absent_or_empty(clears, sent, left):
    """Under Replace an empty array clears; whether an absent key does is a switch."""
    async with calling(Sandbox(absent_clears=clears)) as call:
        await call.job({"group": [group(**FULL)]})
        await call.job({"group": [group(**sent)]})
        stored = call.sandbox.entities()[0]

    assert len(stored.tags) == len(stored.attributes) == len(stored.labels) == left


async def test_a_group_is_known_by_its_xid(call):
    """Sending an xid again overwrites what comes and leaves what does not."""
    await call.job({"group": [group(type="Incident", status="New", eventDate="2026-01-02")]})
    await call.job({"group": [group(type="incident", status="closed", name="two")]})

    (stored,) = call.sandbox.entities()

    assert (stored.summary, stored.fields) == (
        "two",
        {"status": "Closed", "eventDate": "2026-01-02T00:00:00Z"},
    )


async def test_groups_may_share_a_name(call):
    """Two xids are two groups, whatever they are called."""
    await call.job({"group": [group(), group(xid="x-2")]})

    assert [entity.xid for entity in call.sandbox.entities()] == ["x-1", "x-2"]


async def test_a_group_keeps_its_type(call):
    """An xid that belongs to a group of another type is refused."""
    await call.job({"group": [group()]})
    job_id, status = await call.job({"group": [group(type="Threat")]})

    assert status["errorGroupCount"] == 1
    assert (await call.results(job_id))[0]["code"] == "0x1006"
    assert call.sandbox.entities()[0].type == "Adversary"


async def test_the_same_entity_twice_in_a_document(call):
    """What comes later in a document updates what came earlier; both count."""
    first = {"type": "Host", "summary": "a.example", "rating": 1, "confidence": 10}
    again = {"type": "host", "summary": "A.example", "rating": 2}
    _, status = await call.job({"indicator": [first, again]})

    (stored,) = call.sandbox.entities()

    assert status["successIndicatorCount"] == 2
    assert (stored.rating, stored.confidence) == (2.0, 10)


async def test_an_indicator_is_known_by_type_and_summary(call):
    """One indicator per type and summary and owner; types and owners are apart."""
    address = {"type": "Mutex", "summary": "same", "rating": "1.5"}
    await call.job({"indicator": [address, {**address, "type": "User Agent"}]})
    await call.job({"indicator": [{**address, "confidence": "40"}]})
    await call.job({"indicator": [address]}, owner="Other")

    found = call.sandbox.entities(owner="MyOrg")

    assert [(one.type, one.confidence) for one in found] == [("Mutex", 40), ("User Agent", None)]
    assert len(call.sandbox.entities()) == 3


async def test_one_attribute_of_a_type_is_shown(call):
    """Of the Descriptions only the last one that asked for it is displayed."""
    shown = attributes(("Description", "a"), ("Description", "b"), displayed=True)
    await call.job({"group": [group(attribute=shown)]})
    more = attributes(("Description", "c"), displayed="true")
    await call.job({"group": [group(attribute=more)]}, attributeWriteType="Append")

    stored = call.sandbox.entities()[0]

    assert [one.displayed for one in stored.attributes] == [False, False, True]


async def test_the_parts_of_an_attribute(call):
    """Source, pinned and labels of an attribute are stored; displayed only where it applies."""
    sent = {
        "type": "Title",
        "value": 5,
        "displayed": True,
        "pinned": True,
        "source": "me",
        "securityLabel": [{"name": "TLP:RED"}],
    }
    await call.job({"group": [group(attribute=[sent])]})

    (one,) = call.sandbox.entities()[0].attributes

    assert (one.value, one.displayed, one.pinned, one.source, one.labels) == (
        "5",
        False,
        True,
        "me",
        ("TLP:RED",),
    )


async def test_description_in_short(call):
    """An indicator's description and source are attributes in short."""
    await call.job(
        {"indicator": [{"type": "Host", "summary": "a.example", "description": "d", "source": "s"}]}
    )

    stored = call.sandbox.entities()[0]

    assert sorted(pairs_of(stored)) == [("Description", "d"), ("Source", "s")]
    assert all(one.displayed for one in stored.attributes)


async def test_labels_are_made_once(call):
    """A new label needs description and colour; afterwards its name is enough."""
    new = {"name": "Mine", "description": "of mine", "color": "FF0000"}
    await call.job({"group": [group(securityLabel=[new])]})
    _, status = await call.job({"group": [group(xid="x-2", securityLabel=[{"name": "Mine"}])]})
    _, elsewhere = await call.job(
        {"group": [group(securityLabel=[{"name": "Mine"}])]}, owner="Other"
    )

    assert status["errorCount"] == 0
    assert [entity.labels for entity in call.sandbox.entities(owner="MyOrg")] == [["Mine"]] * 2
    assert elsewhere["errorCount"] == 1


async def test_labels_of_attributes_are_made_likewise(call):
    """One that is new and comes without all that it needs is left out, as of an entity."""
    new = {"name": "Mine", "description": "of mine", "color": "FF0000"}
    sent = attributes(("Description", "a"), securityLabel=[new, {"name": "Unknown"}])
    job_id, status = await call.job({"group": [group(attribute=sent)]})
    _, then = await call.job({"group": [group(xid="x-2", securityLabel=[{"name": "Mine"}])]})
    (error,) = await call.results(job_id)

    assert (status["errorCount"], then["errorCount"]) == (1, 0)
    assert "Unknown does not exist and requires a description" in str(error)
    first, _ = call.sandbox.entities()
    assert [one.labels for one in first.attributes] == [("Mine",)]


async def test_an_attribute_without_a_label_that_exists_has_none(call):
    """In the view it is NULL, as where none was sent."""
    sent = attributes(("Description", "a"), securityLabel=[{"name": "Unknown"}])
    await call.job({"group": [group(attribute=sent)]})

    assert await _shown(call, "SELECT labels FROM attribute") == [(None,)]


async def test_fields_of_the_types(call):
    """Type-specific fields come back by the names of the API, in one stored form."""
    await call.job(
        {
            "group": [
                group(type="Email", subject="s", header="h", body="b", **{"from": "a", "to": "c"}),
                group(
                    xid="x-2",
                    type="Report",
                    fileName="a.pdf",
                    publishDate="2026-01-01T00:00:00+02:00",
                ),
            ],
            "indicator": [
                {"type": "Host", "summary": "a.example", "flag1": "true", "flag2": False},
                {"type": "File", "md5": "a" * 32, "intValue1": "7", "active": "false"},
            ],
        }
    )

    email, report, host, file = call.sandbox.entities()

    assert email.fields == {"subject": "s", "header": "h", "body": "b", "from": "a", "to": "c"}
    assert report.fields == {"fileName": "a.pdf", "publishDate": "2025-12-31T22:00:00Z"}
    assert (host.fields, host.active) == ({"dnsActive": True, "whoisActive": False}, True)
    assert (file.fields, file.active) == ({"size": 7}, False)


async def test_delete(call):
    """Groups go by xid, indicators by type and summary, Files by any hash, with all they had."""
    file = {"type": "File", "md5": "a" * 32, "sha1": "b" * 40}
    host = {"type": "Host", "summary": "a.example"}
    kept = {"type": "Host", "summary": "b.example", "associatedGroups": [{"groupXid": "x-1"}]}
    await call.job({"group": [group(**FULL)], "indicator": [file, host, kept]})

    _, status = await call.job(
        {
            "group": [{"xid": "x-1", "type": "Adversary"}],
            "indicator": [
                {"type": "File", "sha1": "B" * 40},
                {"type": "host", "summary": "A.example"},
            ],
        },
        action="Delete",
    )

    (left,) = call.sandbox.entities()

    assert (status["successCount"], status["errorCount"]) == (3, 0)
    assert (left.summary, left.associated_groups) == ("b.example", [])


async def test_delete_of_what_is_not_there(call):
    """Each entity that is not found is an error of its own."""
    await call.job({"group": [group()]})
    job_id, status = await call.job(
        {
            "group": [{"xid": "nobody"}, {"xid": "x-1", "type": "Threat"}, {"name": "x"}],
            "indicator": [{"type": "Host", "summary": "a.example"}],
        },
        action="Delete",
    )

    assert (status["successCount"], status["errorCount"]) == (0, 4)
    assert [error["code"] for error in await call.results(job_id)] == [
        "0x1007",
        "0x1007",
        "0x1006",
        "0x1007",
    ]
    assert len(call.sandbox.entities()) == 1


async def test_delete_removes_files(call):
    """The file of a deleted Document goes with it."""
    await call.job({"group": [group(type="Document")]})
    await call("POST", "/v2/groups/documents/x-1/upload?owner=MyOrg", data=b"content")
    before = len(call.sandbox.files)
    await call.job({"group": [{"xid": "x-1"}]}, action="Delete")

    assert (before, len(call.sandbox.files)) == (1, 0)


async def test_occurrences(call):
    """Where a File was seen is kept, each once, from either form."""
    one = {"fileName": "a.exe", "path": "C:\\", "date": "2026-01-01"}
    file = {"type": "File", "md5": "a" * 32}
    await call.job({"indicator": [{**file, "fileOccurrence": [one, one]}]})
    await call.job({"indicator": [{**file, "fileAction": {"fileOccurrence": [{"path": "D:"}]}}]})

    assert call.sandbox.entities()[0].occurrences == [
        ("a.exe", "C:\\", "2026-01-01T00:00:00Z"),
        (None, "D:", None),
    ]


async def test_views_show_what_stands_in_rows(call):
    """Who reads the database finds attributes, tags, labels and occurrences as tables."""
    attributes = [
        {"type": "Description", "value": "d", "displayed": True, "pinned": True, "source": "s"},
        {"type": "Source", "value": "e", "securityLabel": [{"name": "TLP:RED"}]},
    ]
    file = {
        "type": "File",
        "md5": "a" * 32,
        "attribute": attributes,
        "tag": [{"name": "t"}, {"name": "u"}],
        "securityLabel": [{"name": "TLP:RED"}],
        "fileOccurrence": [{"fileName": "a.exe", "date": "2026-01-01"}],
    }
    await call.job({"indicator": [file]})

    shown = partial(_shown, call)
    stored = call.sandbox.entities()[0]
    assert await shown("SELECT * FROM attribute ORDER BY id") == [
        (1, 1, "Description", "d", 1, 1, "s", None, stored.date_added),
        (2, 1, "Source", "e", 0, 0, None, '["TLP:RED"]', stored.date_added),
    ]
    assert await shown(
        "SELECT entity_id, name FROM entity_tag JOIN tag ON tag.id = tag_id ORDER BY name"
    ) == [(1, "t"), (1, "u")]
    assert await shown(
        "SELECT entity_id, name FROM entity_label JOIN label ON label.id = label_id"
    ) == [(1, "TLP:RED")]
    assert await shown("SELECT * FROM file_occurrence") == [
        (1, "a.exe", None, "2026-01-01T00:00:00Z")
    ]
