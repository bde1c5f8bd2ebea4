"""`make screenshots`: capture the pages into var/screenshots/, light and dark, wide and at 360 px.

The pictures that README.md and docs/ show are copied to docs/images/. Uses the data of the browser tests. Values that
differ between runs, ports and tokens, are replaced in the pictures.
"""

import argparse
import contextlib
import re
import shutil
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.support.servers import program

from .conftest import sign_in
from .demo import Demo, running
from .pages import PAGES, Page
from .palette import compressed

ROOT = Path(__file__).resolve().parents[2]
_DEGRADED = Page("targets-degraded", "/admin/")
_WIDTHS = {"wide": 1280, "small": 360}
# A picture shows the top of a page; longer pages are cut here.
_HEIGHTS = {"wide": 1300, "small": 1300}
_REPLACE = """() => {
  scrollTo(0, 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    text.data = text.data
      .replace(/servicebus\\.localhost:\\d+/g, "servicebus.localhost:5671")
      .replace(/(localhost|127\\.0\\.0\\.1):(?!5671)\\d+/g, "$1:9580")
      .replace(/(sb[hw]_)[\\w-]{43}/g, (_, prefix) => prefix + "0".repeat(43));
  }
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names of pages, separated by commas")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "screenshots")
    options = parser.parse_args()
    wanted = [page for page in PAGES if page.picture] + [_DEGRADED]
    if options.only:
        wanted = [page for page in (*PAGES, _DEGRADED) if page.name in options.only.split(",")]
    else:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    with running() as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        # Pages that create something come last; otherwise it would appear in the other pages' lists.
        wanted.sort(key=lambda page: (page is _DEGRADED, page.name.endswith("-made")))
        contexts: dict[tuple[str, str], BrowserContext] = {}
        workbench = browser.new_page()
        # All pictures of a page are taken in a row, so that its times are the same in each.
        for page in wanted:
            if page is _DEGRADED:
                _lose_configuration(demo)
            for scheme in ("light", "dark"):
                if (page.user, scheme) not in contexts:
                    contexts[page.user, scheme] = _context(browser, demo, page.user, scheme)
                for size in _WIDTHS:
                    picture = _take(contexts[page.user, scheme], demo, page, size)
                    path = options.folder / f"{page.name}-{scheme}-{size}.png"
                    path.write_bytes(compressed(workbench, picture))
        browser.close()
    pictures = list(options.folder.glob("*.png"))
    for picture in pictures:
        if picture.name in {shown.name for shown in shown_in_docs()}:
            shutil.copy(picture, ROOT / "docs" / "images")
    total = sum(picture.stat().st_size for picture in pictures)
    sys.stdout.write(f"{len(pictures)} pictures, {total / 2**20:.1f} MiB, in {options.folder}\n")
    return 0


def shown_in_docs() -> set[Path]:
    """Return the paths of the pictures that README.md and docs/ show."""
    return {
        (text.parent / name).resolve()
        for text in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for name in re.findall(r"!\[[^]]*\]\(([^)]+\.png)\)", text.read_text(encoding="utf-8"))
    }


def _lose_configuration(demo: Demo) -> None:
    """Make the hub unable to reload its configuration, and wait until its pages report it."""
    with sqlite3.connect(demo.hub.directory / "data" / "hub.sqlite3") as database:
        database.execute("ALTER TABLE exporters_configurationversion RENAME TO lost")
    database.close()
    time.sleep(11)  # the hub reports it after 10 s
    asks = urllib.request.Request(
        f"{demo.address}/sd", headers={"Authorization": f"Bearer {demo.ids['token']}"}
    )
    for _ in range(5):  # requests like Prometheus's make the hub try to reload
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asks):
            pass
        time.sleep(1)


def _context(browser: Browser, demo: Demo, user: str, scheme: str) -> BrowserContext:
    context = browser.new_context(
        base_url=demo.address,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    if user:
        sign_in(context, user)
    return context


def _take(context: BrowserContext, demo: Demo, wanted: Page, size: str) -> bytes:
    """Return a PNG of the visible part of the page."""
    page = context.new_page()
    page.set_viewport_size({"width": _WIDTHS["wide"], "height": 700})
    response = page.goto(wanted.address(demo.ids))
    if response is None or response.status != wanted.status:
        raise RuntimeError(f"{wanted.name} answers {response.status if response else 'nothing'}")
    if wanted.prepare:
        wanted.prepare(page)
    page.evaluate(_REPLACE)
    page.set_viewport_size({"width": _WIDTHS[size], "height": 700})
    height = min(_HEIGHTS[size], int(page.evaluate("document.documentElement.scrollHeight")))
    page.set_viewport_size({"width": _WIDTHS[size], "height": height})
    picture = page.screenshot(animations="disabled", caret="hide")
    page.close()
    return picture


if __name__ == "__main__":
    sys.exit(main())
