"""The namespaces that `make bench` measures, and a simulator that serves them."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.hubs import ROOT

LATENCIES = (0, 20, 50)  # milliseconds
SHAPES: dict[str, dict[str, int]] = {
    "100 queues": {"queues": 100},
    "100 queues + 100 topics x 10": {"queues": 100, "topics": 100, "subscriptions": 10},
    "1,000 queues": {"queues": 1000},
    "1,000 topics x 5": {"topics": 1000, "subscriptions": 5},
}


def name_of(shape: str, latency: int) -> str:
    """Return the name of the namespace with this shape and this latency in milliseconds."""
    return (
        "".join(letter if letter.isalnum() else "-" for letter in shape.replace(",", "")) + f"-at-{latency}ms"
    )


def simulator_of(stack: ExitStack, folder: Path, shapes: Mapping[str, dict[str, int]]) -> dict[str, Any]:
    """Run a simulator with every shape at every latency until the stack closes; return the details it prints."""
    definition: dict[str, Any] = {"namespaces": []}
    topics: dict[str, list[str]] = {}
    for shape, content in shapes.items():
        for latency in LATENCIES:
            name = name_of(shape, latency)
            topics[name] = [f"topic-{number}" for number in range(content.get("topics", 0))]
            definition["namespaces"].append(
                {
                    "name": name,
                    "sku": "Premium",
                    "latency": latency / 1000,
                    "own_port": True,
                    "queues": [
                        {"name": f"queue-{number}", "active": number * 7, "dead_letter": number % 5}
                        for number in range(content.get("queues", 0))
                    ],
                    "topics": [
                        {
                            "name": topic,
                            "subscriptions": [
                                {"name": f"subscription-{number}", "active": number * 11}
                                for number in range(content["subscriptions"])
                            ],
                        }
                        for topic in topics[name]
                    ],
                }
            )
    (folder / "simulator.yaml").write_text(json.dumps(definition))  # JSON is YAML
    ready = folder / "simulator.json"
    command = ["-m", "simulator", "--definition", str(folder / "simulator.yaml"), "--ready-file", str(ready)]
    command += ["--control-port", "0"]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    while not ready.is_file():
        if process.poll() is not None:
            raise RuntimeError("the simulator did not start")
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(ready.read_text())
    for name, namespace in told["namespaces"].items():
        namespace["topic_names"] = topics[name]
        own = f"Endpoint=sb://{namespace['own_host']}/;"
        namespace["own_connection_string"] = own + namespace["connection_string"].partition(";")[2]
    return told
