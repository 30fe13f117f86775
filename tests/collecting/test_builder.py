"""The builder: three interfaces, one entity per xid, drain() and what it seals."""

from __future__ import annotations

from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.entities.indicator import CustomIndicator, File
from aiotcbatch.entities.metadata import Association
from aiotcbatch.errors import ConfigurationError, SealedError, UsageError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def builder() -> TypedBuilder:
    """Give an empty builder that validates."""
    return TypedBuilder()


async def document(builder: TypedBuilder) -> dict[str, list[dict[str, Any]]]:
    """Drain a builder and read back the one document that it gives."""
    await builder.drain()
    chunk = builder._cut()
    return {} if chunk is None else chunk.decode()


class TestXids:
    """Which xid an entity gets, and what naming it again does."""

    @pytest.mark.parametrize("xid", [True, None])
    def test_true_hashes_type_and_name(self, builder: TypedBuilder, xid: bool | None) -> None:
        """Omitted, True and None give the documented hash."""
        group = builder.adversary("adversary-001", xid)

        assert group.xid == "2dcb052f3ed4acb0e87e9ca52b2aa7170d3534ad81cd5fec97362bc1015d3ba6"
        assert builder.adversary("adversary-001") is group

    def test_false_is_random(self, builder: TypedBuilder) -> None:
        """Two groups with xid=False are two groups."""
        first, second = builder.threat("t", False), builder.threat("t", False)

        assert first.xid != second.xid
        assert len(builder) == 2

    def test_text_is_taken_as_it_is(self, builder: TypedBuilder) -> None:
        """A given xid is not changed."""
        assert builder.adversary("a", "my xid/ü").xid == "my xid/ü"

    @pytest.mark.parametrize("xid", ["", 5, b"x", ["x"], "\ud800"])
    def test_other_xids_are_refused(self, builder: TypedBuilder, xid: object) -> None:
        """An xid is text that JSON can hold."""
        with pytest.raises(ValidationError, match="xid"):
            builder.adversary("a", xid)  # type: ignore[arg-type]

    def test_groups_and_indicators_have_xids_of_their_own(self, builder: TypedBuilder) -> None:
        """The same xid names a group and an indicator."""
        builder.adversary("a", "x")
        builder.address("1.2.3.4", xid="x")

        assert (builder.group_len, builder.indicator_len) == (1, 1)

    def test_naming_again_continues(self, builder: TypedBuilder) -> None:
        """Arguments that come later are set, the others stay."""
        first = builder.event("e", "2020-01-01", "New", "x", event_type="Breach")
        again = builder.event("renamed", status="Escalated", xid="x")

        assert again is first
        assert again.data == {
            "name": "renamed",
            "type": "Event",
            "xid": "x",
            "eventDate": "2020-01-01T00:00:00Z",
            "status": "Escalated",
            "eventType": "Breach",
        }

    def test_another_type_under_the_xid_is_refused(self, builder: TypedBuilder) -> None:
        """An xid names one entity: a Campaign is not returned as an Adversary."""
        builder.adversary("a", "x")
        builder.address("1.1.1.1", xid="x")

        with pytest.raises(ValidationError, match="Adversary 'a'"):
            builder.campaign("c", xid="x")
        with pytest.raises(ValidationError, match="xid is 'x'"):
            builder.address("2.2.2.2", xid="x")
        with pytest.raises(ValidationError, match="xid is 'x'"):
            builder.host("example.com", xid="x")

    def test_a_file_named_again_gains_hashes(self, builder: TypedBuilder) -> None:
        """Hashes of other kinds are added, another hash of one kind is refused."""
        builder.file(md5="a" * 32, xid="x")
        file = builder.file(sha1="b" * 40, xid="x")

        assert file.summary == "a" * 32 + " : " + "b" * 40
        with pytest.raises(ValidationError, match="hash"):
            builder.file(md5="c" * 32, xid="x")

    async def test_an_xid_continues_a_sealed_entity(self, builder: TypedBuilder) -> None:
        """What was drained is opened again, and sent once."""
        builder.adversary("a", "x").tag("before")
        await builder.drain()
        builder.adversary("a", "x").tag("after")
        assert len(builder) == 1

        sent = await document(builder)

        assert [tag["name"] for tag in sent["group"][0]["tag"]] == ["before", "after"]
        assert len(sent["group"]) == 1

    async def test_a_continued_document_keeps_its_file(self, builder: TypedBuilder) -> None:
        """The content waits with the group, however often it is drained."""
        builder.document("d", "f.txt", b"content", xid="x")
        await builder.drain()
        again = builder.document("d", "f.txt", xid="x")
        assert again.file_content == b"content"
        await builder.drain()

        chunk = builder._cut()

        assert chunk is not None
        assert [(item.xid, item.content) for item in chunk.files] == [("x", b"content")]
        assert builder.file_len == 0


class TestDrain:
    """What drain() encodes, seals and refuses."""

    async def test_a_sealed_handle_says_so(self, builder: TypedBuilder) -> None:
        """Every change to a drained entity or to a part of it is refused, none is lost."""
        file = builder.file("a" * 32)
        attribute, label = file.attribute("Description", "d"), file.security_label("TLP:RED")
        occurrence = file.occurrence("f.exe")
        await builder.drain()

        for change in (
            lambda: file.tag("t"),
            lambda: file.attribute("Description", "new"),
            lambda: file.security_label("TLP:GREEN"),
            lambda: file.association("g"),
            lambda: file.add_key_value("size", 1),
            lambda: file.occurrence("g.exe"),
            lambda: setattr(file, "rating", 1),
            lambda: setattr(attribute, "displayed", True),
            lambda: setattr(label, "color", "ffffff"),
            lambda: setattr(occurrence, "path", "C:"),
            lambda: attribute.security_label("TLP:RED"),
            lambda: file.summary,
        ):
            with pytest.raises(SealedError, match=file.xid):
                change()
        assert file.sealed
        assert "drained" in repr(file)

    async def test_a_sealed_report_takes_no_content(self, builder: TypedBuilder) -> None:
        """Content that is set too late is refused."""
        report = builder.report("r")
        await builder.drain()

        with pytest.raises(SealedError):
            report.file_content = b"late"

    async def test_what_cannot_be_sent_stays_open(self, builder: TypedBuilder) -> None:
        """A missing required field is named at drain(); all others are drained."""
        email = builder.group("Email", "e", "x")
        builder.adversary("a")

        with pytest.raises(ValidationError, match=r"subject is None, accepted is text, .*discard"):
            await builder.drain()

        assert not email.sealed
        for key in ("subject", "header", "body"):
            email.add_key_value(key, "text")
        sent = await document(builder)
        assert {group["type"] for group in sent["group"]} == {"Email", "Adversary"}

    async def test_a_discarded_entity_is_not_sent(self, builder: TypedBuilder) -> None:
        """Discarding forgets an entity, open or drained, and only once."""
        drained = builder.adversary("a")
        await builder.drain()
        opened = builder.address("1.2.3.4")

        builder.discard(drained)
        builder.discard(opened)

        assert len(builder) == 0
        assert await document(builder) == {}
        for gone in (opened, "x", None):
            with pytest.raises(ValidationError, match="waits"):
                builder.discard(gone)  # type: ignore[arg-type]

    async def test_malware_needs_a_password(self, builder: TypedBuilder) -> None:
        """A malware document without its password is named."""
        builder.document("d", "f", malware=True, xid="x")

        with pytest.raises(ValidationError, match="password"):
            await builder.drain()

    async def test_an_entity_larger_than_a_job_is_refused(self) -> None:
        """What could never be sent is said at drain(), not at submit()."""
        builder = TypedBuilder(max_bytes_per_job=200)
        builder.adversary("a").attribute("Description", "x" * 200)

        with pytest.raises(ValidationError, match="max_bytes_per_job"):
            await builder.drain()

    async def test_entities_can_be_added_meanwhile(self, builder: TypedBuilder) -> None:
        """While drain() gives way, other tasks add and continue entities, and none is lost."""
        for number in range(2000):
            builder.address(f"10.0.{number >> 8}.{number & 255}").tag("first")
        changed = 0

        async def other() -> None:
            nonlocal changed
            for number in range(0, 2000, 7):
                builder.address(f"10.0.{number >> 8}.{number & 255}").tag("second")
                builder.host(f"host-{number}.example.com")
                changed += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            tasks.start_soon(builder.drain)
        sent = (await document(builder))["indicator"]

        tags = [len(entity.get("tag", ())) for entity in sent if entity["type"] == "Address"]
        assert len(tags) == 2000
        assert tags.count(2) == changed

    async def test_cancelling_it_loses_nothing(self, builder: TypedBuilder) -> None:
        """A drain() that is cancelled leaves the rest open."""
        for number in range(3000):
            builder.address(f"10.0.{number >> 8}.{number & 255}")

        with anyio.CancelScope() as scope:
            scope.cancel()
            await builder.drain()

        assert len(builder) == 3000
        assert len((await document(builder))["indicator"]) == 3000


class TestInterface2:
    """Types by name and fields by key."""

    def test_names_and_keys(self, builder: TypedBuilder) -> None:
        """Types in any case, keys in wire and Python names."""
        event = builder.group("event", "e", "x")
        event.add_key_value("eventDate", "2020-01-01T00:00:00-05:00")
        event.add_key_value("event_type", "breach")
        event.add_key_value("status", "new")
        host = builder.indicator("Host", "www.badguys2.com", "5.0", "100")
        host.add_key_value("dnsActive", True)
        host.add_key_value("whois_active", "yes")

        assert event.data == {
            "type": "Event",
            "name": "e",
            "xid": "x",
            "eventDate": "2020-01-01T05:00:00Z",
            "eventType": "Breach",
            "status": "New",
        }
        assert host.data == {
            "type": "Host",
            "summary": "www.badguys2.com",
            "xid": "54f433dfd6c03aad31240b5e15a2d001cf079414582e1fd00c51568e2c6689dd",
            "rating": 5.0,
            "confidence": 100,
            "flag1": True,
            "flag2": True,
        }

    def test_a_document_by_name_is_a_whole_document(self, builder: TypedBuilder) -> None:
        """What the type has is there by whichever interface it was made."""
        document = builder.group("Document", "d", "x", file_name="f", file_content=b"c")
        document.malware = True  # type: ignore[attr-defined]
        document.password = "p"  # type: ignore[attr-defined]

        assert document.data["malware"] is True
        assert document.data["password"] == "p"
        assert builder.file_len == 1

    def test_a_newer_field_passes_and_a_slip_does_not(self, builder: TypedBuilder) -> None:
        """A key that resembles nothing is sent; one that nearly is a known one is refused."""
        group = builder.incident("i")
        group.add_key_value("cvssVector", "AV:N")
        group.add_key_value("cvssScore", {"base": 9.8})

        assert group.data["cvssScore"] == {"base": 9.8}
        with pytest.raises(ValidationError, match="'eventDate'"):
            group.add_key_value("evntDate", "now")
        with pytest.raises(ValidationError, match="type and xid"):
            group.add_key_value("xid", "other")
        with pytest.raises(ValidationError, match="JSON"):
            group.add_key_value("cvssVector", object())

    def test_unknown_types_name_the_nearest(self, builder: TypedBuilder) -> None:
        """A slip in a type is answered with the type that was meant."""
        with pytest.raises(ValidationError, match="'Adversary'"):
            builder.group("Advesary", "a")
        with pytest.raises(ValidationError, match="'Address'"):
            builder.indicator("Adress", "1.2.3.4")
        for slip, meant in (("Hots", "Host"), ("ULR", "URL"), ("Fiel", "File"), ("CDIR", "CIDR")):
            with pytest.raises(ValidationError, match=f"'{meant}'"):
                builder.indicator(slip, "x")
            with pytest.raises(ValidationError, match=f"'{meant}'"):
                builder.add({"type": slip, "summary": "x", "xid": "x"})

    @pytest.mark.parametrize(
        "kind",
        ["URI", "Post", "Hash", "Phone", "Port", "Subnet", "Email Body", "Life", "Network Asset"],
    )
    def test_a_type_of_the_instance_is_no_slip(self, builder: TypedBuilder, kind: str) -> None:
        """What resembles no known type more than by chance is taken as a custom one."""
        assert builder.indicator(kind, "x").type == kind

    def test_custom_types(self) -> None:
        """Types with one to three values, by name or as the instance knows them."""
        free = TypedBuilder()
        knowing = TypedBuilder(indicator_types={"Phone Number": 1, "Address": 1})

        custom = free.indicator("Process Name", ["a.exe", "b", "c"])

        assert isinstance(custom, CustomIndicator)
        assert (custom.type, custom.summary) == ("Process Name", "a.exe : b : c")
        assert knowing.indicator("phone number", "+1").type == "Phone Number"
        with pytest.raises(ValidationError, match="Phone Number"):
            knowing.indicator("Process Name", "x")
        with pytest.raises(ValidationError, match=r"accepted is 'Host'\? or one of ASN, Address"):
            knowing.indicator("Hots", "x")
        assert TypedBuilder(indicator_types={"Hots": 1}).indicator("hots", "x").type == "Hots"

    def test_a_value_that_is_missing_is_named(self) -> None:
        """Where the labels of values are known, the error names the one that is missing."""
        builder = TypedBuilder(indicator_types={"Network Asset": ("Name", "Zone")})

        with pytest.raises(ValidationError, match=r"^Network Asset: value2 \(Zone\) is None"):
            builder.network_asset("printer-7", rating=2)  # type: ignore[attr-defined]
        with pytest.raises(ValidationError, match=r"value1 \(Name\)"):
            builder.network_asset()  # type: ignore[attr-defined]
        assert len(builder) == 0
        assert builder.network_asset("a", value2="b").summary == "a : b"  # type: ignore[attr-defined]

    def test_custom_types_have_methods(self) -> None:
        """A type that the instance knows has a method, with as many values as it has."""
        builder = TypedBuilder(indicator_types={"Pair Of Things": 2})

        pair = builder.pair_of_things("a", "b", "3", xid="p")  # type: ignore[attr-defined]

        assert pair.data == {
            "type": "Pair Of Things",
            "summary": "a : b",
            "xid": "p",
            "rating": 3.0,
        }
        with pytest.raises(ValidationError, match=r"^Pair Of Things: value2 is None"):
            builder.pair_of_things("a")  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="unknown_type"):
            builder.unknown_type  # type: ignore[attr-defined]  # noqa: B018


class TestInterface1:
    """Positional and keyword arguments of the typed methods."""

    def test_what_is_missing_is_named(self, builder: TypedBuilder) -> None:
        """By the method that takes it, or by Python where a type has nothing but its name."""
        for wrong, said in (
            (builder.document, r"^Document 'n': file_name is None.*takes name, file_name$"),
            (partial(builder.email, subject="s"), r"^Email 'n': header is None"),
            (partial(builder.signature, file_name="f"), r"^Signature 'n': file_type is None"),
        ):
            with pytest.raises(ValidationError, match=said):
                wrong("n")  # type: ignore[operator]
        with pytest.raises(TypeError, match=r"adversary.*'name'"):
            builder.adversary()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"registry_key.*'value_name' and 'value_type'"):
            builder.registry_key("HKLM")  # type: ignore[call-arg]
        with pytest.raises(ValidationError, match="at least one of md5, sha1 and sha256"):
            builder.file()
        assert len(builder) == 0
        TypedBuilder(validate=False).document("n")  # type: ignore[call-overload]

    def test_unknown_keywords_name_the_nearest(self, builder: TypedBuilder) -> None:
        """A slip in a keyword is answered with the one that was meant, and adds nothing."""
        with pytest.raises(ValidationError, match=r"keyword 'evnt_type'.*'event_type'"):
            builder.event("e", evnt_type="Breach")  # type: ignore[call-arg]
        with pytest.raises(ValidationError, match="keyword 'dns'"):
            builder.address("1.2.3.4", dns=True)  # type: ignore[call-arg]
        assert len(builder) == 0

    @pytest.mark.parametrize(
        ("args", "kwargs", "expected"),
        [
            ((5, 100), {}, {"rating": 5.0, "confidence": 100}),
            (
                (True, True, "5.0", "100"),
                {},
                {"flag1": True, "flag2": True, "rating": 5.0, "confidence": 100},
            ),
            ((False, False, 3), {}, {"rating": 3.0}),
            ((), {"dns_active": False, "rating": 1}, {"flag1": False, "rating": 1.0}),
            (
                (4, 50, "x"),
                {"whois_active": True},
                {"rating": 4.0, "confidence": 50, "flag2": True},
            ),
        ],
    )
    def test_host_takes_both_orders(
        self,
        builder: TypedBuilder,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        expected: dict[str, Any],
    ) -> None:
        """Rating first as everywhere, or the flags first as in 2018, told apart by their type."""
        data = dict(builder.host("example.com", *args, **kwargs).data)

        assert data.pop("summary") == "example.com"
        del data["type"], data["xid"]
        assert data == expected

    def test_host_refuses_what_python_would(self, builder: TypedBuilder) -> None:
        """Too many arguments, or one given twice, is a TypeError."""
        with pytest.raises(TypeError, match="positional"):
            builder.host("example.com", 1, 2, "x", 4)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="multiple values"):
            builder.host("example.com", 1, rating=2)  # type: ignore[call-overload]

    def test_file_needs_a_hash(self, builder: TypedBuilder) -> None:
        """A File without a hash is refused, not sent with an empty summary."""
        with pytest.raises(ValidationError, match="at least one of md5, sha1 and sha256"):
            builder.file()

    def test_occurrences(self, builder: TypedBuilder) -> None:
        """An occurrence is sent from its first field on; an empty one is not."""
        file = builder.file("a" * 32, size="1024")
        file.occurrence()
        later = file.occurrence()
        later.file_name = "drop1.exe"
        later.path = "C:\\test\\"
        later.date = "2017-02-02 01:02:03"
        file.occurrence("b.exe", date="2017-02-02")

        assert file.data["intValue1"] == 1024
        assert file.data["fileOccurrence"] == [
            {"fileName": "drop1.exe", "path": "C:\\test\\", "date": "2017-02-02T01:02:03Z"},
            {"fileName": "b.exe", "date": "2017-02-02T00:00:00Z"},
        ]
        with pytest.raises(UsageError, match="File can"):
            builder.address("1.2.3.4").occurrence("a.exe")

    def test_reading_does_not_change(self, builder: TypedBuilder) -> None:
        """Reading data twice adds nothing to it."""
        file = builder.file("a" * 32)
        file.occurrence("a.exe")

        assert orjson.dumps(file.data) == orjson.dumps(file.data)
        assert len(file.data["fileOccurrence"]) == 1

    def test_every_field_is_a_property(self, builder: TypedBuilder) -> None:
        """What can be given can be read, set and removed."""
        email = builder.email("e", "s", "h", "b", "to@x.org", "from@x.org")

        assert (email.from_addr, email.to_addr) == ("from@x.org", "to@x.org")
        assert "score" not in email.data
        email.score = 5
        email.from_addr = None
        assert email.data["score"] == 5
        assert "from" not in email.data

    def test_none_is_absent(self, builder: TypedBuilder) -> None:
        """None for a date, rating or confidence is not sent and raises nothing."""
        address = builder.address("1.2.3.4", None, None, date_added=None, last_modified=None)
        address.rating = None

        assert set(address.data) == {"type", "summary", "xid"}

    def test_validate_false_takes_what_json_can_hold(self) -> None:
        """Without validation values go as they are, but never what cannot be encoded."""
        builder = TypedBuilder(validate=False)
        address = builder.address("not an address", "9", "high")
        address.tag("t" * 200)

        assert address.data["rating"] == "9"
        assert address.data["confidence"] == "high"
        assert address.summary == "not an address"
        with pytest.raises(ValidationError, match="JSON"):
            address.attribute("Description", "\ud800")


class TestInterface3:
    """Dicts in wire form."""

    async def test_a_group_as_documented(self, builder: TypedBuilder) -> None:
        """The dict is copied, its file content is taken out, and it arrives as given."""
        given = {
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
        before = orjson.dumps(given)

        group = builder.add_group(given)
        group.tag("another")
        group.attribute("Description", "Example Description").source = "s"

        assert orjson.dumps(given) == before
        await builder.drain()
        chunk = builder._cut()
        assert chunk is not None
        sent = chunk.decode()["group"][0]
        assert sent["tag"] == [{"name": "SafeToDelete"}, {"name": "another"}]
        assert "fileContent" not in sent
        assert [item.content for item in chunk.files] == ["example content 2"]

    def test_an_indicator_as_tcex_rewrites_it(self, builder: TypedBuilder) -> None:
        """The parts of a custom type are set, and no third one where there are two."""
        key = builder.add_indicator(
            {"type": "Registry Key", "xid": "k", "summary": "HKEY_USERS\\a : b : REG_SZ"}
        )
        pair = builder.add_indicator({"type": "Pair Of Things", "xid": "p", "summary": "a : b"})
        host = builder.add_indicator(
            {"type": "Host", "xid": "h", "summary": "a.example", "dnsActive": "true"}
        )
        file = builder.add_indicator(
            {"type": "File", "xid": "f", "md5": "a" * 32, "summary": "ignored", "size": "5"}
        )

        assert [key.data[f"value{n}"] for n in (1, 2, 3)] == ["HKEY_USERS\\a", "b", "REG_SZ"]
        assert "value3" not in pair.data
        assert host.data["flag1"] is True
        assert (file.summary, file.data["intValue1"]) == ("a" * 32, 5)

    def test_a_second_dict_adds_to_the_first(self, builder: TypedBuilder) -> None:
        """Nothing of either is lost: fields of the later win, lists are joined."""
        first = {"type": "Address", "xid": "x", "summary": "1.2.3.4", "tag": [{"name": "a"}]}
        second = {**first, "tag": [{"name": "a"}, {"name": "b"}], "rating": "3"}

        builder.add_indicator(first)
        merged = builder.add_indicator(second)

        assert merged.data["tag"] == [{"name": "a"}, {"name": "b"}]
        assert merged.data["rating"] == 3.0
        assert len(builder) == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"xid": None}, "xid"),
            ({"xid": True}, "xid"),
            ({"type": "Adress"}, "type"),
            ({"summary": "300.1.1.1"}, "summary"),
            ({"summary": None}, "summary"),
            ({"rating": 6}, "rating"),
            ({"confidence": "101"}, "confidence"),
            ({"attribute": [{"type": "Description"}]}, "attribute value"),
            ({"attribute": "text"}, "attribute"),
            ({"tag": [{"name": "t" * 129}]}, "tag name"),
            ({"tag": ["t"]}, "tag"),
            ({"securityLabel": [{"name": ""}]}, "securityLabel name"),
            ({"associatedGroups": [{"xid": "g"}]}, "groupXid"),
            ({"atribute": []}, "key"),
            ({"lastModified": "never"}, "lastModified"),
            ({"extra": object()}, "extra"),
        ],
    )
    def test_what_is_wrong_is_named(
        self, builder: TypedBuilder, change: dict[str, Any], field: str
    ) -> None:
        """The error names the field, and nothing is added."""
        good = {"type": "Address", "xid": "x", "summary": "1.2.3.4"}
        merged = {key: value for key, value in (good | change).items() if value is not None}

        with pytest.raises(ValidationError) as caught:
            builder.add_indicator(merged)

        assert caught.value.field == field
        assert len(builder) == 0

    def test_content_on_a_group_without_a_file_is_refused(self, builder: TypedBuilder) -> None:
        """An Adversary has no file, so its content would be lost."""
        with pytest.raises(ValidationError, match="fileContent"):
            builder.add_group({"type": "Adversary", "name": "a", "xid": "x", "fileContent": "c"})
        with pytest.raises(UsageError, match="Document and Report"):
            builder.adversary("a").add_file("f", b"c")


class TestAssociations:
    """Links of all four kinds."""

    def test_between_handles(self, builder: TypedBuilder) -> None:
        """Groups and indicators link by xid or by handle, each link once."""
        adversary, incident = builder.adversary("a", "a-1"), builder.incident("i", xid="i-1")
        host = builder.host("example.com")
        incident.association(adversary)
        incident.association("a-1")
        host.association("a-1")
        adversary.association(host)
        incident.association(host)

        assert incident.data["associatedGroupXid"] == ["a-1"]
        assert host.data["associatedGroups"] == [{"groupXid": "a-1"}, {"groupXid": "i-1"}]

    def test_of_two_indicators(self, builder: TypedBuilder) -> None:
        """They are no groups, and the error names the call that links them."""
        host, address = builder.host("example.com"), builder.address("192.0.2.1")
        with pytest.raises(ValidationError, match=r"add_association\(\) links two indicators"):
            host.association(address)  # type: ignore[arg-type]

        assert "associatedGroups" not in host.data

    async def test_of_their_own(self, builder: TypedBuilder) -> None:
        """Each distinct link is sent once, whichever direction and form it was given in."""
        builder.add_association(ref_1="i-1", ref_2="a-1")
        builder.add_association({"ref_1": "a-1", "ref_2": "i-1", "id_1": None})
        builder.add_association(Association(ref_1="x.example", type_1="Host", id_2=5))
        builder.add_association(
            ref_1="x.example", type_1="Host", ref_2="http://x", type_2="URL",
            association_type="URL Host",
        )  # fmt: skip
        await builder.drain()
        builder.add_association(id_1=5, ref_2="x.example", type_2="Host")

        assert builder.association_len == 3
        assert (await document(builder))["association"] == [
            {"ref_1": "i-1", "ref_2": "a-1"},
            {"ref_1": "x.example", "type_1": "Host", "id_2": 5},
            {
                "ref_1": "x.example",
                "type_1": "Host",
                "ref_2": "http://x",
                "type_2": "URL",
                "associationType": "URL Host",
            },
        ]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"ref_1": "a"}, "ref_2"),
            ({"ref_1": "a", "ref_2": ""}, "ref_2"),
            ({"ref_1": "a", "id_2": "x"}, "id_2"),
            ({"ref_1": "a", "ref_2": "b", "refs": 1}, "refs"),
            ({"ref_1": "a", "type_1": "Host", "ref_2": "b", "type_2": "URL"}, "association_type"),
        ],
    )
    def test_what_is_wrong_is_named(
        self, builder: TypedBuilder, fields: dict[str, Any], field: str
    ) -> None:
        """An end that is not named, or a missing type, is refused."""
        with pytest.raises(ValidationError) as caught:
            builder.add_association(**fields)

        assert caught.value.field == field


class TestMetadata:
    """Attributes, tags and labels."""

    def test_unique(self, builder: TypedBuilder) -> None:
        """True returns the one that is there, False adds, 'Type' keeps the last."""
        group = builder.adversary("a")
        first = group.attribute("Description", "one", source="s")
        assert group.attribute("Description", "one", True).data is first.data
        group.attribute("Description", "one", unique=False)
        group.attribute("Source", "two")
        group.attribute("Description", "three", unique="Type")

        assert group.data["attribute"] == [
            {"type": "Source", "value": "two"},
            {"type": "Description", "value": "three"},
        ]

    @pytest.mark.parametrize("value", ["x", None])
    def test_unique_is_checked_at_the_first_attribute(
        self, builder: TypedBuilder, value: str | None
    ) -> None:
        """Whatever there is already, and whether the attribute is sent or not."""
        group = builder.adversary("a")
        for wrong in ("type", 1, None):
            with pytest.raises(ValidationError, match=r"^Adversary 'a': unique is"):
                group.attribute("Description", value, unique=wrong)  # type: ignore[arg-type]

        assert "attribute" not in group.data

    def test_values(self, builder: TypedBuilder) -> None:
        """0 and False are sent and are two values; None and "" are not sent."""
        group = builder.adversary("a")
        for value in (0, False, 0.0, None, ""):
            group.attribute("Count", value)

        assert [(type(a["value"]), a["value"]) for a in group.data["attribute"]] == [
            (int, 0),
            (bool, False),
            (float, 0.0),
        ]
        assert not group.attribute("Count", "").valid
        with pytest.raises(ValidationError, match="attr_value"):
            group.attribute("Count", ["a"])
        assert "attribute" not in builder.adversary("b").data

    def test_formatters(self, builder: TypedBuilder) -> None:
        """The formatted value is compared and sent."""
        group = builder.adversary("a")
        group.tag("A", str.lower)
        group.tag("a")
        group.attribute("Description", "X", formatter=str.lower)
        group.attribute("Description", "x")

        assert group.data["tag"] == [{"name": "a"}]
        assert len(group.data["attribute"]) == 1

    def test_settable_parts(self, builder: TypedBuilder) -> None:
        """What is returned can be completed afterwards."""
        group = builder.adversary("a")
        attribute = group.attribute("Description", "d")
        attribute.displayed = True
        attribute.pinned = True
        attribute.source = "s"
        attribute.security_label("TLP:AMBER")
        label = group.security_label("My Label")
        label.color = "#ffffff"
        label.description = "d"

        assert attribute.source == "s"
        assert group.data["attribute"] == [
            {
                "type": "Description",
                "value": "d",
                "displayed": True,
                "pinned": True,
                "source": "s",
                "securityLabel": [{"name": "TLP:AMBER"}],
            }
        ]
        assert group.data["securityLabel"] == [
            {"name": "My Label", "color": "ffffff", "description": "d"}
        ]

    def test_tags(self, builder: TypedBuilder) -> None:
        """Empty tags are not sent, long ones are refused, one is sent once."""
        group = builder.adversary("a")
        group.tag("")
        group.tag("t" * 128)
        group.tag("t" * 128)

        assert len(group.data["tag"]) == 1
        with pytest.raises(ValidationError, match="128"):
            group.tag("t" * 129)

    @pytest.mark.parametrize(
        ("add", "message"),
        [
            (lambda host: host.attribute("Source", float("nan")), "attr_value is nan"),
            (
                lambda host: host.attribute("Source", "v", formatter=lambda _: -inf),
                "attr_value is -inf",
            ),
            (lambda host: host.attribute(None, "v"), "attr_type is None, accepted is text"),
            (lambda host: host.security_label(None), "name is None, accepted is text"),
            (lambda host: host.add_key_value("newer", inf), "newer is inf, accepted is a number"),
        ],
    )
    def test_what_would_be_sent_as_null_is_refused(
        self, builder: TypedBuilder, add: Callable[[Any], object], message: str
    ) -> None:
        """JSON has no NaN, and a part without a name is none."""
        host = builder.host("a.example", xid="x")
        with pytest.raises(ValidationError, match=message):
            add(host)

        assert host.data == {"type": "Host", "summary": "a.example", "xid": "x"}

    def test_a_refused_label_leaves_no_trace(self, builder: TypedBuilder) -> None:
        """When the colour is wrong, the label is not half there."""
        group = builder.adversary("a")

        with pytest.raises(ValidationError, match="color"):
            group.security_label("L", color="red")

        assert "securityLabel" not in group.data


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT, st.booleans()), max_size=20))
async def test_what_is_built_is_what_is_sent(built: list[tuple[str, str, bool]]) -> None:
    """For any names, values and drains in between, the document holds each group once and whole."""
    builder = TypedBuilder()
    model: dict[str, list[str]] = {}
    for name, value, drain in built:
        builder.adversary(name, xid=name).attribute("Description", value)
        values = model.setdefault(name, [])
        if value not in values:
            values.append(value)
        if drain:
            await builder.drain()
    assert len(builder) == len(model)

    sent = (await document(builder)).get("group", [])

    assert {g["xid"]: [a["value"] for a in g["attribute"]] for g in sent} == model
    assert len(sent) == len(model)


def test_the_types_of_handles(builder: TypedBuilder) -> None:
    """Each method gives the class of its type."""
    assert isinstance(builder.file("a" * 32), File)


class TestExtend:
    """Many dicts at once."""

    ITEMS = (
        {"type": "Host", "summary": "a.example", "xid": "a"},
        {"type": "Host", "summary": "a b", "xid": "b"},
        {"type": "Host", "summary": "c.example", "xid": "c"},
    )

    async def test_the_first_that_cannot_be_right_is_named_by_its_number(self) -> None:
        """Those before it are added."""
        builder = TypedBuilder()

        with pytest.raises(ValidationError, match="item 1, indicator 'b': summary is 'a b'"):
            await builder.extend(self.ITEMS)
        assert len(builder) == 1

    async def test_those_that_cannot_be_right_are_left_out(self) -> None:
        """Who wants to be told of them gets the others."""
        builder, refused = TypedBuilder(), []

        added = await builder.extend(
            self.ITEMS, on_refused=lambda item, error: refused.append((item["xid"], error.value))
        )

        assert (added, len(builder), refused) == (2, 2, [("b", "a b")])

    @pytest.mark.parametrize("item", [None, 5, "text", b"text", ["a", "list"], [("type", "Host")]])
    @pytest.mark.parametrize("source", [None, lambda _, item: item["line"]])
    async def test_what_is_no_dict_is_left_out_like_any_other(
        self, item: Any, source: Callable[[int, Any], Any] | None
    ) -> None:
        """It is told with its number, and the feed goes on."""
        builder, refused = TypedBuilder(), []
        items = [{**self.ITEMS[0], "line": 1}, item, {**self.ITEMS[2], "line": 3}]

        added = await builder.extend(
            items, source=source, on_refused=lambda *told: refused.append(told)
        )

        ((told, error),) = refused
        assert (added, len(builder), told) == (2, 2, item)
        assert (error.about, error.field, error.value) == ("item 1", "item", item)
        assert error.accepted == "a dict with wire names"
        with pytest.raises(ValidationError, match=r"^item 1: item is .*a dict with wire names"):
            await TypedBuilder().extend(items, source=source)

    async def test_who_is_told_can_find_it_by_its_number(self) -> None:
        """Also where it has no xid by which it could be found."""
        about: list[str] = []

        await TypedBuilder().extend(
            [*self.ITEMS, {"type": "Host", "summary": "d.example"}],
            on_refused=lambda _, error: about.append(error.about),
        )

        assert about == ["item 1, indicator 'b'", "item 3"]

    @pytest.mark.parametrize("items", [ITEMS[0], "text", b"text", 5, None])
    async def test_a_forgotten_list_is_refused(self, items: Any) -> None:
        """The keys of a dict are no items."""
        with pytest.raises(ValidationError, match="accepted is an iterable or async iterable"):
            await TypedBuilder().extend(items)

    async def test_a_coroutine_function_is_not_told(self) -> None:
        """Nobody would await it, so that what it is told would be lost."""

        async def on_refused(item: Any, error: ValidationError) -> None: ...

        class Listener:
            async def __call__(self, item: Any, error: ValidationError) -> None: ...

        for told in (on_refused, Listener()):
            with pytest.raises(ConfigurationError, match=r"on_refused is .* a plain function"):
                await TypedBuilder().extend([], on_refused=told)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["source", "on_refused"])
    async def test_what_cannot_be_called_is_refused(self, name: str) -> None:
        """Before any item is taken."""
        builder, options = TypedBuilder(), {name: 5}
        with pytest.raises(ConfigurationError, match=f"{name} is 5, accepted is a plain function"):
            await builder.extend([{"type": "Host"}], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [5, "text", b"text", [], ["l"]])
def test_what_is_no_dict_is_refused(given: Any) -> None:
    """Whichever method it is given to."""
    builder = TypedBuilder()

    for add in (builder.add, builder.add_group, builder.add_indicator, builder.add_association):
        with pytest.raises(ValidationError, match="accepted is a dict with wire names"):
            add(given)


@pytest.mark.parametrize("named", [{}, {"type": None}])
def test_a_dict_without_a_type_is_refused_by_that_field(named: dict[str, Any]) -> None:
    """It has the name that it has in the dict."""
    with pytest.raises(ValidationError, match=r"^indicator 'a': type is None"):
        TypedBuilder().add({"summary": "a.example", "xid": "a", **named})


@pytest.mark.parametrize("key", ["file_content", "filecontent", "fileContents"])
def test_a_slip_of_file_content_is_refused_by_its_name(key: str) -> None:
    """It is a field like any other to who writes it."""
    item = {"type": "Document", "name": "a", "fileName": "a.txt", "xid": "a", key: b"x"}

    with pytest.raises(ValidationError, match=f"key is '{key}'.* such as 'fileContent'"):
        TypedBuilder().add(item)


async def _fetch(xid: str) -> bytes:
    return xid.encode()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: 42, "is 42, accepted is bytes, str, a path"),
        (lambda: [b"a"], "accepted is bytes, str, a path"),
        (lambda: _fetch("x"), "give the function, not its call"),
    ],
)
def test_what_no_file_can_come_from_is_refused_at_the_call(
    make: Callable[[], Any], said: str
) -> None:
    """Not when it is to be uploaded; nothing is added, and no coroutine is left behind."""
    builder = TypedBuilder()
    item = {"type": "Document", "name": "a", "fileName": "a.txt", "xid": "a"}

    with pytest.raises(ValidationError, match=f"^group 'a': fileContent .*{said}"):
        builder.add_group({**item, "fileContent": make()})
    with pytest.raises(ValidationError, match=f"file_content .*{said}"):
        builder.document("a", "a.txt", make(), xid="a")
    assert len(builder) == 0

    document = builder.document("a", "a.txt", b"old", xid="a")
    with pytest.raises(ValidationError, match=f"file_content .*{said}"):
        document.file_content = make()
    assert document.file_content == b"old"


def test_what_json_cannot_hold_is_refused_by_its_field() -> None:
    """Also in a field that is not known."""
    item = {"type": "Host", "summary": "a.example", "xid": "a", "odd": b"x"}

    with pytest.raises(ValidationError, match=r"^Host 'a': odd is b'x', accepted is what JSON"):
        TypedBuilder().add(item)


def test_a_type_of_groups_is_no_indicator_type() -> None:
    """The server would refuse it."""
    with pytest.raises(ValidationError, match="an indicator type; that is one of groups"):
        TypedBuilder().indicator("Adversary", "x")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"fileOccurrence": [{}]}, "at least one of fileName, path and date"),
        ({"fileOccurrence": [{"date": "never"}]}, "fileOccurrence date is 'never'"),
        ({"fileOccurrence": ["a.exe"]}, "fileOccurrence"),
        ({"associatedGroups": [{"groupXid": ""}]}, "groupXid is ''"),
        ({"associatedGroups": [""]}, "groupXid is ''"),
    ],
)
def test_the_parts_of_an_indicators_dict_are_checked(part: dict[str, Any], said: str) -> None:
    """What one of its lists holds is refused by the name of what is wrong in it."""
    item = {"type": "File", "summary": "a" * 32, "xid": "f", **part}

    with pytest.raises(ValidationError, match=said):
        TypedBuilder().add_indicator(item)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"associatedIndicators": [{"indicatorType": "Host"}]}, "associatedIndicators summary"),
        ({"associatedIndicators": [{"summary": "a.example"}]}, "indicatorType"),
        ({"attribute": [{"type": "Description", "value": ""}]}, "attribute value is ''"),
    ],
)
def test_the_parts_of_a_groups_dict_are_checked(part: dict[str, Any], said: str) -> None:
    """As those of an indicator are."""
    item = {"type": "Adversary", "name": "a", "xid": "g", **part}

    with pytest.raises(ValidationError, match=said):
        TypedBuilder().add_group(item)


def test_the_occurrences_of_a_dict_go_out_in_the_form_of_the_wire(builder: TypedBuilder) -> None:
    """Their dates are written as all others are."""
    file = builder.add_indicator(
        {
            "type": "File",
            "summary": "a" * 32,
            "xid": "f",
            "fileOccurrence": [{"date": "2024-01-02"}],
        }
    )

    assert file.data["fileOccurrence"] == [{"date": "2024-01-02T00:00:00Z"}]


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.001, 40, 120), (0.0, 0, 4)])
async def test_drain_gives_way_now_and_then(
    monkeypatch: pytest.MonkeyPatch, seconds: float, least: int, most: int
) -> None:
    """However often it is called, others have their turn after a few milliseconds, not before."""
    clock, turns = count(1), 0
    monkeypatch.setattr("aiotcbatch.collecting.builder.perf_counter", lambda: next(clock) * seconds)

    async def other() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    builder = TypedBuilder()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        for number in range(100):
            builder.add_indicator({"type": "Host", "summary": "a.example", "xid": f"x{number}"})
            await builder.drain()
        tasks.cancel_scope.cancel()

    assert least <= turns <= most
