"""What can be stored: each kind of credential with its required fields, and objects that fit together."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from exporters.credentials.encryption import SecretUnavailableError
from exporters.models import Credential, Namespace, ScrapeToken, Team
from tests.admin.conftest import certificate, keys

from .conftest import CLIENT, CLIENT_SECRET, CONNECTION_STRING, KEY, TENANT

__all__ = ["certificate", "keys"]

pytestmark = pytest.mark.django_db

FILLED = {
    "secret": "x" * 30,
    "certificate_password": "x",
    "tenant_id": TENANT,
    "client_id": CLIENT,
    "authority": "login.microsoftonline.us",
    "token_file": "/var/run/token",
}


def problems(item: Any) -> dict[str, list[str]]:
    try:
        item.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


@pytest.mark.parametrize(
    ("kind", "needed", "possible"),
    [
        ("connection_string", {"secret"}, {"spare_secret"}),
        ("client_secret", {"secret", "tenant_id", "client_id"}, {"authority", "spare_secret"}),
        ("client_certificate", {"secret", "tenant_id", "client_id"}, {"authority", "certificate_password"}),
        ("managed_identity", set(), {"client_id"}),
        ("workload_identity", set(), {"tenant_id", "client_id", "authority", "token_file"}),
    ],
)
def test_each_kind_has_its_fields(team: Team, kind: str, needed: set[str], possible: set[str]) -> None:
    owner = None if Credential.Kind(kind).is_platforms else team
    empty = problems(Credential(name="a", team=owner, kind=kind))
    assert set(empty) == needed
    full = problems(Credential(name="a", team=owner, kind=kind, **FILLED))
    useless = {name for name, messages in full.items() if messages[0].startswith("Leave empty")}
    assert useless == set(FILLED) - needed - possible


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant_id", "not a tenant"),
        ("tenant_id", "contoso"),
        ("client_id", "payments-app"),
        ("authority", "https://login.microsoftonline.us"),
        ("authority", "login.example.org"),
        ("authority", "login.microsoftonline.us/x"),
        ("authority", "login.microsoftonline.us@evil.example"),
        ("authority", "localhost:1"),
        ("name", "Not A Slug"),
    ],
)
def test_a_value_that_can_not_be_right_is_refused(entra: Any, field: str, value: str) -> None:
    assert list(problems(entra(**{field: value}))) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant_id", "contoso.onmicrosoft.com"),
        ("tenant_id", TENANT.upper()),
        ("authority", "login.chinacloudapi.cn"),
    ],
)
def test_a_value_that_azure_knows_is_accepted(entra: Any, field: str, value: str) -> None:
    assert problems(entra(**{field: value})) == {}


def test_a_login_on_this_machine_is_for_development(entra: Any, settings: Any) -> None:
    settings.HUB_ALLOW_LOOPBACK = True
    assert problems(entra(authority="localhost:8443")) == {}


class TestConnectionStrings:
    def test_a_ready_made_signature_says_when_it_expires(self, team: Team) -> None:
        signature = "SharedAccessSignature sr=sb%3A%2F%2Fx&sig=cGxhbnRlZA%3D%3D&se=1893456000&skn=reader"
        credential = Credential(
            name="a",
            team=team,
            secret=f"Endpoint=sb://payments-prod.servicebus.windows.net/;SharedAccessSignature={signature}",
        )
        assert problems(credential) == {}
        assert credential.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
        assert credential.facts().summary == "shared access signature, key reader"

    def test_a_short_key_shows_nothing_of_its_end(self, team: Team) -> None:
        credential = Credential(name="a", team=team, secret=CONNECTION_STRING.replace(KEY, "c2hvcnQ="))
        assert credential.facts().summary == "key RootManageSharedAccessKey"

    def test_the_emulator_is_only_for_a_hub_that_allows_it(self, team: Team, settings: Any) -> None:
        text = CONNECTION_STRING.replace("payments-prod.servicebus.windows.net", "localhost")
        credential = Credential(name="a", team=team, secret=text + ";UseDevelopmentEmulator=true")
        assert "HUB_ALLOW_LOOPBACK" in problems(credential)["secret"][0]
        settings.HUB_ALLOW_LOOPBACK = True
        assert problems(credential) == {}
        namespace = Namespace(name="local", team=team, credential=credential)
        assert namespace.endpoint().base_url == "http://localhost:5300"

    def test_facts_repeat_no_secret(self, credential: Credential) -> None:
        assert KEY not in repr(credential.facts())


class TestCertificates:
    def make(self, team: Team, secret: str, password: str = "") -> Credential:
        return Credential(
            name="a",
            team=team,
            kind="client_certificate",
            secret=secret,
            certificate_password=password,
            tenant_id=TENANT,
            client_id=CLIENT,
        )

    def test_a_certificate_with_its_key_is_accepted_even_when_expired(
        self, team: Team, certificate: Any
    ) -> None:
        credential = self.make(team, certificate(days=1))
        assert problems(credential) == {}
        assert credential.expires_at == datetime(2026, 1, 2, tzinfo=UTC)

    def test_the_key_may_be_encrypted(self, team: Team, certificate: Any) -> None:
        assert problems(self.make(team, certificate("sesame"), "sesame")) == {}

    def test_what_entra_id_could_not_use_is_refused(self, team: Team, certificate: Any, keys: Any) -> None:
        whole = certificate()
        end = "-----END CERTIFICATE-----\n"
        cases = {
            "It contains no readable certificate": whole[whole.index(end) + len(end) :],
            "The private key is missing": whole[: whole.index(end) + len(end)],
            "The private key can't be read": whole.replace("PRIVATE KEY-----\nMII", "PRIVATE KEY-----\nAAA"),
            "The private key doesn't match the certificate": certificate(signed=keys[1]),
            "This is not PEM": "certificate",
        }
        for message, secret in cases.items():
            assert message in problems(self.make(team, secret))["secret"][0]

    def test_a_password_has_to_be_the_right_one_and_needed(self, team: Team, certificate: Any) -> None:
        for secret, password, message in (
            (certificate("sesame"), "", "enter its password too"),
            (certificate("sesame"), "other", "doesn't decrypt the private key"),
            (certificate(), "sesame", "leave the password empty"),
        ):
            assert message in problems(self.make(team, secret, password))["certificate_password"][0]


class TestNamespaces:
    @pytest.mark.parametrize(
        ("host", "endpoint"),
        [
            ("", "payments-prod.servicebus.windows.net"),
            ("payments-prod.servicebus.windows.net", "payments-prod.servicebus.windows.net"),
            ("sb://Payments-Prod.servicebus.windows.net/", "payments-prod.servicebus.windows.net"),
            ("payments-prod.servicebus.windows.net:8443", "payments-prod.servicebus.windows.net:8443"),
        ],
    )
    def test_the_host_is_given_or_taken_from_the_connection_string(
        self, namespace: Namespace, host: str, endpoint: str
    ) -> None:
        namespace.host = host
        assert namespace.credential is not None
        namespace.credential.hosts = ["payments-prod.servicebus.windows.net:8443"]
        assert problems(namespace) == {}
        assert str(namespace.endpoint()) == endpoint

    def test_a_host_that_contradicts_the_connection_string_is_refused(self, namespace: Namespace) -> None:
        namespace.host = "orders.servicebus.windows.net"
        assert problems(namespace)["host"] == [
            "The connection string is for payments-prod.servicebus.windows.net, but the host is "
            "orders.servicebus.windows.net. Leave the host empty, or choose that namespace's credential."
        ]

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "[::1]",
            "169.254.169.254",
            "10.0.0.1",
            "localhost",
            "evil.example/.servicebus.windows.net",
            "x.servicebus.windows.net.evil.example",
            "user@x.servicebus.windows.net",
        ],
    )
    def test_a_host_that_is_no_service_bus_endpoint_is_refused(self, team: Team, host: str) -> None:
        assert "host" in problems(Namespace(name="a", team=team, host=host))

    def test_a_suffix_of_ones_own_can_be_allowed(self, team: Team, settings: Any) -> None:
        settings.HUB_ENDPOINT_SUFFIXES = ["servicebus.example.net"]
        assert problems(Namespace(name="a", team=team, host="a.servicebus.example.net")) == {}


class TestChangingACredentialInUse:
    def test_it_can_not_move_to_another_team(self, namespace: Namespace) -> None:
        credential = namespace.credential
        credential.team = Team.objects.create(name="orders")
        assert problems(credential) == {
            "team": ["Namespace “payments-prod” of team “payments” uses this credential."]
        }

    def test_a_connection_string_of_another_namespace_is_refused(self, namespace: Namespace) -> None:
        namespace.host = "payments-prod.servicebus.windows.net"
        namespace.save()
        credential = namespace.credential
        credential.secret = CONNECTION_STRING.replace("payments-prod", "orders")
        assert "The connection string is for orders." in problems(credential)["secret"][0]

    def test_a_namespace_keeps_a_host(self, namespace: Namespace) -> None:
        credential = namespace.credential
        credential.kind, credential.secret = "client_secret", CLIENT_SECRET
        credential.tenant_id, credential.client_id = TENANT, CLIENT
        assert problems(credential)["kind"][0].startswith(
            "Namespace “payments-prod” uses this credential. Enter the host"
        )


class TestReferences:
    def test_a_secret_is_read_anew_each_time(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        credential = Credential(name="a", team=team, secret_reference={"env": "PAYMENTS"})
        monkeypatch.setenv("PAYMENTS", "one")
        assert credential.reveal_secret() == "one"
        monkeypatch.setenv("PAYMENTS", "two\n")
        assert credential.reveal_secret() == "two"

    def test_a_secret_that_is_gone_names_its_row_and_place(
        self, team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("PAYMENTS", raising=False)
        credential = Credential.objects.create(name="a", team=team, secret_reference={"env": "PAYMENTS"})
        with pytest.raises(
            SecretUnavailableError, match=rf"credential “a” \(row {credential.pk}\).*PAYMENTS is not set"
        ):
            credential.reveal_secret()
        for content, message in (
            (b"", "is empty"),
            (b"\xff\xfe", "is not text"),
            (b"x" * 1_100_000, "1 MiB"),
        ):
            (tmp_path / "secret").write_bytes(content)
            credential.secret_reference = {"file": str(tmp_path / "secret")}
            with pytest.raises(SecretUnavailableError, match=message):
                credential.reveal_secret()


class TestTokens:
    def test_tokens_are_random_recognisable_and_hashed(self) -> None:
        first, second = ScrapeToken.generate(), ScrapeToken.generate()
        assert first != second
        token = ScrapeToken(name="a")
        token.set_token(first)
        assert token.prefix == first[:12]
        assert first[12:] not in repr(vars(token))

    def test_a_short_token_shows_nothing_of_itself(self) -> None:
        token = ScrapeToken(name="a")
        token.set_token("short-token")
        assert token.prefix == ""

    def test_changing_its_namespaces_is_in_the_history(self, namespace: Namespace) -> None:
        token = ScrapeToken(name="a", team=namespace.team, scope="listed")
        token.set_token(ScrapeToken.generate())
        token.save()
        token.namespaces.add(namespace)
        assert ScrapeToken.history.count() == 2


def test_a_team_goes_with_all_that_it_has(namespace: Namespace) -> None:
    namespace.team.delete()
    assert not Namespace.objects.exists()
    assert not Credential.objects.exists()
