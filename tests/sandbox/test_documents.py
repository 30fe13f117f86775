"""Documents as a whole: halting, wrong shapes, what is not JSON, limits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.sandbox import Sandbox
from aiotcbatch.sandbox.engine import document as reading
from aiotcbatch.sandbox.engine.document import Document, DocumentError, count
from tests.sandbox.conftest import calling


def host(number, **more):
    """Return an indicator that is good."""
    return {"type": "Host", "summary": f"h{number}.example", "xid": f"h-{number}", **more}


def group(number, **more):
    """Return a group that is good."""
    return {"type": "Threat", "name": f"n{number}", "xid": f"g-{number}", **more}


BAD = {"type": "Host", "summary": "not good", "xid": "bad"}
LOST = host(9, tag=[{"name": ""}])
COUNTS = ("successCount", "errorCount", "unprocessCount")


def counts(status):
    """Return the three counts of a job."""
    return tuple(status[name] for name in COUNTS)


@pytest.mark.parametrize(
    ("document", "going_on", "halting"),
    [
        ({"indicator": [host(1), BAD, host(2)]}, (2, 1, 0), (1, 1, 1)),
        ({"indicator": [BAD, host(1), host(2)]}, (2, 1, 0), (0, 1, 2)),
        ({"indicator": [host(1), host(2), BAD]}, (2, 1, 0), (2, 1, 0)),
        ({"indicator": [host(1), LOST, host(2)]}, (2, 1, 0), (1, 1, 1)),
        ({"group": [group(1), {}], "indicator": [host(1)]}, (2, 1, 0), (1, 1, 1)),
        ({"indicator": [BAD], "group": [group(1)] * 3}, (3, 1, 0), (0, 1, 3)),
        (
            {"group": [group(1)], "indicator": [BAD], "association": [{}], "file": {}},
            (1, 1, 0),
            (1, 1, 0),
        ),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 500])
async def test_halting(document, going_on, halting, chunk):
    """A job that halts stops at the first error and counts the entities that it left alone."""
    async with calling(Sandbox(chunk=chunk)) as call:
        _, on = await call.job(document, haltOnError=False)
    async with calling(Sandbox(chunk=chunk)) as call:
        job_id, halted = await call.job(document, haltOnError=True)
        errors = await call.results(job_id)
        stored = call.sandbox.entities()

    assert counts(on) == going_on
    assert counts(halted) == halting
    assert len(errors) == 1
    assert len(stored) == halting[0] + (LOST in document.get("indicator", ()))


async def test_halting_at_an_association(call):
    """An association that fails halts too; entities are done by then."""
    document = {
        "group": [group(1), group(2)],
        "association": [{"ref_1": "g-1", "ref_2": "x"}, {"ref_1": "g-1", "ref_2": "g-2"}],
    }
    _, status = await call.job(document, haltOnError=True)

    assert counts(status) == (2, 0, 0)
    assert (status["successAssociationCount"], status["errorAssociationCount"]) == (0, 1)


async def test_halting_at_an_embedded_link(call):
    """A link to nothing halts a job."""
    document = {
        "group": [
            group(1, associatedGroupXid=["x"]),
            group(2, associatedGroupXid=["y"]),
        ]
    }
    job_id, status = await call.job(document, haltOnError=True)

    assert counts(status) == (1, 1, 0)
    assert len(await call.results(job_id)) == 1


SHAPES = [
    {"group": [group(1), "name", group(2)]},
    {"group": [group(1), group(2, tag=["name"]), group(3)]},
    {"group": [group(1), group(2, tag="name"), group(3)]},
    {"group": [group(1), group(2, attribute=[{"type": "Title", "value": {}}]), group(3)]},
    {"group": [group(1), group(2, securityLabel=[[]]), group(3)]},
    {"group": [group(1), group(2, name=[]), group(3)]},
    {"group": [group(1), group(2, associatedIndicators=["x"]), group(3)]},
    {"indicator": [host(1), None, host(3)]},
    {"indicator": [host(1), host(2, summary={}), host(3)]},
    {"indicator": [host(1), host(2, associatedGroups=[{"groupXid": []}]), host(3)]},
]


@pytest.mark.parametrize("document", SHAPES)
@pytest.mark.parametrize("chunk", [1, 500])
async def test_a_wrong_shape_ends_the_job(document, chunk):
    """The server gives up at an element of a wrong JSON shape; what came before stays."""
    async with calling(Sandbox(chunk=chunk)) as call:
        job_id, status = await call.job(document, haltOnError=False)
        (error,) = await call.results(job_id)
        old = (await call("GET", f"/v2/batch/{job_id}/errors")).json
        stored = call.sandbox.entities()

    section = next(iter(document))
    said = "Encountered an unexpected Exception while processing batch job."

    assert counts(status) == (1, 1, 1)
    assert len(stored) == 1
    assert error["code"] == "0x1003"
    assert error["errorReason"].startswith("com.google.gson.JsonSyntaxException: Not a JSON")
    assert error["errorMessage"].startswith(said)
    assert f"Last known JSON path: '$.{section}[1]'" in error["errorMessage"]
    assert f"Last processed {section}[" in error["errorMessage"]
    assert old[0]["errorReason"] == error["errorMessage"]


async def test_a_wrong_association_ends_the_job(call):
    """An association that is no object is a wrong shape as well."""
    job_id, status = await call.job({"group": [group(1)], "association": ["x", {}]})

    assert counts(status) == (1, 1, 0)
    assert "$.association[0]" in (await call.results(job_id))[0]["errorMessage"]


@pytest.mark.parametrize(
    ("body", "done"),
    [
        (b"", 0),
        (b"  ", 0),
        (b"nonsense", 0),
        (b'"group"', 0),
        (b"17", 0),
        (b'{"group":', 0),
        (b'{"group":{}}', 0),
        (b'{"group":"x"}', 0),
        (b'{"group" []}', 0),
        (b"{group:[]}", 0),
        (b'{"group":[],}', 0),
        (b'{"group":[] "indicator":[]}', 0),
        (b'{"group":nul}', 0),
        (b'{"group":[]}{}', 0),
        (b"[[]]", 0),
        (b'[{"group":[]},{}]', 0),
        (b'{"indicator":[{"type":"Host","summary":"a.b"},{"type":"Ho', 1),
        (b'{"indicator":[{"type":"Host","summary":"a.b"} {"type":"Host"}]}', 1),
        (b'{"indicator":[{"type":"Host","summary":"a.b","rating":NaN}]}', 0),
        (b'{"indicator":[{"type":"Host","summary":"a.b","rating":Infinity}]}', 0),
        (b'{"indicator":[{"type":"Host","summary":"a.b"}', 1),
        (b'{"x":' + b"[" * 100_000 + b"}", 0),
        (b'{"indicator":[{"type":"Host","summary":"a.b"},' + b'{"a":' * 100_000, 1),
        (b'{"indicator":[{"type":"Host","summary":"a.b","n":' + b"9" * 5000 + b"}]}", 0),
    ],
)
@pytest.mark.parametrize("halt", [True, False])
async def test_what_is_not_json(call, body, done, halt):
    """One 0x1003 for the document, nothing unprocessed, and what came before the fault stays."""
    job_id, status = await call.job(body, haltOnError=halt)

    assert status["status"] == "Completed"
    assert counts(status) == (done, 1, 0)
    assert [error["code"] for error in await call.results(job_id)] == ["0x1003"]


async def test_malformed_after_a_halt(call):
    """With a fault further on the rest cannot be counted, so nothing is unprocessed."""
    body = json.dumps({"indicator": [BAD, host(1), host(2)]}).encode()[:-1] + b",["
    _, status = await call.job(body, haltOnError=True)

    assert counts(status) == (0, 1, 0)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"group":[{"type":"Threat","name":"n","xid":"x"}]}]',
        b' [ { "group" : [ { "type":"Threat","name":"n","xid":"x" } ] } ] ',
        b'\xef\xbb\xbf{"group":[{"type":"Threat","name":"n","xid":"x"}]}',
        b'{"file":{},"group":[{"type":"Threat","name":"n","xid":"x","store":false}],"z":[1]}',
        b'{"indicator":null,"group":[{"type":"Threat","name":"n","xid":"x"}]}',
        b'{"group":[{"type":"Threat","name":"n",\n"xid":"x"}\r\n]\t}\n',
    ],
)
async def test_forms_that_are_tolerated(call, body):
    """A wrapping array, a byte order mark, unknown keys and white space change nothing."""
    _, status = await call.job(body)

    assert counts(status) == (1, 0, 0)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"group":[],"indicator":[]}'])
async def test_an_empty_document(call, body):
    """Nothing to do is done at once."""
    _, status = await call.job(body)

    assert counts(status) == (0, 0, 0)


async def test_text_that_is_not_utf8(call):
    """Bytes that are no UTF-8 and halves of surrogate pairs are replaced, as the server does."""
    body = (
        b'{"group":[{"type":"Threat","name":"a\xffb","xid":"x"},'
        b'{"type":"Threat","name":"c\\ud800d","xid":"\\udc00y"}]}'
    )
    _, status = await call.job(body)

    assert counts(status) == (2, 0, 0)
    assert [one.summary for one in call.sandbox.entities()] == ["a\ufffdb", "c\ufffdd"]


@pytest.mark.parametrize("chunk", [1, 3, 500])
async def test_the_most_indicators(chunk):
    """
    The indicator that is one too many ends the job with 0x1008; groups do not count.

    It is the error of the job, and so none of those that were not looked at.
    """
    async with calling(Sandbox(max_indicators=3, chunk=chunk)) as call:
        document = {"group": [group(n) for n in range(5)], "indicator": [host(n) for n in range(5)]}
        job_id, status = await call.job(document)
        (error,) = await call.results(job_id)

    assert counts(status) == (8, 1, 1)
    assert error["code"] == "0x1008"
    assert "would exceed the number of allowed indicators" in error["errorReason"]


async def test_an_owners_quota():
    """A new indicator beyond the owner's quota ends the job; known ones are still updated."""
    async with calling(Sandbox(indicator_quota=2)) as call:
        await call.job({"indicator": [host(1), host(2)]})
        _, known = await call.job({"indicator": [host(1), host(2)]})
        job_id, beyond = await call.job({"indicator": [host(2), host(3), host(1)]})
        errors = await call.results(job_id)

    assert counts(known) == (2, 0, 0)
    assert counts(beyond) == (1, 1, 1)
    assert errors[0]["code"] == "0x1008"


def test_a_document_is_read_as_it_goes():
    """What stands before a fault is handed out before the fault is raised."""
    document = Document(b'{"group":[{"a":1},{"b":2},x')

    assert document.read(5) == ("group", 0, [{"a": 1}, {"b": 2}])
    with pytest.raises(DocumentError) as caught:
        document.read(5)
    assert caught.value.path == "$.group[2]"


TEXTS = st.sampled_from(
    ["a", 'b"]},{"type":', "\n", "\ud800", "\N{GRINNING FACE}", "\\", "]}", "{", "é"]
)
NESTED = st.lists(st.fixed_dictionaries({"type": TEXTS}), max_size=3)
ELEMENTS = st.fixed_dictionaries(
    {"type": TEXTS}, optional={"n": st.integers(-9, 9) | st.just(1.5), "tag": NESTED, "last": TEXTS}
)


def read_all(body, limit):
    """Return all that can be read of a document, and why it ends."""
    document = Document(body)
    values = []
    try:
        while (part := document.read(limit)) is not None:
            assert 0 < len(part.values) <= limit
            assert part.first == len(values)
            values += part.values
    except DocumentError as fault:
        return values, fault.reason, fault.path
    return values, "", ""


@given(
    elements=st.lists(ELEMENTS, max_size=12),
    more=st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}]),
    limit=st.integers(1, 9),
    cut=st.none() | st.tuples(st.integers(0, 400), st.sampled_from(["", "x", "]", "}", "1"])),
)
def test_reading_many_at_once(elements, more, limit, cut):
    """Elements that look alike and are read together are the same as one by one, faults too."""
    text = json.dumps({"group": elements}, **more)
    if cut is not None:
        text = text[: cut[0]] + cut[1] + text[cut[0] + 1 :]
    body = text.encode(errors="surrogatepass")

    together = read_all(body, limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCKS", (0,))
        one_by_one = read_all(body, limit)

    assert together == one_by_one
    assert cut is not None or len(together[0]) == len(elements)


def test_what_looks_alike_is_read_at_once(monkeypatch):
    """Only the first and the last of many elements that look alike are read on their own."""
    alone = []
    scan = reading._scan
    monkeypatch.setattr(reading, "_scan", lambda text, at: alone.append(at) or scan(text, at))
    body = json.dumps({"group": [group(number, tag=[{"name": "t"}] * 3) for number in range(50)]})

    values, reason, _ = read_all(body.encode(), 1000)

    assert (len(values), reason) == (50, "")
    assert len(alone) == 3  # and the key


def test_counting_stops_early():
    """Counting looks at no more than it must, and associations do not count."""
    body = b'{"association":[{}],"group":[{},{},{},broken'

    assert count(body, 2) == 2
    assert count(body, 100) == 3


def test_the_share_is_of_what_was_handed_out():
    """What was read ahead does not count as done."""
    document = Document(json.dumps({"group": [group(n) for n in range(10)]}).encode())

    shares = []
    while document.read(3) is not None:
        shares.append(document.share)

    assert shares == pytest.approx([0.3, 0.6, 0.9, 1.0], abs=0.03)
    assert document.share == 1.0
