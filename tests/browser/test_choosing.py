"""Fields that find their choices as the user types, by mouse and by keyboard."""

from playwright.sync_api import Page, expect

from .conftest import OpenPage

NEW = "/admin/exporters/namespace/new/"


def _type(page: Page, words: str) -> None:
    page.keyboard.type(words)
    expect(page.locator(".select2-results__option--highlighted")).to_contain_text(words)
    page.keyboard.press("Enter")


def test_a_stored_credential_is_found_by_typing_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page(NEW, width=360)
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("combobox", name="Credential")).to_be_focused()
    page.keyboard.press("Enter")
    _type(page, "payments-stage-manage (payments)"[:21])
    chosen = page.locator("#id_credential option:checked")
    expect(chosen).to_have_text("payments-stage-manage (payments)")


def test_namespaces_of_a_token_are_found_by_typing(open_page: OpenPage) -> None:
    page = open_page("/admin/exporters/scrapetoken/add/")
    for name in ("payments-prod", "orders-prod"):
        page.locator(".field-namespaces .select2-selection").click()
        _type(page, name)
    expect(page.locator("#id_namespaces option:checked")).to_have_count(2)
