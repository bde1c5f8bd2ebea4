"""Reads Azure Service Bus namespaces through their management endpoint; knows neither Django nor Prometheus."""
