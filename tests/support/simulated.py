"""`python -m tests.support.simulated NAMESPACES QUEUES LATENCY_SECONDS [HANGING]`: a simulator in a process of its own.

Prints one line of JSON when it answers: the port, the CA's file and each namespace's connection string; runs until its
standard input ends. So many more namespaces hang: before the handshake, after it, or with bytes that trickle.
"""

import json
import logging
import sys

from simulator import SimulatedNamespace, Simulator

KINDS = ("hang_handshake", "hang", "trickle")


def hang(namespace: SimulatedNamespace, number: int) -> str:
    """Let a namespace hang in one of three ways; return its connection string."""
    kind = KINDS[number % len(KINDS)]
    namespace.add_queue("orders")
    if kind != "hang_handshake":
        namespace.faults.set(kind)
        return namespace.connection_string
    secret = namespace.own_connection_string  # opens the port of its own that the fault needs
    namespace.faults.set(kind)
    return secret


def main() -> None:
    # Whoever gives up on a trickle would be a traceback.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    namespaces, queues, latency = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    simulator = Simulator(fast=True)
    for number in range(namespaces):
        namespace = simulator.add_namespace(f"load-{number:04}", sku="Premium", latency=latency)
        for queue in range(queues):
            namespace.add_queue(f"queue-{queue:03}", active=number + queue, dead_letter=queue % 7)
    hanging = [
        simulator.add_namespace(f"hanging-{number:04}")
        for number in range(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    ]
    with simulator.running():
        strings = {item.name: item.connection_string for item in simulator.namespaces.values()}
        for number, namespace in enumerate(hanging):
            strings[namespace.name] = hang(namespace, number)
        said = {
            "port": simulator.port,
            "ca_file": str(simulator.ca_file),
            "namespaces": strings,
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
