"""The client: what an instance has, and how one is reached."""

from __future__ import annotations

import anyio
import pytest
from aiohttp import ClientSession, web
from support.servers import AUTH, SECRET, json_answer, text_answer

from aiotcbatch.auth import HmacAuth, TokenAuth
from aiotcbatch.client import AttributeType, Client, IndicatorType, Owner
from aiotcbatch.errors import ClosedError, ConfigurationError, UnreadableAnswerError
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings

pytest_plugins = ["support.wire"]


@pytest.fixture
async def client_of(naps):
    """Make clients that sleep for no time and are closed at the end."""
    made = []

    def make(url, **options):
        made.append(Client(url, AUTH, retry=RetryPolicy(attempts=1), **options))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


OWNER = {"id": 1, "name": "Example Organization", "type": "Organization"}


@pytest.mark.parametrize("owners", [OWNER, [OWNER], [{**OWNER, "id": "1"}]])
async def test_owners_are_read_in_every_form(serve, client_of, owners):
    """A single owner may stand for itself, and an id may be text."""
    server = await serve(json_answer({"resultCount": 1, "owner": owners}))
    found = await client_of(server.url).owners()

    assert found == [Owner(1, "Example Organization", "Organization")]
    assert server.seen[0].target == "/api/v2/owners"


REGISTRY_KEY = {
    "name": "Registry Key",
    "custom": "true",
    "parsable": "false",
    "apiBranch": "registryKeys",
    "apiEntity": "registryKey",
    "casePreference": "sensitive",
    "value1Label": "Key Name",
    "value1Type": "text",
    "value2Label": "Value Name",
    "value2Type": "text",
    "value3Label": "Value Type",
    "value3Type": "selectone",
    "value3Option": "REG_NONE;REG_BINARY; REG_SZ;",
}
HOST = {
    "name": "Host",
    "custom": "false",
    "parsable": "true",
    "value1Label": "",
    "apiBranch": "hosts",
}


async def test_indicator_types_are_read_once(serve, client_of):
    """Booleans come as text, labels may be empty, and the server is asked once per client."""
    server = await serve(json_answer({"indicatorType": [REGISTRY_KEY, HOST]}))
    client = client_of(server.url)
    answers = []

    async def ask():
        answers.append(await client.indicator_types())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)

    assert len(server.seen) == 1
    assert (
        answers[0]
        == answers[1]
        == [
            IndicatorType(
                name="Registry Key",
                custom=True,
                parsable=False,
                case_preference="sensitive",
                api_branch="registryKeys",
                api_entity="registryKey",
                value_labels=("Key Name", "Value Name", "Value Type"),
                value_types=("text", "text", "selectone"),
                value_options=((), (), ("REG_NONE", "REG_BINARY", "REG_SZ")),
            ),
            IndicatorType("Host", False, True, "", "hosts", "", (), (), ()),
        ]
    )


async def test_a_type_without_a_name_does_no_harm(serve, client_of):
    """Batches know the others, though nobody can name that one."""
    server = await serve(json_answer({"indicatorType": [{"custom": "true"}, HOST]}))
    client = client_of(server.url)
    await client.indicator_types()

    assert client.batch("MyOrg").indicator_type("host") == "Host"


async def test_a_list_of_types_is_the_callers_own(serve, client_of):
    """Changing the list that was given does not change what is kept."""
    server = await serve(json_answer({"indicatorType": HOST}))
    client = client_of(server.url)
    (await client.indicator_types()).clear()

    assert [kind.name for kind in await client.indicator_types()] == ["Host"]


DESCRIPTION = {
    "id": 1,
    "name": "Description",
    "description": "What it is",
    "maxSize": 65500,
    "allowMarkdown": True,
    "errorMessage": "Please enter a valid Description.",
}
RULE = {"type": "SelectOne", "text": "Delivery;Exploitation"}
PHASE = {"id": 2, "name": "Phase of Intrusion", "maxSize": "100", "validationRule": RULE}


@pytest.mark.parametrize(
    "link",
    [
        "{url}/v3/attributeTypes?resultStart=1",
        "/api/v3/attributeTypes?resultStart=1",
        "/v3/attributeTypes?resultStart=1",
    ],
)
async def test_attribute_types_are_read_page_by_page(serve, client_of, link):
    """The link to the next page may be absolute, or a path with or without the API's own."""
    items = [DESCRIPTION, PHASE]

    async def handler(request):
        page = {"data": [items.pop(0)], "count": 2, "status": "Success"}
        return web.json_response({**page, "next": link.format(url=server.url)} if items else page)

    server = await serve(handler)
    types = await client_of(server.url).attribute_types()

    assert [seen.target for seen in server.seen] == [
        "/api/v3/attributeTypes?resultLimit=10000",
        "/api/v3/attributeTypes?resultStart=1",
    ]
    assert types == [
        AttributeType(
            id=1,
            name="Description",
            description="What it is",
            max_size=65500,
            allow_markdown=True,
            error_message="Please enter a valid Description.",
            rule_type="",
            rule_text="",
        ),
        AttributeType(2, PHASE["name"], "", 100, False, "", "SelectOne", RULE["text"]),
    ]
    assert [kind.choices for kind in types] == [(), ("Delivery", "Exploitation")]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("https://elsewhere.example/api/v3/attributeTypes", "another server"),
        ("/v3/attributeTypes?resultLimit=10000", "there before"),
        (5, "another server"),
    ],
)
async def test_pages_that_lead_away_or_in_circles_are_refused(serve, client_of, link, said):
    """Credentials do not follow a link elsewhere, and no list is endless."""

    async def handler(request):
        return web.json_response({"data": [DESCRIPTION], "next": link})

    server = await serve(handler)
    with pytest.raises(UnreadableAnswerError, match=said):
        await client_of(server.url).attribute_types()

    assert len(server.seen) == 1


@pytest.mark.parametrize("text", ["{}", "[]", '{"data": [5]}', '{"data": {"owner": [5]}}', "5"])
@pytest.mark.parametrize("call", ["owners", "indicator_types", "attribute_types"])
async def test_answers_of_another_shape_are_unreadable(serve, client_of, call, text):
    """What is not where it should be is an error, never an empty list."""
    server = await serve(text_answer(text, content_type="application/json"))
    with pytest.raises(UnreadableAnswerError, match="the answer has no"):
        await getattr(client_of(server.url), call)()


async def test_leaving_the_context_closes(serve):
    """A client is closed when its context is left, and says so."""
    server = await serve(json_answer({"owner": []}))
    async with Client(server.url, AUTH) as client:
        assert await client.owners() == []
    await client.aclose()
    with pytest.raises(ClosedError):
        await client.owners()

    assert repr(client) == (
        f"<Client of Transport to {server.url}, <HmacAuth {AUTH.access_id}>, closed>"
    )


async def test_options_are_put_over_settings():
    """Single settings may be given as keywords, alone or over a value with all of them."""
    settings = Settings(timeout=5, max_connections=2)
    client = Client("https://tc.example/api", AUTH, settings=settings, timeout=7)

    assert client.transport.settings == Settings(timeout=7, max_connections=2)
    with pytest.raises(ConfigurationError, match="timeout"):
        Client("https://tc.example/api", AUTH, timeout=0)


HMAC = {"TC_API_ACCESS_ID": "123", "TC_API_SECRET_KEY": SECRET}
PATH = {"TC_API_PATH": "https://tc.example/api"}


@pytest.mark.parametrize(
    ("environ", "auth"),
    [
        (PATH | HMAC, HmacAuth),
        (PATH | {"TC_TOKEN": " token-0001\n"}, TokenAuth),
        (PATH | HMAC | {"TC_TOKEN": "token-0001"}, TokenAuth),
        (PATH | HMAC | {"TC_TOKEN": ""}, HmacAuth),
    ],
)
async def test_from_env(monkeypatch, environ, auth):
    """The environment gives url and credentials; a token goes before a key."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for client in (Client.from_env(), Client.from_env(environ)):
        assert isinstance(client.transport._auth, auth)
        assert str(client.transport.base) == "https://tc.example/api"
        assert SECRET not in repr(client)
        assert "token-0001" not in repr(client)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "TC_API_PATH"),
        ({"TC_API_PATH": " "} | HMAC, "TC_API_PATH"),
        ({"TC_API_PATH": "nonsense"} | HMAC, "TC_API_PATH"),
        ({"TC_API_PATH": "http://tc.example/api"} | HMAC, "TC_API_PATH"),
        (PATH, "TC_TOKEN"),
        (PATH | {"TC_API_ACCESS_ID": "123"}, "TC_API_SECRET_KEY"),
        (PATH | {"TC_API_SECRET_KEY": SECRET}, "TC_API_ACCESS_ID"),
    ],
)
def test_what_is_missing_in_the_environment_is_named(environ, name):
    """The error names the variable to set, and shows no other."""
    with pytest.raises(ConfigurationError, match=f"environment: {name} is") as caught:
        Client.from_env(environ)

    assert caught.value.field == name
    assert SECRET not in str(caught.value)


async def test_from_env_takes_what_the_constructor_takes():
    """Settings and a session go with it."""
    async with ClientSession() as session:
        client = Client.from_env(PATH | HMAC, session=session, max_connections=3)

        assert client.transport._exchange._session is session
        assert client.transport.settings.max_connections == 3
