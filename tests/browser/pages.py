"""Every page that a person may see.

A new page is added here: it is then checked with axe, against the CSP, at 360 px and in dark mode (test_pages.py), and
captured by `make screenshots`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from playwright.sync_api import Page as BrowserPage


@dataclass(frozen=True, slots=True)
class Page:
    """A page. `path` may contain ids of tests/browser/demo_data.py in braces. `prepare` brings the page into its state.

    `user` is one of the seeded users, or "" for nobody. `picture`: whether `make screenshots` captures it.
    """

    name: str
    path: str
    user: str = "admin"
    status: int = 200
    prepare: Callable[[BrowserPage], None] | None = None
    picture: bool = False

    def address(self, ids: dict[str, Any]) -> str:
        return self.path.format(**ids)


# A page may be prepared more than once, and the earlier names are then taken.
_numbers = count(1)


def _wrong_password(page: BrowserPage) -> None:
    page.fill("#id_username", "nobody")
    page.fill("#id_password", "wrong")
    page.click("input[type=submit]")
    page.wait_for_selector(".errornote")


def _make_token(page: BrowserPage) -> None:
    page.fill("#id_name", f"prometheus-{next(_numbers)}")
    page.check("input[name=scope][value=all_teams]")
    page.click("input[name=_save]")
    page.wait_for_selector("#new-token")


def _make_wall_link(page: BrowserPage) -> None:
    page.fill("#id_name", f"screen-{next(_numbers)}")
    page.check("input[name=scope][value=all_teams]")
    page.click("input[name=_save]")
    page.wait_for_selector("#new-address")


def _empty_form(page: BrowserPage) -> None:
    page.click("input[name=_save]")
    page.wait_for_selector(".errornote")


def _two_rules(page: BrowserPage) -> None:
    page.click("button[value=add]")
    page.fill("#id_rule-0-source_labels", "name")
    page.fill("#id_rule-0-regex", "([a-z]+)/.*")
    page.fill("#id_rule-0-target_label", "domain")
    page.click("button[value=add]")
    page.select_option("#id_rule-1-action", "labeldrop")
    page.fill("#id_rule-1-regex", "(name")
    page.click("button[value=try].secondary")
    page.wait_for_selector("#id_rule-1-regex_error")


def _try_stored(page: BrowserPage) -> None:
    page.click("summary")
    page.select_option("#id_credential", label="payments-stage-manage (payments)")
    page.select_option("#id_team", label="payments")
    page.fill("#id_name", "tried-out")
    page.click("[data-test]")
    page.wait_for_selector("#connection-test-result .note")


def _test(page: BrowserPage) -> None:
    page.click("[data-test]")
    page.wait_for_selector("#connection-test-result .note")


def _plan_import(page: BrowserPage) -> None:
    page.fill(
        "#id_text",
        "teams:\n  - name: billing\n    description: Invoices\n  - name: payments\n    description: Cards\n",
    )
    page.click("button[value=plan]")
    page.wait_for_selector("button[value=apply]")


def _read_now(page: BrowserPage) -> None:
    page.click("text=Read now")
    page.wait_for_selector("table.entities, #exposition")


def _save_nothing(page: BrowserPage) -> None:
    page.fill("#id_name", "not a name")
    page.click("[data-save]")
    page.wait_for_selector(".errornote")


def _choose_all_and_delete(page: BrowserPage) -> None:
    page.check("#action-toggle")
    page.select_option("select[name=action]", "delete_selected")
    page.click("button[name=index]")
    page.wait_for_selector("input[value=Delete]")


PAGES = (
    Page("landing", "/", user="", picture=True),
    Page("not-found", "/admin/nothing/", status=404, picture=True),
    Page("sign-in", "/admin/login/", user="", picture=True),
    Page("sign-in-refused", "/admin/login/", user="", prepare=_wrong_password, picture=True),
    Page("targets", "/admin/", picture=True),
    Page("targets-of-a-viewer", "/admin/", user="payments-viewer", picture=True),
    Page("configuration-users", "/admin/auth/"),
    Page("password", "/admin/password_change/", picture=True),
    Page("password-changed", "/admin/password_change/done/", picture=True),
    Page("forbidden", "/admin/exporters/team/add/", user="payments-viewer", status=403, picture=True),
    Page("namespaces", "/admin/exporters/namespace/", picture=True),
    Page("namespaces-none-found", "/admin/exporters/namespace/?q=nothing-is-called-so", picture=True),
    Page(
        "namespaces-delete",
        "/admin/exporters/namespace/?q=shipping-stage",
        prepare=_choose_all_and_delete,
        picture=True,
    ),
    Page("namespace-new", "/admin/exporters/namespace/new/", picture=True),
    Page("namespace-new-tested", "/admin/exporters/namespace/new/", prepare=_try_stored, picture=True),
    Page("namespace-new-refused", "/admin/exporters/namespace/new/", prepare=_save_nothing),
    Page("namespace-add", "/admin/exporters/namespace/add/", picture=True),
    Page("namespace-add-refused", "/admin/exporters/namespace/add/", prepare=_empty_form),
    Page("import", "/admin/exporters/namespace/import/"),
    Page("import-difference", "/admin/exporters/namespace/import/", prepare=_plan_import, picture=True),
    Page("namespace-status", "/admin/exporters/namespace/{payments-prod}/status/", picture=True),
    Page("namespace-status-failing", "/admin/exporters/namespace/{payments-stage}/status/", picture=True),
    Page("namespace-status-tested", "/admin/exporters/namespace/{payments-prod}/status/", prepare=_test),
    Page(
        "namespace-status-of-a-viewer",
        "/admin/exporters/namespace/{payments-prod}/status/",
        "payments-viewer",
    ),
    Page("namespace-status-of-the-file", "/admin/exporters/namespace/{from_file}/status/"),
    Page("namespace-entities-unread", "/admin/exporters/namespace/{search-prod}/entities/"),
    Page(
        "namespace-entities",
        "/admin/exporters/namespace/{payments-prod}/entities/",
        prepare=_read_now,
        picture=True,
    ),
    Page(
        "namespace-exposition",
        "/admin/exporters/namespace/{payments-prod}/exposition/",
        prepare=_read_now,
        picture=True,
    ),
    Page("namespace", "/admin/exporters/namespace/{namespace}/change/", picture=True),
    Page("namespace-of-the-file", "/admin/exporters/namespace/{from_file}/change/", picture=True),
    Page("namespace-history", "/admin/exporters/namespace/{namespace}/history/", picture=True),
    Page("namespace-delete", "/admin/exporters/namespace/{namespace}/delete/", picture=True),
    Page("namespace-rules", "/admin/exporters/namespace/{payments-prod}/rules/"),
    Page(
        "namespace-rules-tried",
        "/admin/exporters/namespace/{payments-prod}/rules/",
        prepare=_two_rules,
        picture=True,
    ),
    Page("credentials", "/admin/exporters/credential/", picture=True),
    Page("credential-add", "/admin/exporters/credential/add/", picture=True),
    Page("credential", "/admin/exporters/credential/{credential}/change/", picture=True),
    Page("credential-history", "/admin/exporters/credential/{credential}/history/"),
    Page("credential-delete", "/admin/exporters/credential/{credential}/delete/"),
    Page("label-rules", "/admin/exporters/labelrule/", picture=True),
    Page("label-rule-add", "/admin/exporters/labelrule/add/", picture=True),
    Page("label-rule", "/admin/exporters/labelrule/{label_rule}/change/", picture=True),
    Page("label-rule-history", "/admin/exporters/labelrule/{label_rule}/history/"),
    Page("label-rule-delete", "/admin/exporters/labelrule/{label_rule}/delete/"),
    Page("scrape-tokens", "/admin/exporters/scrapetoken/", picture=True),
    Page("scrape-token-add", "/admin/exporters/scrapetoken/add/", picture=True),
    Page("scrape-token-made", "/admin/exporters/scrapetoken/add/", prepare=_make_token, picture=True),
    Page("scrape-token", "/admin/exporters/scrapetoken/{scrape_token}/change/", picture=True),
    Page("scrape-token-history", "/admin/exporters/scrapetoken/{scrape_token}/history/"),
    Page("scrape-token-delete", "/admin/exporters/scrapetoken/{scrape_token}/delete/"),
    Page("wall", "/wall/{wall}", user="", picture=True),
    Page("wall-links", "/admin/exporters/walllink/", picture=True),
    Page("wall-link-add", "/admin/exporters/walllink/add/", picture=True),
    Page("wall-link-made", "/admin/exporters/walllink/add/", prepare=_make_wall_link, picture=True),
    Page("wall-link", "/admin/exporters/walllink/{wall_link}/change/", picture=True),
    Page("wall-link-history", "/admin/exporters/walllink/{wall_link}/history/"),
    Page("wall-link-delete", "/admin/exporters/walllink/{wall_link}/delete/"),
    Page("teams", "/admin/exporters/team/", picture=True),
    Page("team-add", "/admin/exporters/team/add/"),
    Page("team", "/admin/exporters/team/{team}/change/", picture=True),
    Page("team-history", "/admin/exporters/team/{team}/history/"),
    Page("team-delete", "/admin/exporters/team/{team}/delete/"),
    Page("memberships", "/admin/exporters/membership/", picture=True),
    Page("membership-add", "/admin/exporters/membership/add/"),
    Page("membership", "/admin/exporters/membership/{membership}/change/"),
    Page("membership-history", "/admin/exporters/membership/{membership}/history/"),
    Page("membership-delete", "/admin/exporters/membership/{membership}/delete/"),
    Page("changes", "/admin/changes/", picture=True),
    Page("changes-of-a-viewer", "/admin/changes/", user="payments-viewer"),
    Page("changes-none-found", "/admin/changes/?q=nothing-is-called-so"),
    Page("users", "/admin/auth/user/", picture=True),
    Page("user-add", "/admin/auth/user/add/"),
    Page("user", "/admin/auth/user/{user}/change/", picture=True),
    Page("user-password", "/admin/auth/user/{user}/password/", picture=True),
    Page("user-history", "/admin/auth/user/{user}/history/"),
    Page("user-delete", "/admin/auth/user/{user}/delete/"),
)

# Addresses that show no page of their own, by URL name, each with the reason.
NO_PAGES = {
    "autocomplete": "answers JSON",
    "jsi18n": "answers JavaScript",
    "exporters_credential_spare": "takes a form and goes back to the credential",
    "logout": "takes a form and goes to the sign-in",
}
