"""Benchmarks of the hub, and of its effect on the namespaces that it reads. They compare their figures with goals.

Code that the tests need too is in tests/support.
"""
