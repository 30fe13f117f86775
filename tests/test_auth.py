"""Credentials."""

from __future__ import annotations

import anyio
import pytest

from aiotcbatch.auth import Auth, HmacAuth, TokenAuth
from aiotcbatch.errors import ConfigurationError

ACCESS_ID = "10000000000000000001"
SECRET = "sandbox-secret-key-0001"
NOW = 1513703787

VECTORS = [
    ("GET", "/api/v2/owners", "Uuz9Vt6zNEi7NDE6eFq/Ees98FTNupqSV6pIfmQ0xCo="),
    ("POST", "/api/v2/batch", "anAihZB3AKLlmhG7WboGM8A50D3cPR13UcnJd4VY4Kc="),
    (
        "POST",
        "/api/v2/batch/createAndUpload?includeAdditional=true",
        "PdcgvgbWMEUed/bCeg9wZWpGauhAHQCyYTNgMPK6zX0=",
    ),
    ("POST", "/api/v2/batch/12345", "V/cYPuzCW4NIYcMXiDxUZ3dbrkvtoq0rwtVccn+P2Vc="),
    (
        "GET",
        "/api/v2/batch/12345?includeAdditional=true",
        "lMJ6xZft3QLdn9/9JrA1Q91OBbn69vXyb56T3kggABw=",
    ),
    (
        "POST",
        "/api/v2/groups/documents/my-xid-002/upload?owner=Demo+Organization&updateIfExists=true",
        "cJ3GJVNUGLCvn2ouJD+P2F9YNzTVUuWl44ZKjHemix4=",
    ),
    (
        "GET",
        "/api/v2/indicators?owner=Common%20Community",
        "r4+l0SuBXWCpPF6ye2o7kv+yZU2t2NMTdvqxUPH4P4w=",
    ),
]


@pytest.mark.parametrize(("method", "target", "signature"), VECTORS)
def test_hmac_signs_the_request_line(method, target, signature):
    """The signature covers path, query, method and timestamp as they are sent."""
    headers = HmacAuth(ACCESS_ID, SECRET).headers(method, target, NOW)

    assert headers == {
        "Timestamp": "1513703787",
        "Authorization": f"TC {ACCESS_ID}:{signature}",
    }


def test_secrets_are_not_shown():
    """No repr has a secret in it."""
    shown = repr([HmacAuth(ACCESS_ID, SECRET), TokenAuth("token-0001")])

    assert shown == f"[<HmacAuth {ACCESS_ID}>, <TokenAuth>]"


@pytest.mark.parametrize("secret", ["", "se cret\n", " se cret", "se\tcret", "sécret", 17, None])
def test_what_cannot_be_a_secret_is_refused_unseen(secret):
    """A secret that cannot go into a header names its field, and is not shown."""
    for make in (lambda: HmacAuth("id", secret), lambda: TokenAuth(secret)):
        with pytest.raises(ConfigurationError) as caught:
            make()

        assert caught.value.field in {"secret_key", "token"}
        assert "cret" not in str(caught.value).replace("secret_key", "")


async def test_token_goes_out_as_it_is():
    """A token is opaque, and no timestamp goes with it."""
    auth = TokenAuth("APIV2:430:c8mTcH:1234567890123:7mbi=")
    await auth.prepare()

    assert auth.headers("GET", "/api/v2/owners", NOW) == {
        "Authorization": "TC-Token APIV2:430:c8mTcH:1234567890123:7mbi="
    }
    assert not await auth.refresh(auth.headers("GET", "/", NOW))


class Supplier:
    """Hands out t1, t2 and so on, or the same one for ever."""

    def __init__(self, *, renews: bool = True) -> None:
        self.asked = 0
        self.renews = renews

    async def __call__(self) -> str:
        """Give the next token."""
        await anyio.lowlevel.checkpoint()
        self.asked += 1
        return f"t{self.asked if self.renews else 0}"


async def test_supplier_is_asked_once_before_the_first_requests():
    """Requests that start together share the first token."""
    supplier = Supplier()
    auth = TokenAuth(supplier)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(auth.prepare)

    assert (supplier.asked, auth.headers("GET", "/", NOW)["Authorization"]) == (1, "TC-Token t1")


async def test_supplier_is_asked_once_for_requests_that_fail_together():
    """Whoever was refused with an old token finds that it was renewed meanwhile."""
    supplier = Supplier()
    auth = TokenAuth(supplier)
    await auth.prepare()
    refused = auth.headers("GET", "/", NOW)
    helped: list[bool] = []

    async def fail() -> None:
        helped.append(await auth.refresh(refused))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(fail)
    await fail()

    assert (supplier.asked, helped) == (2, [True] * 6)


async def test_the_same_token_again_does_not_help():
    """A supplier that has no other token leaves the refusal as it is."""
    auth = TokenAuth(Supplier(renews=False))
    await auth.prepare()

    assert not await auth.refresh(auth.headers("GET", "/", NOW))


async def test_a_plain_function_supplies_tokens_too():
    """What it returns is the token, asked for again when the server refuses it."""
    tokens = iter(["t1", "t2"])
    auth = TokenAuth(lambda: next(tokens))
    await auth.prepare()
    refused = auth.headers("GET", "/", NOW)

    assert refused == {"Authorization": "TC-Token t1"}
    assert await auth.refresh(refused)
    assert auth.headers("GET", "/", NOW) == {"Authorization": "TC-Token t2"}


@pytest.mark.parametrize("given", [None, 5, b"token"])
async def test_a_plain_function_that_gives_no_token_is_named(given):
    """It is refused as a token is."""
    with pytest.raises(ConfigurationError, match="token is") as raised:
        await TokenAuth(lambda: given).prepare()

    assert raised.value.field == "token"


async def test_supplier_that_gives_no_token_is_named():
    """What a supplier returns is checked as a token is."""

    async def nothing() -> str:
        return ""

    with pytest.raises(ConfigurationError, match="token"):
        await TokenAuth(nothing).prepare()


async def test_a_scheme_of_ones_own_needs_headers_only():
    """Credentials are prepared and refreshed only where a scheme has something to do."""

    class Fixed(Auth):
        def headers(self, method, raw_path_qs, timestamp):
            return {"Authorization": "Fixed"}

    auth = Fixed()
    await auth.prepare()

    assert not await auth.refresh(auth.headers("GET", "/", NOW))
