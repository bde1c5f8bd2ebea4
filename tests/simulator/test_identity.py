"""Entra ID, checked with azure-identity's credentials: the real library gets real tokens over real sockets."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError
from azure.identity.aio import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from simulator import SimulatedNamespace, Simulator
from simulator.identity import Application

from .asking import get

SCOPE = "https://servicebus.azure.net/.default"
LISTING = "/$Resources/queues?api-version=2021-05"


@pytest.fixture
def application(simulator: Simulator, namespace: SimulatedNamespace) -> Application:
    application = simulator.identity.add_application(secret="a secret")
    namespace.grant(application)
    return application


def _options(simulator: Simulator) -> dict[str, Any]:
    return {
        "authority": simulator.identity.authority,
        "disable_instance_discovery": True,
        "connection_verify": str(simulator.ca_file),
        "retry_total": 0,
    }


async def _token(credential: Any) -> str:
    async with credential:
        return str((await credential.get_token(SCOPE)).token)


def _status(namespace: SimulatedNamespace, token: str) -> int:
    return get(namespace, LISTING, authorization=f"Bearer {token}").status


def _secret_credential(simulator: Simulator, application: Application, secret: str = "a secret") -> Any:
    return ClientSecretCredential(
        simulator.identity.tenant, application.client_id, secret, **_options(simulator)
    )


async def test_a_client_secret_gets_a_token_that_reads(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application
) -> None:
    token = await _token(_secret_credential(simulator, application))
    assert _status(namespace, token) == 200
    assert simulator.identity.issued == {application.client_id: 1}


async def test_a_wrong_client_secret_gets_none(simulator: Simulator, application: Application) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        await _token(_secret_credential(simulator, application, "another"))
    assert simulator.identity.tokens_issued == 0


async def test_an_unknown_application_or_tenant_gets_none(
    simulator: Simulator, application: Application
) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        await _token(ClientSecretCredential(simulator.identity.tenant, "nobody", "x", **_options(simulator)))
    with pytest.raises(ClientAuthenticationError, match="AADSTS90002"):
        await _token(
            ClientSecretCredential("other", application.client_id, "a secret", **_options(simulator))
        )


async def test_a_token_for_another_resource_is_not_issued(
    simulator: Simulator, application: Application
) -> None:
    async with _secret_credential(simulator, application) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
            await credential.get_token("https://management.azure.com/.default")


async def test_a_certificate_gets_a_token_that_reads(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application
) -> None:
    pem = application.add_certificate()
    credential = CertificateCredential(
        simulator.identity.tenant, application.client_id, certificate_data=pem, **_options(simulator)
    )
    assert _status(namespace, await _token(credential)) == 200


async def test_an_unregistered_certificate_gets_none(simulator: Simulator, application: Application) -> None:
    foreign = simulator.identity.add_application().add_certificate()
    application.add_certificate()
    credential = CertificateCredential(
        simulator.identity.tenant, application.client_id, certificate_data=foreign, **_options(simulator)
    )
    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        await _token(credential)


async def test_a_federated_token_from_a_file_gets_a_token_that_reads(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application, tmp_path: Path
) -> None:
    issuer = application.trust_issuer()
    projected = tmp_path / "token"
    projected.write_text(issuer.token())

    def credential() -> Any:
        return WorkloadIdentityCredential(
            tenant_id=simulator.identity.tenant,
            client_id=application.client_id,
            token_file_path=str(projected),
            **_options(simulator),
        )

    assert _status(namespace, await _token(credential())) == 200
    projected.write_text(issuer.token(subject="system:serviceaccount:other:other"))
    with pytest.raises(ClientAuthenticationError, match="AADSTS70021"):
        await _token(credential())
    projected.write_text(issuer.token(lifetime=-1))
    with pytest.raises(ClientAuthenticationError, match="AADSTS700024"):
        await _token(credential())


async def test_managed_identities_get_tokens_from_the_metadata_service(
    simulator: Simulator, namespace: SimulatedNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = simulator.identity.add_managed_identity()
    user = simulator.identity.add_managed_identity(system_assigned=False)
    namespace.grant(system)
    for name, value in simulator.identity.imds_environment().items():
        monkeypatch.setenv(name, value)
    assert _status(namespace, await _token(ManagedIdentityCredential())) == 200
    token = await _token(ManagedIdentityCredential(client_id=user.client_id))
    assert _status(namespace, token) == 401
    namespace.grant(user)
    assert _status(namespace, token) == 200
    assert simulator.identity.issued == {system.client_id: 1, user.client_id: 1}
    with pytest.raises(CredentialUnavailableError, match="Identity not found"):
        await _token(ManagedIdentityCredential(client_id="unknown"))


async def test_managed_identities_get_tokens_from_app_service(
    simulator: Simulator, namespace: SimulatedNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace.grant(simulator.identity.add_managed_identity())
    for name, value in simulator.identity.app_service_environment().items():
        monkeypatch.setenv(name, value)
    assert _status(namespace, await _token(ManagedIdentityCredential())) == 200
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises(ClientAuthenticationError):
        await _token(ManagedIdentityCredential())


async def test_a_token_expires_and_is_renewed_once(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application
) -> None:
    simulator.identity.token_lifetime = 3
    async with _secret_credential(simulator, application) as credential:
        token = (await credential.get_token(SCOPE)).token
        assert _status(namespace, token) == 200
        await asyncio.sleep(3)
        assert _status(namespace, token) == 401
        assert list(namespace.requests)[-1].refused == "expired token"
        simulator.identity.token_lifetime = 3600
        tokens = {(await credential.get_token(SCOPE)).token for _ in range(5)}
    assert len(tokens) == 1
    assert simulator.identity.tokens_issued == 2


async def test_a_principal_needs_a_right_on_the_namespace(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application
) -> None:
    other = simulator.add_namespace("other")
    token = await _token(_secret_credential(simulator, application))
    assert _status(other, token) == 401
    other.grant(application, {"Send", "Listen"})
    assert _status(other, token) == 401
    other.grant(application)
    assert _status(other, token) == 200
    other.revoke(application)
    assert _status(other, token) == 401


def test_tokens_of_another_tenant_or_for_another_resource_are_refused(
    simulator: Simulator, namespace: SimulatedNamespace, application: Application, certificates: str
) -> None:
    identity = simulator.identity
    assert _status(namespace, identity.issue(application, "https://servicebus.azure.net/")) == 200
    assert _status(namespace, identity.issue(application, "https://management.azure.com")) == 401
    foreign = Simulator(directory=certificates)
    assert _status(namespace, foreign.identity.issue(application, "https://servicebus.azure.net")) == 401
    foreign.stop()


async def test_openid_documents_lead_to_the_token_endpoint(simulator: Simulator) -> None:
    context = ssl.create_default_context(cafile=str(simulator.ca_file))
    authority = simulator.identity.authority
    tenant = simulator.identity.tenant
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        async with session.get(f"{authority}/{tenant}/v2.0/.well-known/openid-configuration") as answer:
            document = await answer.json()
        async with session.get(document["jwks_uri"]) as answer:
            keys = (await answer.json())["keys"]
        async with session.get(document["token_endpoint"]) as answer:
            assert answer.status == 405
    assert document["token_endpoint"] == f"{authority}/{tenant}/oauth2/v2.0/token"
    assert [key["kid"] for key in keys] == [simulator.identity.key.identifier]


async def test_the_token_endpoint_can_be_down_or_slow(simulator: Simulator, application: Application) -> None:
    identity = simulator.identity
    identity.faults.set("unavailable", times=1)
    with pytest.raises(ClientAuthenticationError, match="temporarily_unavailable"):
        await _token(_secret_credential(simulator, application))
    assert await _token(_secret_credential(simulator, application))
    identity.faults.set("hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_token(_secret_credential(simulator, application)), 0.5)
    identity.faults.clear()
    with pytest.raises(ValueError, match="own_port"):
        identity.faults.set("refuse")
    identity.own_port()
    identity.faults.set("refuse")
    with pytest.raises(ServiceRequestError, match="Cannot connect"):
        await _token(_secret_credential(simulator, application))
    identity.faults.clear()
    assert await _token(_secret_credential(simulator, application))
