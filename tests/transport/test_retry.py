"""When a request is sent again."""

from __future__ import annotations

import logging
import re
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.servers import NOW, Stream, in_turn, json_answer, text_answer

from aiotcbatch.errors import (
    BatchDisabledError,
    ConfigurationError,
    RateLimitedError,
    UnavailableError,
)
from aiotcbatch.transport.retry import RetryPolicy

pytest_plugins = ["support.wire"]


UNAVAILABLE = text_answer("", status=503)
BATCH_OFF = "Batch job api is not available.  Ensure that batchJobEnabled is true"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520])
async def test_transient_answers_are_asked_for_again(serve, connect, naps, status):
    """A repeatable request is sent until it succeeds, each wait twice as long as the last."""
    server = await serve(in_turn(*[text_answer("", status=status)] * 3, json_answer()))
    answer = await connect(server.url).request("GET", "/v2/x")

    assert (answer.status, len(server.seen), naps) == (200, 4, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "first",
    [
        text_answer('{"a', content_type="application/json"),
        text_answer("<html>", content_type="text/html"),
    ],
)
async def test_unreadable_answers_are_asked_for_again(serve, connect, first):
    """A cut or a page of something in between may be gone the next time."""
    server = await serve(in_turn(first, json_answer()))

    assert (await connect(server.url).request("GET", "/v2/x")).ok


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501])
async def test_a_clear_no_is_final(serve, connect, naps, status):
    """What will not change is not asked again."""
    server = await serve(text_answer("", status=status))
    with pytest.raises(Exception, match=str(status)):
        await connect(server.url).request("GET", "/v2/x")

    assert (len(server.seen), naps) == (1, [])


async def test_batch_disabled_is_final(serve, connect):
    """Waiting does not switch the Batch API on."""
    server = await serve(text_answer(BATCH_OFF, status=503))
    with pytest.raises(BatchDisabledError, match="administrator"):
        await connect(server.url).request("GET", "/v2/batch/1")

    assert len(server.seen) == 1


async def test_attempts_come_to_an_end(serve, connect, naps):
    """The last error gets out as it is, after as many sends as the policy says."""
    server = await serve(UNAVAILABLE)
    with pytest.raises(UnavailableError):
        await connect(server.url).request("GET", "/v2/x")

    assert (len(server.seen), naps) == (5, [1.0, 2.0, 4.0, 8.0])


async def test_waiting_comes_to_an_end(serve, connect, naps):
    """No wait begins that would make them too long together."""
    server = await serve(UNAVAILABLE)
    retry = RetryPolicy(attempts=50, total_seconds=10, sleep=naps, random=lambda: 1.0)
    with pytest.raises(UnavailableError):
        await connect(server.url, retry=retry).request("GET", "/v2/x")

    assert naps == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("value", "waited"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("3600", 60.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("soon", 1.0),
        ("-5", 1.0),
    ],
)
async def test_the_server_says_when_to_come_back(serve, connect, naps, value, waited):
    """Retry-After is obeyed in both forms, up to a limit; a date is one of the server's clock."""

    async def busy(request):
        headers = {"Retry-After": value, "Date": formatdate(NOW, usegmt=True)}
        return web.Response(status=503, headers=headers)

    server = await serve(in_turn(busy, json_answer()))
    await connect(server.url).request("GET", "/v2/x")

    assert naps == [waited]


@pytest.mark.parametrize(
    ("status", "headers", "sends"),
    [
        (500, {}, 1),
        (502, {"Retry-After": "1"}, 1),
        (503, {}, 1),
        (503, {"Retry-After": "1"}, 2),
        (429, {}, 2),
    ],
)
async def test_what_is_not_repeatable_is_repeated_only_if_it_was_not_done(
    serve, connect, status, headers, sends
):
    """A POST is sent again only where the server turned it away."""
    refusal = text_answer("", status=status, headers=headers)
    server = await serve(in_turn(refusal, json_answer()))
    try:
        await connect(server.url).request("POST", "/v2/x", body=b"1")
    except UnavailableError:
        assert sends == 1

    assert len(server.seen) == sends


async def test_a_method_may_be_declared_repeatable(serve, connect):
    """The caller knows better than the method."""
    server = await serve(in_turn(UNAVAILABLE, json_answer()))
    transport = connect(server.url)
    with pytest.raises(UnavailableError):
        await transport.request("PUT", "/v2/x", repeatable=False)
    server = await serve(in_turn(UNAVAILABLE, json_answer()))
    await connect(server.url).request("POST", "/v2/x", repeatable=True)

    assert len(server.seen) == 2


async def test_a_body_is_sent_again_from_its_beginning(serve, connect):
    """Every send has all of the body."""
    server = await serve(in_turn(UNAVAILABLE, json_answer()))
    body = Stream(b"ab", b"cd", size=4)
    await connect(server.url).request("PUT", "/v2/x", body=body)

    assert [seen.body for seen in server.seen] == [b"abcd", b"abcd"]
    assert (body.begun, body.closed) == (2, 2)


async def test_a_body_that_was_begun_is_not_sent_twice_unless_it_can_be(serve, connect):
    """What can be read only once is not sent a second time, even if the server would take it."""
    server = await serve(in_turn(text_answer("", status=429), json_answer()))
    body = Stream(b"ab", replayable=False)
    with pytest.raises(RateLimitedError):
        await connect(server.url).request("PUT", "/v2/x", body=body)

    assert body.begun == 1


async def test_retries_are_logged_without_secrets(serve, connect, caplog):
    """One record for a repeat, and no credentials in any."""
    caplog.set_level(logging.DEBUG)
    server = await serve(in_turn(UNAVAILABLE, json_answer()))
    await connect(server.url).request("GET", "/v2/x")

    [record] = [record for record in caplog.records if record.name == "aiotcbatch"]
    assert record.getMessage() == (
        "GET /api/v2/x: UnavailableError, status 503; attempt 1 of 5, the next one in 1.0 s"
    )
    assert (record.event, record.status, record.delay) == ("request_retried", 503, 1.0)
    signature = server.seen[0].headers["Authorization"].partition(":")[2]
    assert signature not in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attempts", 0),
        ("total_seconds", -1),
        ("first_delay", float("nan")),
        ("max_delay", -0.1),
        ("budget_reserve", -1),
        ("budget_fraction", float("inf")),
        ("circuit_failures", -1),
        ("circuit_pause", -1),
        ("circuit_max_pause", float("nan")),
    ],
)
def test_a_policy_that_cannot_be_is_refused(field, value):
    """A setting out of its range names itself."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**{field: value})

    assert caught.value.field == field


@given(st.integers(1, 5000), st.floats(0, 1))
def test_a_delay_is_random_up_to_the_exponential_cap(attempt, chance):
    """Full jitter: from nothing to twice the last maximum, never more than the cap."""
    delay = RetryPolicy(random=lambda: chance).delay(attempt, None)

    assert delay == pytest.approx(chance * min(20.0, 2.0 ** min(attempt - 1, 30)))


def test_every_field_is_documented():
    """The page about settings has each field with its default."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "settings.md").read_text("utf-8")
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| `")]
    told = {
        name: default
        for names, defaults, *_ in rows
        for name, default in zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=False)
    }
    defaults = {
        name: f"{default:g}"
        for name, default in RetryPolicy().fields.items()
        if isinstance(default, int | float)
    }

    assert {name: told.get(name) for name in defaults} == defaults
