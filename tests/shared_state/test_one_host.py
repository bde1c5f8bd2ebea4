"""One host has one budget, whatever team scrapes it, and strangers can't use it up."""

import asyncio
from itertools import count

import pytest

from exporters.configuration.targets import CredentialSpec, Limits, Target
from exporters.scraping import budgets
from exporters.servicebus.budget import Budget
from exporters.servicebus.client import Client
from exporters.servicebus.connection import EndpointPolicy, parse_connection_string, parse_host
from exporters.servicebus.credentials import CredentialPair, SharedKeyCredential
from exporters.servicebus.entities import Snapshot
from exporters.servicebus.errors import Reason, ServiceBusError
from exporters.servicebus.events import DISCARDED
from exporters.servicebus.read_options import ReadOptions
from exporters.servicebus.reader import read_namespace
from exporters.servicebus.request_rate import Allowance, Bucket, with_reader
from exporters.shared_state import shared
from simulator import SimulatedNamespace, Simulator

_hosts = count()
# Too slow for any test to see it refill.
SLOWLY = 0.001


def target(team: str, credential_id: int, rate: float | None = SLOWLY, burst: int | None = 20) -> Target:
    limits = Limits(
        rate, burst, 16, timeout_seconds=10, cache_seconds=0, max_age_seconds=300, max_entities=1000
    )
    return Target(
        name=f"{team}-payments",
        team=team,
        enabled=True,
        host="",
        credential=CredentialSpec("connection_string", credential_id=credential_id),
        endpoint=None,
        problem=None,
        labels=(),
        include="",
        exclude="",
        groups=frozenset(),
        limits=limits,
        scrape_interval_seconds=None,
        scrape_timeout_seconds=None,
    )


def budget_for(of: Target, host: str) -> Budget:
    return budgets.budget_for(of, host, shared(), DISCARDED)


@pytest.fixture
def host() -> str:
    return f"one-{next(_hosts)}.servicebus.windows.net"


async def sent(budget: Budget, wanted: int) -> int:
    """Return how many of these requests the budget grants at once."""
    for number in range(wanted):
        try:
            await budget.acquire(0)
        except ServiceBusError:
            return number
    return wanted


async def proven(team: str, credential_id: int, host: str, **limits: float | int) -> Budget:
    budget = budget_for(target(team, credential_id, **limits), host)  # type: ignore[arg-type]
    await budget.answered(accepted=True)
    return budget


async def test_teams_that_watch_one_host_share_its_budget(host: str) -> None:
    assert await sent(await proven("red", 1, host), 12) == 12
    assert await sent(await proven("blue", 2, host), 100) == 8
    assert await sent(await proven("red", 3, host), 100) == 0


async def test_strangers_of_a_team_take_three_requests_whatever_they_set(host: str) -> None:
    for credential_id in range(1, 30):
        stranger = budget_for(target("grey", credential_id, 10_000, 5_000), host)
        assert await sent(stranger, 10) == (3 if credential_id == 1 else 0)
    assert await sent(await proven("red", 77, host, rate=1, burst=20), 100) == pytest.approx(20, abs=1)


async def test_a_strangers_low_allowance_holds_nobody_up(host: str) -> None:
    assert await sent(budget_for(target("grey", 1, 0.001, 1), host), 10) == 3
    assert await sent(await proven("red", 2, host, rate=30, burst=30), 100) >= 26


async def test_a_slow_teams_requests_hold_up_no_fast_one_and_keep_to_their_own_allowance(host: str) -> None:
    slow, fast = (
        await proven("red", 1, host, rate=0.001, burst=5),
        await proven("blue", 2, host, rate=30, burst=30),
    )
    assert await sent(fast, 1) == 1
    assert await sent(slow, 100) == 5
    assert 20 <= await sent(fast, 100) <= 26
    await asyncio.sleep(0.5)
    assert await sent(budget_for(target("red", 1, 0.001, 5), host), 100) == 0


async def test_the_refusal_of_a_stranger_says_why(host: str) -> None:
    stranger = budget_for(target("grey", 1), host)
    assert await sent(stranger, 10) == 3
    with pytest.raises(ServiceBusError, match="has not accepted this credential so far") as refused:
        await stranger.acquire(0)
    assert refused.value.reason is Reason.BUDGET


async def test_a_proof_is_shared_and_forgotten_with_a_refusal(host: str) -> None:
    await proven("red", 1, host)
    budgets._proven.clear()  # another process
    assert await budget_for(target("red", 1), host).is_proven()
    assert not await budget_for(target("red", 2), host).is_proven(), "another credential"
    assert not await budget_for(target("blue", 1), host).is_proven(), "another team"
    other = budget_for(target("red", 1), host)
    assert await other.is_proven()
    await other.answered(accepted=False)
    budgets._proven.clear()
    assert not await budget_for(target("red", 1), host).is_proven()


async def test_a_credential_that_is_not_saved_proves_itself_with_each_read(host: str) -> None:
    for _ in range(10):
        unproven = budget_for(target("red", 0, 30, 30), host)
        assert not await unproven.is_proven()
        assert await sent(unproven, 1) == 1
        await unproven.answered(accepted=True)
        assert await unproven.is_proven()


def test_the_highest_allowance_counts_until_nobody_asks_with_it_and_a_pause_has_come() -> None:
    bucket = with_reader(Bucket(), Allowance(30, 30), 1000.0)
    bucket = with_reader(bucket, Allowance(10, 300), 1001.0)
    assert (bucket.highest_rate, bucket.highest_burst) == (30, 300)
    much_later = with_reader(bucket._replace(last=2000.0), Allowance(10, 20), 2001.0)
    assert (much_later.highest_rate, much_later.highest_burst) == (30, 300)
    after_a_pause = with_reader(bucket._replace(last=2000.0), Allowance(10, 20), 2004.1)
    assert (after_a_pause.highest_rate, after_a_pause.highest_burst) == (10, 20)


async def _read(bus: SimulatedNamespace, simulator: Simulator, credential: object, of: Target) -> Snapshot:
    client = Client(EndpointPolicy(allow_loopback=True), str(simulator.ca_file))
    try:
        source = ReadOptions(parse_host(bus.host), credential)  # type: ignore[arg-type]
        budget = budget_for(of, source.endpoint.host + str(next(_hosts)) if of.team == "red" else "stranger")
        return await read_namespace(
            source, client, deadline=asyncio.get_running_loop().time() + 5, budget=budget
        )
    finally:
        await client.close()
        await asyncio.sleep(0.1)


def _key(bus: SimulatedNamespace, secret: str = "") -> SharedKeyCredential:
    connection = parse_connection_string(bus.connection_string)
    return SharedKeyCredential(connection.key_name, secret or connection.key)


async def test_the_first_read_ever_is_whole(bus: SimulatedNamespace, simulator: Simulator) -> None:
    snapshot = await _read(bus, simulator, _key(bus), target("red", 5, None, None))
    assert not [failure for failure in snapshot.collectors.values() if failure]


async def test_a_spare_secret_proves_the_credential(bus: SimulatedNamespace, simulator: Simulator) -> None:
    pair = CredentialPair(_key(bus, "d3Jvbmc="), _key(bus))
    snapshot = await _read(bus, simulator, pair, target("red", 6, None, None))
    assert not [failure for failure in snapshot.collectors.values() if failure]


async def test_a_wrong_credential_sends_no_more_than_a_stranger_may_and_keeps_its_reason(
    bus: SimulatedNamespace, simulator: Simulator
) -> None:
    before = len(list(bus.requests))
    snapshot = await _read(bus, simulator, _key(bus, "d3Jvbmc="), target("grey", 7, None, None))
    assert {failure.reason for failure in snapshot.collectors.values() if failure} == {Reason.UNAUTHORIZED}
    assert len(list(bus.requests)) - before <= 3


async def test_while_a_wrong_credential_may_not_be_tried_again_its_last_failure_is_shown(
    bus: SimulatedNamespace, simulator: Simulator
) -> None:
    for _ in range(4):
        snapshot = await _read(bus, simulator, _key(bus, "d3Jvbmc="), target("grey", 7, None, None))
        assert {failure.reason for failure in snapshot.collectors.values() if failure} == {
            Reason.UNAUTHORIZED
        }
        budgets._proven.clear()  # as another process
    assert len(list(bus.requests)) <= 4, "three, and one in 10 s"
