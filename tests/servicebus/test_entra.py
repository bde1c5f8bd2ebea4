"""Every way to sign in with Entra ID, through the real libraries, against the simulator's endpoints."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from exporters.servicebus import entra
from exporters.servicebus.client import Client
from exporters.servicebus.connection import Endpoint
from exporters.servicebus.credentials import Credential, CredentialPair, SharedKeyCredential
from exporters.servicebus.entra import EntraCredential
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.events import Events
from simulator import SimulatedNamespace, Simulator
from simulator.identity import Application
from simulator.tokens import SigningKey

from .conftest import ReadBus, reasons
from .raw import serving


@dataclass
class SignIn:
    """The values that a credential needs, and the namespace that it should open."""

    simulator: Simulator
    bus: SimulatedNamespace
    client: Client
    folder: Path
    environment: pytest.MonkeyPatch

    @property
    def tenant(self) -> str:
        return self.simulator.identity.tenant

    @property
    def options(self) -> dict[str, Any]:
        return {
            "authority": self.simulator.identity.authority.removeprefix("https://"),
            "transport": self.client.token_transport(),
        }

    def application(self) -> Application:
        """Return a new application that may read the namespace."""
        application = self.simulator.identity.add_application()
        self.bus.grant(application)
        return application


@pytest.fixture
def sign_in(
    simulator: Simulator,
    bus: SimulatedNamespace,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> SignIn:
    return SignIn(simulator, bus, client, tmp_path, monkeypatch)


def client_secret(to: SignIn) -> Credential:
    application = to.application()
    return entra.client_secret_credential(
        to.tenant, application.client_id, application.add_secret(), **to.options
    )


def client_certificate(to: SignIn) -> Credential:
    application = to.application()
    return entra.client_certificate_credential(
        to.tenant, application.client_id, application.add_certificate(), **to.options
    )


def workload_identity(to: SignIn) -> Credential:
    application = to.application()
    token_file = to.folder / "token"
    token_file.write_text(application.trust_issuer().token())
    return entra.workload_identity_credential(to.tenant, application.client_id, str(token_file), **to.options)


def managed_identity(*, system_assigned: bool, app_service: bool) -> Callable[[SignIn], Credential]:
    def make(to: SignIn) -> Credential:
        all_identities = to.simulator.identity
        identity = all_identities.add_managed_identity(system_assigned=system_assigned)
        to.bus.grant(identity)
        environment = (
            all_identities.app_service_environment() if app_service else all_identities.imds_environment()
        )
        for name, value in environment.items():
            to.environment.setenv(name, value)
        return entra.managed_identity_credential(
            "" if system_assigned else identity.client_id, transport=to.client.token_transport()
        )

    return make


WAYS: dict[str, Callable[[SignIn], Credential]] = {
    "client secret": client_secret,
    "client certificate": client_certificate,
    "workload identity": workload_identity,
    "managed identity, system assigned": managed_identity(system_assigned=True, app_service=False),
    "managed identity, user assigned": managed_identity(system_assigned=False, app_service=False),
    "managed identity, App Service": managed_identity(system_assigned=True, app_service=True),
}


@pytest.fixture(params=WAYS)
async def credential(request: pytest.FixtureRequest, sign_in: SignIn) -> AsyncIterator[Credential]:
    credential = WAYS[request.param](sign_in)
    yield credential
    await credential.close()


async def test_every_way_of_entra_id_opens_the_namespace_with_one_token_for_many_reads_at_once(
    credential: Credential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    snapshots = await asyncio.gather(*(read_bus(bus, credential=credential) for _ in range(20)))
    assert not set().union(*map(reasons, snapshots))
    assert simulator.identity.tokens_issued == 1


@pytest.fixture
async def by_secret(sign_in: SignIn) -> AsyncIterator[Credential]:
    credential = client_secret(sign_in)
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
    """Behaves like azure-identity's credentials, with a clock that a test can move."""

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
    credential = entra.EntraCredential(lambda: issuer, clock=lambda: issuer.now, date=lambda: issuer.now)
    endpoint = Endpoint("a.servicebus.windows.net")
    assert await credential.authorization(endpoint) == "Bearer token-1"
    issuer.now += 3400  # 200 s before it expires
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
    credential = entra.EntraCredential(lambda: issuer, clock=lambda: issuer.now, date=lambda: issuer.now)
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
    sign_in: SignIn, bus: SimulatedNamespace, read_bus: ReadBus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    application = sign_in.application()
    application.add_secret("right")
    credential = entra.client_secret_credential(
        sign_in.tenant, application.client_id, "planted-wrong-secret", **sign_in.options
    )
    snapshot = await read_bus(bus, credential=credential)
    assert reasons(snapshot) == {Reason.CREDENTIAL}
    messages = " ".join(failure.message for failure in snapshot.collectors.values() if failure)
    assert "AADSTS7000215" in messages
    assert "planted-wrong-secret" not in messages + caplog.text
    await credential.close()


async def test_a_principal_without_a_role_is_unauthorized(
    by_secret: Credential, simulator: Simulator, read_bus: ReadBus
) -> None:
    other = simulator.add_namespace("other")
    snapshot = await read_bus(other, credential=by_secret)
    assert reasons(snapshot)
    assert reasons(snapshot) <= {Reason.UNAUTHORIZED, Reason.FORBIDDEN}


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
        entra.client_certificate_credential("tenant", "client", b"-----BEGIN nonsense")
    assert raised.value.reason is Reason.CREDENTIAL


async def test_a_date_that_is_set_while_a_token_is_kept_neither_ends_it_nor_lengthens_its_life() -> None:
    issuer, clock = Issuer(), [0.0]
    credential = entra.EntraCredential(lambda: issuer, clock=lambda: clock[0], date=lambda: issuer.now)
    endpoint = Endpoint("a.servicebus.windows.net")
    await credential.authorization(endpoint)
    for step in (-3600, 7200):
        issuer.now += step
        clock[0] += 1000
        assert await credential.authorization(endpoint) == "Bearer token-1"
        await asyncio.sleep(0.01)
    assert issuer.issued == 1
    issuer.now -= 7200
    clock[0] = 3500.0
    await credential.authorization(endpoint)
    await asyncio.sleep(0.01)
    assert await credential.authorization(endpoint) == "Bearer token-2"
    await credential.close()


def revoke_all_tokens(simulator: Simulator) -> None:
    simulator.identity.key = SigningKey()
    simulator.identity._known.clear()


async def test_a_token_that_is_refused_is_replaced_once_however_many_reads_it_is_refused_to(
    by_secret: EntraCredential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    assert not reasons(await read_bus(bus, credential=by_secret))
    by_secret._token_at -= 301
    revoke_all_tokens(simulator)
    simulator.identity.latency = 0.1
    snapshots = await asyncio.gather(*(read_bus(bus, credential=by_secret) for _ in range(10)))
    assert not set().union(*map(reasons, snapshots))
    assert simulator.identity.tokens_issued == 2


async def test_a_new_token_that_is_refused_is_not_replaced_again_and_again(
    by_secret: EntraCredential, simulator: Simulator, read_bus: ReadBus
) -> None:
    other = simulator.add_namespace("other")  # the principal has no role here
    for _ in range(3):
        assert reasons(await read_bus(other, credential=by_secret)) == {Reason.UNAUTHORIZED}
    assert simulator.identity.tokens_issued == 1
    by_secret._token_at -= 301
    for _ in range(3):
        assert reasons(await read_bus(other, credential=by_secret)) == {Reason.UNAUTHORIZED}
    assert simulator.identity.tokens_issued == 2


async def test_a_refused_token_that_can_not_be_replaced_is_unauthorized(
    by_secret: EntraCredential, simulator: Simulator, bus: SimulatedNamespace, read_bus: ReadBus
) -> None:
    assert not reasons(await read_bus(bus, credential=by_secret))
    by_secret._token_at -= 301
    revoke_all_tokens(simulator)
    simulator.identity.faults.set("disconnect")
    assert reasons(await read_bus(bus, credential=by_secret, seconds=30)) == {Reason.UNAUTHORIZED}


async def test_a_refused_token_of_a_pair_is_replaced_before_the_spare_one_is_shown(
    by_secret: EntraCredential,
    sign_in: SignIn,
    simulator: Simulator,
    bus: SimulatedNamespace,
    read_bus: ReadBus,
) -> None:
    spare_uses: Events = Events()
    spare = SharedKeyCredential(bus.key_name, bus.key)
    pair = CredentialPair(by_secret, spare, events=spare_uses)
    assert not reasons(await read_bus(bus, credential=pair))
    by_secret._token_at -= 301
    revoke_all_tokens(simulator)
    assert not reasons(await read_bus(bus, credential=pair))
    assert not spare_uses
    revoke_all_tokens(simulator)  # the token is new, so another one would not help
    assert not reasons(await read_bus(bus, credential=pair))
    assert spare_uses


async def test_a_sign_in_that_gets_no_answer_is_given_up_and_the_next_one_takes_a_new_connection(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entra, "_ANSWER_SECONDS", 0.5)
    port = sign_in.simulator.identity.own_port()
    made, silent = 0, True

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        if silent:
            await asyncio.sleep(60)
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pass_on(reader, to_there), pass_on(there, writer))
        finally:
            to_there.transport.abort()

    async with serving(relay, None) as relayed:
        options = {**sign_in.options, "authority": f"localhost:{relayed}"}
        application = sign_in.application()
        credential = entra.client_secret_credential(
            sign_in.tenant, application.client_id, application.add_secret(), **options
        )
        where = Endpoint("localhost", sign_in.simulator.port)
        with pytest.raises(ServiceBusError, match="the token endpoint did not respond"):
            await asyncio.wait_for(credential.authorization(where), 5)
        silent = False
        assert (await asyncio.wait_for(credential.authorization(where), 5)).startswith("Bearer ")
        assert made == 2
        await credential.close()
