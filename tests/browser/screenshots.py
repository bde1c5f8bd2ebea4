"""`make screenshots`: pictures of the pages into docs/images/, light and dark, wide and at 360 px.

The data is the browser tests' own. What differs from run to run, ports and tokens, is replaced in the pictures.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from bench.servers import program

from .conftest import sign_in
from .demo import Demo, running
from .pages import PAGES, Page
from .palette import compressed

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
_WIDTHS = {"wide": 1280, "small": 360}
# A picture shows what one sees first; longer pages are cut here.
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
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    wanted = [page for page in PAGES if page.picture]
    if options.only:
        wanted = [page for page in PAGES if page.name in options.only.split(",")]
    else:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    with running() as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for size in _WIDTHS:
                _take(browser, demo, wanted, scheme, size, options.folder)
        browser.close()
    total = sum(path.stat().st_size for path in options.folder.glob("*.png"))
    sys.stdout.write(
        f"{len(list(options.folder.glob('*.png')))} pictures, {total / 2**20:.1f} MiB, in {options.folder}\n"
    )
    return 0


def _take(browser: Browser, demo: Demo, wanted: list[Page], scheme: str, size: str, folder: Path) -> None:
    contexts: dict[str, BrowserContext] = {}
    workbench = browser.new_page()
    for each in wanted:
        if each.user not in contexts:
            contexts[each.user] = browser.new_context(
                base_url=demo.address,
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
                viewport={"width": _WIDTHS["wide"], "height": 700},
            )
            if each.user:
                sign_in(contexts[each.user], each.user)
        page = contexts[each.user].new_page()
        page.goto(each.address(demo.ids))
        if each.prepare:
            each.prepare(page)
        page.evaluate(_REPLACE)
        page.set_viewport_size({"width": _WIDTHS[size], "height": 700})
        height = min(_HEIGHTS[size], int(page.evaluate("document.documentElement.scrollHeight")))
        page.set_viewport_size({"width": _WIDTHS[size], "height": height})
        picture = page.screenshot(animations="disabled", caret="hide")
        (folder / f"{each.name}-{scheme}-{size}.png").write_bytes(compressed(workbench, picture))
        page.close()
    workbench.close()
    for context in contexts.values():
        context.close()


if __name__ == "__main__":
    sys.exit(main())
