"""A rule's effect is shown as it is typed, and nothing is saved by that."""

from playwright.sync_api import expect

from .conftest import OpenPage
from .demo import Demo


def test_a_rule_shows_its_effect_while_it_is_typed(open_page: OpenPage, demo: Demo) -> None:
    address = f"/admin/exporters/namespace/{demo.ids['orders-prod']}/rules/"
    page = open_page(address)
    expect(page.locator("#entities caption")).to_contain_text("entities")
    page.get_by_role("button", name="Add a rule").click()
    page.fill("#id_rule-0-source_labels", "name")
    page.fill("#id_rule-0-regex", "(.).*")
    page.fill("#id_rule-0-target_label", "initial")
    effects = page.locator("#effects")
    entities = page.locator("#entities")
    expect(entities).to_contain_text('initial="')
    expect(entities).to_contain_text("sets initial")
    page.fill("#id_rule-0-regex", "no-entity-is-called-so")
    expect(effects).to_contain_text("matches nothing")
    expect(entities).not_to_contain_text('initial="')
    page.select_option("#id_rule-0-action", "drop")
    page.fill("#id_rule-0-target_label", "")
    page.fill("#id_rule-0-regex", ".*")
    expect(entities).to_contain_text("dropped")
    expect(page.locator("#series")).to_contain_text("0 with these rules")
    page.fill("#id_rule-0-regex", "(")
    expect(page.locator("#preview")).to_contain_text(
        "RE2 rejects this pattern: missing ): ( (at character 2)."
    )
    page.goto(address)
    expect(page.locator("#id_rule-0-regex")).to_have_count(0)


def test_a_mistake_stands_at_its_field_until_it_is_put_right(open_page: OpenPage, demo: Demo) -> None:
    page = open_page(f"/admin/exporters/namespace/{demo.ids['orders-prod']}/rules/")
    page.get_by_role("button", name="Add a rule").click()
    target, regex = page.locator("#id_rule-0-target_label"), page.locator("#id_rule-0-regex")
    expect(page.locator("#id_rule-0-target_label_error")).to_contain_text("needs a target label")
    target.fill("initial")
    expect(page.locator("#id_rule-0-target_label_error")).to_have_count(0)
    expect(target).not_to_have_attribute("aria-invalid", "true")
    regex.fill("(")
    expect(page.locator("#id_rule-0-regex_error")).to_contain_text("missing )")
    expect(regex).to_have_attribute("aria-describedby", "id_rule-0-regex_error")
    page.click("text=Save rules")
    expect(page.locator(".errornote")).to_contain_text("Not saved")
    expect(page.locator("#id_rule-0-regex_error")).to_contain_text("missing )")
    expect(regex).to_have_value("(")


def test_the_page_works_without_javascript(open_page: OpenPage, demo: Demo) -> None:
    page = open_page(
        f"/admin/exporters/namespace/{demo.ids['orders-prod']}/rules/", java_script_enabled=False
    )
    page.click("text=Paste or copy relabel_configs")
    page.fill(
        "#pasted", "- {source_labels: [name], target_label: copy}\n- {action: lowercase, target_label: a}"
    )
    page.click("text=Add the pasted rules")
    expect(page.locator("#entities")).to_contain_text('copy="')
    page.locator("#rule-1").get_by_role("button", name="Up").click()
    expect(page.locator("#id_rule-0-action")).to_have_value("lowercase")
    expect(page.locator("#id_rule-1-target_label")).to_have_value("copy")
