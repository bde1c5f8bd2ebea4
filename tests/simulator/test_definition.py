import time
from pathlib import Path

import pytest

from simulator import Simulator
from simulator.definition import DefinitionError, apply, read
from simulator.drift import Drift

from .asking import get

WHOLE = """
namespaces:
  - name: small
    latency: 0.01
    queues:
      - {name: team/orders, active: 3, dead_letter: 1, status: Disabled}
    topics:
      - name: events
        subscriptions: [{name: billing, active: 2}]
    keys:
      - {name: listen-only, rights: [Listen]}
      - {name: reader, entity_path: team/orders}
    credits: {sender_rate: 600}
  - name: large
    sku: Premium
    messaging_units: 4
    generate: {queues: 100, topics: 100, subscriptions: 10, seed: 3}
    drift: {every: 0.05, share: 1.0}
    own_port: true
    faults: [{kind: refuse}, {kind: throttle, times: 1}]
identity:
  token_lifetime: 60
  applications: [{client_id: hub, secret: a-secret, grant: [small]}]
  managed_identities: [{client_id: machine, grant: [large]}]
"""


@pytest.fixture
def defined(simulator: Simulator) -> Simulator:
    apply(read(WHOLE), simulator)
    return simulator


def test_a_definition_says_everything_about_a_namespace(defined: Simulator) -> None:
    small, large = defined.namespaces["small"], defined.namespaces["large"]
    assert small.latency == 0.01
    assert small.queues["team/orders"].status == "Disabled"
    assert get(small, "/events/subscriptions?api-version=2021-05").value("ActiveMessageCount") == "2"
    listen_only = small.shared_access_signature(key_name="listen-only")
    assert get(small, "/$namespaceinfo", authorization=listen_only).status == 401
    assert small.queues["team/orders"].keys[0].name == "reader"
    assert small.credits.enforced
    assert (len(large.queues), len(large.topics), len(large.subscriptions())) == (100, 100, 1000)
    assert next(iter(large.queues)) == "queue-001"
    assert get(large, "/$namespaceinfo?api-version=2021-05").status == 429
    assert get(large, "/$namespaceinfo?api-version=2021-05").value("MessagingUnits") == "4"
    with pytest.raises(ConnectionRefusedError):
        get(large, "/$namespaceinfo", host=large.own_host)
    assert defined.identity.token_lifetime == 60
    assert list(defined.identity.applications) == ["hub"]


def test_counts_drift_while_the_simulator_runs(defined: Simulator) -> None:
    large = defined.namespaces["large"]

    def counts() -> list[int]:
        return [entity.active for entity in [*large.queues.values(), *large.subscriptions()]]

    before, deadline = counts(), time.monotonic() + 10
    while counts() == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counts() != before
    assert min(counts()) >= 0
    defined.stop_drift(large)


def test_the_same_seed_drifts_the_same_way(simulator: Simulator) -> None:
    totals = []
    for name in ("one", "two"):
        apply(read(f"namespaces: [{{name: {name}, generate: {{queues: 20, seed: 5}}}}]"), simulator)
        namespace = simulator.namespaces[name]
        drift = Drift(namespace, share=0.5, seed=9)
        for _ in range(20):
            drift.step()
        totals.append([queue.total for queue in namespace.queues.values()])
    assert totals[0] == totals[1]


def test_messages_are_dead_lettered_in_few_of_the_entities(simulator: Simulator) -> None:
    apply(read("namespaces: [{name: large, generate: {queues: 300, seed: 5}}]"), simulator)
    namespace = simulator.namespaces["large"]
    before = {queue.name: queue.dead_letter for queue in namespace.queues.values()}
    drift = Drift(namespace, share=1, seed=9)
    grown = set()
    for _ in range(50):
        drift.step()
        grown |= {queue.name for queue in namespace.queues.values() if queue.dead_letter > before[queue.name]}
    assert 0 < len(grown) < 15


def test_keys_and_certificates_outlive_a_run(certificates: str) -> None:
    texts = []
    for _ in range(2):
        simulator = Simulator(directory=certificates)
        namespace = simulator.add_namespace("payments")
        texts.append((namespace.key, simulator.identity.tenant, simulator.ca_file.read_bytes()))
        simulator.stop()
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("namespaces: [", "not YAML"),
        ("- a", "a definition is a mapping"),
        ("spaces: []", "the definition has no spaces; known are namespaces, identity"),
        ("namespaces: [{sku: Basic}]", "every namespace needs a name"),
        ("namespaces: [{name: a, colour: red}]", "the namespace a has no colour"),
        ("namespaces: [{name: a, queues: [{name: q, actve: 1}]}]", "the namespace a: .*actve"),
        ("namespaces: [{name: a, queues: [{name: q}, {name: Q}]}]", "the namespace a: .*already"),
        ("namespaces: [{name: a, faults: [{kind: boom}]}]", "the namespace a: unknown fault 'boom'"),
        ("namespaces: [{name: a}, {name: A}]", "the namespace A: .*taken"),
        ("identity: {applications: [{grant: [nobody]}]}", "no namespace nobody"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(simulator: Simulator, text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        apply(read(text), simulator)


def test_the_demos_definition_holds_a_namespace_of_1200_entities(simulator: Simulator) -> None:
    definition = Path(__file__).parents[2] / "examples" / "demo-simulator.yaml"
    apply(read(definition.read_text()), simulator)
    large = simulator.namespaces["demo-large"]
    assert (len(large.queues), len(large.topics), len(large.subscriptions())) == (100, 100, 1000)
    assert {"demo-small", "demo-wrong-key"} < simulator.namespaces.keys()
