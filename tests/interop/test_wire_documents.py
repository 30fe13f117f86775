"""The same calls give the same document as TcEx 5, but for the differences that are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from support import tcex
from support.differences import EXAMPLES, RULES, entities, like_ours
from support.programs import GROUPS, INDICATORS, Call, programs, run

from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.entities.group import GROUP_CLASSES
from aiotcbatch.entities.indicator import INDICATOR_CLASSES

if TYPE_CHECKING:
    from support.differences import Example, Rule
    from support.programs import Program


async def our_document(program: Program) -> dict[str, Any]:
    """Run a program here, and read back what would be sent and what would be uploaded."""
    builder = TypedBuilder()
    run(program, builder)
    await builder.drain()
    document: dict[str, Any] = {"group": [], "indicator": [], "association": [], "file": {}}
    while (chunk := builder._cut()) is not None:
        for kind, records in chunk.decode().items():
            document[kind] += records
        for item in chunk.files:
            document["file"][item.xid] = {
                "fileContent": item.content,
                "fileName": item.file_name,
                "type": item.type,
            }
    return document


def in_order(document: dict[str, Any]) -> dict[str, Any]:
    """Put everything in one order, since the server does not care for it."""
    return {
        **document,
        "group": sorted(document["group"], key=lambda group: group["xid"]),
        "indicator": sorted(document["indicator"], key=lambda indicator: indicator["xid"]),
        "association": sorted(
            document["association"], key=lambda link: sorted(map(str, link.items()))
        ),
    }


@given(programs())
async def test_generated_programs(program: Program) -> None:
    """Any program of calls gives the document of TcEx with the rules applied."""
    expected = in_order(like_ours(tcex.document(program)))

    assert in_order(await our_document(program)) == expected


def test_programs_have_every_type() -> None:
    """Every class of entities that TcEx has is made by some program."""
    known = {cls.TYPE for cls in (*GROUP_CLASSES.values(), *INDICATOR_CLASSES.values())}

    # TcEx has these two only if the instance lists them, and its methods for them fail
    assert {kind.name for kind in (*GROUPS, *INDICATORS)} == known - {"Email Subject", "Hashtag"}


async def outcome(made: Any) -> Any:
    """Give the entities of a document, or the class of what was raised."""
    try:
        return list(entities(await made()))
    except Exception as error:  # noqa: BLE001 (it is what is compared)
        return type(error)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
async def test_examples(example: Example) -> None:
    """Each example still differs from TcEx as it says, and in no other way."""

    async def theirs() -> dict[str, Any]:
        return tcex.document(example.program)

    async def ours() -> dict[str, Any]:
        return await our_document(example.program)

    assert await outcome(theirs) == example.tcex
    assert await outcome(ours) == example.ours


_UNDONE = {
    "An occurrence without any field is not sent": [
        Call("file", ("a" * 32,), {"xid": "x"}),
        Call("occurrence", on=0),
    ],
    "Empty lists are not sent": [
        Call("mutex", ("m",), {"xid": "x"}),
        Call("attribute", ("Description", ""), on=0),
    ],
    "displayed is sent only when it is true": [
        Call("mutex", ("m",), {"xid": "x"}),
        Call("attribute", ("Description", "text"), on=0),
        Call("displayed=", (False,), on=1),
    ],
    "externalDateCreated is externalDateAdded": [
        Call("mutex", ("m",), {"xid": "x"}),
        Call("add_key_value", ("externalDateCreated", "2020-01-01"), on=0),
    ],
    "An Email has no score unless it is given one": [
        Call("email", ("n", "s", "h", "b"), {"xid": "x"}),
    ],
    "A group that is linked twice is named once": [
        Call("mutex", ("m",), {"xid": "x"}),
        Call("association", ("g",), on=0),
        Call("association", ("g",), on=0),
    ],
    "value3 of two parts is left out": [
        Call("add_indicator", ({"type": "Mutex", "summary": "a : b", "xid": "x"},)),
    ],
    "A file without content is not kept for upload": [
        Call("document", ("n", "f.txt"), {"xid": "x"}),
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.title)
async def test_every_rule_is_needed(rule: Rule) -> None:
    """Without a rule the documents differ; with all of them they do not."""
    program = _UNDONE[rule.title]
    theirs = tcex.document(program)
    for other in RULES:
        if other is not rule:
            other.apply(theirs)

    ours = in_order(await our_document(program))
    assert in_order(theirs) != ours

    rule.apply(theirs)
    for other in RULES:
        other.apply(theirs)
    assert in_order(theirs) == ours
