"""Settings, and what a url may be."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.servers import AUTH

from aiotcbatch.errors import (
    ConfigurationError,
    ValidationError,
)
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.settings import Settings, quote_segment

pytest_plugins = ["support.wire"]


@given(st.text(min_size=1))
def test_a_quoted_segment_stays_one_segment(text):
    """Any xid is one segment of a path, and can be read back."""
    try:
        quoted = quote_segment(text)
    except UnicodeEncodeError:
        assert not text.isprintable()
        return

    assert unquote(quoted) == text
    assert quoted.isascii()
    assert not set(quoted) & set("/?# ")
    assert quoted not in {".", ".."}


def test_an_empty_segment_is_refused():
    """There is no path for an empty xid."""
    with pytest.raises(ValidationError, match="xid"):
        quote_segment("")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/api",
        "ftp://host/api",
        "https:///api",
        "https://host/api?x=1",
        "https://host/api#x",
        "https://[::1/api",
        "http://tc.example/api",
        None,
    ],
)
def test_a_url_that_cannot_be_the_apis_is_refused(url):
    """A wrong url names the setting, its value and what is accepted."""
    with pytest.raises(ConfigurationError) as caught:
        Transport(url, AUTH)

    assert (caught.value.field, caught.value.value) == ("api_url", url)
    assert "https://" in caught.value.accepted


def test_a_password_in_the_url_is_refused_unseen():
    """A url with a user in it is refused without showing the password."""
    with pytest.raises(ConfigurationError, match="without a user") as caught:
        Transport("https://me:hunter2@host/api", AUTH)

    assert "hunter2" not in f"{caught.value} {caught.value.value}"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://host/api", "https://host/api"),
        (" https://host:8443/tc/api// ", "https://host:8443/tc/api"),
        ("https://host", "https://host"),
        ("http://127.0.0.2:80/api/", "http://127.0.0.2/api"),
        ("http://localhost/api", "http://localhost/api"),
        ("http://[::1]:8080/api", "http://[::1]:8080/api"),
    ],
)
def test_a_url_may_have_a_prefix_and_slashes(url, base):
    """Ports and prefixes are kept, slashes at the end and white space are not."""
    assert str(Transport(url, AUTH).base) == base


def test_plain_http_may_be_allowed():
    """Credentials go over the network in the clear only if told so."""
    settings = Settings(allow_plain_http=True)

    assert Transport("http://tc.example/api", AUTH, settings).base.host == "tc.example"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", None),
        ("timeout", "60"),
        ("connect_timeout", -1),
        ("max_connections", 0),
        ("max_connections", "16"),
        ("max_answer_bytes", 0),
        ("user_agent", None),
        ("proxy", 5),
        ("user_agent", "a\nb"),
        ("proxy", "socks5://proxy"),
        ("proxy", "proxy:3128"),
        ("proxy", "http://[x"),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    """A setting that cannot be right names itself."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(**{field: value})

    assert caught.value.field == field


def test_a_proxys_password_is_not_shown():
    """Neither settings nor their errors show a proxy's credentials."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(proxy="ftp://me:hunter2@proxy")

    assert "hunter2" not in f"{caught.value} {caught.value.value}"
    assert "hunter2" not in repr(Settings(proxy="http://me:hunter2@proxy:3128"))
