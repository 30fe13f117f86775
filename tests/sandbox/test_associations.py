"""Links of every kind: within a document, to what exists, by xid, summary and id."""

from __future__ import annotations

import pytest

INC = {"type": "Incident", "name": "inc", "xid": "inc-1"}
ADV = {"type": "Adversary", "name": "adv", "xid": "adv-1"}
HOST = {"type": "Host", "summary": "bad.example.com", "xid": "h-1"}
URL = {"type": "URL", "summary": "http://www.bad.example/"}
FILE = {"type": "File", "summary": f"{'a' * 32} : {'b' * 40}"}
EVERYTHING = {"group": [INC, ADV], "indicator": [HOST, URL, FILE]}

DOCUMENTED = [
    {"ref_1": "inc-1", "ref_2": "adv-1"},
    {"ref_1": "inc-1", "ref_2": "http://www.bad.example/", "type_2": "URL"},
    {"ref_1": "bad.example.com", "type_1": "Host", "id_2": 2},
    {
        "ref_1": "bad.example.com",
        "type_1": "Host",
        "ref_2": "http://www.bad.example/",
        "type_2": "URL",
        "associationType": "URL Host",
    },
]
LINKS = {(1, 2, ""), (1, 4, ""), (2, 3, ""), (3, 4, "URL Host")}


def links(sandbox):
    """Return all links as the lower id, the higher id and the type."""
    return {
        (entity.id, other, kind)
        for entity in sandbox.entities()
        for other, kind in entity.associations
        if entity.id < other
    }


@pytest.mark.parametrize("together", [True, False])
async def test_the_documented_associations(call, together):
    """The four kinds of the documents work within a document and against what exists."""
    if together:
        _, status = await call.job({**EVERYTHING, "association": DOCUMENTED})
    else:
        await call.job(EVERYTHING)
        _, status = await call.job({"association": DOCUMENTED})

    assert links(call.sandbox) == LINKS
    assert status["successAssociationCount"] == 4
    assert status["successCount"] == (5 if together else 0)
    assert status["errorCount"] == status["errorAssociationCount"] == 0


async def test_duplicates_count_once(call):
    """The same link in either direction, by any name, is one association."""
    await call.job(EVERYTHING)
    same = [
        {"ref_1": "inc-1", "ref_2": "adv-1"},
        {"ref_1": "adv-1", "ref_2": "inc-1", "type_2": "incident"},
        {"id_1": 1, "id_2": 2},
        {"id_1": 2, "ref_1": "nonsense", "ref_2": "inc-1"},
    ]
    _, status = await call.job({"association": same})

    assert status["successAssociationCount"] == 1
    assert links(call.sandbox) == {(1, 2, "")}


async def test_either_direction_and_unknown_types(call):
    """Batch takes association types that nobody defined, with either end first."""
    given = [
        {
            "ref_1": "b" * 40,
            "type_1": "File",
            "ref_2": "BAD.example.com",
            "type_2": "host",
            "associationType": "Address to Indicators",
        }
    ]
    _, status = await call.job({**EVERYTHING, "association": given})

    assert status["successAssociationCount"] == 1
    assert links(call.sandbox) == {(3, 5, "Address to Indicators")}


@pytest.mark.parametrize(
    ("association", "said"),
    [
        ({"ref_1": "inc-1", "ref_2": "nobody"}, "not found: nobody"),
        ({"ref_1": "inc-1", "ref_2": "bad.example.com"}, "not found: bad.example.com"),
        ({"ref_1": "inc-1", "ref_2": "x.y", "type_2": "Host"}, "not found: Host x.y"),
        ({"ref_1": "inc-1", "ref_2": "!", "type_2": "Host"}, "not found: Host !"),
        ({"ref_1": "inc-1", "id_2": 99}, "not found: 99"),
        ({"ref_1": "inc-1", "id_2": 10**30}, "id_2"),
        ({"ref_1": "inc-1", "id_2": "x"}, "id_2"),
        ({"ref_1": "inc-1"}, "ref_2"),
        ({"ref_1": "inc-1", "ref_2": "inc-1"}, "two different"),
        ({"ref_1": "inc-1", "ref_2": "a", "type_2": "Car"}, "Car"),
        (
            {
                "ref_1": "bad.example.com",
                "type_1": "Host",
                "ref_2": "http://www.bad.example/",
                "type_2": "URL",
            },
            "associationType",
        ),
    ],
)
async def test_associations_that_are_refused(call, association, said):
    """Each association that links nothing is 0x1009, apart from the counts of entities."""
    job_id, status = await call.job(
        {**EVERYTHING, "association": [association, {"id_1": 1, "id_2": 2}]}
    )

    (error,) = await call.results(job_id)

    assert (status["successAssociationCount"], status["errorAssociationCount"]) == (1, 1)
    assert (status["successCount"], status["errorCount"]) == (5, 0)
    assert error["code"] == "0x1009"
    assert said in error["errorReason"]
    assert "$.association[0]" in error["errorMessage"]


@pytest.mark.parametrize("field", ["ref_1", "ref_2", "id_1", "id_2"])
async def test_the_path_of_an_end_that_does_not_exist(call, field):
    """The path names the field that was sent."""
    sent = {"ref_1": "inc-1", "ref_2": "adv-1"}
    del sent[f"ref_{field[-1]}"]
    sent[field] = 99
    job_id, _ = await call.job({**EVERYTHING, "association": [sent]})

    (error,) = await call.results(job_id)

    assert f"'$.association[0].{field}'" in error["errorMessage"]


async def test_associations_come_last(call):
    """An association array before the entities finds only what existed before the job."""
    document = {"association": DOCUMENTED[:1], **EVERYTHING}

    _, first = await call.job(document)
    _, second = await call.job(document)

    assert (first["successAssociationCount"], first["errorAssociationCount"]) == (0, 1)
    assert (second["successAssociationCount"], second["errorAssociationCount"]) == (1, 0)


async def test_nothing_is_linked_across_owners(call):
    """What belongs to another owner is not found, not even by id."""
    await call.job(EVERYTHING)
    job_id, status = await call.job(
        {"group": [INC], "association": [{"ref_1": "inc-1", "id_2": 2}]}, owner="Other"
    )

    assert status["errorAssociationCount"] == 1
    assert (await call.results(job_id))[0]["code"] == "0x1009"


async def test_embedded_links_may_point_forward(call):
    """Groups and indicators name each other wherever they stand in the document."""
    document = {
        "indicator": [
            {**HOST, "associatedGroups": [{"groupXid": "inc-1"}, "adv-1"]},
            {**URL, "associatedIndicators": []},
        ],
        "group": [
            {**INC, "associatedGroupXid": ["adv-1", "adv-1"]},
            {
                **ADV,
                "associatedIndicators": [
                    {"summary": "HTTP://x", "indicatorType": "URL"},
                    {"summary": "http://www.bad.example/", "indicatorType": "Url"},
                ][1:],
            },
        ],
    }
    _, status = await call.job(document)

    assert (status["successCount"], status["errorCount"]) == (4, 0)
    assert status["successAssociationCount"] == 0
    assert links(call.sandbox) == {(1, 3, ""), (1, 4, ""), (3, 4, ""), (2, 4, "")}


async def test_an_embedded_link_to_nothing(call):
    """The entity is stored, counts as an error, and keeps its other links."""
    sent = {**INC, "associatedGroupXid": ["nobody", "adv-1"]}
    job_id, status = await call.job({"group": [sent, ADV]})

    (error,) = await call.results(job_id)

    assert (status["successGroupCount"], status["errorGroupCount"]) == (1, 1)
    assert error["code"] == "0x1009"
    assert "nobody was not found" in error["errorReason"]
    assert "'inc-1'" in error["errorMessage"]
    assert links(call.sandbox) == {(1, 2, "")}


async def test_ten_groups_that_name_each_other(call):
    """A connected set counts its groups, not its links."""
    xids = [f"g{number}" for number in range(10)]
    document = {
        "group": [
            {
                "type": "Campaign",
                "name": xid,
                "xid": xid,
                "associatedGroupXid": [one for one in xids if one != xid],
            }
            for xid in xids
        ]
    }
    reply = await call.inline(document)

    assert reply.batch["successCount"] == 10
    assert len(links(call.sandbox)) == 45


async def test_what_files_do(call):
    """A file action links a File to the document's indicators that it names by xid."""
    file = {
        **FILE,
        "fileAction": {"children": [{"indicatorXid": "h-1", "relationship": "File DNS Query"}]},
    }
    await call.job({"indicator": [file, HOST]})

    assert links(call.sandbox) == {(1, 2, "File DNS Query")}


def _child(xid, kind, *children):
    return {"indicatorXid": xid, "relationship": kind, "children": list(children)}


async def test_what_files_do_with_what_they_drop(call):
    """A child of a child belongs to that one, whatever it says of its parent."""
    dropped = {"type": "File", "md5": "b" * 32, "xid": "f-2"}
    mutex = {"type": "Mutex", "Mutex": "m", "xid": "m-1"}
    third = {**_child("m-1", "File Mutex"), "parentIndicatorXid": "f-1"}
    second = _child("f-2", "File Drop", third, _child("h-1", "File DNS Query"))
    file = {**FILE, "fileAction": {"children": [second, _child("h-1", "File Traffic")]}}
    await call.job({"indicator": [file, HOST, dropped, mutex]})

    assert links(call.sandbox) == {
        (1, 3, "File Drop"),
        (3, 4, "File Mutex"),
        (2, 3, "File DNS Query"),
        (1, 2, "File Traffic"),
    }


@pytest.mark.parametrize(
    ("child", "linked"),
    [
        (_child("gone", "File Drop", _child("h-1", "File Traffic")), set()),
        (_child("h-1", "File Traffic", _child("gone", "File Drop")), {(1, 2, "File Traffic")}),
        (_child("", "File Drop", _child("h-1", "File Traffic")), set()),
    ],
)
async def test_what_files_do_with_what_is_not_there(call, child, linked):
    """The File is told of it; what hangs on that is not hung on the File instead."""
    job_id, status = await call.job(
        {"indicator": [{**FILE, "fileAction": {"children": [child]}}, HOST]}
    )
    (error,) = await call.results(job_id)

    assert (status["successIndicatorCount"], status["errorIndicatorCount"]) == (1, 1)
    assert error["code"] == "0x1009"
    assert links(call.sandbox) == linked


async def test_deleting_associations(call):
    """A Delete with associations removes links and leaves their ends."""
    await call.job({**EVERYTHING, "association": DOCUMENTED})
    await call.job({"association": DOCUMENTED[1:]}, action="Delete")

    assert links(call.sandbox) == {(1, 2, "")}
    assert len(call.sandbox.entities()) == 5


async def test_groups_by_id_in_v1(call):
    """A V1 document is a bare array of indicators, which name groups by id."""
    await call.job({"group": [INC]})
    sent = [{**HOST, "associatedGroup": [1], "description": "d", "source": "s"}]
    _, status = await call.job(sent, version="V1")

    assert status["successIndicatorCount"] == 1
    assert links(call.sandbox) == {(1, 2, "")}
