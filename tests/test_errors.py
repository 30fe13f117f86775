"""Errors as values: what they say, and that they cross processes with it."""

from __future__ import annotations

import pickle

import pytest

from aiotcbatch import (
    AiotcbatchError,
    ConfigurationError,
    JobError,
    RateLimitedError,
    SealedError,
    ValidationError,
)

ERRORS = [
    ConfigurationError("timeout", -1, "seconds, more than 0"),
    ValidationError("rating", 6, "a number from 0 to 5", about="Host 'a.example'"),
    SealedError("the entity 'x' has been drained"),
    RateLimitedError("slow down", status=429, retry_after=2.0),
    JobError("it is gone", batch_id=7),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes_with_all_that_it_says(error: AiotcbatchError) -> None:
    """Pickled, it keeps its class, its text and every attribute, though it is made with others."""
    error.add_note("and more")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_a_long_value_is_cut_in_the_text_only() -> None:
    """The text stays readable, the value is there in full."""
    value = "x" * 10_000
    error = ConfigurationError("journal", value, "a path")

    assert len(str(error)) < 200
    assert error.value == value
