"""How the transport holds back from a server that fails, and takes its time over its own."""

from __future__ import annotations

import contextlib
import logging
from email.utils import formatdate

import anyio
import pytest
from aiohttp import web
from support.servers import AUTH, NOW, Naps, Stream, in_turn, json_answer, text_answer

from aiotcbatch.errors import (
    CircuitOpenError,
    ClockError,
    ConnectError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
)
from aiotcbatch.events import (
    CircuitClosed,
    CircuitOpened,
    ClockCorrected,
    RequestRetried,
    RetryRefused,
)
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.retry import RetryPolicy, is_transient, was_refused_unseen
from aiotcbatch.transport.settings import Settings

pytest_plugins = ["support.wire"]

UNAVAILABLE = text_answer("", status=503)


class Time(Naps):
    """Time that passes as soon as somebody sleeps."""

    now = 50.0

    async def __call__(self, seconds):
        """Let it pass."""
        await super().__call__(seconds)
        self.now += seconds


class OnlyPauses(Time):
    """Time that passes in a pause, and not for those who wait for the probe."""

    async def __call__(self, seconds):
        """Let it pass, if that is a pause."""
        if seconds > 30:
            await anyio.sleep_forever()
        await super().__call__(seconds)


@pytest.fixture
def time():
    """Give a time of its own to each test."""
    return Time()


@pytest.fixture
def events():
    """Collect events."""
    return []


@pytest.fixture
async def held(time, events):
    """Make transports whose circuit opens at the third failure, for 4 seconds."""
    made = []

    def make(url, auth=AUTH, clock=lambda: NOW, **policy):
        policy = {
            "attempts": 1,
            "circuit_failures": 3,
            "circuit_pause": 4.0,
            "sleep": time,
            "random": lambda: 1.0,
            "now": lambda: time.now,
            **policy,
        }
        settings = Settings(retry=RetryPolicy(**policy))
        transport = Transport(url, auth, settings, clock=clock, on_event=events.append)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.aclose()


async def fail(transport, times, kind=UnavailableError):
    """Make requests that fail."""
    for _ in range(times):
        with pytest.raises(kind):
            await transport.request("GET", "/v2/x")


async def test_failures_in_a_row_open_the_circuit(serve, held, time, events):
    """After so many failures a request waits for the pause, then it is sent; its answer closes."""
    server = await serve(in_turn(*[UNAVAILABLE] * 3, json_answer()))
    transport = held(server.url)
    await fail(transport, 3)
    assert repr(transport).endswith("paused for 4.0 s>")
    assert (transport.statistics().circuit, transport.statistics().pause) == ("open", 4.0)
    await transport.request("GET", "/v2/x")

    assert (len(server.seen), time) == (4, [4.0])
    assert events == [
        CircuitOpened(failures=3, pause=4.0, error="UnavailableError", status=503),
        CircuitClosed(failures=3),
    ]
    assert repr(transport).endswith("open>")
    assert transport.statistics().failures == 0


@pytest.mark.parametrize("answer", [json_answer(), text_answer("", status=404)])
async def test_any_answer_interrupts_the_row(serve, held, events, answer):
    """A server that answers, be it by a no, is not failing."""
    server = await serve(in_turn(*[UNAVAILABLE] * 2, answer, *[UNAVAILABLE] * 2))
    transport = held(server.url)
    await fail(transport, 2)
    with contextlib.suppress(NotFoundError):
        await transport.request("GET", "/v2/x")
    await fail(transport, 2)

    assert events == []


async def test_requests_fail_when_their_time_is_not_enough(serve, held, time):
    """A pause that is longer than a request may wait is not waited for; nothing was sent."""
    server = await serve(UNAVAILABLE)
    transport = held(server.url, total_seconds=3.0)
    await fail(transport, 3)
    with pytest.raises(
        CircuitOpenError, match=r"3 requests in a row.*last failure: .*503"
    ) as caught:
        await transport.request("POST", "/v2/batch/1", body=b"{}")

    error = caught.value
    assert (len(server.seen), time) == (3, [])
    assert (error.seconds, error.method, error.url) == (4.0, "POST", f"{server.url}/v2/batch/1")
    assert isinstance(error, ConnectError)
    assert is_transient(error)
    assert was_refused_unseen(error)


async def test_pauses_grow_while_the_probe_fails(serve, held, time, events):
    """Each probe is one request, and the pauses between them are longer each time."""
    server = await serve(UNAVAILABLE)
    transport = held(server.url, circuit_max_pause=10.0)
    await fail(transport, 6)

    assert (len(server.seen), time) == (6, [4.0, 8.0, 10.0])
    assert [event.failures for event in events] == [3, 4, 5, 6]


async def test_the_server_may_ask_for_a_longer_pause(serve, held, events):
    """A pause is no shorter than what the server names, up to the limit for that."""
    server = await serve(text_answer("", status=429, headers={"Retry-After": "300"}))
    await fail(held(server.url, max_retry_after=30.0), 3, RateLimitedError)

    assert events == [CircuitOpened(failures=3, pause=30.0, error="RateLimitedError", status=429)]


async def test_a_request_that_was_sent_fails_with_its_own_error(serve, held, time):
    """Where an attempt was made, its outcome is what is raised, not that there is no other."""
    server = await serve(UNAVAILABLE)
    transport = held(server.url, attempts=5, first_delay=0.5, total_seconds=5.0)
    with pytest.raises(UnavailableError) as caught:
        await transport.request("PUT", "/v2/x")

    # After the last wait 2 s of the pause are to come, and 1.5 s are left for them.
    assert (len(server.seen), time) == (3, [0.5, 1.0, 2.0])
    assert "keeps failing" in caught.value.__notes__[0]


async def test_waits_for_the_circuit_count(serve, held, time):
    """What a request waits for the circuit is taken from what it may wait."""
    server = await serve(UNAVAILABLE)
    transport = held(server.url, attempts=9, first_delay=3.0, total_seconds=20.0)
    with pytest.raises(UnavailableError):
        await transport.request("GET", "/v2/x")

    # 3 and 6 s, the pause of 4 s included in the next 12 s, which are too many.
    assert sum(time) <= 20.0
    assert len(server.seen) == 3


@pytest.mark.parametrize("time", [OnlyPauses()])
async def test_one_request_probes_and_the_others_wait_for_it(serve, held, time):
    """In a pause nothing is sent; then one request, and the others when it was answered."""
    arrived, go = anyio.Event(), anyio.Event()

    async def slowly(request):
        arrived.set()
        await go.wait()
        return web.json_response({})

    server = await serve(in_turn(*[UNAVAILABLE] * 3, slowly, json_answer()))
    transport = held(server.url)
    await fail(transport, 3)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(transport.request, "GET", "/v2/x")
        await arrived.wait()
        await anyio.wait_all_tasks_blocked()
        assert len(server.seen) == 4
        assert transport.statistics().circuit == "probing"
        go.set()

    assert len(server.seen) == 8
    assert transport.statistics().circuit == "closed"


@pytest.mark.parametrize("time", [OnlyPauses()])
@pytest.mark.parametrize("end", ["cancelled", "broken"])
async def test_a_probe_that_tells_nothing_is_followed_by_another(serve, held, time, end):
    """When the probe is cancelled, or its body breaks, the next one who waits takes its turn."""
    begun, broken = anyio.Event(), anyio.Event()

    class Breaking(Stream):
        async def blocks(self):
            yield b"a"
            begun.set()
            await broken.wait()
            raise LookupError("gone")

    async def probe(scope):
        with scope, contextlib.suppress(LookupError):
            await transport.request("PUT", "/v2/x", body=Breaking(size=9))

    server = await serve(in_turn(*[UNAVAILABLE] * 3, json_answer()))
    transport = held(server.url)
    await fail(transport, 3)
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(probe, scope)
        await begun.wait()
        tasks.start_soon(transport.request, "GET", "/v2/x")
        await anyio.wait_all_tasks_blocked()
        assert transport.statistics().circuit == "probing"
        if end == "broken":
            broken.set()
        else:
            scope.cancel()

    assert transport.statistics().circuit == "closed"
    assert server.seen[-1].method == "GET"


async def test_who_is_cancelled_in_a_pause_leaves_nothing(serve, held):
    """A request that waits for the circuit can be cancelled, and the next one waits as well."""
    server = await serve(in_turn(*[UNAVAILABLE] * 3, json_answer()))
    transport = held(server.url, sleep=lambda seconds: anyio.sleep_forever())
    await fail(transport, 3)
    with anyio.move_on_after(0.01) as scope:
        await transport.request("GET", "/v2/x")

    assert scope.cancelled_caught
    assert len(server.seen) == 3


async def test_the_budget_comes_to_an_end(serve, held, time, events):
    """When too many requests were sent again, the next ones fail at their first error."""
    server = await serve(UNAVAILABLE)
    transport = held(
        server.url, attempts=3, budget_reserve=3, budget_fraction=0.25, circuit_failures=0
    )
    await fail(transport, 2)
    with pytest.raises(UnavailableError) as caught:
        await transport.request("GET", "/v2/x")

    assert (len(server.seen), len(time)) == (6, 3)
    assert [type(event) for event in events] == [*[RequestRetried] * 3, RetryRefused, RetryRefused]
    assert "too many" in caught.value.__notes__[0]
    statistics = transport.statistics()
    assert (statistics.requests, statistics.retries, statistics.retries_left) == (3, 3, 0)


def clocked(offset, **headers):
    """Make a handler that refuses timestamps which are not of its own time."""

    async def handler(request):
        now = int(NOW) + offset
        if abs(int(request.headers["Timestamp"]) - now) <= 300:
            return web.json_response({})
        response = web.json_response(
            {"message": "Timestamp out of acceptable time range"}, status=401
        )
        response.headers["Date"] = formatdate(now, usegmt=True)
        response.headers.update(headers)
        return response

    return handler


@pytest.mark.parametrize("offset", [7200, -7200])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_timestamp_corrects_the_clock(serve, held, events, caplog, offset, method):
    """The request is signed anew by the server's time and sent once more, and so are the next."""
    server = await serve(clocked(offset))
    transport = held(server.url)
    body = Stream(b"x", size=1)
    await transport.request(method, "/v2/x", body=body)
    await transport.request("GET", "/v2/y")

    stamps = [int(seen.headers["Timestamp"]) for seen in server.seen]
    assert stamps == [int(NOW), int(NOW + offset), int(NOW + offset)]
    for seen, stamp in zip(server.seen, stamps, strict=True):
        signed = AUTH.headers(seen.method, seen.target, stamp)
        assert seen.headers["Authorization"] == signed["Authorization"]
    assert events == [ClockCorrected(offset=float(offset))]
    [record] = caplog.records
    assert (record.levelno, record.event) == (logging.WARNING, "clock_corrected")
    assert transport.statistics().clock_offset == offset


@pytest.mark.parametrize("date", ["soon", formatdate(NOW, usegmt=True)])
async def test_a_clock_that_cannot_be_corrected_is_an_error(serve, held, events, date):
    """A server that does not say its time, or says ours, is not asked again."""
    server = await serve(clocked(7200, Date=date))
    with pytest.raises(ClockError):
        await held(server.url).request("GET", "/v2/x")

    assert (len(server.seen), events) == (1, [])


async def test_a_correction_that_does_not_help_is_an_error(serve, held, events):
    """The request is sent once more only; the next one is sent once."""
    server = await serve(clocked(7200, Date=formatdate(NOW + 3600, usegmt=True)))
    transport = held(server.url)
    for _ in range(2):
        with pytest.raises(ClockError):
            await transport.request("GET", "/v2/x")

    assert (len(server.seen), events) == (3, [ClockCorrected(offset=3600.0)])


async def test_requests_that_are_refused_together_correct_it_once(serve, held, events):
    """Each of them is sent once more, and one of them says so."""
    server = await serve(clocked(7200))
    transport = held(server.url)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(transport.request, "GET", "/v2/x")

    assert (len(server.seen), len(events)) == (10, 1)


async def test_a_body_that_is_gone_corrects_the_clock_for_the_next(serve, held, events):
    """What cannot be sent again raises, and the next request is right."""
    server = await serve(clocked(7200))
    transport = held(server.url)
    with pytest.raises(ClockError):
        await transport.request("POST", "/v2/x", body=Stream(b"x", replayable=False))
    await transport.request("GET", "/v2/x")

    assert (len(server.seen), len(events)) == (2, 1)


async def test_a_request_that_waited_long_is_signed_anew(serve, held, events):
    """A timestamp that grew old before its request was sent does not tell of a wrong clock."""
    times = iter([NOW - 400, NOW, NOW, NOW])
    server = await serve(clocked(0))
    transport = held(server.url, clock=lambda: next(times))
    await transport.request("GET", "/v2/x")

    assert (len(server.seen), events) == (2, [])
