"""Errors are tied to what they are about, in whichever way the server names that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.results.lookup import EntityLookup

CRITICAL = "Encountered an unexpected Exception while processing batch job. Last known JSON path: "
DOCUMENT = {
    "group": [
        {"type": "Incident", "name": "incident-001", "xid": "g-0"},
        {"type": "Adversary", "name": "Fancy Bear", "xid": "0000:0001"},
        {"type": "Campaign", "name": "twin", "xid": "g-2"},
        {"type": "Threat", "name": "twin", "xid": "g-3"},
        {"type": "Tool", "name": "invalid", "xid": "g-4"},
        {"type": "Tool", "name": "g-0", "xid": "g-5"},
    ],
    "indicator": [
        {"type": "Address", "summary": "1.2.3.4", "xid": "i-0"},
        {"type": "File", "summary": f"{'a' * 32} : {'b' * 40}", "xid": "i-1"},
        {"type": "Host", "summary": "name"},
    ],
    "association": [{"ref_1": "g-0", "ref_2": "g-2"}],
}


class TestEntityLookup:
    """Which entity a text is about."""

    @pytest.mark.parametrize(
        ("error", "xid"),
        [
            # by path, which wins over what is quoted
            ({"errorMessage": "no good. JSON path: '$.group[1].tag': group[1]"}, "0000:0001"),
            ({"errorReason": 'Not a JSON Object: "name" at $.indicator[0].attribute[3]'}, "i-0"),
            ({"errorMessage": f"{CRITICAL}'$.group[0]': Last processed group[0] 'g-0'."}, "g-0"),
            ({"errorReason": "bad", "errorSource": "indicator[1] is not valid."}, "i-1"),
            # by what is quoted: an xid, a name, a summary
            ({"errorMessage": "Last processed group '0000:0001'."}, "0000:0001"),
            ({"errorReason": 'the group "Fancy Bear" has an invalid status'}, "0000:0001"),
            ({"errorReason": "Host can't be read: '1.2.3.4'"}, "i-0"),
            # by names without quotes
            ({"errorReason": "Incident incident-001 has an invalid status."}, "g-0"),
            ({"errorSource": "incident-001 is not valid."}, "g-0"),
            ({"errorReason": "Adversary Fancy Bear requires an owner."}, "0000:0001"),
            ({"errorReason": f"File {'b' * 40}: no such attribute"}, "i-1"),
            ({"errorReason": "Tool invalid is invalid."}, "g-4"),
            # by an object in the place of the source
            ({"errorSource": {"summary": "1.2.3.4", "type": "Address"}}, "i-0"),
            ({"errorSource": {"xid": "g-2"}}, "g-2"),
            # two of the same name, told apart by type
            ({"errorReason": "Threat twin has no date."}, "g-3"),
            # not for sure
            ({"errorReason": "twin has no date."}, None),
            ({"errorReason": "the status is invalid"}, None),
            ({"errorReason": "'g-0' is not valid."}, None),
            ({"errorMessage": "JSON path: '$.group[77]'"}, None),
            ({"errorReason": "An unknown error occurred"}, None),
            ({"errorSource": {"name": 7}}, None),
            ({"errorReason": None, "errorMessage": 3}, None),
            ({}, None),
        ],
    )
    def test_an_xid_is_there_if_it_is_sure(self, error: dict[str, Any], xid: str | None) -> None:
        """A path, a quoted text and a name without quotes tell the entity, if only one fits."""
        tied = EntityLookup(DOCUMENT).tie(error)

        assert tied.xid == xid
        assert tied.association is None
        assert {name: tied[name] for name in error} == error

    def test_an_association(self) -> None:
        """An error about an association has it, and not one of its ends."""
        error = {
            "errorReason": "g-2 was not found.",
            "errorMessage": "g-2 was not found. JSON path: '$.association[0].ref_2'.",
            "errorSource": "association[0] is not valid.",
        }
        tied = EntityLookup(DOCUMENT).tie(error)

        assert tied.association == DOCUMENT["association"][0]
        assert tied.xid is None

    def test_an_empty_document(self) -> None:
        """There is nothing that an error could be about."""
        assert EntityLookup({}).tie({"errorMessage": "'$.group[0]' incident-001"}).xid is None

    @given(data=st.data())
    def test_whichever_way_it_is_named(self, data: st.DataObject) -> None:
        """An entity named in one of the server's forms is found, however odd its name."""
        text = st.text(
            st.characters(exclude_categories=["C", "Z"], exclude_characters="'\""), min_size=1
        )
        names = data.draw(st.lists(text, min_size=1, max_size=8, unique=True))
        groups = [
            {"type": "Incident", "name": f"{name} {name}", "xid": f"xid/{name}"} for name in names
        ]
        group = data.draw(st.sampled_from(groups))
        form = data.draw(
            st.sampled_from(
                [
                    "Something at '$.group[{place}].name'.",
                    "Last processed '{xid}'.",
                    'In "{name}" there is a fault.',
                    "Incident {name} has an invalid status.",
                ]
            )
        )
        error = {"errorReason": form.format(place=groups.index(group), **group)}

        assert EntityLookup({"group": groups}).tie(error).xid == group["xid"]

    @given(st.text(max_size=200), st.text(max_size=200))
    def test_any_text_is_taken(self, reason: str, message: str) -> None:
        """No text makes it fail, and an xid is one that was sent."""
        tied = EntityLookup(DOCUMENT).tie({"errorReason": reason, "errorMessage": message})

        assert tied.xid is None or tied.xid in str(DOCUMENT)
