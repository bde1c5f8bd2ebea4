"""The hub's own metrics, summed over its worker processes, and the counter of internal errors.

Any room above may count here. A namespace's metrics are in `prometheus`.
"""
