"""Indicator summaries: brought into the server's form where that is lossless, refused else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.entities import catalog, summaries
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

MD5 = "43c3609411c83f363e051d455ade78a6"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

ALL = [
    summaries.address,
    summaries.asn,
    summaries.cidr,
    summaries.email_address,
    summaries.file_summary,
    summaries.host,
    summaries.registry_summary,
    summaries.url,
]
labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=63)
names = st.lists(labels, max_size=3).map(lambda parts: ".".join([*parts, "example"]))


def assert_refused(convert: Callable[[Any, str], str], value: object) -> None:
    """Check that a value is refused with its field, itself and what is accepted."""
    with pytest.raises(ValidationError) as caught:
        convert(value, "aField")

    assert caught.value.field == "aField"
    assert caught.value.value is value
    assert caught.value.accepted


@pytest.mark.parametrize("convert", ALL)
@pytest.mark.parametrize("value", ["", " ", "\0", "\ud800", None, b"1.2.3.4", 1.5, True, {}])
def test_what_is_no_summary(convert: Callable[[Any, str], str], value: object) -> None:
    """No type takes an empty summary, bytes, or text that UTF-8 cannot carry."""
    assert_refused(convert, value)


# Addresses and blocks


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("123.124.125.126", "123.124.125.126"),
        (" 123.124.125.126\n", "123.124.125.126"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0:0:0:0:0:1", "2001:0db8:0:0:0:0:0:1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
    ],
)
def test_addresses(value: str, expected: str) -> None:
    """An address stays as it is written, IPv6 in lower case."""
    assert summaries.address(value, "ip") == expected


@given(st.ip_addresses())
def test_any_address(ip: IPv4Address | IPv6Address) -> None:
    """Every address is one."""
    assert summaries.address(str(ip), "ip") == str(ip)


@pytest.mark.parametrize(
    "value",
    [
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4:80",
        "1.2.3.4/32",
        "1[.]2[.]3[.]4",
        "1.2.3.4\0",
        "fe80::1%eth0",
        "[::1]",
        ":::1",
        "www.example.com",
        16_909_060,
    ],
)
def test_wrong_addresses(value: object) -> None:
    """Zones, ports, prefixes and brackets do not belong to an address."""
    assert_refused(summaries.address, value)


@pytest.mark.parametrize(
    "value",
    ["ASN12345", "AS12345", "12345", "ASN 12345", "as12345", "asn12345", 12345, " AS12345 "],
)
def test_as_numbers(value: object) -> None:
    """However an AS number is written, it goes out as ASN and the number."""
    assert summaries.asn(value, "as_number") == "ASN12345"


@pytest.mark.parametrize(("value", "expected"), [(0, "ASN0"), (2**32 - 1, "ASN4294967295")])
def test_limits_of_as_numbers(value: int, expected: str) -> None:
    """An AS number has 32 bits."""
    assert summaries.asn(value, "as_number") == expected


@pytest.mark.parametrize(
    "value",
    [-1, 2**32, "ASN4294967296", "ASN", "AS-12345", "ASNN1", "AS1.10", "AS1 2", "ASN１"],  # noqa: RUF001
)
def test_wrong_as_numbers(value: object) -> None:
    """What has no number of 32 bits is refused."""
    assert_refused(summaries.asn, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        (" 192.0.2.0/24 ", "192.0.2.0/24"),
        ("10.1.2.3/8", "10.1.2.3/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("1.2.3.4/32", "1.2.3.4/32"),
        ("2001:db8:1234::/48", "2001:db8:1234:0:0:0:0:0/48"),
        ("2001:0DB8:1234:0000::/48", "2001:db8:1234:0:0:0:0:0/48"),
        ("2001:db8:1234:0:0:0:0:0/48", "2001:db8:1234:0:0:0:0:0/48"),
        ("::/0", "0:0:0:0:0:0:0:0/0"),
        ("::1/128", "0:0:0:0:0:0:0:1/128"),
    ],
)
def test_blocks(value: str, expected: str) -> None:
    """An IPv6 block has eight sections without leading zeros, in lower case."""
    assert summaries.cidr(value, "block") == expected


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_any_ipv6_block(ip: IPv6Address, prefix: int) -> None:
    """The form of eight sections is the same block, whichever way it was written."""
    short = summaries.cidr(f"{ip}/{prefix}", "block")

    assert short == summaries.cidr(f"{ip.exploded.upper()}/{prefix}", "block")
    assert IPv6Network(short, strict=False) == IPv6Network((ip, prefix), strict=False)
    assert len(short.split("/")[0].split(":")) == 8


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.0",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/08",
        "192.0.2.0/-1",
        "192.0.2.0/255.255.255.0",
        "192.0.2/24",
        "2001:db8::/129",
        "2001:db8::",
        "2001:db8::%eth0/64",
        "/24",
        "192.0.2.0/24/24",
    ],
)
def test_wrong_blocks(value: str) -> None:
    """A block needs a whole address and a prefix length."""
    assert_refused(summaries.cidr, value)


# Names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("www.badguys2.com", "www.badguys2.com"),
        (" WWW.Badguys2.COM. ", "www.badguys2.com"),
        ("österreich.icom.museum", "xn--sterreich-z7a.icom.museum"),
        ("ÖSTERREICH.icom.museum", "xn--sterreich-z7a.icom.museum"),
        ("xn--sterreich-z7a.icom.museum", "xn--sterreich-z7a.icom.museum"),
        ("faß.example", "xn--fa-hia.example"),
        ("日本。jp。", "xn--wgv71a.jp"),
        ("💩.la", "xn--ls8h.la"),
        ("_dmarc.österreich.example", "_dmarc.xn--sterreich-z7a.example"),
        ("a_b.example.com", "a_b.example.com"),
        ("r3---sn-4g5e6nz7.example", "r3---sn-4g5e6nz7.example"),
        ("-a-.example", "-a-.example"),
        ("localhost", "localhost"),
        ("1.2.3.example", "1.2.3.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        (".".join(["a" * 49] * 5) + ".ccc.", ".".join(["a" * 49] * 5) + ".ccc"),
    ],
)
def test_hosts(value: str, expected: str) -> None:
    """A name is ASCII in lower case, without a dot at its end."""
    assert summaries.host(value, "hostname") == expected


@given(names)
def test_any_host(name: str) -> None:
    """A name that is in the wire form stays, and any letter case leads to it."""
    assert summaries.host(name, "hostname") == name
    assert summaries.host(name.upper() + ".", "hostname") == name


@given(st.text(max_size=20))
def test_hosts_go_out_clean(value: str) -> None:
    """Whatever passes is ASCII in lower case, and passes again unchanged."""
    try:
        name = summaries.host(value, "hostname")
    except ValidationError:
        return

    assert name.isascii()
    assert name == name.lower()
    assert summaries.host(name, "hostname") == name


@pytest.mark.parametrize(
    "value",
    [
        ".",
        "a..b",
        ".example.com",
        "example.com..",
        "a" * 64 + ".example",
        "ö" * 60 + ".example",
        "ö" * 1_000,
        ".".join(["a" * 49] * 5) + ".cccc",
        "1.2.3.4",
        "1.2.3.4.",
        "12345",
        "::1",
        "*.example.com",
        "bad host",
        "bad\nhost.example",
        "example.com/path",
        "example.com:80",
        "http://example.com",
        "user@example.com",
        "example[.]com",
        "ö\u0000.example",
        "ö b.example",
    ],
)
def test_wrong_hosts(value: str) -> None:
    """Addresses, wildcards, ports, paths and empty or long labels are no host name."""
    assert_refused(summaries.host, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://example.com", "http://example.com"),
        ("http://EXAMPLE.com", "http://example.com"),
        (" http://example.com/a b\n", "http://example.com/a b"),
        ("http://EXAMPLE.com/A?B=C#D", "http://example.com/A?B=C#D"),
        ("HTTPS://Example.com", "HTTPS://example.com"),
        ("http://User:Pass@EXAMPLE.com:8080/", "http://User:Pass@example.com:8080/"),
        ("http://a@b@EXAMPLE.com/", "http://a@b@example.com/"),
        ("http://EXAMPLE.com?next=http://OTHER.com/", "http://example.com?next=http://OTHER.com/"),
        ("http://EXAMPLE.com\\A@B", "http://example.com\\A@B"),
        ("http://example.com:/", "http://example.com:/"),
        ("http://Example.com./x", "http://example.com./x"),
        ("http://österreich.icom.museum/ö?ü", "http://xn--sterreich-z7a.icom.museum/ö?ü"),
        ("http://example.com/%C3%96/Ö", "http://example.com/%C3%96/Ö"),
        ("http://1.2.3.4/a", "http://1.2.3.4/a"),
        ("http://[2001:DB8::1]:80/A", "http://[2001:db8::1]:80/A"),
        ("ftp://files_1.example.com/x", "ftp://files_1.example.com/x"),
        ("svn+ssh://example.com/x", "svn+ssh://example.com/x"),
    ],
)
def test_urls(value: str, expected: str) -> None:
    """The host goes out in lower case and ASCII, every other byte as it is."""
    assert summaries.url(value, "text") == expected


@given(names, st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), max_size=20))
def test_any_url(name: str, rest: str) -> None:
    """Whatever follows the host stays byte for byte."""
    assert summaries.url(f"http://{name.upper()}/{rest}", "text") == f"http://{name}/{rest}"
    assert summaries.url(f"http://{name}/{rest}", "text") == f"http://{name}/{rest}"


@pytest.mark.parametrize(
    "value",
    [
        "example.com",
        "//example.com",
        "http:example.com",
        "http:/example.com",
        "http://",
        "http:///path",
        "://example.com",
        "1http://example.com",
        "hxxp://example.com",
        "hXXps://example.com",
        "http://a..b/",
        "http://a b/",
        "http://ex%61mple.com/",
        "http://example[.]com/",
        "http://example.com:http/",
        "http://example.com:65536/",
        "http://[::1/",
        "http://[1.2.3.4]/",
        "http://[fe80::1%25eth0]/",
        "http://user@/",
        "http://example.com/\ud800",
        "http://\ud800@example.com/",
        "http://\ud800.example.com/",
    ],
)
def test_wrong_urls(value: str) -> None:
    """A URL has a scheme, two slashes and a host that there can be."""
    assert_refused(summaries.url, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("user@example.com", "user@example.com"),
        (" User.Name+tag@EXAMPLE.com ", "User.Name+tag@example.com"),
        ("user@österreich.example", "user@xn--sterreich-z7a.example"),
        ("jürgen@example.com", "jürgen@example.com"),
        ("o'neill/!#$%&*=?^_`{|}~@example.com", "o'neill/!#$%&*=?^_`{|}~@example.com"),
        ('"with space"@example.com', '"with space"@example.com'),
        ("root@localhost", "root@localhost"),
    ],
)
def test_email_addresses(value: str, expected: str) -> None:
    """The domain goes out like a host, what is before the @ stays."""
    assert summaries.email_address(value, "address") == expected


@pytest.mark.parametrize(
    "value",
    [
        "user",
        "@example.com",
        "user@",
        "a@b@example.com",
        "us er@example.com",
        "user@exam ple.com",
        "User <user@example.com>",
        "<user@example.com>",
        "a@example.com,b@example.com",
        "mailto:user@example.com",
        "user@1.2.3.4",
        "user@a..b",
        "user\0@example.com",
        "\ud800@example.com",
        "user[@]example.com",
    ],
)
def test_wrong_email_addresses(value: str) -> None:
    """There is one @, something before it, and a domain after it."""
    assert_refused(summaries.email_address, value)


# Hashes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MD5, MD5),
        (f" {SHA1}\n", SHA1),
        (SHA256.upper(), SHA256.upper()),
        (f"{MD5} : {SHA1} : {SHA256}", f"{MD5} : {SHA1} : {SHA256}"),
        (f"{SHA256} : {MD5} : {SHA1}", f"{MD5} : {SHA1} : {SHA256}"),
        (f"{SHA1} : {SHA256}", f"{SHA1} : {SHA256}"),
    ],
)
def test_file_summaries(value: str, expected: str) -> None:
    """Hashes keep their case and are put in the order MD5, SHA-1, SHA-256."""
    assert summaries.file_summary(value, "summary") == expected


@pytest.mark.parametrize(
    "value",
    [
        MD5[:-1],
        MD5 + "0",
        MD5[:-1] + "g",
        MD5[:-2] + " 0",
        "0x" + MD5[2:],
        f"{MD5} : {MD5}",
        f"{MD5} : ",
        f"{MD5}:{SHA1}",
        f"{MD5} : {SHA1} : {SHA256} : {SHA256}",
        "é" * 32,
    ],
)
def test_wrong_file_summaries(value: str) -> None:
    """A part that is no hash, or a second one of a kind, is refused."""
    assert_refused(summaries.file_summary, value)


@pytest.mark.parametrize(
    ("hashes", "expected"),
    [
        ({"md5": MD5}, MD5),
        ({"sha1": f" {SHA1.upper()} "}, SHA1.upper()),
        ({"md5": MD5, "sha1": None, "sha256": SHA256}, f"{MD5} : {SHA256}"),
        ({"md5": "", "sha1": SHA1}, SHA1),
        ({"sha256": SHA256, "sha1": SHA1, "md5": MD5}, f"{MD5} : {SHA1} : {SHA256}"),
    ],
)
def test_join_hashes(hashes: dict[str, str | None], expected: str) -> None:
    """The hashes that are known make the summary, in the fixed order."""
    assert summaries.join_hashes(**hashes) == expected


@pytest.mark.parametrize(
    ("hashes", "field"),
    [
        ({}, "md5"),
        ({"md5": ""}, "md5"),
        ({"md5": SHA1}, "md5"),
        ({"md5": MD5, "sha1": MD5}, "sha1"),
        ({"sha256": "g" * 64}, "sha256"),
        ({"sha1": SHA1.encode()}, "sha1"),
    ],
)
def test_wrong_hashes(hashes: dict[str, object], field: str) -> None:
    """No hash at all, or one that is not of its kind, is refused by its name."""
    with pytest.raises(ValidationError) as caught:
        summaries.join_hashes(**hashes)

    assert caught.value.field == field


@given(st.sets(st.sampled_from([("md5", MD5), ("sha1", SHA1), ("sha256", SHA256)]), min_size=1))
def test_hashes_round_trip(known: set[tuple[str, str]]) -> None:
    """The hashes of a summary are those that it was made from."""
    hashes = dict(known)
    summary = summaries.join_hashes(**hashes)

    assert summaries.split_hashes(summary) == tuple(
        hashes.get(kind) for kind in ("md5", "sha1", "sha256")
    )
    assert summaries.file_summary(summary, "summary") == summary


# Registry entries


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("HKEY_LOCAL_MACHINE\\system", "HKEY_LOCAL_MACHINE\\system"),
        ("hkey_local_machine\\System", "HKEY_LOCAL_MACHINE\\System"),
        ("HKLM\\system", "HKEY_LOCAL_MACHINE\\system"),
        ("hklm:\\system", "HKEY_LOCAL_MACHINE\\system"),
        ("HKCU\\Größe", "HKEY_CURRENT_USER\\Größe"),
        ("HKCR\\.exe", "HKEY_CLASSES_ROOT\\.exe"),
        ("HKU\\S-1-5-18", "HKEY_USERS\\S-1-5-18"),
        ("HKCC\\x", "HKEY_CURRENT_CONFIG\\x"),
        ("HKLM", "HKEY_LOCAL_MACHINE"),
        *[(f"{hive}\\a b", f"{hive}\\a b") for hive in catalog.REGISTRY_HIVES],
    ],
)
def test_registry_keys(value: str, expected: str) -> None:
    r"""Every hive is taken, HKLM\ and its like are written out, the path stays."""
    assert summaries.registry_key_name(value, "key_name") == expected


@pytest.mark.parametrize(
    "value",
    ["", "system", "\\system", "HKEY_LOCAL\\x", "HKLM/x", "HKEY_USERS_X\\a", None, "HKLM\\\ud800"],
)
def test_wrong_registry_keys(value: object) -> None:
    """A key starts with a hive."""
    assert_refused(summaries.registry_key_name, value)


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), ("", " "), (None, " "), (" ", " ")])
def test_registry_value_names(value: str | None, expected: str) -> None:
    """The empty value name goes out as one space."""
    assert summaries.registry_value_name(value, "value_name") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
            "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
        ),
        (["HKLM\\system", "TRUE", "reg_dword"], "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD"),
        (("HKLM\\system", "", "REG_SZ"), "HKEY_LOCAL_MACHINE\\system :   : REG_SZ"),
        ("HKLM\\system :   : REG_SZ", "HKEY_LOCAL_MACHINE\\system :   : REG_SZ"),
    ],
)
def test_registry_entries(value: object, expected: str) -> None:
    """A registry entry is its three parts, given as one text or apart."""
    assert summaries.registry_summary(value, "summary") == expected


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("HKLM\\system", "summary"),
        ("HKLM\\system : TRUE", "summary"),
        (["HKLM\\system", "TRUE"], "summary"),
        (["HKLM\\a : b", "TRUE", "REG_SZ"], "summary"),
        (["HKLM\\a", "b : c", "REG_SZ"], "summary"),
        ("system : TRUE : REG_DWORD", "key_name"),
        ("HKLM\\system : TRUE : DWORD", "value_type"),
        (["HKLM\\system", 1, "REG_DWORD"], "value_name"),
    ],
)
def test_wrong_registry_entries(value: object, field: str) -> None:
    """The part that is wrong is named."""
    with pytest.raises(ValidationError) as caught:
        summaries.registry_summary(value, "summary")

    assert caught.value.field == field


# Summaries of several values


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("a", ["a"]),
        ("a : b", ["a", "b"]),
        ("a : ", ["a", ""]),
        ("a : b : c : d", ["a", "b", "c : d"]),
        ("a:b", ["a:b"]),
    ],
)
def test_split(summary: str, expected: list[str]) -> None:
    """A summary is split from the left in at most three values."""
    assert summaries.split_summary(summary) == expected


@given(st.lists(st.text("a :", max_size=5), max_size=4))
def test_joined_values_split_again(values: list[str]) -> None:
    """What is joined gives the same values when it is split, or is not joined."""
    try:
        summary = summaries.join_summary(values, "summary")
    except ValidationError:
        return

    assert len(values) == 1 or summaries.split_summary(summary) == values


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["", "b"],
        ["a", "b", "c", "d"],
        ["a : b", "c"],
        ["a", "b : c"],
        ["a", None],
        ["a", 1],
        [b"a"],
        "abc",
    ],
)
def test_values_that_cannot_be_joined(values: list[Any]) -> None:
    """One to three texts are joined, unless the server would split them otherwise."""
    with pytest.raises(ValidationError):
        summaries.join_summary(values, "summary")


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["a : b"], "a : b"), (("a", "b"), "a : b"), (["a", "", "c : d"], "a :  : c : d")],
)
def test_join(values: list[str], expected: str) -> None:
    """Values are joined by a colon between spaces."""
    assert summaries.join_summary(values, "summary") == expected


# At a glance

#: What each glance stands for, and a way to write what it may take, and much that it may not.
GLANCED: dict[str, tuple[Callable[[Any, str], str], st.SearchStrategy[str]]] = {
    "Address": (summaries.address, st.text("0123456789.: \0", max_size=15)),
    "EmailAddress": (
        summaries.email_address,
        st.from_regex(r"[A-Za-z0-9._+ @-]{1,70}@([a-z0-9._-]{1,40}\.){1,7}[a-z0-9A-Z]{1,40}\n?"),
    ),
    "File": (summaries.file_summary, st.text("0aF :", min_size=30, max_size=66)),
    "Host": (
        summaries.host,
        st.from_regex(r"([A-Za-z0-9_-]{1,64}\.){0,8}[A-Za-z0-9-]{1,64}\.?\n?"),
    ),
    "URL": (
        summaries.url,
        st.from_regex(r"[a-z]{1,9}:/?/([a-zA-Z0-9_-]{1,40}[.@]?){1,8}(:[0-9]{0,6})?([/?#@\\].*)?"),
    ),
}


def thoroughly(convert: Callable[[Any, str], str], value: str) -> str:
    """Give what a summary is brought into, without a glance at it."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("_PLAIN_EMAIL_ADDRESS", "_PLAIN_HOST", "_PLAIN_URL"):
            patched.setattr(summaries, name, lambda _: None)
        return convert(value, "aField")


@given(st.sampled_from(list(GLANCED)), st.data())
def test_what_is_seen_at_a_glance(kind: str, data: st.DataObject) -> None:
    """What a glance takes, the thorough look takes too, and leaves as it is."""
    convert, values = GLANCED[kind]
    value = data.draw(values)
    try:
        taken = summaries.GLANCES[kind](value)
    except (OSError, TypeError, ValueError):
        return

    if taken:
        assert thoroughly(convert, value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Address", "123.124.125.126"),
        ("EmailAddress", "some.one+news@mail.example.com"),
        ("File", MD5),
        ("File", SHA1.upper()),
        ("File", SHA256),
        ("Host", "www.bad-host.example.com"),
        ("Host", "_dmarc.xn--mnchen-3ya.example"),
        ("URL", "https://www.example.com"),
        ("URL", "http://192.0.2.1:8080/a/B?c=d&e=%20#f"),
    ],
)
def test_what_feeds_are_full_of_takes_a_glance(kind: str, value: str) -> None:
    """What most summaries look like needs no closer look."""
    assert summaries.GLANCES[kind](value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Host", "192.0.2.1"),
        ("Host", "example.123"),
        ("Host", "www.Example.com"),
        ("Host", "www.example.com\n"),
        ("Host", ".".join(["a" * 63] * 5)),
        ("URL", "hxxp://www.example.com"),
        ("URL", "http://user:123@www.example.com/"),
        ("URL", "http://www.example.com:99999/"),
        ("URL", "http://www.example.com/a b"),
        ("URL", "http://www.example.com/\n"),
        ("EmailAddress", "a@b@example.com"),
        ("EmailAddress", "a@192.0.2.1"),
    ],
)
def test_what_takes_a_closer_look(kind: str, value: str) -> None:
    """A glance leaves alone what is to be changed or refused."""
    assert not summaries.GLANCES[kind](value)
