"""The hub's own metrics, summed over its worker processes, and the counter of internal errors.

Any package above may use these counters. A namespace's metrics are in `prometheus`.
"""
