"""Who is let in, and what the others are told."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from aiotcbatch.sandbox import ManualClock, Sandbox, User
from aiotcbatch.sandbox.access import signature
from tests.sandbox.conftest import calling

SECRET = "sandbox-secret-key-0001"
VECTORS = [
    ("/api/v2/owners", "GET", "Uuz9Vt6zNEi7NDE6eFq/Ees98FTNupqSV6pIfmQ0xCo="),
    ("/api/v2/batch", "POST", "anAihZB3AKLlmhG7WboGM8A50D3cPR13UcnJd4VY4Kc="),
    (
        "/api/v2/batch/createAndUpload?includeAdditional=true",
        "POST",
        "PdcgvgbWMEUed/bCeg9wZWpGauhAHQCyYTNgMPK6zX0=",
    ),
    ("/api/v2/batch/12345", "POST", "V/cYPuzCW4NIYcMXiDxUZ3dbrkvtoq0rwtVccn+P2Vc="),
    (
        "/api/v2/batch/12345?includeAdditional=true",
        "GET",
        "lMJ6xZft3QLdn9/9JrA1Q91OBbn69vXyb56T3kggABw=",
    ),
    (
        "/api/v2/groups/documents/my-xid-002/upload?owner=Demo+Organization&updateIfExists=true",
        "POST",
        "cJ3GJVNUGLCvn2ouJD+P2F9YNzTVUuWl44ZKjHemix4=",
    ),
    (
        "/api/v2/indicators?owner=Common%20Community",
        "GET",
        "r4+l0SuBXWCpPF6ye2o7kv+yZU2t2NMTdvqxUPH4P4w=",
    ),
]


@pytest.mark.parametrize(("target", "method", "expected"), VECTORS)
def test_vectors(target, method, expected):
    """Signatures are those of the documented scheme, byte by byte."""
    assert signature(SECRET, target, method.lower(), "1513703787") == expected


def signed(sandbox, method, path, *, at=None, secret=None, access_id=None, target=None):
    """Return the headers of a signed request."""
    timestamp = str(int(time.time())) if at is None else str(at)
    made = signature(secret or sandbox.secret_key, target or f"/api{path}", method, timestamp)
    return {
        "Timestamp": timestamp,
        "Authorization": f"TC {access_id or sandbox.access_id}:{made}",
    }


@pytest.mark.parametrize("path", ["/v2/owners", "/v2/owners?a=b%20c+d&a=%2f"])
async def test_a_good_signature(call, path):
    """Path and query are verified exactly as they stand on the request line."""
    reply = await call("GET", path, headers=signed(call.sandbox, "GET", path))

    assert reply.status == 200


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret": "wrong"}, "Signature data did not match expected result"),
        ({"target": "/api/v2/owners?"}, "Signature data did not match expected result"),
        ({"target": "/v2/owners"}, "Signature data did not match expected result"),
        ({"access_id": "1"}, "Access Denied"),
        ({"at": int(time.time()) - 100_000}, "Timestamp out of acceptable time range"),
        ({"at": int(time.time()) + 100_000}, "Timestamp out of acceptable time range"),
        ({"at": "9" * 400}, "Timestamp out of acceptable time range"),
        ({"at": "noon"}, "Invalid timestamp"),
        ({"at": "-5"}, "Invalid timestamp"),
    ],
)
async def test_a_bad_signature(call, changes, said):
    """Each way in which a signature can be wrong is 401 with its own text."""
    reply = await call(
        "GET", "/v2/owners", headers=signed(call.sandbox, "GET", "/v2/owners", **changes)
    )

    assert reply.status == 401
    assert reply.json == {"status": "Failure", "message": said}


@pytest.mark.parametrize("seconds", [-299, 0, 299])
async def test_the_clocks_window(seconds):
    """A timestamp may be off by five minutes either way, on the sandbox's clock."""
    async with calling(Sandbox(clock=ManualClock(1_000_000))) as call:
        headers = signed(call.sandbox, "GET", "/v2/owners", at=1_000_000 + seconds)
        reply = await call("GET", "/v2/owners", headers=headers)

    assert reply.status == 200


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        (None, "Access Denied"),
        ("Basic eDp5", "Access Denied"),
        ("TC", "Access Denied"),
        ("TC nobody", "Access Denied"),
        ("TC-Token", "Unauthorized"),
        ("TC-Token wrong", "Unauthorized"),
    ],
)
async def test_bad_credentials(call, authorization, said):
    """Whoever presents nothing good gets 401, on v2 and v3 in the form of each."""
    headers = {} if authorization is None else {"Authorization": authorization}
    old = await call("GET", "/v2/owners", headers=headers)
    new = await call("GET", "/v3/groups", headers=headers)

    assert (old.status, old.json) == (401, {"status": "Failure", "message": said})
    assert new.status == 401
    assert new.json == {"status": "Error", "message": said, "errCode": "0x1001"}


async def test_a_token_is_good_without_a_timestamp(call):
    """A token is enough; a Timestamp header beside it is ignored."""
    reply = await call("GET", "/v2/owners", headers={**call.headers, "timestamp": "x"})

    assert reply.status == 200


async def test_an_expired_token_can_be_renewed(call):
    """An expired token is refused until /appAuth gave a new one for it, once."""
    assert call.sandbox.expire_token(call.sandbox.token)
    refused = await call("GET", "/v2/owners")
    path = f"/appAuth?expiredToken={call.sandbox.token}"
    renewed = await call("GET", path, headers={})
    good = await call(
        "GET", "/v2/owners", headers={"Authorization": f"TC-Token {renewed.json['apiToken']}"}
    )
    again = await call("GET", path, headers={})

    assert (refused.status, refused.json["message"]) == (401, "Unauthorized")
    assert renewed.json["success"] is True
    assert renewed.json["apiTokenExpires"] > time.time()
    assert good.status == 200
    assert (again.status, again.json["success"]) == (401, False)


async def test_an_issued_token_expires_when_it_was_said_to():
    """A renewed token is refused from the second that apiTokenExpires names, and renewed again."""
    clock = ManualClock(1_700_000_000)
    async with calling(Sandbox(clock=clock)) as call:
        renewal = f"/appAuth?expiredToken={call.sandbox.token}"
        renewed = (await call("GET", renewal, headers={})).json
        headers = {"Authorization": f"TC-Token {renewed['apiToken']}"}
        clock.advance(renewed["apiTokenExpires"] - clock.time() - 1)
        good = await call("GET", "/v2/owners", headers=headers)
        clock.advance(1)
        late = await call("GET", "/v2/owners", headers=headers)
        again = await call(
            "GET", f"/appAuth?expiredToken={quote(renewed['apiToken'], safe='')}", headers={}
        )

    assert good.status == 200
    assert (late.status, late.json["message"]) == (401, "Unauthorized")
    assert again.json["success"] is True


async def test_tokens_are_issued_to_signed_requests(call):
    """The token path gives a token under data to whoever signs."""
    path = "/internal/token/api"
    reply = await call("POST", path, headers=signed(call.sandbox, "POST", path))
    headers = {"Authorization": f"TC-Token {reply.json['data']}"}

    assert reply.status == 200
    assert (await call("GET", "/v2/owners", headers=headers)).status == 200
    assert (await call("POST", path, headers={})).status == 401


async def test_owners_are_those_that_the_user_sees(call):
    """A user who sees one owner is shown that one, and is told who it is."""
    call.sandbox.add_user(
        User(access_id="2", secret_key="s", token="t2", name="eve", owners=frozenset({"Other"}))
    )
    headers = {"Authorization": "TC-Token t2"}
    listed = await call("GET", "/v2/owners", headers=headers)
    mine = await call("GET", "/v2/owners/mine", headers=headers)
    hidden = await call("GET", "/v2/owners/1", headers=headers)
    who = await call("GET", "/v2/whoami", headers=headers)

    owner = {"id": 2, "name": "Other", "type": "Organization"}
    assert listed.json["data"] == {"resultCount": 1, "owner": [owner]}
    assert mine.json["data"]["owner"] == owner
    assert hidden.status == 404
    assert who.json["data"]["user"]["firstName"] == "eve"


async def test_unknown_paths(call):
    """What the API does not have is 404 in its own form, without credentials too."""
    reply = await call("GET", "/v2/nothing", headers={})

    assert reply.status == 404
    assert reply.json == {"status": "Failure", "message": "The requested resource was not found"}


@pytest.mark.parametrize(
    ("method", "path", "takes", "said"),
    [
        ("PATCH", "/api/v2/batch", "POST", ""),
        ("PUT", "/api/v3/groups", "GET", ""),
        ("POST", "/v2/batch", "GET, HEAD", "; the API is under /api"),
    ],
)
async def test_a_method_that_a_path_does_not_take(call, method, path, takes, said):
    """The answer names both and what the path takes, and tells who missed the API where it is."""
    url = call.sandbox.api_url.removesuffix("/api") + path
    async with call.session.request(method, url) as answer:
        told = await answer.json()

        assert (answer.status, answer.headers["Allow"]) == (405, takes)
        assert told["message"] == f"Method Not Allowed: {method} {path}, which takes {takes}{said}"


def test_secrets_do_not_show():
    """Neither a user's nor a sandbox's repr has the secret key or the token."""
    user = User(access_id="1", secret_key="hidden-key", token="hidden-token")
    sandbox = Sandbox(secret_key="hidden-key", token="hidden-token")

    assert "hidden" not in repr(user) + repr(sandbox)
