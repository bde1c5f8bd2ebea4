"""Adding and changing the other objects: typed values arrive, and errors appear at their fields."""

import html
import threading
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client

from exporters.models import Credential, IdentityGrant, LabelRule, Membership, Namespace, ScrapeToken, Team

from .conftest import FILLED


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: list(messages) for name, messages in response.context["adminform"].form.errors.items()}


class TestTeams:
    ADD = "/admin/exporters/team/add/"
    INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}

    def test_a_team_is_added_with_its_members(self, browser: Client, administrator: Any) -> None:
        members = {
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "0",
            "memberships-0-user": administrator.pk,
            "memberships-0-role": "owner",
        }
        assert browser.post(self.ADD, {"name": "orders", **members}).status_code == 302
        assert Membership.objects.get(team__name="orders").role == "owner"

    def test_a_members_row_is_called_member(self, browser: Client) -> None:
        page = html.unescape(browser.get(self.ADD).content.decode())
        assert '"addText": "Add another Member"' in page

    def test_a_user_is_in_a_team_once(self, browser: Client, administrator: Any, team: Any) -> None:
        fields = {"user": administrator.pk, "team": team.pk, "role": "viewer"}
        assert browser.post("/admin/exporters/membership/add/", fields).status_code == 302
        again = errors(browser.post("/admin/exporters/membership/add/", fields))
        assert again == {"__all__": ["This user is already a member of this team. Change the role there."]}

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Orders", "lowercase"),
            ("-x", "lowercase"),
            ("payments", "A team with this name already exists"),
            ("", "required"),
        ],
    )
    def test_a_name_that_can_not_be_one_is_refused(
        self, browser: Client, team: Team, name: str, message: str
    ) -> None:
        assert message in errors(browser.post(self.ADD, {"name": name, **self.INLINE}))["name"][0]


class TestNamespaces:
    ADD = "/admin/exporters/namespace/add/"

    def post(self, browser: Client, address: str = ADD, **fields: Any) -> Any:
        return browser.post(address, FILLED["namespace"] | fields)

    def test_labels_are_lines_and_groups_are_boxes(self, browser: Client, credential: Credential) -> None:
        fields = {"name": "new", "team": credential.team_id, "credential": credential.pk}
        assert self.post(browser, labels="environment=prod\n zone = a=b \n\n", **fields).status_code == 302
        stored = Namespace.objects.get()
        assert stored.labels == {"environment": "prod", "zone": "a=b"}
        assert stored.metric_groups == ["counts", "state"]
        html = browser.get(f"/admin/exporters/namespace/{stored.pk}/change/").content.decode()
        assert "environment=prod\nzone=a=b</textarea>" in html

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("name", "Payments", "lowercase"),
            ("name", "payments-prod", "A namespace with this name already exists"),
            ("host", "payments.example.org", "is not a Service Bus endpoint"),
            ("host", "https://payments-prod.servicebus.windows.net/queues", "can't contain a path"),
            ("host", "orders.servicebus.windows.net", "The connection string is for payments-prod."),
            ("include", "orders(", "RE2 rejects this pattern: missing ): orders( (at character 8)."),
            ("exclude", "(?=x)", "RE2 rejects this pattern"),
            ("labels", "prod", "“prod” has no “=”"),
            ("labels", "a=1\na=2", "“a” appears twice"),
            ("labels", "service-bus=1", "is not a label name"),
            ("labels", "__x=1", "reserved by Prometheus"),
            ("labels", "instance=1", "set by Prometheus itself"),
            ("labels", "team=1", "set by the hub itself"),
            ("concurrency", "0", "greater than or equal to 1"),
            ("requests_per_second", "0", "greater than or equal to 0.1"),
            ("scrape_timeout_seconds", "61", "accept a timeout above the interval (60 s)"),
            ("metric_groups", "all", "not one of the available choices"),
        ],
    )
    def test_an_error_stands_at_its_field(
        self, browser: Client, namespace: Namespace, field: str, value: str, message: str
    ) -> None:
        fields = {
            "name": "other",
            "team": namespace.team_id,
            "credential": namespace.credential_id,
            "scrape_interval_seconds": "60",
        }
        found = errors(self.post(browser, **fields | {field: value}))
        assert list(found) == [field]
        assert message in found[field][0]

    def test_without_host_and_without_connection_string_there_is_nothing_to_read(
        self, browser: Client, team: Team, entra: Any
    ) -> None:
        credential = entra()
        credential.save()
        found = errors(self.post(browser, name="new", team=team.pk, credential=credential.pk))
        assert "Enter the host" in found["host"][0]
        assert "Enter the host" in errors(self.post(browser, name="new", team=team.pk))["host"][0]

    def test_another_teams_credential_is_refused(self, browser: Client, credential: Credential) -> None:
        other = Team.objects.create(name="orders")
        found = errors(self.post(browser, name="new", team=other.pk, credential=credential.pk))
        assert found == {"credential": ["This credential belongs to another team."]}

    def test_a_platform_credential_serves_the_teams_that_it_is_granted_to(
        self, browser: Client, entra: Any
    ) -> None:
        credential = entra(team=None)
        credential.save()
        team = Team.objects.create(name="orders")
        host = "orders.servicebus.windows.net"
        IdentityGrant.objects.create(credential=credential, team=team, hosts=[host])
        assert (
            self.post(browser, name="new", team=team.pk, credential=credential.pk, host=host).status_code
            == 302
        )


class TestLabelRules:
    ADD = "/admin/exporters/labelrule/add/"

    def test_a_rule_arrives_as_it_was_typed(self, browser: Client, namespace: Namespace) -> None:
        fields = {
            "namespace": namespace.pk,
            "source_labels": "name, topic_name",
            "separator": " ",
            "regex": " a ",
        }
        assert browser.post(self.ADD, FILLED["labelrule"] | fields).status_code == 302
        rule = LabelRule.objects.get()
        assert (rule.source_labels, rule.separator, rule.regex) == (["name", "topic_name"], " ", " a ")
        assert (rule.team, rule.position) == (namespace.team, 10)
        browser.post(self.ADD, FILLED["labelrule"] | fields)
        assert list(LabelRule.objects.values_list("position", flat=True)) == [10, 20]

    @pytest.mark.parametrize(
        ("fields", "field", "message"),
        [
            ({"regex": "("}, "regex", "RE2 rejects this pattern"),
            ({"source_labels": "service bus"}, "source_labels", "is not a label name"),
            ({"target_label": ""}, "target_label", "needs a target label"),
            ({"target_label": "a-b"}, "target_label", "is not a label name"),
            ({"action": "hashmod"}, "modulus", "needs a modulus above 0"),
            ({"action": "labelmap", "replacement": "a-$1"}, "replacement", "needs a label name"),
            ({"action": "labeldrop"}, "target_label", "accept target_label"),
            ({"action": "lowercase", "replacement": "x"}, "replacement", "accept replacement"),
            ({"action": "keepequal", "regex": "x"}, "regex", "accept regex"),
        ],
    )
    def test_what_prometheus_would_refuse_is_refused_at_its_field(
        self, browser: Client, fields: dict[str, Any], field: str, message: str
    ) -> None:
        found = errors(browser.post(self.ADD, FILLED["labelrule"] | fields))
        assert list(found) == [field]
        assert message in found[field][0]

    def test_actions_are_written_as_in_yaml(self, browser: Client, namespace: Namespace) -> None:
        assert '<option value="keepequal">keepequal</option>' in browser.get(self.ADD).content.decode()
        LabelRule.objects.create(namespace=namespace, action="labeldrop", regex="x")
        listed = browser.get("/admin/exporters/labelrule/").content.decode()
        assert "labeldrop" in listed
        assert "Labeldrop" not in listed

    def test_the_rules_move_with_their_namespace(self, namespace: Namespace) -> None:
        rule = LabelRule.objects.create(namespace=namespace, target_label="x")
        namespace.team = Team.objects.create(name="orders")
        namespace.save()
        rule.refresh_from_db()
        assert rule.team == namespace.team


class TestTokens:
    ADD = "/admin/exporters/scrapetoken/add/"

    def test_the_token_is_shown_once_and_only_its_hash_is_kept(
        self, browser: Client, namespace: Namespace
    ) -> None:
        fields = {"name": "eu", "team": namespace.team_id, "scope": "listed", "namespaces": [namespace.pk]}
        response = browser.post(self.ADD, fields)
        stored = ScrapeToken.objects.get()
        secret = response.context["token"]
        assert "no-store" in response.headers["Cache-Control"]
        assert f"Authorization: Bearer {secret}" in response.content.decode()
        assert f"/metrics/{namespace.name}" in response.content.decode()
        assert secret.startswith("sbh_")
        assert stored.token_hash == ScrapeToken.hash(secret)
        assert list(stored.namespaces.all()) == [namespace]
        for address in ("/admin/", self.ADD[:-4], f"{self.ADD[:-4]}{stored.pk}/change/"):
            html = browser.get(address).content.decode()
            assert secret not in html
            assert stored.token_hash not in html
        assert secret not in repr(dict(browser.session)) + repr(browser.cookies)

    def test_a_name_is_taken_once_in_a_team(self, browser: Client, token: ScrapeToken) -> None:
        found = errors(browser.post(self.ADD, {"name": token.name, "team": token.team_id, "scope": "team"}))
        assert found == {"__all__": ["The team already has a token with this name."]}

    def test_nor_can_it_be_renamed_to_one_that_is_taken(self, browser: Client, token: ScrapeToken) -> None:
        other = ScrapeToken(name="other", team=token.team, scope="team")
        other.set_token(ScrapeToken.generate())
        other.save()
        fields = {"name": token.name, "scope": "team", "namespaces": []}
        response = browser.post(f"{self.ADD[:-4]}{other.pk}/change/", fields)
        assert errors(response) == {"name": ["A token with this name already exists."]}

    @pytest.mark.django_db(transaction=True)
    def test_a_name_that_is_taken_while_it_is_saved_is_said_in_the_form(
        self, browser: Client, token: ScrapeToken
    ) -> None:
        taken = ScrapeToken(name="eu", team=token.team, scope="team")
        taken.set_token(ScrapeToken.generate())

        def take() -> None:
            ScrapeToken.objects.bulk_create([taken])
            connection.close()

        def somebody_else(**of_signal: Any) -> None:
            pre_save.disconnect(somebody_else, sender=ScrapeToken)
            thread = threading.Thread(target=take)
            thread.start()
            thread.join()

        if connection.vendor == "sqlite":
            take()  # SQLite has one writer at a time, from the check to the save: nobody can come in between
        else:
            pre_save.connect(somebody_else, sender=ScrapeToken)
        found = errors(browser.post(self.ADD, {"name": "eu", "team": token.team_id, "scope": "team"}))
        assert found == {"__all__": ["The team already has a token with this name."]}

    @pytest.mark.parametrize("path", [ADD, ADD[:-4]], ids=["in a form", "chosen in the list"])
    def test_a_number_that_no_database_holds_breaks_nothing(
        self, browser: Client, path: str, token: ScrapeToken
    ) -> None:
        number = "9" * 40
        fields = {"name": "eu", "namespaces": [number], "action": "revoke", "_selected_action": [number]}
        answer = browser.post(path, fields)
        # In the list, the number is refused before any query. In a form, SQLite can't look it up, so it is refused;
        # PostgreSQL finds no such row.
        refused = path != self.ADD or connection.vendor == "sqlite"
        assert (answer.status_code == 400) if refused else (answer.status_code < 400)

    def test_another_teams_namespace_is_refused(self, browser: Client, namespace: Namespace) -> None:
        other = Team.objects.create(name="orders")
        fields = {"name": "eu", "team": other.pk, "scope": "listed", "namespaces": [namespace.pk]}
        assert errors(browser.post(self.ADD, fields)) == {
            "namespaces": ["Not in team “orders”: “payments-prod”."]
        }

    def test_a_time_that_is_over_is_refused(self, browser: Client, team: Team) -> None:
        fields = {"name": "eu", "team": team.pk, "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
        assert "This time is in the past" in errors(browser.post(self.ADD, fields))["expires_at"][0]

    def test_a_token_is_revoked_from_the_list_even_one_of_the_file(
        self, browser: Client, token: ScrapeToken
    ) -> None:
        ScrapeToken.objects.update(source="file")
        action = {"action": "revoke", "_selected_action": [token.pk]}
        response = browser.post(self.ADD[:-4], action, follow=True)
        assert "Revoked: prometheus." in response.content.decode()
        token.refresh_from_db()
        assert not token.is_usable()


class TestUsers:
    def test_a_user_is_added_and_put_into_a_team(
        self, browser: Client, team: Team, django_user_model: Any
    ) -> None:
        password = "correct-horse-battery"
        inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
        fields = {"username": "ada", "password1": password, "password2": password, "usable_password": "true"}
        assert browser.post("/admin/auth/user/add/", fields | inline).status_code == 302
        ada = django_user_model.objects.get(username="ada")
        members = {
            "username": "ada",
            "is_active": "on",
            "is_staff": "on",
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "0",
            "memberships-0-team": team.pk,
            "memberships-0-role": "editor",
        }
        assert browser.post(f"/admin/auth/user/{ada.pk}/change/", members).status_code == 302
        assert Membership.objects.get(user=ada).role == "editor"
        html = browser.get(f"/admin/auth/user/{ada.pk}/change/").content.decode()
        assert "user_permissions" not in html
