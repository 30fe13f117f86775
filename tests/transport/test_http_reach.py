"""How a server is reached: proxies and TLS."""

from __future__ import annotations

import ssl

import anyio
import pytest
import trustme
from support.servers import ONCE, json_answer, text_answer

from aiotcbatch.errors import (
    ConfigurationError,
    ConnectError,
)

pytest_plugins = ["support.wire"]


async def test_a_proxy_gets_the_request_and_its_own_credentials(serve, connect, naps):
    """A plain request goes through the proxy, which is told who asks; its answer is taken."""
    proxy = await serve(json_answer())
    url = proxy.url.replace("http://", "http://me:hunter2@").removesuffix("/api")
    transport = connect("http://tc.example/api", proxy=url, allow_plain_http=True)
    await transport.request("GET", "/v2/owners")

    [seen] = proxy.seen
    assert seen.target == "http://tc.example/api/v2/owners"
    assert seen.headers["Proxy-Authorization"] == "Basic bWU6aHVudGVyMg=="


async def test_a_proxy_that_refuses_is_no_connection(serve, connect, naps):
    """The tunnel to the server was not opened: the error names no password, nor does its cause."""
    proxy = await serve(text_answer("", status=407))
    url = proxy.url.replace("http://", "http://me:hunter2@").removesuffix("/api")
    transport = connect("https://tc.example/api", proxy=url)
    with pytest.raises(ConnectError, match=r"the proxy refuses.*407") as caught:
        await transport.request("GET", "/v2/owners")

    [seen] = proxy.seen
    assert (seen.method, seen.target) == ("CONNECT", "tc.example:443")
    assert seen.headers["Proxy-Authorization"] == "Basic bWU6aHVudGVyMg=="
    assert naps == []
    shown = f"{caught.value} {caught.value.__cause__!r}"
    assert "hunter2" not in shown
    assert "bWU6aHVudGVyMg==" not in shown


async def test_a_proxy_that_is_not_there_is_no_connection(connect, dead_port):
    """A dead proxy is told from a dead server."""
    transport = connect("https://tc.example/api", proxy=f"http://127.0.0.1:{dead_port}", retry=ONCE)
    with pytest.raises(ConnectError, match="the proxy is not there"):
        await transport.request("GET", "/v2/owners")


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize(("no_proxy", "through"), [("", 1), ("tc.example", 0)])
async def test_proxies_of_the_environment_are_used_if_told_so(
    serve, connect, monkeypatch, scheme, no_proxy, through
):
    """With trust_env the environment's proxy is used, unless it makes an exception."""
    proxy = await serve(json_answer())
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    address = proxy.url.removeprefix("http://").removesuffix("/api")
    monkeypatch.setenv("http_proxy", f"{scheme}{address}")
    monkeypatch.setenv("no_proxy", no_proxy)
    options = {"allow_plain_http": True, "retry": ONCE}
    with pytest.raises(ConnectError) if not through else anyio.CancelScope():
        await connect("http://tc.example/api", trust_env=True, **options).request("GET", "/v2/x")
    with pytest.raises(ConnectError):
        await connect("http://tc.example/api", **options).request("GET", "/v2/x")

    assert len(proxy.seen) == through


@pytest.fixture(scope="module")
def authority():
    """Make an authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def tls(authority):
    """Make a server's side of TLS, for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("form", ["path", "context", "off"])
async def test_tls_is_verified_as_told(serve, connect, authority, tls, tmp_path, form):
    """A bundle, a context, or no check at all let a private authority pass."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    verify = {
        "path": bundle,
        "context": ssl.create_default_context(cafile=str(bundle)),
        "off": False,
    }[form]
    server = await serve(json_answer(), tls=tls)

    assert (await connect(server.url, verify=verify).request("GET", "/v2/owners")).ok


async def test_an_unknown_authority_is_final(serve, connect, naps, tls):
    """A certificate that does not verify is said to be one, and is not tried again."""
    server = await serve(json_answer(), tls=tls)
    with pytest.raises(ConnectError, match=r"certificate does not verify\. Set verify"):
        await connect(server.url).request("GET", "/v2/owners")

    assert (server.seen, naps) == ([], [])


async def test_https_to_a_plain_port_is_no_connection(serve, connect, naps):
    """A port that does not speak TLS is said so, and is not tried again."""
    server = await serve(json_answer())
    transport = connect(server.url.replace("http:", "https:"), verify=False)
    with pytest.raises(ConnectError, match="speaks https"):
        await transport.request("GET", "/v2/owners")

    assert naps == []


@pytest.mark.parametrize("content", [None, "no pem"])
async def test_a_bundle_that_is_none_is_refused(connect, tmp_path, content):
    """A CA bundle that is not there or not one names the setting."""
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(ConfigurationError, match="verify"):
        await connect("https://127.0.0.1/api", verify=str(bundle)).request("GET", "/v2/x")
