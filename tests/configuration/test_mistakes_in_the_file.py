"""Every mistake in hub.yaml is reported with line, column and path, all in one run, and nothing is changed."""

import pytest

from exporters.models import Credential, Namespace, Team

from .conftest import errors

pytestmark = pytest.mark.django_db

ADVICE_NAME = "Use lowercase letters, digits and hyphens, starting and ending with a letter or digit."


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(whole: str) -> None:
    text = (
        whole.replace("- name: payments\n", "- name: payments\n  - name: Orders!\n", 1)
        .replace("limits: {requests_per_second: 20", "limits: {requests_per_second: fast")
        .replace("metrics: [counts, times]", "metrics: counts")
        .replace('regex: "([a-z]+)/.*"', 'regex: "([a-z]+/.*"')
        .replace("authority: login", "autority: login")
    )
    assert errors(text) == [
        f"hub.yaml:3:11: teams[1].name: {ADVICE_NAME}",
        "hub.yaml:16:5: credentials[1].autority: Unknown key “autority”. Did you mean “authority”?",
        "hub.yaml:28:14: namespaces[0].metrics: Expected a list, not a single value.",
        "hub.yaml:29:35: namespaces[0].limits.requests_per_second: Expected a number.",
        "hub.yaml:39:12: label_rules[0].regex: RE2 rejects this pattern: missing ): ([a-z]+/.* (at character 11).",
    ]
    assert not Team.objects.exists()


def test_what_the_models_refuse_is_named_by_the_keys_of_the_file(whole: str) -> None:
    text = (
        whole.replace("concurrency: 8", "concurrency: 1000")
        .replace("interval_seconds: 60, timeout_seconds: 30", "interval_seconds: 10, timeout_seconds: 30")
        .replace('include: "orders.*"', 'include: "orders(.*"')
        .replace("environment: prod", "job: prod")
        .replace("host: payments-stage.servicebus.windows.net", "host: payments-stage.example.org")
    )
    found = {line.split(": ")[1]: line.split(": ", 2)[2] for line in errors(text)}
    assert found["namespaces[0].limits.concurrency"] == "Ensure this value is less than or equal to 256."
    assert (
        found["namespaces[0].include"] == "RE2 rejects this pattern: missing ): orders(.* (at character 10)."
    )
    assert found["namespaces[0].labels"] == "“job” is set by Prometheus itself. Choose another name."
    assert found["namespaces[1].host"].startswith("payments-stage.example.org is not a Service Bus endpoint.")
    assert len(found) == 4


def test_a_timeout_above_the_interval_is_an_error_at_the_timeout(whole: str) -> None:
    text = whole.replace(
        "interval_seconds: 60, timeout_seconds: 30", "interval_seconds: 10, timeout_seconds: 30"
    )
    assert errors(text) == [
        "hub.yaml:30:53: namespaces[0].scrape.timeout_seconds: Prometheus doesn't accept a timeout above the "
        "interval (10 s)."
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teams: [", "hub.yaml:1:9: This is not YAML: expected the node content, but found '<stream end>'."),
        ("- teams", "hub.yaml:1:1: Expected a mapping (key: value), not a list."),
        ("teams: payments", "hub.yaml:1:8: teams: Expected a list, not a single value."),
        ("teams: [payments]", "hub.yaml:1:9: teams[0]: Expected a mapping (key: value), not a single "
        "value."),
        ("team: []", "hub.yaml:1:1: team: Unknown key “team”. Did you mean “teams”?"),
        ("teams: []\nteams: []", "hub.yaml:2:1: teams: This key appears twice. Remove one of them."),
        ("teams: [{description: x}]", "hub.yaml:1:9: teams[0].name: Every team needs a name."),
        ("teams: [{name: a}, {name: a}]", "hub.yaml:1:27: teams[1].name: Line 1 has another team with this name."),
        ("teams: [{name: a, source: git}]", "hub.yaml:1:27: teams[0].source: Use file (read-only in the admin) or "
            "admin (editable there)."),
        ("namespaces: [{name: a}]", "hub.yaml:1:14: namespaces[0].team: A namespace must belong to a team. Name the "
            "team here."),
        ("teams: [{name: [a]}]", "hub.yaml:1:16: teams[0].name: Expected text, not a list."),
        ("teams: *nobody", "hub.yaml:1:8: This is not YAML: found undefined alias 'nobody'."),
        ("teams: [{name: a, ? [b] : c}]", "hub.yaml:1:21: teams[0]: A key must be plain text."),
        ("\x07", "hub.yaml: This is not YAML: it contains a character or a number that YAML doesn't allow."),
        ("teams: []\n---\nteams: []", "hub.yaml:2:1: This is not YAML: but found another document."),
        (
            'teams: [{name: a, description: "\\0"}]',
            "hub.yaml:1:32: teams[0].description: Text can't contain a NUL character.",
        ),
    ],
)  # fmt: skip
def test_a_file_of_the_wrong_shape_says_what_is_needed(text: str, message: str) -> None:
    assert errors(text) == [message]


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("{env: A, file: /b}", "Use exactly one of env, file and stored."),
        ("{}", "Use exactly one of env, file and stored."),
        ("{environment: A}", "Unknown key “environment”. Valid keys: env, file, stored."),
        ("{file: secret.txt}", "Enter an absolute path, starting with /."),
        (
            "{file: /nowhere/secret.txt}",
            "The file /nowhere/secret.txt can't be read: No such file or directory.",
        ),
        ('{env: ""}', "Enter the variable's name: letters, digits and _, not starting with a digit."),
    ],
)
def test_a_reference_that_can_not_be_one_says_why(secret: str, message: str) -> None:
    (line, *_) = errors(f"credentials:\n  - name: a\n    secret: {secret}\n")
    assert line.endswith(message)


@pytest.mark.parametrize("moment", ["tomorrow", "2026-13-01", "2026-02-30T10:00:00Z"])
def test_a_date_that_is_none_is_refused(whole: str, moment: str) -> None:
    (line,) = errors(whole.replace("expires_at: 2027-06-30", f"expires_at: {moment}"))
    assert "credentials[1].expires_at: Expected a date or time" in line


def test_the_message_of_a_wrong_reference_to_an_object_suggests_the_right_one(whole: str) -> None:
    (line,) = errors(whole.replace("    credential: payments-manage", "    credential: payments-mange"))
    assert line == (
        "hub.yaml:22:17: namespaces[0].credential: There is no credential “payments-mange” in this file or in the "
        "hub. Did you mean “payments-manage”?"
    )


def test_a_token_for_another_teams_namespace_is_refused(whole: str) -> None:
    text = whole.replace("teams:\n", "teams:\n  - name: orders\n").replace(
        "  - name: prometheus\n    team: payments\n", "  - name: prometheus\n    team: orders\n"
    )
    (line,) = errors(text)
    assert line.endswith("Namespace “payments-prod” belongs to team “payments”, not to “orders”.")


def test_a_rule_for_a_namespace_of_another_team_is_refused(whole: str) -> None:
    text = whole.replace("teams:\n", "teams:\n  - name: orders\n").replace(
        "  - namespace: payments-prod\n", "  - namespace: payments-prod\n    team: orders\n"
    )
    (line,) = errors(text)
    assert line.endswith("label_rules[1].namespace: Namespace “payments-prod” belongs to team “payments”.")


def test_anchors_and_merged_mappings_can_be_used() -> None:
    text = """\
teams: [{name: a}]
namespaces:
  - &first
    name: one
    team: a
    host: one.servicebus.windows.net
    limits: {concurrency: 4}
  - <<: *first
    name: two
"""
    assert errors(text) == []


def test_aliases_that_multiply_are_stopped() -> None:
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for previous, name in zip("abcdefg", "bcdefgh", strict=False):
        text += f"{name}: &{name} [" + ",".join([f"*{previous}"] * 10) + "]\n"
    lines = errors(text + "teams: *h\n")
    assert len(lines) < 200  # unknown keys are not examined, and the known ones are not that deep


def test_a_mapping_merged_into_itself_is_an_error() -> None:
    (line,) = errors("teams:\n  - &a\n    name: x\n    <<: *a\n")
    assert "<<: is nested too deeply." in line


def test_a_file_nested_too_deeply_is_an_error() -> None:
    assert errors("[" * 20_000) == ["hub.yaml: This is nested more than 50 levels deep."]


def test_a_mistake_leaves_what_is_stored_alone(namespace: Namespace) -> None:
    assert errors("teams: [{name: payments, description: new}, {name: X}]")
    assert Team.objects.get().description == ""
    assert Credential.objects.get().source == "admin"
