"""Endpoints that attack the hub: each scrape is answered, and the hub stays healthy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from simulator import Simulator
from tests.support.hostile import ATTACKS
from tests.support.hubs import Hostile, Hub
from tests.support.series import is_up, reasons_of, scrape_of

TOKEN = "sbh_the-attacks-on-a-throw-away-hub"
NAMES = {attack: f"attack-{number:02}" for number, attack in enumerate(ATTACKS)}
# A worker has about 110 MiB without attacks; what the attacks send would fill any machine.
MEMORY_MIB = 500


# The attacks whose reason is not `malformed`.
OTHER_REASONS = {
    "no answer": {"timeout"},
    "header byte by byte": {"timeout"},
    "Retry-After as asctime": {"throttled"},
    "Retry-After of 5,000 digits": {"throttled"},
    "body without end": {"too_large"},
    "Content-Length of 10^18": {"too_large"},
    "102 Processing without end": {"too_large"},
    "100 Continue without end": {"too_large"},
    "103 with headers without end": {"too_large"},
    "chunk extensions without end": {"too_large"},
    "body shorter than its Content-Length": {"connection"},
    # These go on until the limit, the deadline or the budget ends them, whichever comes first.
    "chunks of one byte without end": {"too_large", "timeout"},
    "trailers without end": {"malformed", "connection"},
    "listing without end": {"budget", "malformed", "timeout"},
    "another layout in each page": {"budget", "malformed", "timeout"},
    "entries almost alike": {"budget", "malformed", "timeout", "too_large"},
    "wide names without end": {"budget", "timeout", "too_large"},
    "names of 2 kB without end": {"budget", "timeout", "too_large"},
    "wide values without end": {"budget", "timeout", "too_large"},
    "100 topics of 10^9 subscriptions": {"budget", "malformed", "timeout"},
}


@dataclass
class Scene:
    hub: Hub

    def scrape(self, name: str) -> bytes:
        return scrape_of(self.hub, TOKEN, name, timeout_seconds=3)()


@pytest.fixture(scope="module")
def scene(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        simulator = Simulator(directory=certificates)
        simulator.add_namespace("healthy").add_queue("orders")
        stack.enter_context(simulator.running())
        hostile = Hostile(certificates)
        stack.callback(hostile.close)
        strings = {NAMES[attack]: text for attack, text in hostile.connection_strings.items()}
        strings["healthy"] = simulator.namespaces["healthy"].connection_string
        variables = {f"ATTACKS_{number}": text for number, text in enumerate(strings.values())}
        config = {
            "teams": [{"name": "attacked"}],
            "credentials": [
                {"name": name, "team": "attacked", "kind": "connection_string", "secret": {"env": variable}}
                for name, variable in zip(strings, variables, strict=True)
            ],
            "namespaces": [{"name": name, "team": "attacked", "credential": name} for name in strings],
            "tokens": [{"name": "prometheus", "token": {"env": "ATTACKS_TOKEN"}, "scope": "all_teams"}],
        }
        file = tmp_path_factory.mktemp("attacks") / "hub.yaml"
        file.write_text(yaml.safe_dump(config))
        hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": str(simulator.ca_file),
                "HUB_CONFIG": str(file),
                "HUB_WORKERS": "1",
                "ATTACKS_TOKEN": TOKEN,
                **variables,
            }
        )
        stack.callback(hub.close)
        hub.manage("prepare")
        hub.start()

        yield Scene(hub)


@pytest.mark.e2e
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_a_failure_of_its_own_namespace(scene: Scene, attack: str) -> None:
    exposition = scene.scrape(NAMES[attack])
    assert b"\nservicebus_up 0.0\n" in exposition
    reasons = reasons_of(exposition)
    assert reasons
    assert reasons <= OTHER_REASONS.get(attack, {"malformed"})


@pytest.mark.e2e
def test_the_hub_is_well_after_all_attacks_at_once(scene: Scene) -> None:
    with ThreadPoolExecutor(len(NAMES)) as pool:
        expositions = list(pool.map(scene.scrape, NAMES.values()))
    assert all(b"\nservicebus_up 0.0\n" in exposition for exposition in expositions)
    assert is_up(scene.scrape("healthy"))
    assert "Traceback" not in scene.hub.log.read_text(errors="replace")
    for worker in scene.hub.workers():
        assert worker.memory_info().rss < MEMORY_MIB * 1024 * 1024
