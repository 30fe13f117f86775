"""The page in a real browser: that it looks right, stays up to date, and runs nothing of others."""

from __future__ import annotations

import json
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from support.pages import HOSTILE

from aiotcbatch.sandbox import ManualClock, Sandbox
from tests.sandbox.conftest import Caller, calling, configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"
)

WIDTHS = (1280, 375)
#: Milliseconds after which a browser that should have done something will not.
_PATIENCE = 60_000
expect.set_options(timeout=_PATIENCE)
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, timeout=_PATIENCE)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """Open a tab in which nothing may go wrong."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(_PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    yield page
    await context.close()
    assert wrong == []


def home(call: Caller) -> str:
    """Return where the page is, without a slash at its end."""
    return call.sandbox.api_url.removesuffix("/api")


def group(name: str, xid: str, type_: str = "Adversary", **fields: Any) -> dict[str, Any]:
    """Return a group as it is sent."""
    return {"type": type_, "name": name, "xid": xid, **fields}


async def furnish(call: Caller) -> list[str]:
    """Store something of everything, and return every view of it."""
    attributes = [
        {"type": "Description", "value": "What it does. " * 40, "displayed": True},
        {"type": "Source", "value": "https://example.com/" + "long" * 60, "source": "a friend"},
    ]
    more = {
        "attribute": attributes,
        "tag": [{"name": name} for name in ("APT", "Phishing", "A rather long tag " * 4, "Crime")],
        "securityLabel": [{"name": name} for name in ("TLP:RED", "TLP:GREEN", "TLP:AMBER")],
    }
    groups = [group(f"Group number {n}", f"g-{n}", "Campaign") for n in range(60)]
    groups.append(group("Report of everything", "r", "Report", fileName="r.pdf", **more))
    groups[0]["associatedGroupXid"] = ["r"]
    host = {"type": "Host", "hostName": "bad.example.com", "rating": 4, "confidence": 80, **more}
    wrong = {"type": "Address", "ip": "not an address", "xid": "w" * 100}
    job, _ = await call.job({"group": groups, "indicator": [host, wrong]})
    await call("POST", "/v2/groups/reports/r/upload?owner=MyOrg", data=b"content")
    entities = {entity.type: entity.id for entity in call.sandbox.entities()}
    return [
        *("/", "/jobs", f"/jobs/{job}", "/groups", "/groups?q=number&type=Campaign&page=2"),
        *("/indicators", "/files", "/search?tag=APT", "/search?q=nothing+like+this"),
        *(f"/entities/{entities[type_]}" for type_ in ("Report", "Host")),
    ]


#: Finds texts that do not stand out enough from what is behind them (WCAG 2, level AA).
_FAINT = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest(".away, .skip, option")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [light(parse(style.color)), light(behind(element))];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) {
      faint.push(`${element.className} ${walker.currentNode.textContent.trim()} ${contrast}`);
    }
  }
  return faint;
}"""


async def check_fits(page: Page) -> None:
    """Check that nothing stands out at the right, neither at a desk nor on a phone."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 720})
        assert await page.evaluate("document.documentElement.scrollWidth") == width, page.url


async def check_readable(page: Page) -> None:
    """Check that every text can be read, light and dark."""
    for scheme in _SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(_FAINT) == [], (page.url, scheme)


async def test_every_view_fits_and_is_readable(browser: Browser, call: Caller) -> None:
    """No view scrolls sideways, and every text stands out from its ground, light and dark."""
    async with opened(browser) as page:
        for view in ("/", "/jobs", "/groups", "/indicators", "/files", "/search"):
            await page.goto(home(call) + view)
            await check_fits(page)
            await check_readable(page)
        for view in await furnish(call):
            await page.goto(home(call) + view)
            await check_fits(page)
            await check_readable(page)


async def test_light_and_dark_are_two(browser: Browser, call: Caller) -> None:
    """The page follows the scheme that the browser prefers."""
    grounds = []
    async with opened(browser) as page:
        await page.goto(home(call))
        for scheme in _SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            ground = "getComputedStyle(document.body).backgroundColor"
            grounds.append(await page.evaluate(ground))

    assert grounds[0] != grounds[1]


async def test_hostile_values_do_nothing(browser: Browser, call: Caller) -> None:
    """Values that hope to be code stay text: nothing runs, nothing is loaded, nothing moves."""
    views = ["/", "/jobs", "/groups", "/indicators", "/search?q=x", "/files"]
    for text in HOSTILE.values():
        name = (text * (10_000 // len(text)))[:10_000]
        description = {"type": "Description", "value": name, "displayed": True, "source": text}
        fields: dict[str, Any] = {
            "attribute": [description],
            "tag": [{"name": text[:120]}],
            "securityLabel": [{"name": text[:40], "color": text[:6], "description": text}],
        }
        groups = [
            group(text, f"{text[:50]}-x", "Document", fileName=text[:90], **fields),
            group("Other", f"{text[:50]}-y", associatedGroupXid=[f"{text[:50]}-x"], **fields),
        ]
        url = {"type": "URL", "text": f"http://x.example/{name}", "xid": name[:200], **fields}
        wrong = {"type": text, "summary": name}
        job, _ = await call.job({"group": groups, "indicator": [url, wrong]})
        views.append(f"/jobs/{job}")
    entities = call.sandbox.entities()
    assert len(entities) > 2 * len(HOSTILE)
    views += [f"/entities/{entity.id}" for entity in entities if entity.summary != "Other"]
    views.append(next(f"/entities/{entity.id}" for entity in entities if entity.summary == "Other"))
    async with opened(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for view in views:
            await page.goto(home(call) + view)
            await check_fits(page)
            assert await page.evaluate("window.owned === undefined && document.scripts.length == 1")
        assert [url for url in asked if not url.startswith(home(call))] == []


async def test_an_open_page_follows_a_job(browser: Browser) -> None:
    """While a job runs its page shows how far it is, without anyone loading it again."""
    clock = ManualClock()
    sandbox = Sandbox(["MyOrg"], clock=clock, entities_per_second=100, seed=1)
    async with calling(sandbox) as call, opened(browser) as page:
        pulse, counts = page.locator("[data-pulse]"), page.locator(".under")
        await page.goto(home(call))
        await expect(page.get_by_text("Nothing here yet")).to_be_visible()
        await expect(pulse).to_have_text("idle")

        document = {"group": [group(f"Group {n}", str(n)) for n in range(6)]}
        await call("POST", "/v2/batch", json=configuration())
        await call("POST", "/v2/batch/1", data=json.dumps(document))

        await expect(page.get_by_text("Latest jobs")).to_be_visible()
        await expect(pulse).to_have_text("1 job in work")
        await page.get_by_text("Job 1").click()
        await expect(page.locator(".state")).to_have_text("Running")
        await expect(counts).to_contain_text("2 groups")
        before = await page.locator(".bar rect").get_attribute("width")
        clock.advance(0.02)
        await expect(counts).to_contain_text("4 groups")
        after = await page.locator(".bar rect").get_attribute("width")
        assert 0 < float(before or 0) < float(after or 0) < 100
        clock.advance(0.02)
        await expect(counts).to_contain_text("6 groups")
        clock.advance(0.02)
        await expect(page.locator(".state")).to_have_text("Completed")
        await expect(pulse).to_have_text("idle")


async def test_a_page_is_fetched_again_for_a_change_and_only_then(
    browser: Browser, call: Caller
) -> None:
    """Nothing is asked for while nothing happens; one change is worth one request."""
    async with opened(browser) as page:
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.resource_type))
        async with page.expect_response("**/live"):
            await page.goto(f"{home(call)}/jobs")
        assert "fetch" not in fetched

        await call("POST", "/v2/batch", json=configuration())
        await expect(page.get_by_text("Job 1")).to_be_visible()

        assert fetched.count("fetch") == 1


async def test_a_page_says_when_the_sandbox_is_gone(browser: Browser) -> None:
    """An open page does not pretend that a sandbox is there that was stopped."""
    page = await browser.new_page()
    async with calling(Sandbox(["MyOrg"])) as call:
        await page.goto(home(call))
        await expect(page.locator("[data-pulse]")).to_have_text("idle")

    await expect(page.locator("[data-pulse]")).to_have_text("not reachable")


async def test_it_works_without_scripts(browser: Browser, call: Caller) -> None:
    """Everything can be found without JavaScript; loading again brings what is new."""
    async with opened(browser, java_script_enabled=False) as page:
        await page.goto(home(call))
        await furnish(call)
        await page.reload()
        await page.get_by_role("link", name="Groups", exact=True).first.click()
        await page.get_by_label("Name or xid contains").fill("number 5")
        await page.get_by_label("Type").select_option("Campaign")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator(".entities li")).to_have_count(11)
        await page.get_by_role("link", name="Group number 59").click()
        await expect(page.get_by_role("heading", name="Group number 59")).to_be_visible()


async def test_lists_are_searched_and_paged(browser: Browser, call: Caller) -> None:
    """Slash goes to the search, a choice is applied at once, and pages follow one another."""
    await furnish(call)
    async with opened(browser) as page:
        rows = page.locator(".entities li")
        await page.goto(f"{home(call)}/groups")
        await page.get_by_role("link", name="Next →").click()
        await expect(rows).to_have_count(11)
        await page.get_by_role("link", name="← Previous").click()
        await expect(page).to_have_url(f"{home(call)}/groups")
        await page.keyboard.press("/")
        await page.keyboard.type("report")
        await page.keyboard.press("Enter")
        await expect(rows).to_have_count(1)
        await page.get_by_label("Type").select_option("Campaign")
        await expect(page.get_by_text("Nothing found")).to_be_visible()
        await page.locator(".active a", has_text="contains").click()
        await expect(page).to_have_url(f"{home(call)}/groups?type=Campaign")
        await expect(rows).to_have_count(50)


async def test_links_lead_from_entity_to_entity(browser: Browser, call: Caller) -> None:
    """From an entity one gets to what it is associated with, to its tags and to its file."""
    await furnish(call)
    async with opened(browser) as page:
        await page.goto(f"{home(call)}/search?q=everything")
        await page.get_by_role("link", name="Report of everything").click()
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="Download").click()
        saved = await saving.value
        assert saved.suggested_filename == "r.pdf"
        assert (await saved.path()).read_bytes() == b"content"
        await page.get_by_role("link", name="Group number 0").click()
        await page.get_by_role("link", name="Report of everything").click()
        await page.locator(".cloud").get_by_role("link", name="APT").click()
        await expect(page.locator(".entities li")).to_have_count(2)


async def test_lines_to_paste_are_copied(browser: Browser, call: Caller) -> None:
    """A button copies the lines that make clients find the sandbox."""
    permissions = ["clipboard-read", "clipboard-write"]
    async with opened(browser, permissions=permissions) as page:
        await page.goto(home(call))
        await page.get_by_role("button", name="Copy").first.click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await page.evaluate("navigator.clipboard.readText()")

    assert f"export TC_TOKEN={call.sandbox.token}\n" in copied
