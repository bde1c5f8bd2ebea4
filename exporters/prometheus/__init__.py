"""Turns a Snapshot into a Prometheus exposition, and applies label rules to it.

It imports neither Django nor Azure libraries, and only the entities of `servicebus`. Each metric of a namespace is
declared in `metrics`; the hub's own metrics are in `telemetry`.
"""
