"""`python -m bench.simulated NAMESPACES QUEUES LATENCY_SECONDS`: a simulator in a process of its own.

Prints one line of JSON when it answers: the port, the CA's file and each namespace's connection string; runs until its
standard input ends.
"""

import json
import sys

from exporters.simulator import Simulator


def main() -> None:
    namespaces, queues, latency = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    simulator = Simulator(fast=True)
    for number in range(namespaces):
        namespace = simulator.add_namespace(f"load-{number:04}", sku="Premium", latency=latency)
        for queue in range(queues):
            namespace.add_queue(f"queue-{queue:03}", active=number + queue, dead_letter=queue % 7)
    with simulator.running():
        said = {
            "port": simulator.port,
            "ca_file": str(simulator.ca_file),
            "namespaces": {name: item.connection_string for name, item in simulator.namespaces.items()},
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
