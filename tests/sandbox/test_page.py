"""The page over HTTP: what it shows, that it shows it as text, and whom it lets look."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
from support.pages import HOSTILE, Html
from yarl import URL

from aiotcbatch.sandbox import ManualClock, Sandbox, SecurityLabel
from aiotcbatch.sandbox.page import connect
from aiotcbatch.sandbox.page.text import shown
from aiotcbatch.sandbox.settings import Owner, User
from tests.sandbox.conftest import Caller, Reply, calling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from sqlite3 import Connection
VIEWS = ("/", "/jobs", "/groups", "/indicators", "/files", "/search?q=a", "/nowhere")


async def get(call: Caller, path: str, **rest: Any) -> Reply:
    """Ask for a page and read it."""
    base = call.sandbox.api_url.removesuffix("/api")
    url = URL(base + path, encoded=True)
    async with call.session.get(url, **rest) as answer:
        return Reply(answer.status, answer.headers, await answer.read())


async def look(call: Caller, path: str, status: int = 200) -> Html:
    """Ask for a page and read what it shows."""
    answer = await get(call, path)
    assert answer.status == status
    return Html(answer.body.decode())


def group(name: str, xid: str, type_: str = "Adversary", **fields: Any) -> dict[str, Any]:
    """Return a group as it is sent."""
    return {"type": type_, "name": name, "xid": xid, **fields}


# What it shows ------------------------------------------------------------------------------


async def test_an_empty_sandbox_tells_what_to_do_next(call: Caller) -> None:
    """Where nothing is yet, the page gives lines that find the sandbox."""
    page = await look(call, "/")

    assert "Nothing here yet" in page.text
    for name in ("TC_API_PATH", "TC_API_ACCESS_ID", "TC_API_SECRET_KEY", "TC_TOKEN"):
        value = call.sandbox.environment[name]
        assert f"export {name}={value}\n" in page.inside("environment")


async def test_the_commands_of_the_empty_page_work(call: Caller) -> None:
    """The lines to paste, run by a shell as they stand, store a group and an indicator."""
    page = await look(call, "/")
    script = f"{page.inside('environment')}\n{page.inside('curl')} --silent --fail --show-error"

    done = await anyio.run_process(["bash", "-euc", script], check=False)

    assert done.stderr == b""
    stored = [(entity.type, entity.summary) for entity in call.sandbox.entities()]
    assert stored == [("Adversary", "Bad Guys"), ("Host", "bad.example.com")]


async def test_the_overview_counts_and_names_the_latest_jobs(call: Caller) -> None:
    """The overview shows how many entities of each type there are, and the jobs that came."""
    await call.job({"group": [group("One", "1"), group("Two", "2", "Campaign")]})

    page = await look(call, "/")

    assert "/groups?type=Campaign" in page.links()
    assert "/jobs/1" in page.links()
    assert "2 groups" in " ".join(page.text.split())


async def test_counts_follow_what_is_stored(call: Caller) -> None:
    """Numbers that were counted once are counted again after every change."""
    await call.job({"group": [group("One", "1")]})
    before = await look(call, "/groups")
    await call.job({"group": [group("Two", "2")]})
    after = await look(call, "/groups")
    await call.sandbox.reset()
    emptied = await look(call, "/groups")

    assert "1 in all" in before.text
    assert "2 in all" in after.text
    assert "No groups yet" in emptied.text


async def test_a_restored_snapshot_is_counted_again(call: Caller) -> None:
    """After everything was put back the page shows what is there then."""
    empty = await call.sandbox.snapshot()
    await call.job({"group": [group("One", "1")]})
    await look(call, "/groups")
    await call.sandbox.restore(empty)

    assert "No groups yet" in (await look(call, "/groups")).text


async def test_one_entity_with_all_that_hangs_on_it(call: Caller) -> None:
    """The page of an entity has its attributes, tags, labels, associations and facts."""
    attributes = [
        {"type": "Description", "value": "Sells access", "displayed": True, "source": "a friend"},
        {"type": "Source", "value": "long " * 1000},
    ]
    labels = [{"name": "TLP:RED", "color": "FF2B2B", "description": "x"}]
    first = group("One", "1", attribute=attributes, tag=[{"name": "APT"}], securityLabel=labels)
    second = group("Two", "2", "Incident", associatedGroupXid=["1"], status="New")
    await call.job({"group": [first, second]})
    one, two = (entity.id for entity in call.sandbox.entities())

    page = await look(call, f"/entities/{one}")
    other = await look(call, f"/entities/{two}")

    assert all(text in page.text for text in ("Sells access", "displayed", "a friend", "TLP:RED"))
    assert "/search?tag=APT" in page.links()
    assert f"/entities/{two}" in page.links()
    assert f"/entities/{one}" in other.links()
    assert "Status" in other.text


async def test_a_long_attribute_is_shown_in_full_on_demand(call: Caller) -> None:
    """A long value is cut, with a link that shows all of it."""
    value = "x" * 3000 + "the end"
    attributes = [{"type": "Description", "value": value}]
    await call.job({"group": [group("One", "1", attribute=attributes)]})
    (entity,) = call.sandbox.entities()

    page = await look(call, f"/entities/{entity.id}")
    (more,) = [link for link in page.links() if "attribute=" in link]
    whole = await look(call, more.partition("#")[0])

    assert "the end" not in page.text
    assert value in whole.text


async def test_an_indicator_with_its_rating_and_its_occurrences(call: Caller) -> None:
    """Rating, confidence and file occurrences of an indicator are on its page."""
    file = {
        "type": "File",
        "md5": "a" * 32,
        "rating": 4,
        "confidence": 77,
        "fileOccurrence": [{"fileName": "drop.exe", "path": "C:\\Temp", "date": "2024-01-01"}],
    }
    await call.job({"indicator": [file]})
    (entity,) = call.sandbox.entities()

    page = await look(call, f"/entities/{entity.id}")

    assert all(text in page.text for text in ("77 %", "drop.exe", "C:\\Temp"))
    assert "rating 4.0 of 5" in [element.get("title") for element in page.of("span")]


async def test_a_job_with_its_timeline_counts_and_errors(call: Caller) -> None:
    """The page of a job tells its times, what became of it and what went wrong."""
    bad = group("Two", "bad-1", attribute=[{"type": "Nope", "value": "x"}])
    job_id, _ = await call.job({"group": [group("One", "1"), bad]})

    page = await look(call, f"/jobs/{job_id}")

    assert all(step in page.text for step in ("Created", "Uploaded", "Started", "Completed"))
    assert "0x2002" in page.text
    assert "Nope" in page.text
    assert "/search?q=bad-1" in page.links()


async def test_errors_are_paged(call: Caller) -> None:
    """Of many errors one page is shown, and links lead to the others."""
    document = {"indicator": [{"type": "Nope", "summary": str(n)} for n in range(120)]}
    job_id, _ = await call.job(document)

    first = await look(call, f"/jobs/{job_id}")
    last = await look(call, f"/jobs/{job_id}?page=3")

    assert "1\u201350 of 120" in first.text
    assert f"/jobs/{job_id}?page=2#errors" in first.links()
    assert "101\u2013120 of 120" in last.text


async def test_a_job_in_work_shows_how_far_it_is() -> None:
    """A running job shows how much of its document has been read, and others wait their turn."""
    clock = ManualClock()
    sandbox = Sandbox(["MyOrg"], clock=clock, entities_per_second=100, chunk=50, seed=1)
    async with calling(sandbox) as call:
        document = {"indicator": [{"type": "Host", "hostName": f"h{n}.example"} for n in range(4)]}
        for _ in range(2):
            reply = await call(
                "POST",
                "/v2/batch",
                json={
                    "owner": "MyOrg",
                    "action": "Create",
                    "attributeWriteType": "Replace",
                    "haltOnError": False,
                    "version": "V2",
                },
            )
            job_id = reply.json["data"]["batchId"]
            await call("POST", f"/v2/batch/{job_id}", data=json.dumps(document))
        await clock.sleeping()

        running, waiting = await look(call, "/jobs/1"), await look(call, "/jobs/2")

        assert "Running" in running.text
        assert "% of its document read" in running.text
        assert "0 % of its document read" not in running.text
        assert "waiting for its turn" in waiting.text
        assert "2 jobs in work" in running.text


# Finding things -----------------------------------------------------------------------------


@pytest.fixture
async def filled(call: Caller) -> Caller:
    """A sandbox with some groups and indicators in two owners."""
    groups = [
        group(f"Group {n}", f"g-{n}", tag=[{"name": "Even" if n % 2 == 0 else "Odd"}])
        for n in range(120)
    ]
    groups.append(group("100% sure_thing", "odd-name"))
    await call.job({"group": groups, "indicator": [{"type": "Host", "hostName": "g-1.example"}]})
    await call.job({"group": [group("Group 1", "elsewhere", "Campaign")]}, owner="Other")
    return call


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/groups", 122),
        ("/groups?q=GROUP%201", 32),
        ("/groups?q=g-11", 11),
        ("/groups?q=100%25", 1),
        ("/groups?q=_", 1),
        ("/groups?q=%25%25", 0),
        ("/groups?type=Campaign", 1),
        ("/groups?type=Nope", 0),
        ("/groups?owner=Other", 1),
        ("/groups?owner=Nobody", 0),
        ("/groups?tag=Even", 60),
        ("/groups?tag=Eve", 0),
        ("/groups?tag=Even&q=Group%2011&type=Adversary&owner=MyOrg", 5),
        ("/indicators", 1),
        ("/indicators?q=group", 0),
        ("/search?q=g-1", 32),
        ("/search?q=g-1&type=Host", 1),
        ("/search?q=" + "x" * 5000, 0),
        ("/search?q=%ED%A0%80%00%FF", 0),
    ],
)
async def test_a_search_finds_what_contains_the_text(
    filled: Caller, path: str, number: int
) -> None:
    """Text, type, owner and tag narrow a list, and each of them is taken literally."""
    page = await look(filled, path)

    assert f"{number} " in page.text
    assert len({link for link in page.links() if link.startswith("/entities/")}) == min(50, number)
    assert ("Nothing found" in page.text) is (number == 0)


async def test_lists_are_paged(filled: Caller) -> None:
    """A page of a list has fifty rows, keeps what was searched for, and leads to its neighbours."""
    first = await look(filled, "/groups?q=Group&type=Adversary")
    second = await look(filled, "/groups?q=Group&type=Adversary&page=2")
    last = await look(filled, "/groups?q=Group&type=Adversary&page=3")

    assert "/groups?q=Group&type=Adversary&page=2" in first.links()
    assert "/groups?q=Group&type=Adversary" in second.links()
    assert "/groups?q=Group&type=Adversary&page=3" in second.links()
    assert "101\u2013120 of 120" in last.text
    rows = [
        {link for link in page.links() if link.startswith("/entities/")}
        for page in (first, second, last)
    ]
    assert len(set.union(*rows)) == 120


@pytest.mark.parametrize("number", ["0", "-1", "99999", "9" * 40, "x", "", "1.5", "%00"])
async def test_a_page_that_does_not_exist_is_the_nearest(filled: Caller, number: str) -> None:
    """Whatever is asked for as the number of a page, a page is shown."""
    page = await look(filled, f"/groups?page={number}")

    assert " of 122" in page.text


async def test_associations_are_narrowed_by_type_and_paged(call: Caller) -> None:
    """Associations of an entity are counted by type, shown by type, and paged."""
    groups = [group("Center", "0")]
    groups += [group(f"A {n:03}", f"a{n}", associatedGroupXid=["0"]) for n in range(50)]
    groups += [group(f"C {n:03}", f"c{n}", "Campaign", associatedGroupXid=["0"]) for n in range(3)]
    await call.job({"group": groups})
    path = f"/entities/{call.sandbox.entities()[0].id}"

    everything, second = await look(call, path), await look(call, f"{path}?links=2")
    campaigns = await look(call, f"{path}?linked=Campaign")

    assert "1\u201340 of 53" in everything.text
    assert "41\u201353 of 53" in second.text
    assert [name in campaigns.text for name in ("C 000", "C 002", "A 000")] == [True, True, False]


# Everything is data -------------------------------------------------------------------------


async def hostile_sandbox(call: Caller, text: str) -> None:
    """Put a text wherever a client can put one."""
    name = f"{text} name"
    attribute = {"type": "Description", "value": text, "displayed": True, "source": text}
    everywhere: dict[str, Any] = {
        "attribute": [attribute, {"type": f"{text} type", "value": text}],
        "tag": [{"name": text[:120]}],
        "securityLabel": [{"name": text[:40], "color": text[:10], "description": text}],
    }
    groups = [
        group(name, f"{text[:60]}-1", "Document", fileName=text[:90], **everywhere),
        group(name, "sig", "Signature", fileName=text[:90], fileType="YARA", fileText=text),
        group("Two", "plain", associatedGroupXid=[f"{text[:60]}-1", "sig"], **everywhere),
    ]
    url = {"type": "URL", "text": f"http://x.example/?{text}", "xid": text[:60], **everywhere}
    file = {
        "type": "File",
        "md5": "a" * 32,
        "fileOccurrence": [{"fileName": text, "path": text, "date": "2024-01-01"}],
    }
    await call.job({"group": groups, "indicator": [url, file, {"type": text, "summary": text}]})
    await call.job({"group": [{"type": text, "name": text, "xid": text}], text: [text]})
    await call.job(f"{text} is not JSON".encode(errors="replace"))
    for entity in call.sandbox.entities(type="Document"):
        path = f"/v2/groups/documents/{entity.id}/upload"
        await call("POST", path, data=text.encode(errors="replace"))


def check_harmless(page: Html) -> None:
    """Check that a page has nothing but what its templates have."""
    assert {name for name, _ in page.elements} <= {
        *("html", "head", "meta", "title", "link", "script", "body", "header", "footer", "main"),
        *("a", "b", "i", "p", "h1", "h2", "h3", "img", "nav", "form", "input", "span", "div"),
        *("section", "ol", "ul", "li", "dl", "dt", "dd", "bdi", "code", "pre", "time", "svg"),
        *("rect", "circle", "label", "select", "option", "button", "details", "summary", "table"),
        *("thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    }
    assert len(page.of("script")) == 1
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
        for where in ("href", "src", "action"):
            if attributes.get(where) is not None:
                assert str(attributes[where]).startswith(("/", "#")), (name, attributes)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_every_value_is_shown_as_text(text: str) -> None:
    """Whatever a client sends stands on every page as text, and as nothing else."""
    sandbox = Sandbox([Owner(name="MyOrg"), Owner(name=text)], seed=1)
    async with calling(sandbox) as call:
        await hostile_sandbox(call, text)
        seen, waiting = set[str](), ["/", "/jobs", "/groups", "/indicators", "/files", "/search"]
        texts = []
        while waiting and len(seen) < 80:
            path = waiting.pop()
            if path in seen or path.startswith("/files/") or path.endswith("/document"):
                continue
            seen.add(path)
            page = await look(call, path)
            check_harmless(page)
            texts.append(page.text)
            waiting += [link.partition("#")[0] for link in page.links() if link.startswith("/")]

        everything = "\n".join(texts)
        (visible,) = Html(f"<p>{shown(text)}</p>").text.splitlines() or [""]
        assert everything.count(visible) > 10
        assert len(seen) > 15


async def test_characters_that_hide_or_turn_others_are_named(call: Caller) -> None:
    """Controls, bidirectional marks and the like stand there by their number."""
    await call.job({"group": [group("a\u202eb\u0007c\u200bd", "\u2066x")]})

    page = await look(call, "/groups")

    assert "aU+202EbU+0007cU+200Bd" in page.text
    assert "U+2066x" in page.text


async def test_halves_of_surrogate_pairs_do_no_harm(call: Caller) -> None:
    """A lone surrogate, which no UTF-8 has, is shown as the replacement that is stored."""
    await call.job(b'{"group":[{"type":"Adversary","name":"a\\ud800b","xid":"\\udfff"}]}')

    page = await look(call, "/groups")

    assert "a\ufffdb" in page.text


async def test_the_title_of_a_page_does_what_it_should(call: Caller) -> None:
    """No character of a name turns the title around, ends it, or cannot be seen in it."""
    name = "</title>\u202ea\x00b"
    await call.job({"group": [group(name, "1")]})

    page = (await call.session.get(call.sandbox.api_url.replace("/api", "/entities/1"))).text

    title = re.search("<title>(.*)</title>", await page())
    assert title is not None
    assert title[1] == "&lt;/title&gt;U+202EaU+0000b · aiotcbatch sandbox"


async def test_very_long_values_are_cut_in_lists(call: Caller) -> None:
    """A list shows the beginning of a long value; the page of the entity has all of it."""
    summary = "http://x.example/" + "y" * 10_000
    await call.job({"indicator": [{"type": "URL", "text": summary, "xid": "x" * 10_000}]})
    (entity,) = call.sandbox.entities()

    rows = await look(call, "/indicators")
    page = await look(call, f"/entities/{entity.id}")

    assert len(rows.text) < 4000
    assert entity.summary in page.text


async def test_labels_have_their_colours_and_odd_colours_have_none() -> None:
    """TLP labels are drawn as TLP says; a colour that is none never reaches the page."""
    ours = SecurityLabel(name="Ours", color="00FF7F")
    async with calling(Sandbox(security_labels=[ours])) as call:
        names = [{"name": name} for name in ("TLP:AMBER+STRICT", "TLP Green", "Ours")]
        odd = {"name": "Odd", "description": "Made by a client.", "color": "red;x"}
        await call.job({"group": [group("One", "1", securityLabel=[*names, odd])]})
        page = await look(call, "/groups")

    classes = [str(span.get("class")) for span in page.of("span")]
    assert [name for name in classes if "tlp-" in name] == [
        "label tlp tlp-green",
        "label tlp tlp-amber",
    ]
    assert {circle["fill"] for circle in page.of("circle")} == {"#00FF7F", "#888888"}


# Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [11, 3_000_000])
@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"b\\c/d;e\u202ef.html', "a_b_c_d%3Be_f.html"),
        ("...", "file"),
        ("", "Report%201"),
        ("п" * 400, "%D0%BF" * 150),
    ],
)
async def test_a_file_is_saved_as_it_was_sent(
    call: Caller, name: str, saved: str, size: int
) -> None:
    """A file comes back byte for byte, to be saved under a name that is no path."""
    content = bytes(size)
    fields = {"fileName": name} if name else {}
    await call.job({"group": [group("R", "r", "Report", **fields)]})
    await call("POST", "/v2/groups/reports/r/upload?owner=MyOrg", data=io.BytesIO(content))

    page = await look(call, "/files")
    (where,) = {link for link in page.links() if link.startswith("/files/")}
    answer = await get(call, where)

    assert answer.body == content
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{saved}"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_the_document_of_a_job_is_saved_as_it_was_sent(call: Caller) -> None:
    """What a client uploaded can be had back byte for byte."""
    document = b'{ "group" : [ ] }  '
    job_id, _ = await call.job(document)

    page = await look(call, f"/jobs/{job_id}")
    answer = await get(call, f"/jobs/{job_id}/document")

    assert f"/jobs/{job_id}/document" in page.links()
    assert answer.body == document


# Who may look, and how ----------------------------------------------------------------------


@pytest.mark.parametrize("path", VIEWS)
async def test_pages_load_nothing_from_elsewhere(call: Caller, path: str) -> None:
    """A strict policy stands on every page, and every page keeps to it."""
    answer = await get(call, path)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    check_harmless(Html(answer.body.decode()))


async def test_assets_have_a_type_and_are_kept(call: Caller) -> None:
    """Style sheet, script and icon are served, and kept as long as their address is the same."""
    page = await look(call, "/")
    sources = [str(page.of("script")[0]["src"]), *(str(link["href"]) for link in page.of("link"))]

    for where in sources:
        answer = await get(call, where)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        plain = await get(call, where.partition("?")[0])
        assert plain.headers["Cache-Control"] == "no-store"
    missing = await get(call, "/assets/..%2Fhandlers.py")
    assert missing.status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/jobs/99",
        "/jobs/x",
        "/entities/99",
        f"/entities/{'9' * 30}",
        "/files/99",
        "/jobs/99/document",
        "/assets/nothing.css",
        "/apiary",
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(call: Caller, path: str) -> None:
    """An address with nothing behind it gets a page that leads back."""
    page = await look(call, path, 404)

    assert "There is nothing at this address" in page.text


async def test_the_api_is_not_in_the_way_of_the_page(call: Caller) -> None:
    """What is unknown under /api is answered by the API, not by the page."""
    for path in ("/api/v2/nowhere", "/api"):
        answer = await get(call, path)
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_the_page_changes_nothing(call: Caller, method: str) -> None:
    """No other method than GET is answered."""
    base = call.sandbox.api_url.removesuffix("/api")
    for path in ("/", "/jobs", "/groups", "/entities/1", "/live"):
        async with call.session.request(method, base + path) as answer:
            assert answer.status == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST.", 200),
        ("tc.localhost", 200),
        ("[::1]:{port}", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("localhost.evil.example", 403),
    ],
)
async def test_no_web_site_reads_it_by_its_own_name(call: Caller, host: str, status: int) -> None:
    """A browser on this machine that came by a name that someone else may own is refused."""
    port = URL(call.sandbox.api_url).port
    answer = await get(call, "/", headers={"Host": host.format(port=port)})

    assert answer.status == status
    assert (call.sandbox.token in answer.body.decode()) is (status == 200)


def test_secrets_are_for_browsers_on_this_machine() -> None:
    """Who looks from another machine gets the lines without what lets one in."""
    user = User(access_id="1", secret_key="very secret", token="also secret")

    lines = connect.environment("http://h/api", "It's mine; $(id)", user, secrets=False)

    assert "secret" not in lines.replace("TC_API_SECRET_KEY", "")
    assert "export TC_OWNER='It'\"'\"'s mine; $(id)'" in lines


async def test_latency_is_for_the_api() -> None:
    """A sandbox that is slow on purpose has a page that is not."""
    clock = ManualClock()
    async with calling(Sandbox(clock=clock, latency=60.0)) as call:
        page = await look(call, "/")

    assert "Nothing here yet" in page.text


async def test_without_the_template_engine_the_page_says_what_to_install(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox works without the page's requirements, and its page tells what they are."""
    monkeypatch.delitem(sys.modules, "aiotcbatch.sandbox.page.rendering", raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)

    answer = await get(call, "/")
    owners = await call("GET", "/v2/owners")

    assert (answer.status, owners.status) == (501, 200)
    assert "aiotcbatch[sandbox]" in answer.body.decode()


# Live ---------------------------------------------------------------------------------------


@asynccontextmanager
async def news(call: Caller) -> AsyncIterator[Any]:
    """Listen to what the page hears."""
    async with call.session.get(call.sandbox.api_url.removesuffix("api") + "live") as answer:
        assert answer.content_type == "text/event-stream"

        async def following() -> dict[str, Any]:
            while not (line := await answer.content.readline()).startswith(b"data: "):
                assert line
            return dict(json.loads(line.removeprefix(b"data: ")))

        yield following


async def test_open_pages_hear_of_changes(call: Caller) -> None:
    """A page's mark is the one that is heard at first; another one comes with every change."""
    page = await look(call, "/")
    async with news(call) as following:
        first = await following()
        await call.job({"group": [group("One", "1")]})
        second = await following()

    assert first == {"mark": page.of("body")[0]["data-mark"], "waiting": 0}
    assert second["mark"] != first["mark"]


async def test_listeners_do_not_hold_up_the_end() -> None:
    """Closing a sandbox lets those go who listen: what they hear ends, and is not broken off."""
    async with (
        calling(Sandbox()) as call,
        call.session.get(call.sandbox.api_url.removesuffix("api") + "live") as answer,
    ):
        assert (await answer.content.readline()).startswith(b"data: ")
        await call.sandbox.aclose()

        assert await answer.content.read() == b"\n"


# Size ---------------------------------------------------------------------------------------

_MANY = 100_000
#: Of the database's machine, for one page.
_MOST_STEPS = 5_000_000


def fill(connection: Connection) -> None:
    """Store many entities, one of them with many links, the quick way."""
    connection.executemany(
        "INSERT INTO entity VALUES"
        " (?, 1, ?, ?, ?, ?, ?, 3.0, 50, 1, 0, 0, '{}', '[\"Common\"]', '[]', '[]', '[]')",
        (
            (n, f"@{n}", "GI"[n % 2], ("Malware", "Host")[n % 2], f"xid-{n}", f"name number {n}")
            for n in range(1, _MANY + 1)
        ),
    )
    connection.execute("INSERT INTO tag VALUES (1, 1, 'Rare'), (2, 1, 'Common')")
    connection.execute('UPDATE entity SET tags = \'["Common", "Rare"]\' WHERE id = 7')
    connection.executemany(
        "INSERT INTO association VALUES (1, ?, '')", ((n,) for n in range(2, 20_000))
    )
    attribute = {"type": "Description", "value": "text " * 1000, "date_added": 0.0}
    attributes = orjson.dumps([{"id": n, **attribute} for n in range(1, 2001)]).decode()
    connection.execute("UPDATE entity SET attributes = ? WHERE id = 1", (attributes,))


async def test_a_large_store_is_shown_quickly(call: Caller) -> None:
    """With 100,000 entities every page costs the database little, and is no larger."""
    database = call.sandbox.instance.store.database
    await database.run(fill)
    await look(call, "/jobs")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1000

    await database.run(lambda connection: connection.set_progress_handler(count, 1000))
    for path in (
        "/",
        "/groups",
        "/groups?page=1000",
        "/indicators?q=nothing+like+it",
        "/search?q=number+77",
        "/groups?tag=Rare",
        "/search?tag=Common&page=2000",
        "/entities/1",
        "/entities/1?links=400&page=80",
    ):
        steps = 0
        answer = await get(call, path)
        assert steps < _MOST_STEPS, path
        assert answer.status == 200
        assert len(answer.body) < 300_000, path
