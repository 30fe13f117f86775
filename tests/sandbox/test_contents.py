"""Files of Documents and Reports over HTTP."""

from __future__ import annotations

import io
import zipfile

import anyio
import pytest

from aiotcbatch.sandbox import Sandbox, User
from tests.sandbox.conftest import calling

GROUPS = {
    "group": [
        {"type": "Document", "name": "d", "xid": "doc-1", "fileName": "d.txt"},
        {"type": "Report", "name": "r", "xid": "a/b?c#d:é ", "fileName": "r.pdf"},
        {"type": "Threat", "name": "t", "xid": "t-1"},
        {"type": "Document", "name": "m", "xid": "mal", "malware": True, "password": "p"},
        {
            "type": "Signature",
            "name": "s",
            "xid": "sig",
            "fileName": "s",
            "fileType": "YARA",
            "fileText": "rule x {}",
        },
    ]
}
DOCUMENT = "/v2/groups/documents/doc-1/upload?owner=MyOrg"


@pytest.fixture
async def filled(call):
    """A caller for a sandbox that has groups."""
    await call.job(GROUPS)
    return call


async def test_first_post_then_put(filled):
    """POST stores the first content, is 401 when there is one, and PUT replaces it."""
    first = await filled("POST", DOCUMENT, data=b"one")
    second = await filled("POST", DOCUMENT, data=b"two")
    unchanged = filled.sandbox.files["doc-1"].content
    third = await filled("PUT", DOCUMENT, data=b"three")

    assert (first.status, first.json) == (200, {"status": "Success"})
    assert second.status == 401
    assert unchanged == b"one"
    assert third.status == 200
    assert filled.sandbox.files["doc-1"].content == b"three"


async def test_post_may_replace_if_told_so(filled):
    """With updateIfExists=true a POST replaces as well."""
    await filled("POST", DOCUMENT, data=b"one")
    reply = await filled("POST", f"{DOCUMENT}&updateIfExists=true", data=b"two")

    assert reply.status == 200
    assert filled.sandbox.files["doc-1"].content == b"two"


async def test_any_xid_as_one_segment(filled):
    """An xid with every special character is one percent-encoded segment of the path."""
    ref = "a%2Fb%3Fc%23d%3A%C3%A9%20"
    await filled("POST", f"/v2/groups/reports/{ref}/upload?owner=MyOrg", data=b"x")
    reply = await filled("GET", f"/v2/groups/reports/{ref}/download?owner=MyOrg")

    stored = filled.sandbox.files["a/b?c#d:é "]

    assert reply.body == b"x"
    assert (stored.type, stored.file_name, stored.size) == ("Report", "r.pdf", 1)


async def test_by_id_without_an_owner(filled):
    """A numeric id needs no owner; the v3 twins work alike."""
    await filled("POST", "/v2/groups/documents/1/upload", data=b"x")
    v2 = await filled("GET", "/v2/groups/documents/1/download")
    v3 = await filled("GET", "/v3/groups/1/download")
    put = await filled("POST", "/v3/groups/doc-1/upload?owner=MyOrg&updateIfExists=true", data=b"")

    assert v2.body == v3.body == b"x"
    assert v2.headers["Content-Type"] == "application/octet-stream"
    assert put.json == {"status": "Success", "message": "Upload successful"}
    assert filled.sandbox.files["doc-1"].size == 0


async def test_v3_may_name_the_file(filled):
    """The filename parameter sets the group's fileName."""
    await filled("POST", "/v3/groups/doc-1/upload?owner=MyOrg&filename=n%20.txt", data=b"")

    assert filled.sandbox.files["doc-1"].file_name == "n .txt"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/groups/documents/nobody/upload?owner=MyOrg", 404),
        ("/v2/groups/documents/doc-1/upload", 404),
        ("/v2/groups/documents/doc-1/upload?owner=Other", 404),
        ("/v2/groups/documents/doc-1/upload?owner=Nobody", 403),
        ("/v2/groups/reports/doc-1/upload?owner=MyOrg", 404),
        ("/v2/groups/documents/t-1/upload?owner=MyOrg", 404),
        ("/v2/groups/threats/t-1/upload?owner=MyOrg", 404),
        ("/v3/groups/t-1/upload?owner=MyOrg", 404),
        ("/v2/groups/documents/..%2F..%2Fetc/upload?owner=MyOrg", 404),
        ("/v2/groups/documents/%00/upload?owner=MyOrg", 404),
        (f"/v2/groups/documents/{'9' * 30}/upload", 404),
    ],
)
async def test_places_that_are_none(filled, path, status):
    """What no such group has is not found, and nothing is stored."""
    reply = await filled("POST", path, data=b"x")

    assert reply.status == status
    assert len(filled.sandbox.files) == 0


async def test_nothing_to_download(filled):
    """A group without content is 404."""
    reply = await filled("GET", "/v2/groups/documents/doc-1/download?owner=MyOrg")

    assert reply.status == 404


async def test_signatures_are_text(filled):
    """The download of a Signature is its text."""
    reply = await filled("GET", "/v2/groups/signatures/sig/download?owner=MyOrg")

    assert reply.headers["Content-Type"].startswith("text/plain")
    assert reply.body == b"rule x {}"


def protected_zip():
    """Return a zip whose first entry says that it is encrypted."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"x")
    raw = bytearray(buffer.getvalue())
    raw[6] |= 1
    return bytes(raw)


@pytest.mark.parametrize(
    ("content", "status"), [(b"plain", 400), (b"", 400), (protected_zip(), 200)]
)
async def test_malware_must_be_protected(filled, content, status):
    """The file of a malware Document is a password-protected zip, told by its header."""
    path = "/v2/groups/documents/mal/upload?owner=MyOrg"

    assert (await filled("POST", path, data=content)).status == status
    assert ("mal" in filled.sandbox.files) == (status == 200)


async def test_large_files_go_through_a_file(filled):
    """A file of several megabytes arrives whole, by length and by hash, and comes back so."""
    content = bytes(range(256)) * 20_000
    await filled("POST", DOCUMENT, data=io.BytesIO(content))
    back = await filled("GET", DOCUMENT.replace("upload", "download"))
    await filled("PUT", DOCUMENT, data=io.BytesIO(b"small"))
    spooled = list(filled.sandbox.instance.store.spool.directory.iterdir())

    assert back.body == content
    assert spooled == []


async def test_the_largest_file(filled):
    """A file over the limit is 400 and leaves nothing behind."""
    filled.sandbox.configure(file_limit=2_000_000)
    reply = await filled("POST", DOCUMENT, data=io.BytesIO(b"x" * 2_000_001))

    assert reply.status == 400
    assert len(filled.sandbox.files) == 0
    assert list(filled.sandbox.instance.store.spool.directory.iterdir()) == []


async def test_the_storage_can_be_full(filled):
    """Beyond the storage's limit the documented text says so; what was there stays."""
    filled.sandbox.configure(storage_limit=10)
    await filled("POST", DOCUMENT, data=b"12345678")
    full = await filled("PUT", DOCUMENT, data=b"12345678901")
    room = await filled("PUT", DOCUMENT, data=b"1234567890")

    assert full.status == 400
    assert full.json["message"] == (
        "There is insufficient document storage allocated to this account."
    )
    assert room.status == 200


async def test_files_are_said_to_be_bytes(filled):
    """A file comes as application/octet-stream, whatever it is."""
    headers = {**filled.headers, "Content-Type": "text/plain"}
    reply = await filled("POST", DOCUMENT, data=b"x", headers=headers)

    assert reply.status == 415
    assert len(filled.sandbox.files) == 0


async def test_read_only_users_may_not_upload(filled):
    """Someone who may not write is 401."""
    filled.sandbox.add_user(User(access_id="2", secret_key="s", token="t", role="Read Only User"))
    reply = await filled("POST", DOCUMENT, data=b"x", headers={"Authorization": "TC-Token t"})

    assert reply.status == 401
    assert len(filled.sandbox.files) == 0


async def test_the_temporary_directory_goes():
    """What was spooled for a sandbox in memory is gone with it."""
    async with calling(Sandbox()) as call:
        await call.job(GROUPS)
        await call("POST", DOCUMENT, data=io.BytesIO(b"x" * 3_000_000))
        directory = call.sandbox.instance.store.spool.directory
        before = directory.exists()

    assert before
    assert not directory.exists()


async def test_files_show_whose_they_are(filled):
    """The repr of the files names the first few groups that have one."""
    await filled("POST", DOCUMENT, data=b"one")
    one = repr(filled.sandbox.files)
    await filled.job({"group": [{**GROUPS["group"][0], "xid": f"d-{n}"} for n in range(6)]})
    for number in range(6):
        path = f"/v2/groups/documents/d-{number}/upload?owner=MyOrg"
        await filled("POST", path, data=b"one")

    assert one == "<Files of 'doc-1'>"
    assert repr(filled.sandbox.files) == "<Files of 'doc-1', 'd-0', 'd-1', 'd-2', 'd-3', ...>"


async def test_a_v3_upload_does_not_replace_either(filled):
    """It is refused as that of v2 is, unless it says updateIfExists."""
    path = "/v3/groups/doc-1/upload?owner=MyOrg"
    first = await filled("POST", path, data=b"one")
    second = await filled("POST", path, data=b"two")

    assert (first.status, second.status) == (200, 401)
    assert filled.sandbox.files["doc-1"].content == b"one"


@pytest.mark.parametrize("flags", [0, 1])
async def test_a_large_zip_is_looked_into_on_disk(filled, flags):
    """Whether it has a password stands in its header, wherever it is kept."""
    body = b"PK\x03\x04\x14\x00" + bytes([flags]) + bytes(2 << 20)
    reply = await filled(
        "POST", "/v2/groups/documents/mal/upload?owner=MyOrg", data=io.BytesIO(body)
    )

    assert reply.status == (200 if flags else 400)


@pytest.mark.parametrize("by", ["v3", "job", "reset"])
async def test_a_large_file_goes_with_its_group(tmp_path, by):
    """Nothing of it stays on the disk."""
    async with calling(Sandbox(db=tmp_path / "tc.db", keep_bodies=0)) as call:
        await call.job(GROUPS)
        await call("POST", DOCUMENT, data=io.BytesIO(bytes(3 << 20)))
        kept = [path.name async for path in anyio.Path(tmp_path / "tc.db.files").iterdir()]
        if by == "v3":
            await call("DELETE", "/v3/groups/doc-1?owner=MyOrg")
        elif by == "job":
            await call.job({"group": [GROUPS["group"][0]]}, action="Delete")
        else:
            await call.sandbox.reset()
        left = [path.name async for path in anyio.Path(tmp_path / "tc.db.files").iterdir()]

    assert len(kept) == 1
    assert left == []


@pytest.mark.parametrize("linked", [True, False])
async def test_a_snapshot_has_large_files_too(call, monkeypatch, linked):
    """By a second name, or as a copy where the disk has no second names."""

    def refuse(*_):
        raise OSError

    if not linked:
        monkeypatch.setattr("os.link", refuse)
    await call.job(GROUPS)
    await call("POST", DOCUMENT, data=io.BytesIO(bytes(3 << 20)))
    snapshot = await call.sandbox.snapshot()
    await call("PUT", DOCUMENT, data=b"another")
    await call.sandbox.restore(snapshot)
    await call.sandbox.restore(snapshot)

    assert call.sandbox.files["doc-1"].content == bytes(3 << 20)
