"""Turns a Snapshot into a Prometheus exposition, independently of Django and Azure."""
