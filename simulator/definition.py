"""Define a simulator in YAML: its namespaces, their entities, and the identities that may read them.

namespaces:
  - name: payments
    sku: Standard              # messaging_units, alias, latency (seconds), key: as in SimulatedNamespace
    queues: [{name: orders, active: 3}]        # every attribute of SimulatedQueue
    topics: [{name: events, subscriptions: [{name: billing, active: 2}]}]
    generate: {queues: 100, topics: 100, subscriptions: 10, seed: 1}
    drift: {every: 1.0, share: 0.2, seed: 1}   # counts move over time
    keys: [{name: listen-only, rights: [Listen]}]              # entity_path: a key of that entity
    credits: {sender_rate: 600}
    faults: [{kind: throttle, path: "/$resources/*", times: 3, retry_after: 2}]
    own_port: true
identity:
  token_lifetime: 3600
  applications: [{client_id: hub, secret: a-secret, grant: [payments]}]
  managed_identities: [{client_id: machine, system_assigned: true, grant: [payments]}]
"""

from collections.abc import Mapping
from typing import Any

import yaml

from .drift import fill
from .namespace import RIGHTS, SimulatedNamespace
from .server import Simulator

_NAMESPACE_OPTIONS = ("sku", "messaging_units", "alias", "latency", "key")
_NAMESPACE_PARTS = (
    *("name", "queues", "topics", "generate", "drift", "keys", "credits", "faults", "own_port"),
    *_NAMESPACE_OPTIONS,
)


class DefinitionError(ValueError):
    """The definition can't be used; the message explains where and why."""


def read(text: str) -> dict[str, Any]:
    """Parse a definition. Raises DefinitionError if it is not a YAML mapping."""
    try:
        definition = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DefinitionError(f"this is not YAML: {error}") from None
    if not isinstance(definition, dict):
        raise DefinitionError("a definition is a mapping with the keys namespaces and identity")
    return definition


def apply(definition: Mapping[str, Any], simulator: Simulator) -> None:
    """Add the contents of a definition to the simulator. Raises DefinitionError."""
    _only_known(definition, ("namespaces", "identity"), "the definition")
    for entry in definition.get("namespaces") or []:
        add_namespace(entry, simulator)
    identity = definition.get("identity") or {}
    _only_known(identity, ("token_lifetime", "applications", "managed_identities"), "identity")
    if "token_lifetime" in identity:
        simulator.identity.token_lifetime = float(identity["token_lifetime"])
    for entry in identity.get("applications") or []:
        _only_known(entry, ("client_id", "secret", "grant"), "applications")
        application = simulator.identity.add_application(entry.get("client_id"), secret=entry.get("secret"))
        for namespace in entry.get("grant") or []:
            _namespace(simulator, namespace).grant(application)
    for entry in identity.get("managed_identities") or []:
        _only_known(entry, ("client_id", "system_assigned", "grant"), "managed_identities")
        machine = simulator.identity.add_managed_identity(
            entry.get("client_id"), system_assigned=bool(entry.get("system_assigned", True))
        )
        for namespace in entry.get("grant") or []:
            _namespace(simulator, namespace).grant(machine)


def add_namespace(entry: Mapping[str, Any], simulator: Simulator) -> SimulatedNamespace:
    """Add one namespace from its entry. If it raises DefinitionError, the namespace was not added."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise DefinitionError("every namespace needs a name")
    name = entry["name"]
    _only_known(entry, _NAMESPACE_PARTS, f"the namespace {name}")
    try:
        options = {option: entry[option] for option in _NAMESPACE_OPTIONS if option in entry}
        namespace = simulator.add_namespace(name, **options)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"the namespace {name}: {error}") from None
    try:
        _fill(namespace, entry, simulator)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        simulator.remove_namespace(name)
        raise DefinitionError(f"the namespace {name}: {error}") from None
    return namespace


def _fill(namespace: SimulatedNamespace, entry: Mapping[str, Any], simulator: Simulator) -> None:
    for queue in entry.get("queues") or []:
        namespace.add_queue(**queue)
    for topic in entry.get("topics") or []:
        values = {key: value for key, value in topic.items() if key != "subscriptions"}
        added = namespace.add_topic(**values)
        for subscription in topic.get("subscriptions") or []:
            added.add_subscription(**subscription)
    if "generate" in entry:
        fill(namespace, **entry["generate"])
    for key in entry.get("keys") or []:
        _only_known(key, ("name", "rights", "entity_path", "key"), "keys")
        derived = simulator.derived_key(f"{namespace.name}/{key.get('entity_path')}/{key['name']}")
        namespace.add_key(
            key["name"],
            key.get("rights", RIGHTS),
            entity_path=key.get("entity_path"),
            key=key.get("key", derived),
        )
    if entry.get("own_port"):
        namespace.own_port()
    if "credits" in entry:
        namespace.credits.enforce(**entry["credits"])
    for fault in entry.get("faults") or []:
        namespace.faults.set(**fault)
    if entry.get("drift"):
        simulator.start_drift(namespace, **(entry["drift"] if isinstance(entry["drift"], dict) else {}))


def _only_known(entry: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise DefinitionError(f"{where}: expected a mapping with the keys {', '.join(known)}")
    unknown = [str(key) for key in entry if key not in known]
    if unknown:
        raise DefinitionError(f"{where} has no {', '.join(unknown)}; known are {', '.join(known)}")


def _namespace(simulator: Simulator, name: str) -> SimulatedNamespace:
    if name.lower() not in simulator.namespaces:
        raise DefinitionError(f"there is no namespace {name} to grant rights on")
    return simulator.namespaces[name.lower()]
