"""Turns a Snapshot into a Prometheus exposition; knows neither Django nor Azure."""
