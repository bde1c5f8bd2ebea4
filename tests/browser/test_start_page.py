"""The start page in a browser: it refreshes itself without losing the user's place, and works without JavaScript."""

import re

from playwright.sync_api import expect

from .conftest import OpenPage
from .demo import Demo


def test_it_refreshes_itself_and_keeps_the_focus_and_what_was_typed(open_page: OpenPage, demo: Demo) -> None:
    page = open_page("/admin/")
    page.fill("#find", "half a wo")
    link = f"#target-{demo.ids['payments-prod']}"
    page.focus(link)
    times = page.locator("tr", has=page.locator(link)).locator("td[data-label='Last scrape'] time")

    def scraped() -> list[str]:
        # The exact time: the relative one changes by itself, and other tests may have scraped the same numbers.
        moments: list[str] = times.evaluate_all("found => found.map(each => each.dateTime)")
        return moments

    before = scraped()
    page.wait_for_timeout(1000)  # times are in whole seconds
    assert demo.hub.get("/metrics/payments-prod", demo.ids["token"])[0] == 200
    # The record is written a moment later. A page that becomes visible again refreshes immediately.
    for _ in range(60):
        with page.expect_response("**/admin/"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(250)
        if scraped() != before:
            break
    assert scraped() != before
    assert page.evaluate("document.activeElement.id") == link[1:]
    assert page.input_value("#find") == "half a wo"


def test_refreshing_can_be_stopped_and_stays_stopped(open_page: OpenPage) -> None:
    page = open_page("/admin/", own=True)
    box = page.get_by_label("Refresh every 10 s")
    expect(box).to_be_checked()
    box.uncheck()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert asked == []
    page.reload()
    expect(page.get_by_label("Refresh every 10 s")).not_to_be_checked()


def test_who_was_signed_out_meanwhile_is_told(open_page: OpenPage) -> None:
    page = open_page("/admin/", own=True)
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("status")).to_have_text("You are signed out. Reload the page.")


def test_targets_are_found_without_javascript(open_page: OpenPage) -> None:
    signed_in = open_page("/admin/").context.storage_state()
    page = open_page("/admin/", user="", own=True, java_script_enabled=False, storage_state=signed_in)
    page.get_by_role("link", name=re.compile("^paused")).click()
    expect(page.locator("tbody.target").first).to_contain_text("paused")
    expect(page.get_by_text("payments-prod")).to_have_count(0)
    page.fill("#find", "payments-dev")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody.target")).to_contain_text("payments-dev")
    page.fill("#find", "nothing")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("No target matches")


def test_the_theme_can_be_chosen(open_page: OpenPage) -> None:
    page = open_page("/admin/", own=True, color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#header .theme-toggle").click()  # auto on a light system: first to dark
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
