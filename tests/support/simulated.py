"""`python -m tests.support.simulated NAMESPACES QUEUES LATENCY_SECONDS [HANGING]`: run a simulator in its own process.

Once the simulator is serving, prints one line of JSON with the port, the CA file and each namespace's connection
string. Runs until its standard input is closed. HANGING is the number of additional namespaces that hang: before the
TLS handshake, after it, or while sending a response byte by byte.
"""

import json
import logging
import sys

from simulator import SimulatedNamespace, Simulator

KINDS = ("hang_handshake", "hang", "trickle")


def hang(namespace: SimulatedNamespace, number: int) -> str:
    """Make a namespace hang in one of three ways; return its connection string."""
    kind = KINDS[number % len(KINDS)]
    namespace.add_queue("orders")
    if kind != "hang_handshake":
        namespace.faults.set(kind)
        return namespace.connection_string
    secret = namespace.own_connection_string  # opens the dedicated port that this fault needs
    namespace.faults.set(kind)
    return secret


def main() -> None:
    # A client that gives up on a trickled response would cause a logged traceback.
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
