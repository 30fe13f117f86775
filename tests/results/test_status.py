"""Results: counts added up, errors read in all their forms and tied to entities."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aiotcbatch.errors import ERROR_CODES, ConnectError
from aiotcbatch.results.status import COUNTS, BatchError, BatchStatus, UploadResult

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
