"""The alerts of deploy/prometheus fire for simulated faults, each for its own."""

import pytest

from .conftest import LONG_AGO
from .deployment import Deployment

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def faulty(deployment: Deployment) -> Deployment:
    """A namespace for each fault; the rules' times are shortened to seconds."""
    simulator = deployment.simulator
    quiet = simulator.add_namespace("forbids")
    quiet.faults.set("forbidden")
    throttled = simulator.add_namespace("throttles")
    throttled.faults.set("throttle")
    large = simulator.add_namespace("large")
    for number in range(5):
        large.add_queue(f"queue-{number}")
    busy = simulator.add_namespace("busy")
    busy.add_queue("stuck", active=200)
    busy.add_queue("failing", dead_letter=1)
    busy.add_topic("full", size_bytes=950 * 2**20)
    busy.add_queue("left", active=4, accessed=LONG_AGO)
    busy.add_queue("off", status="Disabled")
    cached = simulator.add_namespace("cached")
    namespaces = {
        bus.name: {"team": "faults", "secret": bus.connection_string}
        for bus in (quiet, throttled, large, busy, cached)
    }
    namespaces["large"]["max_entities"] = 5
    namespaces["cached"]["cache_seconds"] = 600
    deployment.hub.seed(namespaces=namespaces, tokens={})
    deployment.until_up({"forbids", "throttles", "large", "busy"})
    return deployment


def test_each_fault_fires_its_alert(faulty: Deployment) -> None:
    wanted = {
        ("ServiceBusScrapeFailing", "orders-stage unauthorized"),
        ("ServiceBusScrapeFailing", "forbids forbidden"),
        ("ServiceBusThrottled", "throttles"),
        ("ServiceBusSeriesNearLimit", "large"),
        ("ServiceBusSamplesTooOld", "cached"),
        ("ServiceBusNearMaximumSize", "busy topic full"),
        ("ServiceBusEntityDisabled", "busy queue off disabled"),
        ("ServiceBusConsumerIdle", "busy queue left"),
        ("ServiceBusDeadLettersGrow", "busy queue failing"),
        ("ServiceBusBacklogOnlyGrows", "busy queue stuck"),
        ("ServiceBusCredentialExpires", "orders-prod-key"),
    }
    seen: set[tuple[str, str]] = set()
    queues = faulty.simulator.namespaces["busy"].queues

    def all_fired() -> bool:
        queues["stuck"].active += 5
        queues["failing"].dead_letter += 1
        seen.update(faulty.prometheus.firing())
        return wanted <= seen

    try:
        faulty.until(all_fired, "every alert")
    except TimeoutError:
        assert wanted - seen == set()
    quiet = {named for alert, named in seen if alert == "ServiceBusScrapeFailing"}
    assert not {named for named in quiet if named.startswith(("large", "busy", "search-prod"))}
