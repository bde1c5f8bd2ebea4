"""A signed-in platform administrator, and one object of each kind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.test import Client

from exporters.models import LabelRule, Membership, ScrapeToken, WallLink
from tests.configuration.conftest import credential, entra, namespace, team

__all__ = ["credential", "entra", "namespace", "team"]

FILLED = {
    "namespace": {
        "concurrency": "16",
        "timeout_seconds": "9.5",
        "cache_seconds": "0",
        "max_age_seconds": "300",
        "max_entities": "20000",
        "enabled": "on",
        "metric_groups": ["counts", "state"],
    },
    "labelrule": {
        "action": "replace",
        "separator": ";",
        "regex": "(.*)",
        "modulus": "0",
        "target_label": "domain",
        "replacement": "$1",
    },
}


@pytest.fixture
def administrator(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_superuser("root", "root@example.org", "pass-pass-pass")


@pytest.fixture
def browser(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def rule(team: Any) -> LabelRule:
    return LabelRule.objects.create(team=team, source_labels=["name"], target_label="domain")


@pytest.fixture
def token(team: Any) -> ScrapeToken:
    stored = ScrapeToken(name="prometheus", team=team, scope="team")
    stored.set_token(ScrapeToken.generate())
    stored.save()
    return stored


@pytest.fixture
def objects(
    namespace: Any,
    credential: Any,
    rule: Any,
    token: Any,
    team: Any,
    administrator: Any,
    django_user_model: Any,
) -> dict[str, Any]:
    """One of each kind, by the name of its model."""
    membership = Membership.objects.create(user=administrator, team=team)
    link = WallLink(name="office", team=team, scope="team")
    link.set_token(WallLink.generate())
    link.save()
    return {
        "exporters/team": team,
        "exporters/membership": membership,
        "exporters/credential": credential,
        "exporters/namespace": namespace,
        "exporters/labelrule": rule,
        "exporters/scrapetoken": token,
        "exporters/walllink": link,
        "auth/user": django_user_model.objects.create_user("colleague", "colleague@example.org"),
    }


Certificate = Callable[..., str]


@pytest.fixture(scope="session")
def keys() -> list[rsa.RSAPrivateKey]:
    """Two keys for the whole run, because generating them is slow."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(2)]


@pytest.fixture
def certificate(keys: list[rsa.RSAPrivateKey]) -> Certificate:
    """Return PEM of a certificate and its key."""

    def make(password: str = "", key: Any = None, signed: Any = None, days: int = 90) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
        owner = signed or keys[0]
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(owner.public_key())
            .serial_number(1)
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=days))
            .sign(owner, hashes.SHA256())
        )
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        pem = (key or keys[0]).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        return str((made.public_bytes(serialization.Encoding.PEM) + pem).decode())

    return make
