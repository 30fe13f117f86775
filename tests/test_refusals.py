"""What cannot be right is refused by its name, at the call that was given it."""

from __future__ import annotations

import math

import pytest

from aiotcbatch import (
    Association,
    Client,
    ConfigurationError,
    RetryPolicy,
    TokenAuth,
    ValidationError,
)
from aiotcbatch import sandbox as sandboxes
from aiotcbatch.batch import BatchOptions
from aiotcbatch.stream import StreamOptions
from aiotcbatch.transport.settings import Options

URL = "https://tc.example/api"
AUTH = TokenAuth("a-token")

#: Of no kind that anything takes.
NOTHING = object()
TOO_LONG = 10**400


@pytest.fixture
def client():
    """Make a client that nothing is sent with."""
    return Client(URL, AUTH)


def _refused(field, value, call, *args, **named):
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **named)

    assert (field, value) == (caught.value.field, caught.value.value)
    assert caught.value.accepted


@pytest.mark.parametrize("name", [*Options.__annotations__, "settings", "session", "on_event"])
def test_every_setting_of_a_client_is_checked(name):
    """None of them takes what is of no kind that it knows."""
    _refused(name, NOTHING if name != "proxy" else "text that is no url", _client(name, NOTHING))


def _client(name, value):
    return lambda: Client(URL, AUTH, **{name: value})


@pytest.mark.parametrize("name", RetryPolicy().fields)
def test_every_field_of_a_retry_policy_is_checked(name):
    """None of them takes what is of no kind that it knows, and none is left out by None."""
    _refused(name, NOTHING, RetryPolicy, **{name: NOTHING})
    _refused(name, None, RetryPolicy, **{name: None})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("batch", name) for name in BatchOptions.__annotations__),
        *(("stream", name) for name in StreamOptions.__annotations__),
    ],
)
def test_every_setting_of_a_batch_and_a_stream_is_checked(client, kind, name):
    """None of them takes what is of no kind that it knows."""
    _refused(name, NOTHING, getattr(client, kind), "MyOrg", **{name: NOTHING})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("settings", ""),
        ("settings", {}),
        ("settings", sandboxes.Settings()),
        ("retry", None),
        ("retry", 5),
        ("verify", None),
        ("verify", "no/such/bundle.pem"),
        ("verify", 1),
        ("timeout", TOO_LONG),
        ("timeout", True),
        ("connect_timeout", math.inf),
        ("max_connections", 1.5),
        ("max_connections", math.nan),
        ("max_connections", 0),
        ("max_answer_bytes", math.inf),
        ("trust_env", "no"),
        ("allow_plain_http", 1),
        ("session", {}),
    ],
)
def test_what_only_looks_like_a_setting_is_refused(name, value):
    """Neither what is empty counts as left out, nor what is truthy as True."""
    with pytest.raises(ConfigurationError) as caught:
        _client(name, value)()

    assert caught.value.field == name


@pytest.mark.parametrize("auth", [None, "a-token", ("id", "key"), TokenAuth])
def test_credentials_are_those_of_a_class(auth):
    """A token by itself is none, and neither is a class that was not called."""
    _refused("auth", auth, Client, URL, auth)


@pytest.mark.parametrize("environ", ["TC_TOKEN", 5, [("TC_TOKEN", "x")]])
def test_an_environment_is_a_mapping(environ):
    """What is none is said so."""
    _refused("environ", environ, Client.from_env, environ)


@pytest.mark.parametrize("name", ["TC_API_PATH", "TC_TOKEN", "TC_API_SECRET_KEY"])
def test_a_variable_that_is_no_text_is_not_shown(name):
    """It may be a secret as bytes."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        Client.from_env({"TC_API_PATH": URL, name: b"hunter2"})

    assert "hunter2" not in f"{caught.value} {caught.value.value}"
    assert "environment" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("batch", "validate", "no"),
        ("batch", "create_and_upload", None),
        ("batch", "clock", {}),
        ("stream", "validate", 0),
        ("stream", "halt_on_failure", "yes"),
        ("stream", "max_bytes_per_job", math.inf),
        ("stream", "clock", ""),
    ],
)
def test_what_only_looks_like_an_option_is_refused(client, kind, name, value):
    """Neither what is empty counts as left out, nor what is truthy as True."""
    _refused(name, value, getattr(client, kind), "MyOrg", **{name: value})


@pytest.mark.parametrize("kind", ["batch", "stream"])
@pytest.mark.parametrize(
    ("types", "wrong"),
    [
        (5, 5),
        ("Host", "Host"),
        ("", ""),
        (["Host"], ["Host"]),
        ({"Good": 1, "Bad": 4}, {"Bad": 4}),
        ({"Bad": 0}, {"Bad": 0}),
        ({"Bad": True}, {"Bad": True}),
        ({"Bad": "Label"}, {"Bad": "Label"}),
        ({"Bad": ["Label", 5]}, {"Bad": ["Label", 5]}),
        ({"Bad": ()}, {"Bad": ()}),
        ({"": 1}, {"": 1}),
        ({5: 1}, {5: 1}),
    ],
)
def test_indicator_types_say_how_many_values_each_has(client, kind, types, wrong):
    """Of what does not, the first is named."""
    _refused("indicator_types", wrong, getattr(client, kind), "MyOrg", indicator_types=types)


@pytest.mark.parametrize("method", ["submit", "submit_all", "retry"])
@pytest.mark.parametrize("name", ["poll", "errors", "process_files", "halt_on_error"])
async def test_a_submit_is_told_yes_or_no(client, method, name):
    """What is neither is refused before anything is sent."""
    batch = client.batch("MyOrg")
    batch.adversary("Bad Actor", "actor")
    failed = ["no/such/letters"] if method == "retry" else []
    with pytest.raises(ConfigurationError) as caught:
        await getattr(batch, method)(*failed, **{name: "no"})

    assert (name, "no") == (caught.value.field, caught.value.value)
    assert len(batch) == 1


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ("submit_job", {"halt_on_error": 1}),
        ("submit_data", {"batch_id": "12"}),
        ("submit_data", {"batch_id": 12, "halt_on_error": "no"}),
        ("poll", {"batch_id": None}),
        ("poll", {"batch_id": 12, "halt_on_error": "no"}),
        ("poll", {"batch_id": 12, "interval": "1"}),
        ("poll", {"batch_id": 12, "timeout": "1"}),
        ("errors", {"batch_id": 0}),
        ("errors", {"batch_id": 12, "halt_on_error": "no"}),
        ("submit_files", {"halt_on_error": "no"}),
    ],
)
async def test_a_step_is_checked_before_it_is_taken(client, method, named):
    """The last argument is the wrong one, and no request is made."""
    batch = client.batch("MyOrg")
    batch.adversary("Bad Actor", "actor")
    field, value = list(named.items())[-1]
    with pytest.raises(ConfigurationError) as caught:
        await getattr(batch, method)(**named)

    assert (field, value) == (caught.value.field, caught.value.value)
    assert client.statistics().requests == 0


ENTITIES = {
    "group": lambda batch: batch.adversary("Bad Actor", "actor"),
    "indicator": lambda batch: batch.host("bad.example.com"),
}


@pytest.mark.parametrize("kind", ENTITIES)
@pytest.mark.parametrize(
    ("method", "args", "field"),
    [
        ("attribute", ("Description", "text", False, None, True, "str.lower"), "formatter"),
        ("tag", ("Phishing", "lower"), "formatter"),
        ("add_key_value", (["eventDate"], 1), "key"),
        ("add_key_value", (5, 1), "key"),
        ("add_key_value", (None, 1), "key"),
        ("association", (None,), "group_xid"),
        ("association", ("",), "group_xid"),
        ("association", (5,), "group_xid"),
    ],
)
def test_what_an_entity_is_given_is_checked(client, kind, method, args, field):
    """The error names the entity too, and nothing of it has changed."""
    entity = ENTITIES[kind](client.batch("MyOrg"))
    before = dict(entity.data)
    with pytest.raises(ValidationError) as caught:
        getattr(entity, method)(*args)

    assert field == caught.value.field
    assert "Bad Actor" in caught.value.about or "bad.example.com" in caught.value.about
    assert before == entity.data


@pytest.mark.parametrize("summary", [5, None, 1.5, {"a": "1.2.3.4"}, b"1.2.3.4", NOTHING])
def test_a_summary_is_text_or_several_texts(client, summary):
    """Of a built-in type and of a custom one."""
    for kind in ("Address", "My Type"):
        with pytest.raises(ValidationError) as caught:
            client.batch("MyOrg").indicator(kind, summary)
        assert ("summary", summary) == (caught.value.field, caught.value.value)


@pytest.mark.parametrize("given", [None, 5, "ref_1", ["ref_1"], []])
def test_an_association_is_read_from_a_dict(given):
    """Anything else is said so."""
    with pytest.raises(ValidationError, match="association"):
        Association.from_dict(given)


@pytest.mark.parametrize("path", [None, 5, b"letters", ""])
async def test_dead_letters_are_written_to_a_path(client, path):
    """What is none is refused, also where there is nothing to write."""
    status = await client.batch("MyOrg").submit()
    with pytest.raises(ConfigurationError) as caught:
        await status.write_dead_letters(path)

    assert ("path", path) == (caught.value.field, caught.value.value)
