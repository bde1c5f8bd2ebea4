"""Chromium on a running hub. `open_page` opens a page, signed in, and checks it for errors when the test ends."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support import programs

from .demo import PASSWORD, Demo, running
from .watched import Watch

# A busy machine takes longer than the default of 5 s.
expect.set_options(timeout=30_000)
NPM = Path(__file__).parent / "npm"
OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # One worker, because the tests share the hub, the browser and the folder that npm installs into.
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with data of every kind. A test that changes an object creates its own."""
    programs.require("chromium")
    with running(tmp_path_factory.mktemp("certificates")) as demo:
        yield demo


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = programs.require("chromium")
    # Closed after this package's last test: while Playwright runs, Django mistakes the main thread for an event loop's.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Contexts:
    """Signed-in browser contexts by user, kept between tests because their cache halves a page's load time."""

    demo: Demo
    chromium: Browser
    watch: Watch
    kept: dict[str, BrowserContext] = field(default_factory=dict)

    def of(self, user: str) -> BrowserContext:
        if user not in self.kept:
            self.kept[user] = self.new(user)
        return self.kept[user]

    def new(self, user: str, **options: Any) -> BrowserContext:
        context = self.chromium.new_context(base_url=self.demo.address, reduced_motion="reduce", **options)
        context.set_default_timeout(30_000)
        if user:
            sign_in(context, user)
        self.watch.on(context)
        return context


@pytest.fixture(scope="package")
def contexts(demo: Demo, chromium: Browser) -> Contexts:
    return Contexts(demo, chromium, Watch(urlsplit(demo.address).netloc))


@pytest.fixture
def open_page(contexts: Contexts) -> Iterator[OpenPage]:
    """Open a page: open_page("/admin/", user="admin", width=1280). Any error on it fails the test.

    With options of Playwright's new_context, or with own=True (for a test that signs out), it gets its own context.
    """
    watch = contexts.watch
    watch.problems.clear()
    pages: list[tuple[Page, BrowserContext | None]] = []

    def open_page(
        path: str = "/admin/",
        *,
        user: str = "admin",
        width: int = 1280,
        status: int = 200,
        own: bool = False,
        **options: Any,
    ) -> Page:
        watch.expected_status = status
        context = contexts.new(user, **options) if own or options else contexts.of(user)
        page = context.new_page()
        pages.append((page, context if own or options else None))
        page.set_viewport_size({"width": width, "height": 900})
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status, path
        return page

    yield open_page
    for page, own_context in pages:
        if own_context is not None:
            own_context.close()
        else:
            page.close()
    assert watch.problems == []


def sign_in(context: BrowserContext, user: str) -> None:
    """Sign in as one of the seeded users."""
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#main-nav")
    page.close()


@pytest.fixture(scope="package")
def axe() -> str:
    """Return axe-core's script, installed from the lock file."""
    packages = programs.install_npm_packages(NPM)
    return (packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
