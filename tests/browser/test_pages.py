"""Every page in a real browser: no accessibility violations, light and dark, wide and at 360 px, and no errors."""

from collections.abc import Iterator
from string import Formatter

import pytest
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect

from .conftest import OpenPage
from .demo import Demo
from .pages import NO_PAGES, PAGES, Page

_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page: BrowserPage, axe: str) -> list[str]:
    """Return what axe finds on the page: the rule, and the elements that violate it."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(axe)  # not a script element, which the CSP would rightly refuse
    options = {
        "runOnly": {"type": "tag", "values": _LEVELS},
        "resultTypes": ["violations"],
        "preload": False,  # preloading would create style elements, which the CSP refuses
    }
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("looked_at", PAGES, ids=lambda page: page.name)
def test_a_page_is_accessible_fits_small_screens_and_breaks_no_rule(
    open_page: OpenPage, demo: Demo, axe: str, looked_at: Page
) -> None:
    page = open_page(looked_at.address(demo.ids), user=looked_at.user, status=looked_at.status)
    if looked_at.prepare:
        looked_at.prepare(page)
    assert page.title()
    assert page.locator("h1").count() == 1
    assert violations(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page, axe) == []


def test_a_small_screen_shows_no_row_of_a_table_that_would_not_be_sent(open_page: OpenPage) -> None:
    page = open_page("/admin/auth/user/add/", width=360)
    expect(page.locator(".inline-group td[data-label]").first).to_be_attached()  # rows have become cards
    expect(page.locator(".inline-group tr.empty-form")).to_be_hidden()
    page.click("text=Add another Membership")
    expect(page.locator("#memberships-0")).to_be_visible()
    expect(page.locator(".inline-group tr.empty-form")).to_be_hidden()


@pytest.mark.parametrize("template", ["429", "500", "503", "403_csrf"])
def test_a_page_of_an_error_is_accessible_and_fits_small_screens(
    open_page: OpenPage, axe: str, template: str
) -> None:
    """These pages appear only on errors, so the test serves the template itself at an address of the hub."""
    page = open_page("/", user="")
    html = render_to_string(f"{template}.html")
    page.route("**/amiss", lambda route: route.fulfill(status=200, content_type="text/html", body=html))
    page.goto("/amiss")
    assert page.locator("h1").count() == 1
    assert (
        page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
        != "rgba(0, 0, 0, 0)"
    )
    assert violations(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page, axe) == []


def test_the_page_after_signing_out_is_accessible(open_page: OpenPage, axe: str) -> None:
    page = open_page("/admin/", own=True)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")
    assert violations(page, axe) == []


def test_no_page_is_missing_from_the_list() -> None:
    """Addresses without a name are the admin's own redirects and its not-found page."""
    ids = dict.fromkeys(_IDS, 1)
    listed = {resolve(page.address(ids).partition("?")[0]).url_name for page in PAGES if page.status == 200}
    named = {pattern.name for pattern in _patterns(get_resolver()) if pattern.name}
    assert sorted(named - listed - set(NO_PAGES)) == []


def test_what_is_said_to_be_no_page_exists() -> None:
    assert set(NO_PAGES) <= {pattern.name for pattern in _patterns(get_resolver())}


# The names used in the paths of PAGES.
_IDS = {name for page in PAGES for _, name, _, _ in Formatter().parse(page.path) if name}
# The addresses for Prometheus and probes.
_MACHINES = {pattern.name for pattern in get_resolver("exporters.urls").url_patterns}


def _patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    """Yield every address meant for people."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern)
        elif pattern.name not in _MACHINES:
            yield pattern
