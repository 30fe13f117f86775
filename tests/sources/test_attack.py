"""The mapping of ATT&CK, over all of the real data."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiotcbatch import Batch, Client, TokenAuth
from aiotcbatch.errors import ConfigurationError, UsageError
from aiotcbatch.sources import Counts, attack
from aiotcbatch.sources.attack.clusters import (
    assemble,
    clean_text,
    installed_directory,
    withdrawn_reason,
)
from aiotcbatch.sources.attack.model import KINDS
from aiotcbatch.sources.mapping import MAX_NAME, MAX_TAG

if TYPE_CHECKING:
    from pathlib import Path

    from support.recording import RecordingBatch


def _entry(uuid: str, value: str, external_id: str, **more: Any) -> dict[str, Any]:
    meta = {"external_id": external_id, **more.pop("meta", {})}
    return {"uuid": uuid, "value": f"{value} - {external_id}", "meta": meta, **more}


def _related(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"dest-uuid": uuid, "type": type_} for type_, uuid in pairs]


def _clusters(**entries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {kind.group_type: entries.get(kind.word, []) for kind in KINDS}


def test_every_entry_is_kept_once_or_counted(everything: attack.Attack) -> None:
    """With the withdrawn ones, every entry of the clusters is one object, and nothing is lost."""
    directory, _ = installed_directory()
    entries = Counter(
        value["uuid"]
        for kind in KINDS
        for value in json.loads((directory / f"{kind.cluster}.json").read_bytes())["values"]
    )

    assert entries == Counter(item.uuid for item in everything.objects)


@pytest.mark.parametrize("name", ["knowledge", "everything"])
def test_the_figures_add_up(name: str, request: pytest.FixtureRequest) -> None:
    """Every entry and every relation read is in exactly one of the figures."""
    knowledge: attack.Attack = request.getfixturevalue(name)
    figures = knowledge.statistics

    assert figures.objects_read == (
        figures.objects + sum(figures.withdrawn.values()) + figures.repeated_objects
    )
    assert figures.relations_read == (
        figures.relations
        + figures.repeated_relations
        + figures.self_relations
        + figures.withdrawn_relations
        + sum(figures.dangling_relations.values())
    )
    assert (figures.objects, figures.relations) == (
        len(knowledge.objects),
        len(knowledge.relations),
    )


def test_withdrawn_objects_are_left_out_by_default(
    knowledge: attack.Attack, everything: attack.Attack
) -> None:
    """What is left out is exactly what ATT&CK has withdrawn."""
    withdrawn = Counter(item.withdrawn for item in everything.objects if item.withdrawn)

    assert withdrawn == knowledge.statistics.withdrawn
    assert {item.uuid for item in knowledge.objects} == {
        item.uuid for item in everything.objects if not item.withdrawn
    }


def test_withdrawn_objects_are_tagged(everything: attack.Attack) -> None:
    """When they are asked for, their groups say why they were withdrawn."""
    reasons = {item.xid: item.withdrawn for item in everything.objects if item.withdrawn}
    groups = {group.xid: group for group in everything.groups}

    assert reasons
    assert all(f"ATT&CK {reason}" in groups[xid].tags for xid, reason in reasons.items())


@pytest.mark.parametrize("name", ["knowledge", "everything"])
def test_groups_can_be_cut_anywhere(name: str, request: pytest.FixtureRequest) -> None:
    """Xids are unique, and every association points to a group that comes before it."""
    knowledge: attack.Attack = request.getfixturevalue(name)
    seen: set[str] = set()
    for group in knowledge.groups:
        assert group.xid not in seen
        assert set(group.associations) <= seen
        seen.add(group.xid)


def test_each_pair_is_associated_once(knowledge: attack.Attack) -> None:
    """Every relation, and every report with its group, is one association and no other is."""
    pairs = Counter(
        frozenset((group.xid, other)) for group in knowledge.groups for other in group.associations
    )
    xids = {item.uuid: item.xid for item in knowledge.objects}
    expected = {frozenset((xids[one.source], xids[one.target])) for one in knowledge.relations}
    reports = {
        frozenset((group.xid, *group.associations))
        for group in knowledge.groups
        if group.type == "Report"
    }

    assert set(pairs.values()) == {1}
    assert pairs.keys() == expected | reports


def test_texts_are_within_the_limits_of_the_server(everything: attack.Attack) -> None:
    """Names and tags are as long as the server takes, and nothing is empty or there twice."""
    for group in everything.groups:
        assert 1 <= len(group.name) <= MAX_NAME
        assert all(1 <= len(tag) <= MAX_TAG for tag in group.tags)
        assert len(group.tags) == len(set(group.tags))
        assert len(group.attributes) == len(set(group.attributes))
        assert all(attribute.value.strip() for attribute in group.attributes)


def test_names_bear_no_external_id(knowledge: attack.Attack) -> None:
    """The id is a tag and an attribute, and not a part of the name."""
    groups = {group.xid: group for group in knowledge.groups}
    for item in knowledge.objects:
        group = groups[item.xid]
        assert not group.name.endswith(item.external_id)
        assert item.external_id in group.tags
        assert ("External ID", item.external_id) in [(a.type, a.value) for a in group.attributes]


async def test_xids_are_the_same_at_every_load(knowledge: attack.Attack) -> None:
    """A second load gives the same groups, so that submitting again updates them."""
    again = await attack.load()

    assert [g.to_wire() | {"fileContent": None} for g in knowledge.groups] == [
        g.to_wire() | {"fileContent": None} for g in again.groups
    ]


def test_a_known_technique(knowledge: attack.Attack) -> None:
    """A sub-technique is an Attack Pattern with everything that ATT&CK says about it."""
    group = next(group for group in knowledge.groups if "T1055.001" in group.tags)
    attributes = [(attribute.type, attribute.value) for attribute in group.attributes]

    assert group.type == "Attack Pattern"
    assert group.name == "Process Injection: Dynamic-link Library Injection"
    assert group.xid == "mitre-attack:f4599aa0-4f85-4a32-80ea-fc39dc965945"
    assert {
        "MITRE ATT&CK",
        "Process Injection: Dynamic-link Library Injection",
        "Defense Evasion",
        "Privilege Escalation",
        "Windows",
        "ATT&CK Enterprise",
    } <= set(group.tags)
    assert group.attributes[0].displayed
    assert group.attributes[0].source == "https://attack.mitre.org/techniques/T1055/001"
    assert "(Citation:" not in group.attributes[0].value
    assert ("External References", "https://attack.mitre.org/techniques/T1055/001") in attributes


def test_techniques_of_one_name_are_different_groups(knowledge: attack.Attack) -> None:
    """Enterprise and Mobile have techniques of the same name; none of them hides the other."""
    phishing = [group for group in knowledge.groups if group.name == "Phishing"]

    assert [group.type for group in phishing] == ["Attack Pattern"] * 2
    assert len({group.xid for group in phishing}) == 2
    assert {"ATT&CK Enterprise", "ATT&CK Mobile"} <= {
        tag for group in phishing for tag in group.tags
    }


def test_intrusion_sets_are_tagged_with_their_techniques(knowledge: attack.Attack) -> None:
    """Names of the techniques used are tags, since ThreatConnect makes ATT&CK tags of them."""
    names = {item.uuid: item.name for item in knowledge.objects}
    used = {
        names[one.target]
        for one in knowledge.relations
        if names[one.source] == "APT29" and one.type == "uses"
    }
    group = next(group for group in knowledge.groups if group.name == "APT29")
    patterns = {g.name for g in knowledge.groups if g.type == "Attack Pattern"}

    assert used & patterns == set(group.tags) & patterns
    assert len(used & patterns) > 50


def test_adding_to_a_batch(knowledge: attack.Attack, recording: RecordingBatch) -> None:
    """Everything is added in order, and the counts say what was added."""
    counts = knowledge.add_to(recording)

    assert [group.xid for group in knowledge.groups] == [g["xid"] for g in recording.groups]
    assert counts == Counts(
        groups=dict(Counter(data["type"] for data in recording.groups)),
        attributes=sum(len(data.get("attribute", ())) for data in recording.groups),
        tags=sum(len(data.get("tag", ())) for data in recording.groups),
        associations=sum(len(data.get("associatedGroupXid", ())) for data in recording.groups),
        files=sum("fileContent" in data for data in recording.groups),
    )


async def test_adding_to_a_real_batch(knowledge: attack.Attack) -> None:
    """A batch takes every group as valid, and two loads into one batch are one."""
    async with Client("http://127.0.0.1:9/api", TokenAuth("t")) as client:
        batch = client.batch("MyOrg")
        counts = knowledge.add_to(batch)
        knowledge.add_to(batch)
        await batch.drain()

        assert len(batch) == counts.entities
        assert batch.file_len == counts.files


async def test_every_intrusion_set_has_a_report_that_renders(
    everything: attack.Attack,
) -> None:
    """A report renders under its own xid, names its group and every object related to it."""
    reports = {group.associations[0]: group for group in everything.groups if group.file_content}
    sets = [item for item in everything.objects if item.group_type == "Intrusion Set"]
    assert reports.keys() == {item.xid for item in sets}
    related: dict[str, set[str]] = {item.uuid: set() for item in everything.objects}
    ids = {item.uuid: item.external_id for item in everything.objects}
    for one in everything.relations:
        related[one.source].add(ids[one.target])
    for item in sets:
        report = reports[item.xid]
        assert report.file_content is not None
        text = await report.file_content(report.xid)
        assert text.startswith(f"# {item.name} ({item.external_id})\n")
        assert text == await everything.profile(item.xid)
        used = {one for one in related[item.uuid] if not one.startswith("G")}
        assert not {one for one in used if f"- [{one}](" not in text}


async def test_a_profile_of_nobody(knowledge: attack.Attack) -> None:
    """An xid that is no group's is a KeyError, so that only its own file fails."""
    with pytest.raises(KeyError):
        await knowledge.profile("mitre-attack:nobody")


def test_what_has_no_place_is_counted_by_reason() -> None:
    """Repeated, self, dangling and withdrawn relations are each counted, and none is kept."""
    entries = _clusters(
        technique=[
            _entry("t1", "One", "T1", related=_related(("related-to", "t2"))),
            _entry("t2", "Two", "T2", related=_related(("related-to", "t1"), ("similar", "t2"))),
            _entry("t3", "Old", "T3", revoked=True, related=_related(("revoked-by", "t1"))),
            _entry("t1", "One again", "T1"),
        ],
        group=[
            _entry(
                "g1",
                "Gang",
                "G1",
                related=_related(("uses", "t1"), ("uses", "t1"), ("uses", "t3"), ("similar", "z")),
            )
        ],
    )

    objects, relations, figures = assemble(entries, namespace="n", withdrawn=False)

    assert [item.xid for item in objects] == ["n:t1", "n:t2", "n:g1"]
    assert [(one.source, one.target) for one in relations] == [("t1", "t2"), ("g1", "t1")]
    assert figures == attack.Statistics(
        objects_read=5,
        objects=3,
        withdrawn={"revoked": 1},
        repeated_objects=1,
        relations_read=8,
        relations=2,
        repeated_relations=2,
        self_relations=1,
        withdrawn_relations=2,
        dangling_relations={"similar": 1},
    )


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ("Parent", "Child", "Parent: Child"),
        ("P" * 60, "C" * 60, "C" * 60),
        ("P", "long word " * 20, f"{('long word ' * 20)[:99].rstrip()}…"),
    ],
)
def test_names_that_are_too_long(parent: str, child: str, expected: str) -> None:
    """A name leaves out the parent before it is cut."""
    entries = _clusters(
        technique=[
            _entry("p", parent, "T1"),
            _entry("c", child, "T1.001", related=_related(("subtechnique-of", "p"))),
        ]
    )

    objects, _, _ = assemble(entries, namespace="n", withdrawn=False)

    assert expected == objects[1].name


@pytest.mark.parametrize(
    ("group_type", "entry", "expected"),
    [
        ("Tool", _entry("u", "n", "S1", revoked=True), "revoked"),
        ("Tool", _entry("u", "n", "S1", description="This entry was deprecated as"), "deprecated"),
        (
            "Attack Pattern",
            _entry("u", "n", "T1", description="**This technique has been deprecated. See"),
            "deprecated",
        ),
        (
            "Intrusion Set",
            _entry("u", "n", "G1", description="[N](https://a.example/1) has been deprecated, as"),
            "deprecated",
        ),
        ("Course of Action", _entry("u", "n Mitigation", "T1009"), "replaced"),
        ("Course of Action", _entry("u", "n", "M1009"), ""),
        ("Attack Pattern", _entry("u", "n", "T1009"), ""),
        ("Tool", _entry("u", "n", "S1", description="Uses the deprecated `at` command."), ""),
        ("Tool", _entry("u", "n", "S1", description=None), ""),
    ],
)
def test_what_counts_as_withdrawn(group_type: str, entry: dict[str, Any], expected: str) -> None:
    """Flags, first sentences and outdated mitigation ids count; a mention of deprecation not."""
    assert expected == withdrawn_reason(group_type, entry)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bad.(Citation: Some (nested) thing)(Citation: B)", "Bad."),
        ("Bad. (Citation: A)\n\nMore", "Bad.\n\nMore"),
        ("run <code>net use</code> now", "run `net use` now"),
        ("one<br>two", "one\ntwo"),
        ("[Net](https://a.example/S1) with <PID>", "[Net](https://a.example/S1) with <PID>"),
    ],
)
def test_descriptions_become_plain_markdown(text: str, expected: str) -> None:
    """Citation marks go, HTML becomes Markdown, links and placeholders stay."""
    assert expected == clean_text(text)


async def test_a_namespace_of_ones_own(knowledge: attack.Attack) -> None:
    """Another namespace gives other xids for all, so that a second owner can hold ATT&CK too."""
    other = await attack.load(namespace="theirs")

    assert all(group.xid.startswith("theirs:") for group in other.groups)
    assert len(other.groups) == len(knowledge.groups)
    with pytest.raises(ConfigurationError, match="namespace"):
        await attack.load(namespace="")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("namespace", 5),
        ("namespace", "\ud800"),
        ("withdrawn", "no"),
        ("directory", 5),
        ("directory", ""),
    ],
)
async def test_what_cannot_be_loaded_so_is_refused(name: str, value: Any) -> None:
    """The argument is named, and nothing is read."""
    with pytest.raises(ConfigurationError) as caught:
        await attack.load(**{name: value})

    assert (name, value) == (caught.value.field, caught.value.value)


@pytest.mark.parametrize("batch", [None, [], Batch])
def test_it_is_added_to_a_batch(knowledge: attack.Attack, batch: Any) -> None:
    """What does not take groups is refused; so is a class that was not called."""
    with pytest.raises(ConfigurationError, match="add_group"):
        knowledge.add_to(batch)


async def test_without_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """When pymispgalaxies is missing, the error says which extra brings it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UsageError, match=r"pip install 'aiotcbatch\[demo\]'"):
        await attack.load()


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"{}"])
async def test_a_directory_that_has_no_clusters(tmp_path: Path, content: bytes | None) -> None:
    """A directory without readable clusters is refused with the name of the file."""
    if content is not None:
        await anyio.Path(tmp_path / "mitre-attack-pattern.json").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"mitre-attack-pattern\.json"):
        await attack.load(directory=tmp_path)
