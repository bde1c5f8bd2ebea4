"""From a pasted connection string to data in Prometheus, as a new user does it."""

from pathlib import Path

import yaml
from playwright.sync_api import Page, expect

from exporters.discovery.snippets import TOKEN_FILE
from tests.support import programs
from tests.support.prometheus import Prometheus
from tests.support.servers import wait_for

from .conftest import OpenPage
from .demo import Demo

# Starting programs and scraping is slow on a busy machine.
_PATIENCE_SECONDS = 90.0


def test_a_pasted_connection_string_becomes_data_in_prometheus(open_page: OpenPage, demo: Demo) -> None:
    programs.require("prometheus")
    bus = demo.bus("fresh")
    page = open_page(
        "/admin/", user="payments-owner", own=True, permissions=["clipboard-read", "clipboard-write"]
    )
    page.get_by_role("link", name="Namespaces").click()
    page.get_by_role("link", name="Add a namespace").click()

    page.fill("#id_connection_string", bus.connection_string)
    expect(page.locator("#pasted")).to_contain_text(bus.host)
    expect(page.locator("#pasted")).to_contain_text("RootManageSharedAccessKey")
    expect(page.locator("#id_name")).to_have_value("fresh")

    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("#connection-test-result")).to_contain_text("It works:")
    expect(page.locator("#connection-test-steps")).to_contain_text("2 queues, 1 topic, 1 subscription")
    expect(page.locator("#connection-test-exposition")).to_contain_text(
        'servicebus_queue_active_messages{name="work"} 5.0'
    )

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("The connection test passed.")
    expect(page.get_by_role("heading", level=1)).to_have_text("fresh")
    at = page.url

    snippet = _copied(page, "#snippet-http-sd")
    page.goto(f"/admin/exporters/scrapetoken/add/?team={demo.ids['team']}")
    page.fill("#id_name", "of-the-new-user")
    page.click("input[name=_save]")
    token = _copied(page, "#new-token")
    assert token.startswith("sbh_")

    with _prometheus(demo, snippet, token) as prometheus:
        wait_for(
            lambda: _values(prometheus) == {"work": 5.0, "team/invoices": 7.0},
            "the queues of the new namespace are in Prometheus",
            _PATIENCE_SECONDS,
        )

    page.goto(at.replace("/status/", "/delete/"))
    expect(page.locator("#content")).to_contain_text("Scrapes will get 404")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("deleted")


def test_who_goes_by_keyboard_is_at_the_button_again_after_the_test(open_page: OpenPage, demo: Demo) -> None:
    page = open_page("/admin/exporters/namespace/new/", user="payments-owner")
    page.focus("#id_connection_string")
    page.keyboard.insert_text(demo.bus("fresh").connection_string)
    expect(page.locator("#id_name")).to_have_value("fresh")
    test = page.get_by_role("button", name="Test", exact=True)
    for _ in range(4):  # the stored credentials, the name, the team, the button
        page.keyboard.press("Tab")
    expect(test).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#connection-test-result")).to_contain_text("It works:")
    expect(test).to_be_focused()


def test_without_javascript_the_test_comes_with_the_page(open_page: OpenPage, demo: Demo) -> None:
    signed_in = open_page("/admin/").context.storage_state()
    page = open_page(
        "/admin/exporters/namespace/new/",
        user="",
        own=True,
        java_script_enabled=False,
        storage_state=signed_in,
    )
    wrong = demo.bus("fresh").connection_string.partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
    page.fill("#id_connection_string", wrong)
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("#id_name")).to_have_value("fresh")
    expect(page.locator("#connection-test-steps .bad")).to_contain_text("tick Manage")
    expect(page.get_by_role("button", name="Save anyway")).to_be_visible()
    expect(page.get_by_text("What you entered is kept")).to_be_visible()


def test_without_javascript_a_token_is_made_for_a_team_that_is_chosen(
    open_page: OpenPage, demo: Demo
) -> None:
    signed_in = open_page("/admin/").context.storage_state()
    page = open_page(
        "/admin/exporters/scrapetoken/add/",
        user="",
        own=True,
        java_script_enabled=False,
        storage_state=signed_in,
    )
    page.fill("#id_name", "by-hand")
    page.select_option("#id_team", label="payments")
    page.click("input[name=_save]")
    expect(page.locator("#new-token")).to_contain_text("sbh_")


def _copied(page: Page, element: str) -> str:
    page.locator(".copy", has=page.locator(element)).get_by_role("button", name="Copy").click()
    expect(page.locator(".copy", has=page.locator(element)).get_by_role("button")).to_have_text("Copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


def _prometheus(demo: Demo, snippet: str, token: str) -> Prometheus:
    """Return a Prometheus configured with the snippet alone; only the path of the token file differs."""
    prometheus = Prometheus(demo.hub.address, [], token, interval_seconds=2)
    file: Path = prometheus.directory / "token"
    assert TOKEN_FILE in snippet
    config = yaml.safe_load(snippet.replace(TOKEN_FILE, str(file)))
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s"}  # otherwise it would take a minute
    (prometheus.directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    return prometheus


def _values(prometheus: Prometheus) -> dict[str, float]:
    found = prometheus.query('servicebus_queue_active_messages{servicebus_namespace="fresh",team="payments"}')
    return {series["metric"]["name"]: float(series["value"][1]) for series in found}
