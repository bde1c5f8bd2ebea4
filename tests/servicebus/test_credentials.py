"""Every way to authenticate, through the real libraries, against the simulator's endpoints."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from exporters.servicebus import credentials
from exporters.servicebus.client import Client
from exporters.servicebus.connection import Endpoint, parse_connection_string, parse_host
from exporters.servicebus.credentials import (
    Credential,
    EntraCredential,
    SharedAccessSignatureCredential,
    SharedKeyCredential,
)
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.simulator import SimulatedNamespace, Simulator

from .conftest import ReadBus


def reasons(snapshot: Snapshot) -> set[Reason]:
    return {failure.reason for failure in snapshot.collectors.values() if failure}


async def test_a_shared_key_opens_the_namespace(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    assert not reasons(await read_bus(bus, credential=SharedKeyCredential(bus.key_name, bus.key)))


async def test_a_wrong_key_is_unauthorized(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    snapshot = await read_bus(bus, credential=SharedKeyCredential(bus.key_name, "d3Jvbmc="))
    assert reasons(snapshot) == {Reason.UNAUTHORIZED}


async def test_a_key_without_manage_is_unauthorized(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    listen = parse_connection_string(bus.add_key("listen", {"Listen"}))
    assert reasons(await read_bus(bus, credential=SharedKeyCredential(listen.key_name, listen.key))) == {
        Reason.UNAUTHORIZED
    }


async def test_one_signature_serves_a_namespace_until_it_is_about_to_expire() -> None:
    now = 1_900_000_000.0
    credential = SharedKeyCredential("Root", "a2V5", clock=lambda: now)
    endpoint = Endpoint("a.servicebus.windows.net")
    first = await credential.authorization(endpoint)
    now += 3200
    assert await credential.authorization(endpoint) == first
    now += 200
    assert await credential.authorization(endpoint) != first
    assert await credential.authorization(Endpoint("b.servicebus.windows.net")) != first


async def test_a_ready_made_signature_opens_the_namespace(bus: SimulatedNamespace, read_bus: ReadBus) -> None:
    token = bus.shared_access_signature()
    assert not reasons(await read_bus(bus, credential=SharedAccessSignatureCredential(token)))


async def test_an_expired_signature_is_a_credential_failure_that_costs_no_request(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    token = bus.shared_access_signature(lifetime=-60)
    snapshot = await read_bus(bus, credential=SharedAccessSignatureCredential(token))
    assert reasons(snapshot) == {Reason.CREDENTIAL}
    assert bus.requests.total == 0


@pytest.mark.parametrize("entity", ["team/invoices", "events"])
async def test_an_entitys_own_key_reads_that_entity_alone(
    bus: SimulatedNamespace, read_bus: ReadBus, entity: str
) -> None:
    connection = parse_connection_string(bus.add_key("own", entity_path=entity))
    assert connection.entity_path == entity
    credential = SharedKeyCredential(connection.key_name, connection.key, connection.entity_path)
    snapshot = await read_bus(bus, credential=credential, entity_path=connection.entity_path)
    assert not reasons(snapshot)
    assert [each.name for each in (*snapshot.queues, *snapshot.topics)] == [entity]
    assert len(snapshot.subscriptions) == (2 if entity == "events" else 0)
    assert set(snapshot.collectors) == ({"queues"} if entity != "events" else {"topics", "subscriptions"})


async def test_the_entity_of_a_connection_string_that_does_not_exist_is_not_found(
    bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    assert reasons(await read_bus(bus, entity_path="nowhere")) == {Reason.NOT_FOUND}


# Entra ID

Make = Callable[[Simulator, SimulatedNamespace, Client, Path, pytest.MonkeyPatch], Credential]


def _authority(simulator: Simulator) -> str:
    return simulator.identity.authority.removeprefix("https://")


def client_secret(
    simulator: Simulator, bus: SimulatedNamespace, client: Client, folder: Path, patch: pytest.MonkeyPatch
) -> Credential:
    application = simulator.identity.add_application()
    secret = application.add_secret()
    bus.grant(application)
    return credentials.client_secret_credential(
        simulator.identity.tenant,
        application.client_id,
        secret,
        authority=_authority(simulator),
        transport=client.token_transport(),
    )


def client_certificate(
    simulator: Simulator, bus: SimulatedNamespace, client: Client, folder: Path, patch: pytest.MonkeyPatch
) -> Credential:
    application = simulator.identity.add_application()
    pem = application.add_certificate()
    bus.grant(application)
    return credentials.client_certificate_credential(
        simulator.identity.tenant,
        application.client_id,
        pem,
        authority=_authority(simulator),
        transport=client.token_transport(),
    )


def workload_identity(
    simulator: Simulator, bus: SimulatedNamespace, client: Client, folder: Path, patch: pytest.MonkeyPatch
) -> Credential:
    application = simulator.identity.add_application()
    token_file = folder / "token"
    token_file.write_text(application.trust_issuer().token())
    bus.grant(application)
    return credentials.workload_identity_credential(
        simulator.identity.tenant,
        application.client_id,
        str(token_file),
        authority=_authority(simulator),
        transport=client.token_transport(),
    )


def managed_identity(*, system_assigned: bool, app_service: bool) -> Make:
    def make(
        simulator: Simulator, bus: SimulatedNamespace, client: Client, folder: Path, patch: pytest.MonkeyPatch
    ) -> Credential:
        identity = simulator.identity.add_managed_identity(system_assigned=system_assigned)
        bus.grant(identity)
        environment = (
            simulator.identity.app_service_environment()
            if app_service
            else simulator.identity.imds_environment()
        )
        for name, value in environment.items():
            patch.setenv(name, value)
        return credentials.managed_identity_credential(
            "" if system_assigned else identity.client_id, transport=client.token_transport()
        )

    return make


WAYS: dict[str, Make] = {
    "client secret": client_secret,
    "client certificate": client_certificate,
    "workload identity": workload_identity,
    "managed identity, system assigned": managed_identity(system_assigned=True, app_service=False),
    "managed identity, user assigned": managed_identity(system_assigned=False, app_service=False),
    "managed identity, App Service": managed_identity(system_assigned=True, app_service=True),
}


@pytest.fixture(params=WAYS)
async def entra(
    request: pytest.FixtureRequest,
    simulator: Simulator,
    bus: SimulatedNamespace,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    credential = WAYS[request.param](simulator, bus, client, tmp_path, monkeypatch)
    yield credential
    await credential.close()


async def test_every_way_of_entra_id_opens_the_namespace_with_one_token_for_many_reads_at_once(
    entra: Credential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    snapshots = await asyncio.gather(*(read_bus(bus, credential=entra) for _ in range(20)))
    assert not set().union(*map(reasons, snapshots))
    assert simulator.identity.tokens_issued == 1


@pytest.fixture
async def by_secret(
    simulator: Simulator,
    bus: SimulatedNamespace,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    credential = client_secret(simulator, bus, client, tmp_path, monkeypatch)
    yield credential
    await credential.close()


async def test_a_token_that_has_expired_is_renewed_once_however_many_reads_wait_for_it(
    by_secret: Credential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    simulator.identity.token_lifetime = 2
    assert not reasons(await read_bus(bus, credential=by_secret))
    await asyncio.sleep(2.2)
    simulator.identity.token_lifetime = 3600
    simulator.identity.latency = 0.2
    snapshots = await asyncio.gather(*(read_bus(bus, credential=by_secret) for _ in range(20)))
    assert not set().union(*map(reasons, snapshots))
    assert simulator.identity.tokens_issued == 2


class Issuer:
    """What azure-identity's credentials look like from outside, with a clock that a test can move."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0
        self.issued = 0
        self.down = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def get_token(self, scope: str) -> AccessToken:
        assert scope == "https://servicebus.azure.net/.default"
        await self.open.wait()
        if self.down.is_set():
            raise ClientAuthenticationError("AADSTS90033: try again")
        self.issued += 1
        return AccessToken(f"token-{self.issued}", int(self.now + 3600))

    async def close(self) -> None:
        self.open.clear()


async def test_a_token_is_renewed_before_it_expires_and_nobody_waits_for_it() -> None:
    issuer = Issuer()
    credential = EntraCredential(issuer, clock=lambda: issuer.now)
    endpoint = Endpoint("a.servicebus.windows.net")
    assert await credential.authorization(endpoint) == "Bearer token-1"
    issuer.now += 3400  # 200 s before its end
    issuer.open.clear()
    answers = [await credential.authorization(endpoint) for _ in range(20)]
    assert set(answers) == {"Bearer token-1"}
    issuer.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await credential.authorization(endpoint) == "Bearer token-2"
    assert issuer.issued == 2
    await credential.close()


async def test_a_renewal_that_fails_while_the_token_is_good_fails_no_scrape_and_is_tried_again() -> None:
    issuer = Issuer()
    credential = EntraCredential(issuer, clock=lambda: issuer.now)
    endpoint = Endpoint("a.servicebus.windows.net")
    await credential.authorization(endpoint)
    issuer.now += 3400
    issuer.down.set()
    assert await credential.authorization(endpoint) == "Bearer token-1"
    await asyncio.sleep(0.01)
    assert await credential.authorization(endpoint) == "Bearer token-1"
    issuer.down.clear()
    issuer.now += 20
    assert await credential.authorization(endpoint) == "Bearer token-1"
    await asyncio.sleep(0.01)
    assert await credential.authorization(endpoint) == "Bearer token-2"
    await credential.close()


async def test_a_wrong_client_secret_is_a_credential_failure_that_names_entra_ids_code_and_no_secret(
    simulator: Simulator,
    bus: SimulatedNamespace,
    client: Client,
    read_bus: ReadBus,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    application = simulator.identity.add_application(secret="right")
    bus.grant(application)
    credential = credentials.client_secret_credential(
        simulator.identity.tenant,
        application.client_id,
        "planted-wrong-secret",
        authority=_authority(simulator),
        transport=client.token_transport(),
    )
    snapshot = await read_bus(bus, credential=credential)
    assert reasons(snapshot) == {Reason.CREDENTIAL}
    messages = " ".join(failure.message for failure in snapshot.collectors.values() if failure)
    assert "AADSTS7000215" in messages
    assert "planted-wrong-secret" not in messages + caplog.text
    await credential.close()


async def test_a_principal_without_a_role_is_unauthorized(
    simulator: Simulator, client: Client, read_bus: ReadBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, other = simulator.add_namespace("granted"), simulator.add_namespace("other")
    credential = client_secret(simulator, granted, client, tmp_path, monkeypatch)
    assert reasons(await read_bus(other, credential=credential)) <= {Reason.UNAUTHORIZED, Reason.FORBIDDEN}
    assert reasons(await read_bus(other, credential=credential))
    await credential.close()


async def test_a_token_endpoint_that_is_down_is_a_credential_failure(
    by_secret: Credential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    simulator.identity.faults.set("disconnect")
    assert reasons(await read_bus(bus, credential=by_secret, seconds=30)) <= {
        Reason.CREDENTIAL,
        Reason.TIMEOUT,
    }


def test_a_certificate_that_cannot_be_read_is_a_credential_failure() -> None:
    with pytest.raises(ServiceBusError) as raised:
        credentials.client_certificate_credential("tenant", "client", b"-----BEGIN nonsense")
    assert raised.value.reason is Reason.CREDENTIAL


async def test_the_local_emulator_is_read_over_plain_http(client: Client) -> None:
    # Nothing listens there: what counts is that the hub goes there, and over http.
    endpoint = parse_connection_string(
        "Endpoint=sb://localhost:1;SharedAccessKeyName=R;SharedAccessKey=x;UseDevelopmentEmulator=true"
    ).endpoint
    assert endpoint.base_url == "http://localhost:1"
    with pytest.raises(ServiceBusError) as raised:
        await client.get(endpoint, "/$Resources/queues", "x")
    assert raised.value.reason is Reason.CONNECTION
    assert parse_host("localhost:1").base_url == "https://localhost:1"
