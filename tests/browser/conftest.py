"""Chromium on a running hub. `open_page` gives a signed-in page that is watched for errors until the test ends."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import programs

from .demo import PASSWORD, Demo, running
from .watched import Watch

NPM = Path(__file__).parent / "npm"
OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # One worker: they share the hub, the browser and the folder that npm installs into.
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A hub with data of every kind. A test that changes an object makes one of its own."""
    programs.require("chromium")
    with running(tmp_path_factory.mktemp("certificates")) as demo:
        yield demo


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = programs.require("chromium")
    # Ended with this package's last test: while Playwright runs, Django takes the main thread for an event loop's.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def sessions() -> dict[str, Any]:
    """Signed-in sessions by user, so that each signs in once."""
    return {}


@pytest.fixture
def open_page(demo: Demo, chromium: Browser, sessions: dict[str, Any]) -> Iterator[OpenPage]:
    """Open a page: open_page("/admin/", user="admin", width=1280). Whatever goes wrong on it fails the test."""
    watch = Watch(urlsplit(demo.address).netloc)
    contexts = []

    def open_page(
        path: str = "/admin/", *, user: str = "admin", width: int = 1280, status: int = 200, **options: Any
    ) -> Page:
        watch.expected_status = status
        if user and user not in sessions:
            sessions[user] = _sign_in(demo, chromium, user)
        context = chromium.new_context(
            base_url=demo.address,
            viewport={"width": width, "height": 900},
            storage_state=sessions[user] if user else None,
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(30_000)
        watch.on(context)
        page = context.new_page()
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status, path
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.problems == []


def _sign_in(demo: Demo, chromium: Browser, user: str) -> Any:
    context = chromium.new_context(base_url=demo.address)
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#main-nav")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="package")
def axe() -> str:
    """Return axe-core's script, installed from the lock file."""
    npm = programs.require("npm")
    locked = hashlib.sha256((NPM / "package-lock.json").read_bytes()).hexdigest()
    stamp = NPM / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_text() != locked:
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            reason = f"npm could not install axe-core: {done.stderr[-300:]}"
            pytest.fail(reason) if os.environ.get("HUB_TEST_NO_SKIP") == "1" else pytest.skip(reason)
        stamp.write_text(locked)
    return (NPM / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
