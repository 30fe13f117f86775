"""Files that share hashes: the superset rule, fileMergeMode and hashCollisionMode, row by row."""

from __future__ import annotations

import pytest

from aiotcbatch.sandbox import ManualClock, Sandbox
from tests.sandbox.conftest import calling

A, B, C = ("a" * 32, "b" * 32, "c" * 32)  # MD5
K, L, M = ("1" * 40, "2" * 40, "3" * 40)  # SHA-1
X, Y = ("d" * 64, "e" * 64)  # SHA-256


def file(*hashes, **more):
    """Return a File with these hashes and a tag that tells it from others."""
    names = {32: "md5", 40: "sha1", 64: "sha256"}
    return {"type": "File", **{names[len(value)]: value for value in hashes}, **more}


def tagged(name):
    """Return tags with one name."""
    return {"tag": [{"name": name}]}


async def merged(existing, incoming, **config):
    """Store Files one after the other, then one more; return what is there and what was said."""
    async with calling(Sandbox(clock=ManualClock(auto=True))) as call:
        for number, one in enumerate(existing):
            call.sandbox.instance.clock.advance(10)
            await call.job({"indicator": [{**one, **tagged(f"old{number}")}]})
        call.sandbox.instance.clock.advance(10)
        sent = {**incoming, **tagged("new"), "rating": 5}
        job_id, status = await call.job(
            {"indicator": [sent]}, tagWriteType="Append", haltOnError=True, **config
        )
        codes = [error["code"] for error in await call.results(job_id)]
        stored = {
            frozenset(entity.summary.split(" : ")): entity.tags
            for entity in call.sandbox.entities()
        }
    assert (status["successCount"], status["errorCount"], status["unprocessCount"]) == (1, 0, 0)
    return stored, codes


def expect(*files):
    """Return what is expected, in the form of `merged`."""
    return {frozenset(hashes): list(tags) for *hashes, tags in files}


MODES = ["FavorIncoming", "FavorExisting", "IgnoreIncoming", "IgnoreExisting", "Split"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("existing", "incoming", "union"),
    [
        (file(A), file(A, K, X), (A, K, X)),
        (file(A, K, X), file(A), (A, K, X)),
        (file(A, K), file(K, X), (A, K, X)),
        (file(A, K), file(A.upper(), K), (A, K)),
    ],
)
async def test_the_superset_rule(mode, existing, incoming, union):
    """Where shared hashes agree the result has every kind, whatever the mode."""
    stored, codes = await merged([existing], incoming, hashCollisionMode=mode)

    lower = {frozenset(value.lower() for value in hashes): tags for hashes, tags in stored.items()}

    assert lower == expect((*union, ("new", "old0")))
    assert codes == []


@pytest.mark.parametrize(
    ("mode", "expected", "codes"),
    [
        ("FavorIncoming", expect((A, L, X, ("new", "old0"))), []),
        ("FavorExisting", expect((A, K, X, ("new", "old0"))), []),
        ("IgnoreIncoming", expect((A, K, ("old0",))), ["0x2003"]),
        ("IgnoreExisting", expect((A, K, ("old0",)), (L, X, ("new",))), []),
        ("Split", expect((A, K, ("new", "old0"))), []),
    ],
)
async def test_a_collision_with_one_file(mode, expected, codes):
    """Same MD5, another SHA-1: each mode decides as documented."""
    assert await merged([file(A, K)], file(A, L, X), hashCollisionMode=mode) == (expected, codes)


async def test_files_that_disagree_give_way_to_the_incoming_one():
    """With IgnoreExisting they are deleted, though all of its hashes belong to them."""
    stored, codes = await merged(
        [file(A, K), file(B, L)], file(A, L), hashCollisionMode="IgnoreExisting"
    )

    # The existing ones disagree among themselves, so they give way to the incoming one.
    assert stored == expect((A, L, ("new",)))
    assert codes == []


async def test_a_file_whose_match_has_just_gone(call):
    """What an earlier File of the same job has deleted is no match any more."""
    await call.job({"indicator": [file(A, K), file(B, L)]})
    sent = [file(A, L), file(K, X)]
    _, status = await call.job({"indicator": sent}, hashCollisionMode="IgnoreExisting")
    stored = {frozenset(entity.summary.split(" : ")) for entity in call.sandbox.entities()}

    assert status["successCount"] == 2
    assert stored == {frozenset({A, L}), frozenset({K, X})}


@pytest.mark.parametrize(
    ("mode", "expected", "codes"),
    [
        ("Merge", expect((A, K, X, ("new", "old0", "old1"))), ["0x3001"]),
        ("Distribute", expect((A, ("new", "old0")), (K, ("new", "old1"))), []),
    ],
)
async def test_bringing_two_files_together(mode, expected, codes):
    """Merge makes one File of two without a conflict; Distribute writes to both."""
    assert await merged([file(A), file(K)], file(A, K, X), fileMergeMode=mode) == (expected, codes)


async def test_bringing_three_files_together():
    """An incoming File can join three."""
    existing = [file(A), file(K), file(X)]

    stored, codes = await merged(existing, file(A, K, X))
    apart, _ = await merged(existing, file(A, K, X), fileMergeMode="Distribute")

    assert stored == expect((A, K, X, ("new", "old0", "old1", "old2")))
    assert codes == ["0x3001", "0x3001"]
    assert apart == expect((A, ("new", "old0")), (K, ("new", "old1")), (X, ("new", "old2")))


@pytest.mark.parametrize(
    ("mode", "expected", "codes"),
    [
        ("FavorIncoming", expect((A, L, X, ("new", "old0", "old1"))), ["0x3001"]),
        ("FavorExisting", expect((B, L, X, ("new", "old0", "old1"))), ["0x3001"]),
        (
            "IgnoreIncoming",
            expect((A, K, ("old0",)), (B, L, ("old1",))),
            ["0x2003"],
        ),
        ("IgnoreExisting", expect((A, L, X, ("new",))), []),
        ("Split", expect((A, K, ("new", "old0")), (B, L, ("new", "old1"))), []),
    ],
)
async def test_a_collision_among_existing_files(mode, expected, codes):
    """Two Files that disagree, brought together by a third: the latest one is the primary."""
    existing = [file(A, K), file(B, L)]

    assert await merged(existing, file(A, L, X), hashCollisionMode=mode) == (expected, codes)


async def test_a_collision_under_distribute():
    """Without a join there is nothing to favour: the metadata goes to all."""
    stored, _ = await merged([file(A, K), file(B, L)], file(A, L), fileMergeMode="Distribute")

    assert stored == expect((A, K, ("new", "old0")), (B, L, ("new", "old1")))


async def test_what_a_join_keeps(call):
    """The primary is the one changed last; it keeps rating and gets all that the others had."""
    attribute = [{"type": "Source", "value": "s"}]
    more = {"attribute": attribute, "securityLabel": [{"name": "TLP:RED"}], "rating": 1}
    group = {"type": "Threat", "name": "t", "xid": "t"}
    linked = {"associatedGroups": [{"groupXid": "t"}]}
    await call.job({"group": [group], "indicator": [file(A, **more, **linked, **tagged("a"))]})
    await call.job({"indicator": [file(K, **{**more, "rating": 2}, **tagged("b"))]})
    await call.job({"indicator": [file(A, K, confidence=7)]})

    (joined,) = call.sandbox.entities(type="File")

    assert (joined.rating, joined.confidence) == (2.0, 7)
    assert [one.value for one in joined.attributes] == ["s", "s"]
    assert (joined.tags, joined.labels) == (["a", "b"], ["TLP:RED"])
    assert joined.associated_groups == [1]


async def test_hashes_lead_to_the_file_after_a_join(call):
    """After a join each hash finds the one File, and freed hashes can be used again."""
    await call.job({"indicator": [file(A, K), file(X)]})
    await call.job({"indicator": [file(A, L, X)]})
    await call.job({"indicator": [file(K, rating=3)]})

    found = {entity.summary: entity.rating for entity in call.sandbox.entities()}

    assert found == {f"{A} : {L} : {X}": None, K: 3.0}


async def test_joining_within_a_document(call):
    """Files of one document meet each other in the order in which they stand."""
    _, status = await call.job({"indicator": [file(A), file(K), file(B), file(A, K), file(K, Y)]})

    stored = [entity.summary for entity in call.sandbox.entities()]

    assert status["successCount"] == 5
    assert sorted(stored) == sorted([f"{A} : {K} : {Y}", B])
