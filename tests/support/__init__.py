"""What tests and benchmarks share: real servers on free ports, programs, seeds for a database, endpoints that attack.

No tests, and no stand-ins for what can be run.
"""
