"""The hub that the browser tests and the screenshots use: gunicorn, a simulated Service Bus, fixed data."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import SimulatedNamespace, Simulator
from simulator.definition import add_namespace
from tests.support.hubs import Hub

PASSWORD = "browser-browser"

_ENTITIES: list[dict[str, Any]] = [
    {
        "name": "payments-prod",
        "queues": [
            {"name": "orders", "active": 12, "dead_letter": 2, "size_bytes": 18_000},
            {"name": "orders/priority", "active": 1},
            {
                "name": "invoices",
                "active": 340,
                "scheduled": 25,
                "size_bytes": 512_000,
                "status": "SendDisabled",
            },
            {"name": "refunds", "active": 4, "dead_letter": 118, "size_bytes": 900_000_000},
        ],
        "topics": [
            {
                "name": "events",
                "subscriptions": [
                    {"name": "billing", "active": 7},
                    {"name": "audit", "active": 2100, "dead_letter": 14},
                    {"name": "search-index"},
                ],
            }
        ],
    },
    {"name": "payments-stage", "queues": [{"name": "orders", "active": 1}]},
    {"name": "payments-dev", "queues": [{"name": "orders"}]},
    {
        "name": "orders-prod",
        "sku": "Premium",
        "messaging_units": 2,
        "generate": {"queues": 30, "topics": 8, "subscriptions": 4, "seed": 1},
    },
    {"name": "orders-stage", "generate": {"queues": 8, "topics": 2, "subscriptions": 2, "seed": 2}},
    {"name": "shipping-prod", "generate": {"queues": 12, "topics": 3, "subscriptions": 3, "seed": 3}},
    {"name": "shipping-stage", "queues": [{"name": "labels", "active": 3}]},
    {"name": "search-prod", "queues": [{"name": "changes", "active": 30}]},
    # Not a namespace of the hub yet; tests add it.
    {
        "name": "fresh",
        "queues": [{"name": "work", "active": 5}, {"name": "team/invoices", "active": 7}],
        "topics": [{"name": "news", "subscriptions": [{"name": "mail", "active": 2}]}],
    },
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running hub. `ids` are primary keys and tokens by object, as tests/browser/demo_data.py prints them."""

    hub: Hub
    simulator: Simulator
    ids: dict[str, Any]

    @property
    def address(self) -> str:
        return f"http://{self.hub.address}"

    def bus(self, name: str) -> SimulatedNamespace:
        return self.simulator.namespaces[name]


@contextmanager
def running(directory: Path | str | None = None, **variables: str) -> Iterator[Demo]:
    """Start the demo; `directory` keeps the simulator's certificates, `variables` are additional HUB_ settings."""
    simulator = Simulator(directory=directory)
    for entry in _ENTITIES:
        add_namespace(entry, simulator)
    with simulator.running():
        hub = Hub(
            {
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": str(simulator.ca_file),
                "HUB_ADMIN_PASSWORD": PASSWORD,
                "HUB_WORKERS": "1",
                "HUB_THREADS": "32",
                **variables,
            }
        )
        try:
            hub.manage("prepare")
            strings = {bus.name: bus.connection_string for bus in simulator.namespaces.values()}
            ids = json.loads(hub.manage(module="tests.browser.demo_data", text=json.dumps(strings)))
            hub.start()
            yield Demo(hub, simulator, ids)
        finally:
            hub.close()
