"""The engine against an independent model, job after job, under every write type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiotcbatch.sandbox.catalog import Catalog
from aiotcbatch.sandbox.engine import config as job_config
from aiotcbatch.sandbox.engine.batch import Readers
from aiotcbatch.sandbox.engine.run import Run
from aiotcbatch.sandbox.settings import Owner, Settings
from aiotcbatch.sandbox.store import jobs, reading
from aiotcbatch.sandbox.store.store import Store
from aiotcbatch.sandbox.vocabulary import SECURITY_LABELS
from tests.sandbox.model import Model

XIDS = ["x-1", "x-2", "x-3", "é:/'\"", "@"]
SUMMARIES = ["m", "n", "m : n", "'; DROP TABLE entity --", "\u0000", "x-1"]
TYPES = ["Mutex", "User Agent", "Hashtag"]
NAMES = ["a", "b", "A", "ü"]

attributes = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Description", "Source", "Title"]),
            "value": st.sampled_from(["1", "2", "3"]),
        },
        optional={"displayed": st.booleans()},
    ),
    max_size=3,
)
tags = st.lists(st.fixed_dictionaries({"name": st.sampled_from(NAMES)}), max_size=3)
labels = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["TLP:RED", "TLP:GREEN"])}), max_size=2
)
parts = {"attribute": attributes, "tag": tags, "securityLabel": labels}
groups = st.fixed_dictionaries(
    {
        "type": st.just("Incident"),
        "name": st.sampled_from(["one", "two"]),
        "xid": st.sampled_from(XIDS),
    },
    optional={
        **parts,
        "status": st.sampled_from(["New", "Closed"]),
        "associatedGroupXid": st.lists(st.sampled_from(XIDS), max_size=2),
    },
)
indicators = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES), "summary": st.sampled_from(SUMMARIES)},
    optional={
        **parts,
        "rating": st.integers(0, 5),
        "associatedGroups": st.lists(
            st.fixed_dictionaries({"groupXid": st.sampled_from(XIDS)}), max_size=2
        ),
    },
)


@st.composite
def associations(draw: st.DrawFn) -> dict[str, str]:
    """Draw an association of any kind."""
    made = {}
    for number in (1, 2):
        if draw(st.booleans()):
            made[f"ref_{number}"] = draw(st.sampled_from(XIDS))
        else:
            made[f"ref_{number}"] = draw(st.sampled_from(SUMMARIES))
            made[f"type_{number}"] = draw(st.sampled_from(TYPES))
    if draw(st.integers(0, 3)):
        made["associationType"] = draw(st.sampled_from(["URL Host", "Mine"]))
    return made


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a document with its sections in any order that the API allows."""
    made = {}
    for section in draw(st.permutations(["group", "indicator"])):
        elements = groups if section == "group" else indicators
        made[section] = draw(st.lists(elements, max_size=5))
    made["association"] = draw(st.lists(associations(), max_size=4))
    return made


configs = st.fixed_dictionaries(
    {
        "owner": st.just("MyOrg"),
        "version": st.just("V2"),
        "action": st.sampled_from(["Create", "Create", "Create", "Delete"]),
        "haltOnError": st.booleans(),
        "attributeWriteType": st.sampled_from(["Append", "Replace", "Singleton", "Static"]),
        "tagWriteType": st.sampled_from(["Append", "Replace"]),
        "securityLabelWriteType": st.sampled_from(["Append", "Replace"]),
    }
)
programs = st.lists(
    st.tuples(documents(), configs, st.sampled_from([1, 2, 500])), min_size=1, max_size=6
)


class Engine:
    """The real engine on a real store, without the network."""

    def __init__(self) -> None:
        self.store = Store(None, [Owner(name="MyOrg")], SECURITY_LABELS)
        self.store.open()
        self.catalog = Catalog()
        self.readers = Readers(self.catalog)

    def run(self, document: dict[str, Any], config: dict[str, Any], chunk: int) -> jobs.Counts:
        """Do a job to its end."""
        call = self.store.database.call
        job = call(jobs.create, "MyOrg", config, 0.0)
        run = Run(
            self.store,
            self.catalog,
            self.readers,
            Settings(),
            job,
            job_config.read(config),
            json.dumps(document).encode(),
        )
        while not run.over:
            call(run.step, chunk, 0.0)
        return job.counts

    def state(self) -> tuple[dict[Any, Any], set[Any]]:
        """Return what is stored, in the terms of the model."""
        found = self.store.database.call(lambda db: reading.complete(db, reading.select(db)))
        keys = {
            one.id: ("group", one.xid) if one.kind == "G" else (one.type, one.summary)
            for one in found
        }
        things = {
            keys[one.id]: (
                one.summary,
                one.rating,
                one.fields,
                [(each.type, each.value) for each in one.attributes],
                set(one.tags),
                set(one.labels),
            )
            for one in found
        }
        links = {
            (frozenset([keys[one.id], keys[other]]), kind)
            for one in found
            for other, kind in one.associations
        }
        return things, links


@pytest.fixture(scope="module")
def engine():
    """One engine for all examples, emptied before each."""
    made = Engine()
    yield made
    made.store.close()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(program=programs)
def test_the_engine_agrees_with_the_model(engine, program):
    """After each job the store has what the model has, and the counts are the model's."""
    engine.store.database.call(engine.store.empty)
    model = Model()
    for document, config, chunk in program:
        expected = model.run(document, config)
        counts = engine.run(document, config, chunk)
        things, links = engine.state()

        assert things == {
            key: (one.summary, one.rating, one.fields, one.attributes, one.tags, one.labels)
            for key, one in model.things.items()
        }
        assert links == model.links
        assert (counts.success, counts.error, counts.unprocessed) == (
            expected.success,
            expected.error,
            expected.unprocessed,
        )
        assert (counts.success_associations, counts.error_associations) == (
            expected.associations,
            expected.failed_associations,
        )
        assert nothing_is_left_over(engine)


def nothing_is_left_over(engine: Engine) -> bool:
    """Tell whether no row hangs on an entity that is gone."""
    tables = ("file_hash", "content")

    def orphans(db: Any) -> int:
        queries = [
            f"SELECT count(*) FROM {table} WHERE entity_id NOT IN (SELECT id FROM entity)"  # noqa: S608
            for table in tables
        ]
        queries += [
            f"SELECT count(*) FROM association WHERE {end} NOT IN (SELECT id FROM entity)"  # noqa: S608
            for end in ("low", "high")
        ]
        return sum(db.execute(query).fetchone()[0] for query in queries)

    return engine.store.database.call(orphans) == 0


@st.composite
def file_jobs(draw: st.DrawFn) -> tuple[list[dict[str, str]], dict[str, Any], int]:
    """Draw a job of Files that share hashes."""
    hashes = {"md5": 32, "sha1": 40, "sha256": 64}
    files = []
    for _ in range(draw(st.integers(1, 4))):
        kinds = draw(st.sets(st.sampled_from(sorted(hashes)), min_size=1))
        files.append(
            {
                "type": "File",
                **{kind: draw(st.sampled_from("abc")) * hashes[kind] for kind in sorted(kinds)},
            }
        )
    config = {
        "owner": "MyOrg",
        "action": draw(st.sampled_from(["Create", "Create", "Create", "Delete"])),
        "version": "V2",
        "fileMergeMode": draw(st.sampled_from(["Merge", "Distribute"])),
        "hashCollisionMode": draw(
            st.sampled_from(
                ["FavorIncoming", "FavorExisting", "IgnoreIncoming", "IgnoreExisting", "Split"]
            )
        ),
    }
    return files, config, draw(st.sampled_from([1, 500]))


@given(program=st.lists(file_jobs(), max_size=6))
def test_files_stay_whole(engine, program):
    """
    Whatever is merged, no hash belongs to two Files.

    Each File is found by all its hashes and no others, and nothing is left over.
    """
    engine.store.database.call(engine.store.empty)
    for files, config, chunk in program:
        counts = engine.run({"indicator": files}, config, chunk)
        stored = engine.store.database.call(reading.select)
        owned = [value for one in stored for value in one.summary.split(" : ")]
        rows = engine.store.database.call(
            lambda db: dict(db.execute("SELECT hash, entity_id FROM file_hash").fetchall())
        )

        assert counts.success + counts.error == len(files)
        assert len(owned) == len(set(owned))
        assert rows == {value: one.id for one in stored for value in one.summary.split(" : ")}
        assert nothing_is_left_over(engine)
