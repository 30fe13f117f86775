"""The table is whole, and the documentation shows it as it is."""

from __future__ import annotations

import pytest
from faults import mishaps, page
from faults.outcomes import ENDPOINTS, FAULTS, OUTCOMES, WORDS

#: Faults that only some requests can have.
_WITH_BODY = {"reset within"}
_OF_FILES = {"storage full"}


def test_the_page_shows_the_table() -> None:
    """What is published is what is tested; if not: PYTHONPATH=tests python -m faults.page."""
    assert page.PAGE.read_text("utf-8") == page.text()


def test_every_fault_is_there() -> None:
    """What the table names can happen, is explained, and is used."""
    made = {**mishaps.FAULTS, **mishaps.JOB_FAULTS}

    assert set(made) == set(FAULTS)
    assert {fault for column in OUTCOMES.values() for fault in column} == set(FAULTS)


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name != "job"])
def test_every_request_has_every_fault(name: str) -> None:
    """No cell is left out but those that cannot be."""
    missing = set(mishaps.FAULTS) - set(OUTCOMES[name])
    cannot = set() if name.startswith("file") else set(_OF_FILES)
    if ENDPOINTS[name].method == "GET":
        cannot |= _WITH_BODY

    assert missing == cannot


def test_every_word_is_explained() -> None:
    """The page says what each outcome means."""
    used = {
        outcome if isinstance(outcome, str) else str(outcome).replace(outcome.error.__name__, "X")
        for column in OUTCOMES.values()
        for pair in column.values()
        for outcome in pair
    }
    errors = {word.replace("XError", "X") for word in WORDS}

    assert used == errors
