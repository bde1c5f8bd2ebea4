"""Every page of the admin opens, searches and filters, and has nothing that the strict CSP forbids."""

from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from exporters.models import ScrapeToken, Source, Team
from exporters.pages.wording import EMPTY, STOPS
from tests.configuration.conftest import KEY

SCREENS = [
    "exporters/team",
    "exporters/membership",
    "exporters/credential",
    "exporters/namespace",
    "exporters/labelrule",
    "exporters/scrapetoken",
    "exporters/walllink",
    "auth/user",
]
FOUND_BY = {
    "exporters/team": "paym",
    "exporters/membership": "root",
    "exporters/credential": "payments-manage",
    "exporters/namespace": "payments-prod",
    "exporters/labelrule": "domain",
    "exporters/scrapetoken": "prometheus",
    "exporters/walllink": "office",
    "auth/user": "colleague@example",
}


class Inline(HTMLParser):
    """Collects everything that a Content-Security-Policy without unsafe-inline would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (
            tag == "script" and "src" not in names and names.get("type") != "application/json"
        ):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


def check(response: Any) -> str:
    assert response.status_code == 200
    html = str(response.content.decode())
    parser = Inline()
    parser.feed(html)
    assert parser.found == []
    assert "'unsafe" not in response.headers["Content-Security-Policy"]
    assert KEY not in html
    assert "gAAAA" not in html  # how ciphertext begins
    return html


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_lists_adds_changes_and_deletes(
    browser: Client, objects: dict[str, Any], screen: str
) -> None:
    item = objects[screen]
    assert str(item.pk) in check(browser.get(f"/admin/{screen}/"))
    check(browser.get(f"/admin/{screen}/add/"))
    check(browser.get(f"/admin/{screen}/{item.pk}/change/"))
    check(browser.get(f"/admin/{screen}/{item.pk}/history/"))
    check(browser.get(f"/admin/{screen}/{item.pk}/delete/"))


@pytest.mark.parametrize("screen", SCREENS)
def test_every_list_can_be_searched_and_filtered(
    browser: Client, objects: dict[str, Any], screen: str
) -> None:
    link = f'"/admin/{screen}/{objects[screen].pk}/'  # its form, or its dedicated page if it has one
    assert link in check(browser.get(f"/admin/{screen}/", {"q": FOUND_BY[screen]}))
    assert link not in check(browser.get(f"/admin/{screen}/", {"q": "zzz"}))
    response = browser.get(f"/admin/{screen}/")
    for spec in response.context["cl"].filter_specs:
        for choice in spec.choices(response.context["cl"]):
            check(browser.get(f"/admin/{screen}/{choice['query_string']}"))


@pytest.mark.parametrize("screen", SCREENS)
def test_no_list_has_more_than_six_columns(screen: str) -> None:
    shown = {
        f"{model._meta.label_lower.replace('.', '/')}": site for model, site in admin.site._registry.items()
    }
    assert len(shown[screen].list_display) <= 6


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_says_what_it_is_about_and_leads_back_to_its_list(
    browser: Client, objects: dict[str, Any], screen: str
) -> None:
    item = objects[screen]
    adding = check(browser.get(f"/admin/{screen}/add/"))
    assert f"<h1>Add a {item._meta.verbose_name}</h1>" in adding
    for page in ("change", "history", "delete"):
        html = check(browser.get(f"/admin/{screen}/{item.pk}/{page}/"))
        assert str(item) in unescape(html.partition("<h1>")[2].partition("</h1>")[0])
        crumbs = html.partition('<div class="breadcrumbs">')[2].partition("</div>")[0]
        assert f'<a href="/admin/{screen}/">' in crumbs
        assert f'<a href="/admin/{screen.partition("/")[0]}/">' not in crumbs  # the app has no page


def test_a_form_changes_and_deletes_no_other_object(browser: Client, namespace: Any, team: Any) -> None:
    for path in (f"namespace/{namespace.pk}", f"team/{team.pk}"):
        html = check(browser.get(f"/admin/exporters/{path}/change/"))
        for button in ("change-related", "delete-related", "view-related"):
            assert button not in html


def test_what_can_not_be_changed_is_shown_in_words(browser: Client, namespace: Any) -> None:
    type(namespace).objects.filter(pk=namespace.pk).update(
        source=Source.FILE, labels={"environment": "prod"}, metric_groups=["counts", "state"]
    )
    html = check(browser.get(f"/admin/exporters/namespace/{namespace.pk}/change/"))
    assert '<div class="readonly">environment=prod</div>' in html
    assert '<div class="readonly">counts, state</div>' in html


def test_users_are_filtered_by_whether_they_administer_the_platform(
    browser: Client, objects: dict[str, Any]
) -> None:
    assert "root@example.org" in check(browser.get("/admin/auth/user/?administrator=1"))
    assert "root@example.org" not in check(browser.get("/admin/auth/user/?administrator=0"))


def test_the_start_page_and_the_sign_in_open(browser: Client) -> None:
    assert "Service Bus exporter hub" in check(browser.get("/admin/"))
    check(Client().get("/admin/login/"))
    check(browser.get("/admin/password_change/"))


@pytest.mark.parametrize("screen", [screen for screen in SCREENS if screen != "auth/user"])
def test_an_empty_list_says_what_to_do_next(browser: Client, screen: str) -> None:
    html = check(browser.get(f"/admin/{screen}/"))
    assert EMPTY[screen.partition("/")[2]] in unescape(html)
    address = "/admin/exporters/namespace/new/" if screen == "exporters/namespace" else "add/"
    assert f'<a class="button" href="{address}">Add a' in html


def test_a_search_without_a_hit_offers_the_whole_list(browser: Client, namespace: Any) -> None:
    html = check(browser.get("/admin/exporters/namespace/", {"q": "zzz"}))
    assert "No results" in html
    assert "Show all namespaces" in html


@pytest.mark.parametrize("screen", SCREENS)
def test_deleting_says_what_will_stop(browser: Client, objects: dict[str, Any], screen: str) -> None:
    kind = screen.partition("/")[2]
    key = objects[screen].pk
    if kind == "credential":
        objects["exporters/namespace"].delete()  # objects in use can't be deleted
    assert STOPS[kind] in unescape(check(browser.get(f"/admin/{screen}/{key}/delete/")))
    action = {"action": "delete_selected", "_selected_action": [key]}
    assert STOPS[kind] in unescape(check(browser.post(f"/admin/{screen}/", action)))


def test_what_is_in_use_is_not_deleted_and_the_page_says_what_to_do_first(
    browser: Client, objects: dict[str, Any]
) -> None:
    namespace, key = objects["exporters/namespace"], objects["exporters/credential"].pk
    namespace.credential_id = key
    namespace.save()
    for html in (
        browser.get(f"/admin/exporters/credential/{key}/delete/").content.decode(),
        browser.post(
            "/admin/exporters/credential/", {"action": "delete_selected", "_selected_action": [key]}
        ).content.decode(),
    ):
        assert f"/admin/exporters/namespace/{namespace.pk}/change/" in html
        assert "First make these objects use another credential." in html
        assert 'value="Delete"' not in html


def test_groups_have_no_screen_as_roles_replace_them(browser: Client) -> None:
    assert browser.get("/admin/auth/group/").status_code == 404


def test_long_lists_are_chosen_from_by_typing(browser: Client, objects: dict[str, Any]) -> None:
    address = reverse("admin:autocomplete")
    query = {
        "app_label": "exporters",
        "model_name": "namespace",
        "field_name": "credential",
        "term": "manage",
    }
    assert [each["text"] for each in browser.get(address, query).json()["results"]] == [
        "payments-manage (payments)"
    ]


def test_a_form_that_comes_back_without_its_passwords_says_so(browser: Client) -> None:
    address, again = "/admin/auth/user/add/", "enter the password again"
    assert again not in browser.get(address).content.decode()
    fields = {
        "username": "nobody yet",
        "usable_password": "true",
        "password1": "long-and-rare",
        "password2": "other",
    }
    page = browser.post(address, fields).content.decode()
    assert again in page
    assert "long-and-rare" not in page


def test_choices_are_on_the_page_too_for_a_browser_without_javascript(
    browser: Client, objects: dict[str, Any]
) -> None:
    html = browser.get("/admin/exporters/membership/add/").content.decode()
    field = html.partition('id="id_team"')[2].partition("</select>")[0]
    assert ">payments</option>" in field
    # A browser without JavaScript selects the first option by default.
    assert field.index('<option value=""') < field.index(">payments</option>")
    assert " selected>payments" not in field


def test_more_choices_than_a_page_can_hold_are_found_by_typing_alone(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporters.admin.choices._MOST_CHOICES", 2)
    Team.objects.bulk_create(Team(name=f"team-{number}") for number in range(3))
    html = browser.get("/admin/exporters/scrapetoken/add/").content.decode()
    assert "team-1" not in html.partition('id="id_team"')[2].partition("</select>")[0]


@pytest.mark.parametrize(
    "screen",
    [
        screen
        for screen in SCREENS[:-1]
        if screen not in {"exporters/membership", "exporters/walllink"}  # hub.yaml has neither
    ],
)
class TestAnObjectOfTheFile:
    @pytest.fixture
    def item(self, objects: dict[str, Any], screen: str) -> Any:
        item = objects[screen]
        item.source = Source.FILE
        item.save()
        return item

    def test_it_can_be_looked_at_and_says_where_it_is_changed(
        self, browser: Client, item: Any, screen: str
    ) -> None:
        html = check(browser.get(f"/admin/{screen}/{item.pk}/change/"))
        assert "This object comes from hub.yaml and is read-only here." in html
        assert 'name="_save"' not in html

    def test_it_can_not_be_changed(self, browser: Client, item: Any, screen: str) -> None:
        assert browser.post(f"/admin/{screen}/{item.pk}/change/", {"name": "other"}).status_code == 403

    def test_it_can_not_be_deleted_alone_or_among_others(
        self, browser: Client, item: Any, screen: str
    ) -> None:
        assert browser.post(f"/admin/{screen}/{item.pk}/delete/", {"post": "yes"}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": [item.pk], "post": "yes"}
        browser.post(f"/admin/{screen}/", action)
        html = check(browser.post(f"/admin/{screen}/", {key: action[key] for key in action if key != "post"}))
        assert "comes from hub.yaml; remove it there" in html
        assert type(item).objects.filter(pk=item.pk).exists()


def test_deleting_a_team_takes_no_object_of_the_file_with_it(browser: Client, namespace: Any) -> None:
    namespace.source = Source.FILE
    namespace.save()
    browser.post(f"/admin/exporters/team/{namespace.team.pk}/delete/", {"post": "yes"})
    assert type(namespace).objects.exists()


def test_deleting_a_namespace_counts_its_scrapes_and_lists_none(browser: Client, namespace: Any) -> None:
    now = timezone.now()
    for _ in range(3):
        namespace.records.create(at=now, outcome="success", duration_seconds=1, allowed_seconds=9)
    html = check(browser.get(f"/admin/exporters/namespace/{namespace.pk}/delete/"))
    assert "3 scrape records" in html
    assert "Scrape record: " not in html


def test_a_credential_in_use_can_not_be_deleted_and_the_page_says_by_what(
    browser: Client, namespace: Any
) -> None:
    html = check(browser.get(f"/admin/exporters/credential/{namespace.credential.pk}/delete/"))
    assert "payments-prod" in html
    browser.post(f"/admin/exporters/credential/{namespace.credential.pk}/delete/", {"post": "yes"})
    assert type(namespace.credential).objects.exists()


def test_the_history_tells_who_changed_what_and_can_not_be_put_back(
    browser: Client, namespace: Any, administrator: Any
) -> None:
    namespace._history_user = administrator
    namespace.concurrency = 3
    namespace.save()
    html = check(browser.get(f"/admin/exporters/namespace/{namespace.pk}/history/"))
    assert "16 &rarr; 3" in html
    assert "root" in html
    version = type(namespace).history.first().pk
    for address in (f"/admin/exporters/namespace/{namespace.pk}/history/{version}/",):
        assert browser.post(address, {}).status_code in {302, 404}
    namespace.refresh_from_db()
    assert namespace.concurrency == 3


@pytest.mark.parametrize("screen", ["auth/user", "exporters/scrapetoken", "exporters/walllink"])
def test_times_are_relative_and_exact_on_hover(browser: Client, objects: dict[str, Any], screen: str) -> None:
    ScrapeToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=3))
    listed = browser.get(f"/admin/{screen}/").content.decode()
    assert "<time datetime=" in listed
    assert "a.m." not in listed
    assert "p.m." not in listed


def test_a_history_tells_how_long_ago_it_was(browser: Client, namespace: Any) -> None:
    page = browser.get(f"/admin/exporters/namespace/{namespace.pk}/history/").content.decode()
    assert "<time datetime=" in page
    assert f"/admin/exporters/namespace/{namespace.pk}/status/" in page  # the tabs
    assert f"History of {namespace}" in page


@pytest.mark.parametrize(
    ("days", "spare_days", "found"),
    [
        (-1, None, {"over"}),
        (10, None, {"soon"}),
        (90, 5, {"soon"}),
        (90, None, {"later"}),
        (None, None, {"unknown"}),
    ],
)
def test_credentials_are_found_by_when_either_secret_expires(
    browser: Client, credential: Any, days: int | None, spare_days: int | None, found: set[str]
) -> None:
    def after(number: int | None) -> Any:
        return None if number is None else timezone.now() + timedelta(days=number)

    type(credential).objects.update(expires_at=after(days), spare_expires_at=after(spare_days))
    for choice in ("over", "soon", "later", "unknown"):
        listed = browser.get(f"/admin/exporters/credential/?expiry={choice}").context["cl"].result_count
        assert bool(listed) == (choice in found), choice


def test_the_list_of_rules_reads_like_the_rules(browser: Client, objects: dict[str, Any]) -> None:
    listed = browser.get("/admin/exporters/labelrule/").content.decode()
    assert "domain = <code>$1</code>" in listed


@pytest.mark.parametrize("template", ["429.html", "500.html", "503.html", "403_csrf.html"])
def test_pages_of_errors_need_nothing_and_break_no_rule(template: str) -> None:
    html = render_to_string(template)
    parser = Inline()
    parser.feed(html)
    assert parser.found == []
    assert html.count("<h1") == 1
