"""The platform's policy about endpoints, applied to what people enter."""

from django.conf import settings
from django.core.exceptions import ValidationError

from .servicebus.connection import Endpoint, EndpointNotAllowed, EndpointPolicy, parse_host


def policy() -> EndpointPolicy:
    """Return where the hub may connect: the clouds' own suffixes and what the settings add."""
    from .servicebus.connection import DEFAULT_SUFFIXES

    return EndpointPolicy(
        suffixes=(*DEFAULT_SUFFIXES, *settings.HUB_ENDPOINT_SUFFIXES),
        allow_loopback=settings.HUB_ALLOW_LOOPBACK,
    )


def check_host(value: str) -> Endpoint:
    """Return the endpoint that the text names; raise ValidationError with what to enter instead."""
    try:
        endpoint = parse_host(value)
        policy().check_host(endpoint)
    except (EndpointNotAllowed, ValueError) as error:
        raise ValidationError(str(error)) from None
    return endpoint
