"""Reading back over v2 and v3, and TQL."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest

from aiotcbatch.sandbox import ManualClock, Sandbox, User, tql
from tests.sandbox.conftest import calling

DOCUMENT = {
    "group": [
        {
            "type": "Incident",
            "name": "one",
            "xid": "g-1",
            "status": "New",
            "eventDate": "2026-01-01T00:00:00Z",
            "associatedGroupXid": ["g-2"],
            "tag": [{"name": "Phishing"}, {"name": "mine"}],
            "attribute": [
                {"type": "Description", "value": "d", "displayed": True, "source": "s"},
                {"type": "Title", "value": "t\"'%_"},
            ],
            "securityLabel": [{"name": "TLP:RED"}],
        },
        {
            "type": "Document",
            "name": 'the "second"',
            "xid": "g-2",
            "malware": True,
            "password": "p",
        },
        {"type": "Threat", "name": "100% _real_", "xid": "5"},
    ],
    "indicator": [
        {
            "type": "Host",
            "summary": "a.example",
            "rating": 3,
            "confidence": 40,
            "flag1": True,
            "associatedGroups": [{"groupXid": "g-1"}],
            "tag": [{"name": "mine"}],
        },
        {"type": "ASN", "summary": "ASN5", "xid": "i-asn", "rating": 5},
        {"type": "File", "summary": f"{'a' * 32} : {'b' * 64}", "fileOccurrence": [{"path": "p"}]},
        {"type": "Registry Key", "summary": "HKEY_USERS : n : REG_SZ", "active": False},
    ],
}
NOW = "2023-11-14T22:13:20Z"


@pytest.fixture
async def filled():
    """A caller for a sandbox that has some of everything, at a time that stands still."""
    async with calling(Sandbox(["MyOrg", "Other"], clock=ManualClock())) as call:
        await call.job(DOCUMENT)
        yield call


async def names(call, path):
    """Return the names or summaries in an answer."""
    reply = await call("GET", path)
    assert reply.status == 200, reply.body
    return [item.get("name") or item["summary"] for item in reply.json["data"]]


async def test_groups_in_full(filled):
    """A group is shown with what was asked for; a password never is."""
    fields = "&".join(
        f"fields={name}"
        for name in (
            "tags",
            "attributes",
            "securityLabels",
            "associatedGroups",
            "associatedIndicators",
        )
    )
    reply = await filled("GET", f"/v3/groups?owner=MyOrg&{fields}")
    first, second, _ = reply.json["data"]

    assert reply.json["status"] == "Success"
    assert first["associatedGroups"]["data"][0].items() <= second.items()
    assert "password" not in second
    assert second["malware"] is True
    assert first["attributes"]["data"][0] == {
        "id": 1,
        "type": "Description",
        "value": "d",
        "default": True,
        "pinned": False,
        "dateAdded": NOW,
        "lastModified": NOW,
        "source": "s",
    }
    assert first["tags"]["data"] == [
        {"name": "Phishing", "techniqueId": "T1566"},
        {"name": "mine"},
    ]
    assert first["securityLabels"]["data"][0]["name"] == "TLP:RED"
    assert [one["summary"] for one in first["associatedIndicators"]["data"]] == ["a.example"]
    assert {
        "id": 1,
        "ownerId": 1,
        "ownerName": "MyOrg",
        "dateAdded": NOW,
        "lastModified": NOW,
        "type": "Incident",
        "xid": "g-1",
        "status": "New",
        "eventDate": "2026-01-01T00:00:00Z",
        "name": "one",
    }.items() <= first.items()


async def test_indicators_in_full(filled):
    """Each type shows its values by its own names, or by generic ones when asked."""
    plain = (await filled("GET", "/v3/indicators?fields=fileOccurrences")).json["data"]
    generic = (await filled("GET", "/v3/indicators?fields=genericCustomIndicatorValues")).json

    host, asn, file, key = plain
    assert (host["hostName"], host["dnsActive"], host["confidence"]) == ("a.example", True, 40)
    assert asn["AS Number"] == generic["data"][1]["value1"] == "ASN5"
    assert (file["md5"], file["sha256"]) == ("a" * 32, "b" * 64)
    assert file["fileOccurrences"]["data"] == [{"fileName": None, "path": "p", "date": None}]
    assert (key["Key Name"], key["Value Type"], key["active"]) == ("HKEY_USERS", "REG_SZ", False)
    assert generic["data"][3]["value2"] == "n"


async def test_pages(filled):
    """Pages have neighbours by relative addresses that keep the query, and end."""
    path = "/v3/groups?resultLimit=2&fields=tags&tql=id+%3E+0"
    first = (await filled("GET", path)).json
    second = (await filled("GET", first["next"])).json

    assert "prev" not in first
    assert first["next"].startswith("/v3/groups?")
    assert (len(first["data"]), len(second["data"]), first["count"]) == (2, 1, 3)
    assert "next" not in second
    assert (await filled("GET", second["prev"])).json["data"] == first["data"]
    assert await names(filled, "/v3/groups?resultStart=99") == []
    assert len(await names(filled, "/v3/groups?resultLimit=x&resultStart=-1")) == 3


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v3/groups/1", "one"),
        ("/v3/groups/g-1?owner=MyOrg", "one"),
        ("/v3/groups/5", None),
        ("/v3/groups/5?owner=Other", None),
        ("/v3/groups/one", None),
        ("/v3/indicators/4", "a.example"),
        ("/v3/indicators/a.example", "a.example"),
        ("/v3/indicators/i-asn", "ASN5"),
        ("/v3/indicators/1", None),
        ("/v3/groups/%27%20OR%201=1", None),
    ],
)
async def test_one(filled, path, found):
    """One group by id or xid, one indicator by id, xid or summary."""
    reply = await filled("GET", path)

    if path == "/v3/groups/5":
        assert reply.json["data"]["xid"] == "5"
    elif found is None:
        assert reply.status == 404
        assert reply.json["status"] == "Error"
    else:
        data = reply.json["data"]
        assert found in {data.get("name"), data.get("summary")}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('summary = "one"', ["one"]),
        ('name="one"', ["one"]),
        ("name == 'one'", ["one"]),
        ("name EQ one", ["one"]),
        ('summary = "the \\"second\\""', ['the "second"']),
        ('summary != "one"', ['the "second"', "100% _real_"]),
        ('typeName in ("Incident", "Threat")', ["one", "100% _real_"]),
        ('typeName not in ("Incident")', ['the "second"', "100% _real_"]),
        ('xid = "5"', ["100% _real_"]),
        ("id in (1,2)", ["one", 'the "second"']),
        ("id >= 3", ["100% _real_"]),
        ('summary like "%e%"', ["one", 'the "second"', "100% _real_"]),
        ('summary like "%"', ["one", 'the "second"', "100% _real_"]),
        ('summary contains "%"', ["100% _real_"]),
        ('summary contains "_"', ["100% _real_"]),
        ('summary startswith "the"', ['the "second"']),
        ('summary endswith "ne"', ["one"]),
        ('summary not contains "e"', []),
        ('tag = "mine"', ["one"]),
        ('tag != "nothing"', ["one"]),
        ('hasTag(name = "mine" and name != "x")', ["one"]),
        ('not hasTag(name in ("mine"))', ['the "second"', "100% _real_"]),
        ('securityLabel = "TLP:RED"', ["one"]),
        ('hasAttribute(type = "Title" and text contains "%_")', ["one"]),
        ('hasIndicator(summary = "a.example")', ["one"]),
        ('hasGroup(typeName = "Document" and hasGroup(name = "one"))', ["one"]),
        ("associatedGroup = 2", ["one"]),
        ('ownerName = "MyOrg" and owner = 1', ["one", 'the "second"', "100% _real_"]),
        ('status = "New"', ["one"]),
        ('eventDate > "2025-12-31"', ["one"]),
        (
            'dateAdded > "2023-11-14" and lastModified < "2023-11-15"',
            ["one", 'the "second"', "100% _real_"],
        ),
        ('name = "one" or name = "100% _real_"', ["one", "100% _real_"]),
        ('(name = "one" or xid = "5") and not typeName = "Threat"', ["one"]),
        ('name = "one" or xid = "5" and typeName = "Nothing"', ["one"]),
        ('name = "\' OR 1=1 --"', []),
    ],
)
async def test_tql(filled, query, expected):
    """Queries on the common fields find what they say, with and before or."""
    assert await names(filled, f"/v3/groups?tql={quote_plus(query)}") == expected


async def test_quoted_words_are_text_in_tql(call):
    """A group may be called as a boolean is, and is found by that name."""
    await call.job({"group": [{"type": "Threat", "name": "true", "xid": "x-1"}]})

    assert await names(call, "/v3/groups?tql=name+%3D+%22true%22") == ["true"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("rating > 3", ["ASN5"]),
        ("confidence in (40)", ["a.example"]),
        ("indicatorActive = false", ["HKEY_USERS : n : REG_SZ"]),
        (f'md5 = "{"A" * 32}"', [f"{'a' * 32} : {'b' * 64}"]),
        ("dnsActive = true", ["a.example"]),
        ('dnsActive = "True"', ["a.example"]),
        ('hasGroup(tag = "Phishing")', ["a.example"]),
    ],
)
async def test_tql_on_indicators(filled, query, expected):
    """Queries on the fields that only indicators have."""
    assert await names(filled, f"/v3/indicators?tql={quote_plus(query)}") == expected


@pytest.mark.parametrize(
    "query",
    [
        "name",
        "name =",
        'name = "x" and',
        'name = "x" or or',
        "(name = x",
        "name = x)",
        "unknown = 1",
        "= 1",
        'name "x"',
        "name in ()",
        "name in (1,)",
        "name = (1, 2)",
        '"name" = 1',
        "hasTag(unknown = 1)",
        "hasTag(hasTag(name = 1))",
        'dateAdded > "soon"',
        "name = 'x",
        "name; DROP TABLE entity",
        "(" * 5000,
        "not " * 5000 + "name = 1",
        f"id in ({','.join(['1'] * 10_001)})",
    ],
)
async def test_tql_that_is_none(filled, query):
    """What is not TQL is 400 with a v3 error, however hostile."""
    reply = await filled("GET", "/v3/groups", json={"data": {"tql": query}})

    assert reply.status == 400
    assert reply.json["status"] == "Error"
    assert "TQL" in reply.json["message"]


def test_a_query_that_is_too_long():
    """The length of a query is bounded."""
    with pytest.raises(tql.TqlError):
        tql.parse("name = x and " * 10_000 + "name = x")


async def test_long_queries_come_in_the_body(filled):
    """Parameters in a JSON body of a GET count as if they stood in the query."""
    many = ", ".join(f'"{n}"' for n in range(1000))
    data = {"tql": f"xid in ({many})", "fields": ["tags", "attributes"], "resultLimit": 1}
    reply = await filled("GET", "/v3/groups", json={"data": data})

    (found,) = reply.json["data"]

    assert found["xid"] == "5"
    assert "tags" in found
    assert "attributes" in found


@pytest.mark.parametrize("body", [b"[]", b"{", b"1", b'{"data":3}'])
async def test_a_body_that_is_none(filled, body):
    """A body that holds no parameters is 400."""
    assert (await filled("GET", "/v3/groups", data=body)).status == 400


async def test_delete(filled):
    """DELETE takes away one group or indicator, with a body or without."""
    first = await filled("DELETE", "/v3/groups/1", json={})
    second = await filled("DELETE", "/v3/indicators/a.example?owner=MyOrg")
    again = await filled("DELETE", "/v3/groups/1")

    assert (first.status, first.json) == (200, {"message": "Deleted", "status": "Success"})
    assert second.status == 200
    assert again.status == 404
    assert len(filled.sandbox.entities()) == 5


async def test_only_what_the_user_sees(filled):
    """Someone who sees only another owner finds nothing and may not ask for this one."""
    filled.sandbox.add_user(
        User(
            access_id="2",
            secret_key="s",
            token="t",
            role="Read Only User",
            owners=frozenset({"Other"}),
        )
    )
    headers = {"Authorization": "TC-Token t"}

    assert (await filled("GET", "/v3/groups", headers=headers)).json["data"] == []
    assert (await filled("GET", "/v3/groups/1", headers=headers)).status == 404
    assert (await filled("GET", "/v3/groups?owner=MyOrg", headers=headers)).status == 403
    assert (await filled("DELETE", "/v3/groups/1", headers=headers)).status == 403


async def test_fields_that_are_not_known_are_passed_over_and_told_of(filled):
    """A real instance knows more of them; what is misspelt would look like nothing there."""
    asked = "&".join(
        f"fields={name}"
        for name in (
            "tags",
            "whoIs",
            "associatedGroup",
            "a%0D%0Ab%22",
            "genericCustomIndicatorValues",
        )
    )
    for path in ("/v3/indicators", "/v3/indicators/4", "/v3/groups/1"):
        reply = await filled("GET", f"{path}?{asked}")
        said = reply.headers["Warning"]

        assert reply.status == 200
        assert said == '199 sandbox "fields passed over: a%0D%0Ab%22,associatedgroup,whois"'
        assert "Warning" not in (await filled("GET", f"{path}?fields=tags")).headers
    many = "&".join(f"fields=x{number}" for number in range(100))
    assert len((await filled("GET", f"/v3/groups?{many}")).headers["Warning"]) < 100


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('hasTag(name = "mine" or name = "other")', ["one"]),
        ('hasTag(not name = "mine")', ["one"]),
        ('hasTag(name != "mine" and name != "Phishing")', []),
        ("dateAdded > 0 and id = 1", ["one"]),
        ("dateAdded > 99999999999", []),
    ],
)
async def test_nested_queries_have_parts_too(filled, query, found):
    """What has a tag that meets all of it is found; a time may be seconds since the epoch."""
    assert await names(filled, f"/v3/groups?tql={quote_plus(query)}") == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('name = "mine" or name = "Phishing"', {"mine", "Phishing"}),
        ('name startswith "Phish" and not techniqueId = "T1566.001"', {"Phishing"}),
        ('name in ("mine", "other")', {"mine"}),
    ],
)
async def test_tags_can_be_queried(filled, query, found):
    """With the same words as groups."""
    assert set(await names(filled, f"/v3/tags?tql={quote_plus(query)}")) == found


async def test_an_attribute_has_its_own_labels(call):
    """They are shown with it, apart from those of the entity."""
    attribute = {"type": "Title", "value": "v", "securityLabel": [{"name": "TLP:RED"}]}
    sent = {"type": "Threat", "name": "t", "xid": "t", "attribute": [attribute]}
    await call.job({"group": [sent]})
    (item,) = (await call("GET", "/v3/groups?fields=attributes&fields=securityLabels")).json["data"]

    assert item["attributes"]["data"][0]["securityLabels"] == {"data": [{"name": "TLP:RED"}]}
    assert item["securityLabels"] == {"data": []}


async def test_owners_and_types_one_by_one(filled):
    """An owner by its number, one's own, and the group types."""
    filled.sandbox.add_user(User(access_id="9", secret_key="k", token="t9", owners=frozenset()))
    stranger = {"Authorization": "TC-Token t9"}
    kinds = (await filled("GET", "/v2/types/groupTypes")).json["data"]["groupType"]

    assert (await filled("GET", "/v2/owners/2")).json["data"]["owner"]["name"] == "Other"
    assert (await filled("GET", "/v2/owners/mine")).json["data"]["owner"]["name"] == "MyOrg"
    assert (await filled("GET", "/v2/owners/mine", headers=stranger)).status == 404
    assert {"name": "Adversary", "apiBranch": "adversaries"} in kinds


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/v3/indicators", "hostName = 1", "hostname is not a known field here; those are active,"),
        ("/v3/groups", 'hasTag(summary = "x")', "summary is not a known field here; those are id,"),
        ("/v3/groups", "hasTag(hasGroup(id = 1))", "hasgroup is not a known field here"),
        ("/v3/tags", "hasGroup(id = 1)", "hasgroup is not a known field here"),
        ("/v3/tags", "rating = 1", "rating is not a known field here; those are id, name, owner,"),
    ],
)
async def test_a_field_that_is_not_known_is_named(filled, path, query, said):
    """So are those that are known where it stands."""
    reply = await filled("GET", f"{path}?tql={quote_plus(query)}")

    assert reply.status == 400
    assert f"Invalid TQL: {said}" in reply.json["message"]


async def test_techniques_are_tags(filled):
    """/v3/tags lists techniques with their ids, and those alone when asked."""
    everything = (await filled("GET", "/v3/tags?resultLimit=10000")).json["data"]
    query = quote_plus('techniqueId NE "null"')
    techniques = (await filled("GET", f"/v3/tags?resultLimit=10000&tql={query}")).json["data"]

    assert "mine" in [tag["name"] for tag in everything]
    assert {
        "techniqueId": "T1055.001",
        "name": "Process Injection: Dynamic-link Library Injection",
    }.items() <= next(tag for tag in techniques if tag["techniqueId"] == "T1055.001").items()
    assert all(tag["techniqueId"] for tag in techniques)
    assert (await filled("GET", "/v3/tags?tql=unknown+%3D+1")).status == 400


async def test_types(filled):
    """Indicator types have their booleans as strings; attribute types have sizes and rules."""
    listed = (await filled("GET", "/v2/types/indicatorTypes?includeAdditional=true")).json["data"]
    by_name = {kind["name"]: kind for kind in listed["indicatorType"]}
    attributes = (await filled("GET", "/v3/attributeTypes?resultLimit=10000")).json["data"]
    level = next(kind for kind in attributes if kind["name"] == "Confidence Level")
    one = await filled("GET", f"/v3/attributeTypes/{level['id']}")

    assert listed["resultCount"] == len(by_name) == 12
    assert by_name["File"]["keys"] == {"key1": "md5", "key2": "sha1", "key3": "sha256"}
    assert by_name["File"]["regexes"][0] == r"\b([a-fA-F\d]{32})\b"
    assert (
        by_name["ASN"].items()
        >= {
            "custom": "true",
            "parsable": "true",
            "apiBranch": "asns",
            "apiEntity": "asn",
            "casePreference": "upper",
            "value1Label": "AS Number",
            "value1Type": "text",
        }.items()
    )
    assert by_name["Registry Key"]["value3Type"] == "selectone"
    assert one.json["data"]["validationRule"]["text"] == "Low;Medium;High"
    for path in (
        "/v2/types/indicatorTypes/Nothing",
        "/v3/attributeTypes/99999",
        "/v3/attributeTypes/x",
    ):
        assert (await filled("GET", path)).status == 404


async def test_owners_and_associations(filled):
    """Owners of v3 and association types are listed."""
    owners = await filled("GET", "/v3/security/owners")
    kinds = (await filled("GET", "/v2/types/associationTypes")).json["data"]["associationType"]

    assert [owner["name"] for owner in owners.json["data"]] == ["MyOrg", "Other"]
    assert {
        "name": "Adversary",
        "custom": "false",
        "fileAction": "false",
        "apiBranch": "adversaries",
    } in kinds
    assert "URL Host" in [kind["name"] for kind in kinds]
