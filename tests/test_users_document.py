"""
Every code block of the users' document, in its order, puts on the wire what it says.

It is the page "Batch" of TcEx of 2018. The calls are as they stand there, but for `await` where
they do I/O, and for the comma that its first block lacks.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest

if TYPE_CHECKING:
    from aiotcbatch import Batch, BatchStatus, Client
    from aiotcbatch.sandbox import Sandbox


@pytest.fixture
def batch(client: Client) -> Batch:
    """Begin as every block of the document does."""
    return client.batch("MyOrg")


async def submitted(sandbox: Sandbox, batch: Batch) -> dict[str, Any]:
    """Submit without an error, and give the document that arrived."""
    status: BatchStatus = await batch.submit()
    assert status.ok, status
    document: dict[str, Any] = sandbox.jobs[-1].document
    return document


async def test_groups_interface_1_all_fields(sandbox: Sandbox, batch: Batch) -> None:
    """Groups, interface 1: everything in the method call, metadata on the instance."""
    adversary = batch.adversary("adversary-001", "my-xid-000")
    adversary.attribute("Description", "Example Description", True)
    adversary.tag("Example Tag")
    adversary.security_label("TLP Green")

    document = await submitted(sandbox, batch)
    assert document == {
        "group": [
            {
                "name": "adversary-001",
                "type": "Adversary",
                "xid": "my-xid-000",
                "attribute": [
                    {"type": "Description", "value": "Example Description", "displayed": True}
                ],
                "tag": [{"name": "Example Tag"}],
                "securityLabel": [{"name": "TLP Green"}],
            }
        ]
    }


def _document_with_setters(batch: Batch, file_content: bytes | str) -> None:
    document = batch.document("document-001", "example.txt")
    document.malware = True
    document.password = "test"
    document.file_content = file_content
    # Add Attribute
    attr = document.attribute("Description", "Example Description")
    attr.displayed = True
    # Add Tag
    document.tag("Example Tag")
    # Add Label
    label = document.security_label("My Label")
    label.color = "ffffff"
    label.description = "Security label description."


_DOCUMENT = {
    "name": "document-001",
    "type": "Document",
    "xid": "0d8a243edb1d58a072c389c657489580606e5b7874b29286a9ed1fe48d6dff40",
    "fileName": "example.txt",
    "malware": True,
    "password": "test",
    "attribute": [{"type": "Description", "value": "Example Description", "displayed": True}],
    "tag": [{"name": "Example Tag"}],
    "securityLabel": [
        {"name": "My Label", "color": "ffffff", "description": "Security label description."}
    ],
}


async def test_groups_interface_1_setters(sandbox: Sandbox, batch: Batch) -> None:
    """Groups, interface 1: optional fields by setters, and the content is handed to the server."""
    _document_with_setters(batch, "example file content")

    status = await batch.submit(halt_on_error=False)

    assert sandbox.jobs[-1].document == {"group": [_DOCUMENT]}
    # the document's content is no archive, which the server wants of malware
    (upload,) = status.uploads
    assert not upload.uploaded
    assert upload.xid == _DOCUMENT["xid"]
    assert "zip" in str(upload.error)


async def test_groups_interface_1_malware(sandbox: Sandbox, batch: Batch) -> None:
    """The same with an archive as its content: that one arrives."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("example.txt", "example file content")
    content = bytearray(archive.getvalue())
    content[6] |= 1  # as a file is marked that needs a password

    _document_with_setters(batch, bytes(content))

    assert await submitted(sandbox, batch) == {"group": [_DOCUMENT]}
    assert sandbox.files[_DOCUMENT["xid"]].content == content


async def test_callback_for_the_content(sandbox: Sandbox, batch: Batch) -> None:
    """The callback is passed the xid, and its answer is what is uploaded."""
    batch.document("document-001", "example.txt", lambda xid: f"content of {xid}", xid="d-1")
    batch.report("report-001", "example.pdf", lambda xid: xid.encode(), xid="r-1")

    await submitted(sandbox, batch)

    contents = {xid: file.content for xid, file in sandbox.files.items()}
    assert contents == {"d-1": b"content of d-1", "r-1": b"r-1"}


async def test_groups_interface_2(sandbox: Sandbox, batch: Batch) -> None:
    """Groups, interface 2: any type, and its fields by their names on the wire."""
    event = batch.group("Event", "event-001", "my-xid-0001")
    event.add_key_value("eventDate", "yesterday")
    event.add_key_value("status", "New")
    event.attribute("Description", "Example Description 2", True, "source")
    event.tag("Example Tag")

    document = await submitted(sandbox, batch)
    assert document == {
        "group": [
            {
                "name": "event-001",
                "type": "Event",
                "xid": "my-xid-0001",
                "eventDate": ANY,
                "status": "New",
                "attribute": [
                    {
                        "type": "Description",
                        "value": "Example Description 2",
                        "displayed": True,
                        "source": "source",
                    }
                ],
                "tag": [{"name": "Example Tag"}],
            }
        ]
    }
    assert document["group"][0]["eventDate"][10] == "T"


async def test_groups_interface_3(sandbox: Sandbox, batch: Batch) -> None:
    """Groups, interface 3: a dict; its content is uploaded, and not part of the document."""
    batch.adversary("what it points to", "my-xid-001")
    await batch.submit()

    batch.add_group(
        {
            "name": "document-002",
            "fileName": "test2.txt",
            "fileContent": "example content 2",
            "type": "Document",
            "xid": "my-xid-002",
            "associatedGroupXid": ["my-xid-001"],
            "attribute": [
                {"displayed": True, "type": "Description", "value": "Example Description"}
            ],
            "tag": [{"name": "SafeToDelete"}],
        }
    )

    document = await submitted(sandbox, batch)
    assert document == {
        "group": [
            {
                "name": "document-002",
                "fileName": "test2.txt",
                "type": "Document",
                "xid": "my-xid-002",
                "associatedGroupXid": ["my-xid-001"],
                "attribute": [
                    {"displayed": True, "type": "Description", "value": "Example Description"}
                ],
                "tag": [{"name": "SafeToDelete"}],
            }
        ]
    }
    assert sandbox.files["my-xid-002"].content == b"example content 2"


async def test_indicators_interface_1_all_fields(sandbox: Sandbox, batch: Batch) -> None:
    """Indicators, interface 1: rating and confidence are numbers, though given as text."""
    address = batch.address("123.124.125.126", "5.0", "100")
    address.attribute("Description", "Example Description", True)
    address.tag("Example Tag")
    address.security_label("TLP Green")

    document = await submitted(sandbox, batch)
    assert document == {
        "indicator": [
            {
                "type": "Address",
                "summary": "123.124.125.126",
                "xid": "4ce11aff4ace6231398c1783a8ee405c4f46840438bd35da53103c883e2561d2",
                "rating": 5.0,
                "confidence": 100,
                "attribute": [
                    {"type": "Description", "value": "Example Description", "displayed": True}
                ],
                "tag": [{"name": "Example Tag"}],
                "securityLabel": [{"name": "TLP Green"}],
            }
        ]
    }


async def test_indicators_interface_1_setters(sandbox: Sandbox, batch: Batch) -> None:
    """Indicators, interface 1: every optional part by setters, occurrences too."""
    file_hash = batch.file("43c3609411c83f363e051d455ade78a6")
    file_hash.rating = 5.0
    file_hash.confidence = 100
    # Add Attribute
    attr = file_hash.attribute("Description", "Example Description")
    attr.displayed = True
    # Tag
    file_hash.tag("Example Tag")
    # Add Label
    label = file_hash.security_label("My Label")
    label.color = "ffffff"
    label.description = "Security label description."
    # Add Occurrence
    occurrence = file_hash.occurrence()
    occurrence.file_name = "drop1.exe"
    occurrence.path = "C:\\test\\"
    occurrence.date = "2017-02-02 01:02:03"

    document = await submitted(sandbox, batch)
    assert document == {
        "indicator": [
            {
                "type": "File",
                "summary": "43c3609411c83f363e051d455ade78a6",
                "xid": "55ee19565db5b16a0f511791a3b2a7ef0ccddf4d9d64e7008561329419cb675b",
                "rating": 5.0,
                "confidence": 100,
                "attribute": [
                    {"type": "Description", "value": "Example Description", "displayed": True}
                ],
                "tag": [{"name": "Example Tag"}],
                "securityLabel": [
                    {
                        "name": "My Label",
                        "color": "ffffff",
                        "description": "Security label description.",
                    }
                ],
                "fileOccurrence": [
                    {"fileName": "drop1.exe", "path": "C:\\test\\", "date": "2017-02-02T01:02:03Z"}
                ],
            }
        ]
    }


async def test_indicators_interface_2(sandbox: Sandbox, batch: Batch) -> None:
    """Indicators, interface 2: any type; the switches of a Host get their names on the wire."""
    host = batch.indicator("Host", "www.badguys2.com", "5.0", "100")
    host.add_key_value("dnsActive", True)
    host.add_key_value("whoisActive", True)
    host.attribute("Description", "Example Description 2", True, "source")
    host.tag("Example Tag")

    document = await submitted(sandbox, batch)
    assert document == {
        "indicator": [
            {
                "type": "Host",
                "summary": "www.badguys2.com",
                "xid": "54f433dfd6c03aad31240b5e15a2d001cf079414582e1fd00c51568e2c6689dd",
                "rating": 5.0,
                "confidence": 100,
                "flag1": True,
                "flag2": True,
                "attribute": [
                    {
                        "type": "Description",
                        "value": "Example Description 2",
                        "displayed": True,
                        "source": "source",
                    }
                ],
                "tag": [{"name": "Example Tag"}],
            }
        ]
    }


async def test_file_occurrence_in_one_call(sandbox: Sandbox, batch: Batch) -> None:
    """File occurrence: three arguments, or three setters, give the same."""
    file_hash = batch.file("43c3609411c83f363e051d455ade78a6")
    file_hash.occurrence("drop1.exe", "C:\\test\\", "2017-02-02 01:02:03")

    occurrence = file_hash.occurrence()
    occurrence.file_name = "drop1.exe"
    occurrence.path = "C:\\test\\"
    occurrence.date = "2017-02-02 01:02:03"

    document = await submitted(sandbox, batch)
    first, second = document["indicator"][0]["fileOccurrence"]
    assert first == second
    assert first == {
        "fileName": "drop1.exe",
        "path": "C:\\test\\",
        "date": "2017-02-02T01:02:03Z",
    }


async def test_associations(sandbox: Sandbox, batch: Batch) -> None:
    """Associations: those of interface 3 go as they are, those of 1 and 2 look the same."""
    batch.adversary("what both point to", "my-xid-001")
    batch.add_group(
        {
            "name": "document-002",
            "type": "Document",
            "xid": "my-xid-002",
            "associatedGroupXid": ["my-xid-001"],
        }
    )
    batch.add_indicator(
        {
            "associatedGroups": [{"groupXid": "my-xid-001"}],
            "summary": "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
            "type": "Registry Key",
            "xid": "ba60d2d6-8049-4080-9c5c-2b33d8d97767",
        }
    )
    batch.document("document-003", "three.txt", xid="my-xid-003").association("my-xid-001")
    batch.mutex("m", xid="my-xid-004").association("my-xid-001")

    document = await submitted(sandbox, batch)
    groups = {group["xid"]: group for group in document["group"]}
    assert groups["my-xid-002"] == {
        "name": "document-002",
        "type": "Document",
        "xid": "my-xid-002",
        "associatedGroupXid": ["my-xid-001"],
    }
    assert groups["my-xid-003"]["associatedGroupXid"] == ["my-xid-001"]
    key, mutex = document["indicator"]
    assert key == {
        "associatedGroups": [{"groupXid": "my-xid-001"}],
        "summary": "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
        "type": "Registry Key",
        "xid": "ba60d2d6-8049-4080-9c5c-2b33d8d97767",
        "value1": "HKEY_LOCAL_MACHINE\\system",
        "value2": "TRUE",
        "value3": "REG_DWORD",
    }
    assert mutex["associatedGroups"] == [{"groupXid": "my-xid-001"}]


async def test_submit_option_1(batch: Batch) -> None:
    """Submit, option 1: one call, and errors by the name that the document uses."""
    batch.adversary("adversary-001", "my-xid-000")
    batch_data = await batch.submit(errors=True)
    errors = batch_data.get("errors")

    assert not errors
    assert batch_data.get("successCount") == 1


async def test_submit_option_1_with_errors(client: Client) -> None:
    """What the server refuses is in `errors`, as dicts with its own names."""
    batch = client.batch("MyOrg", halt_on_error=False, validate=False)
    batch.add_group({"type": "Incident", "name": "i", "xid": "i-1", "status": "Bogus"})
    batch_data = await batch.submit(errors=True)
    errors = batch_data.get("errors")

    assert errors is not None
    (error,) = errors
    assert "status" in error["errorReason"]
    assert error["xid"] == "i-1"


async def test_submit_option_2(
    sandbox: Sandbox, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Submit, option 2: step by step, with the server's answer as poll() gives it."""
    batch = client.batch("MyOrg", halt_on_error=False, validate=False)
    batch.document("document-001", "example.txt", "example file content", xid="d-1")
    batch.add_group({"type": "Incident", "name": "i", "xid": "i-1", "status": "Bogus"})

    # submit batch job request
    batch_id = await batch.submit_job()
    assert batch_id is not None

    # submit the batch data
    await batch.submit_data(batch_id)

    # poll for batch status
    batch_status = await batch.poll(batch_id)
    assert batch_status is not None

    # check for errors
    if batch_status.get("data", {}).get("batchStatus", {}).get("errorCount", 0) > 0:
        # retrieve errors
        errors = await batch.errors(batch_id)
        print(errors)  # noqa: T201 (as in the document)

    # submit any documents or reports
    upload_status = await batch.submit_files()

    assert "i-1" in capsys.readouterr().out
    assert [dict(upload)["uploaded"] for upload in upload_status] == [True]
    assert sandbox.files["d-1"].content == b"example file content"
