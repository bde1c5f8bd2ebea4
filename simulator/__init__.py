"""A Service Bus management endpoint for the demo, the tests and the benchmarks.

It imports nothing from the rest of the project, so that it can't share a bug with the code that it tests. Example:

simulator = Simulator()
namespace = simulator.add_namespace("payments")
namespace.add_queue("orders", active=3)
with simulator.running():
    ...  # send requests to https://payments.servicebus.localhost:<simulator.port>/ and trust simulator.ca_file
"""

from .entities import SimulatedQueue, SimulatedSubscription, SimulatedTopic
from .namespace import SimulatedNamespace
from .server import Simulator

__all__ = ["SimulatedNamespace", "SimulatedQueue", "SimulatedSubscription", "SimulatedTopic", "Simulator"]
