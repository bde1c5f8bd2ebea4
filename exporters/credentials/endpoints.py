"""The platform's endpoint policy, applied to user input."""

from collections.abc import Iterable
from dataclasses import replace

from django.conf import settings
from django.core.exceptions import ValidationError

from ..servicebus.connection import (
    AUTHORITIES,
    DEFAULT_SUFFIXES,
    ConnectionString,
    Endpoint,
    EndpointNotAllowedError,
    EndpointPolicy,
    parse_host,
)

__all__ = ["AUTHORITIES", "check_endpoint", "check_host", "check_hosts", "endpoint_of", "policy"]


def policy() -> EndpointPolicy:
    """Return where the hub may connect: the suffixes of the Azure clouds and those from the settings."""
    return EndpointPolicy(
        suffixes=(*DEFAULT_SUFFIXES, *settings.HUB_ENDPOINT_SUFFIXES),
        allow_loopback=settings.HUB_ALLOW_LOOPBACK,
    )


def check_endpoint(endpoint: Endpoint) -> None:
    """Raise ValidationError for an endpoint that the platform's settings don't allow."""
    try:
        policy().check_host(endpoint)
    except EndpointNotAllowedError as error:
        raise ValidationError(str(error)) from None


def check_host(value: str) -> Endpoint:
    """Return the endpoint that the text names; raise ValidationError with what to enter instead."""
    try:
        endpoint = parse_host(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None
    check_endpoint(endpoint)
    return endpoint


def check_hosts(values: Iterable[object]) -> list[str]:
    """Return hosts in the form used to store and compare them; raise ValidationError for an invalid one."""
    return sorted({check_host(str(value)).host_port for value in values})


def endpoint_of(host: str, connection: ConnectionString | None) -> Endpoint:
    """Return the endpoint for a namespace with this host and credential; raise ValidationError keyed by `host`.

    `host` may add a port. It must not contradict the connection string, whose key works for that one namespace only.
    """
    if not host:
        if connection is None:
            raise ValidationError(
                {
                    "host": "Enter the host, for example payments-prod.servicebus.windows.net. This credential "
                    "doesn't contain one."
                }
            )
        return connection.endpoint
    try:
        endpoint = check_host(host)
    except ValidationError as error:
        raise ValidationError({"host": error}) from None
    if connection is None:
        return endpoint
    other = connection.endpoint
    if endpoint.host.lower() != other.host.lower() or (
        endpoint.port and other.port and endpoint.port != other.port
    ):
        raise ValidationError(
            {
                "host": f"The connection string is for {other.host_port}, but the host is {endpoint.host_port}. "
                "Leave the host empty, or choose that namespace's credential."
            }
        )
    return other if endpoint.port is None else replace(other, port=endpoint.port)
