"""Results: counts added up, errors read in all their forms and tied to entities."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.errors import ERROR_CODES, ConnectError
from aiotcbatch.results import COUNTS, BatchError, BatchStatus, EntityLookup
from aiotcbatch.submitting.files import UploadResult

CRITICAL = "Encountered an unexpected Exception while processing batch job. Last known JSON path: "


class TestBatchError:
    """One error, whichever fields it has."""

    def test_its_fields(self) -> None:
        """What the server sent is there by the server's names and as properties."""
        error = BatchError(
            code="0x1006", severity="Error", errorReason="short", errorMessage="long", xid="x"
        )

        assert (error.code, error.severity, error.xid) == ("0x1006", "Error", "x")
        assert (error.reason, error.message) == ("short", "long")
        assert error.meaning == ERROR_CODES["0x1006"].meaning
        assert error.hint == ERROR_CODES["0x1006"].hint
        assert str(error) == f"'x': 0x1006 Invalid group: short ({error.hint})"

    def test_without_fields(self) -> None:
        """Every field may be missing."""
        error = BatchError()

        assert (error.code, error.severity, error.xid, error.association) == (None,) * 4
        assert (error.reason, error.message, error.meaning, error.hint) == ("", "", "", "")
        assert not error.critical
        assert str(error) == ""

    def test_a_code_in_lower_case(self) -> None:
        """A code means the same in any letter case; one that is not known means nothing."""
        assert BatchError(code="0x100a").meaning == ERROR_CODES["0x100A"].meaning
        assert BatchError(code="0x9999").meaning == ""

    @pytest.mark.parametrize(
        "error",
        [
            {"errorReason": CRITICAL},
            {"errorReason": "com.google.gson.JsonSyntaxException", "errorMessage": CRITICAL},
            {"errorReason": "This would exceed the number of allowed indicators: 5"},
        ],
    )
    def test_critical_in_either_field(self, error: dict[str, str]) -> None:
        """The texts that mean the whole document are looked for in both fields."""
        assert BatchError(error).critical

    @pytest.mark.parametrize(
        ("error", "refused"),
        [
            ({}, True),
            ({"severity": "Error", "code": "0x1006"}, True),
            ({"severity": "err"}, True),
            ({"severity": "Error", "code": "0x1009"}, False),
            ({"severity": "Warning", "code": "0x2002"}, False),
            ({"severity": "Info"}, False),
        ],
    )
    def test_what_is_refused(self, error: dict[str, str], refused: bool) -> None:
        """An entity is there when only a part, an association or nothing of it was refused."""
        assert BatchError(error).refused is refused


class TestBatchStatus:
    """Counts and what hangs on them."""

    def test_it_is_a_dict_with_properties(self) -> None:
        """The server's names and the typed properties give the same."""
        status = BatchStatus(id=3, status="Completed", **{name: n for n, name in enumerate(COUNTS)})

        assert status.id == 3
        assert [status.count(name) for name in COUNTS] == list(range(len(COUNTS)))
        assert (status.success_count, status.error_count, status.unprocess_count) == (0, 1, 2)
        assert (status.success_indicator_count, status.error_indicator_count) == (3, 4)
        assert (status.success_group_count, status.error_group_count) == (5, 6)
        assert (status.success_association_count, status.error_association_count) == (7, 8)
        assert (status.errors, status.uploads, status.jobs, status.failure) == ([], [], [], None)

    def test_a_total(self) -> None:
        """Counts are added up, lists are joined, and the status is the first that is not done."""
        upload = UploadResult(uploaded=True, xid="d", error=None, bytes=1)
        jobs = [
            BatchStatus(id=1, status="Completed", successCount=2, errors=[BatchError(xid="a")]),
            BatchStatus(id=2, status="Running", successCount=3, uploads=[upload]),
        ]
        total = BatchStatus.total(jobs)

        assert total.success_count == 5
        assert total.errors == [{"xid": "a"}]
        assert total.uploads == [upload]
        assert total.jobs == jobs
        assert total.status == "Running"
        assert total.id is None

    def test_the_total_of_nothing(self) -> None:
        """Nothing is done and well done."""
        total = BatchStatus.total([])

        assert total.ok
        assert [total.count(name) for name in COUNTS] == [0] * len(COUNTS)

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "Running"},
            {"errorCount": 1},
            {"unprocessCount": 1},
            {"errorAssociationCount": 1},
            {"failure": ConnectError("away")},
            {"uploads": [UploadResult(uploaded=False, xid="d", error="no", bytes=0)]},
        ],
    )
    def test_what_is_not_ok(self, change: dict[str, Any]) -> None:
        """Whatever is missing on the server makes a job and its total not ok."""
        good = BatchStatus(status="Completed", successCount=1)
        bad = BatchStatus(good | change)

        assert good.ok
        assert not bad.ok
        assert not BatchStatus.total([good, bad]).ok

    def test_it_can_be_pickled(self) -> None:
        """A result crosses processes as it is."""
        status = BatchStatus.total([BatchStatus(id=1, errors=[BatchError(code="0x1006")])])
        copy = pickle.loads(pickle.dumps(status))  # noqa: S301 (its own)

        assert copy == status
        assert type(copy.jobs[0].errors[0]) is BatchError


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
