"""A token's targets in the format of Prometheus's HTTP service discovery: one group per namespace.

https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from ..configuration.targets import RESERVE_SECONDS, Configuration, Grant, Target


class UnknownTeamError(LookupError):
    """The team doesn't exist, or the token may not see it."""


def groups(configuration: Configuration, grant: Grant, team: str | None) -> list[dict[str, Any]]:
    """Return the target groups of the enabled namespaces that a token has access to: all of them, or one team's.

    Raises UnknownTeamError, because an empty list would make a typo look like a team without namespaces.
    """
    opened = [target for target in configuration.targets.values() if grant.opens(target)]
    if team is not None:
        opened = [target for target in opened if target.team == team]
        if team not in configuration.teams or not (opened or grant.sees_team(team)):
            raise UnknownTeamError(team)
    return [_group(target) for target in opened if target.enabled]


def address() -> tuple[str, str]:
    """Return the scheme and the host:port at which Prometheus reaches this hub (HUB_EXTERNAL_URL)."""
    url = urlsplit(settings.HUB_EXTERNAL_URL)
    host = url.hostname or "localhost"
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def path(name: str) -> str:
    """Return the path of a namespace's metrics, including the path of HUB_EXTERNAL_URL if it has one."""
    return f"{urlsplit(settings.HUB_EXTERNAL_URL).path}/metrics/{name}"


def target_labels(target: Target) -> dict[str, str]:
    """Return the labels that every series of a namespace gets in Prometheus."""
    return {**dict(target.labels), settings.HUB_NAMESPACE_LABEL: target.name, "team": target.team}


def duration(seconds: float) -> str:
    """Return seconds as a Prometheus duration, which can't have fractions: 10s, 1500ms."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def timing(target: Target) -> Iterator[tuple[str, float]]:
    """Yield `scrape_interval` and `scrape_timeout` in seconds, each only if it must be set.

    Prometheus drops a target whose timeout exceeds its interval. So a namespace with its own interval also gets a
    timeout, whatever prometheus.yml has: its timeout in the hub plus the reserve, capped at the interval.
    """
    interval, timeout = target.scrape_interval_seconds, target.scrape_timeout_seconds
    if interval is not None:
        yield "scrape_interval", interval
        if timeout is None:
            timeout = min(interval, target.limits.timeout_seconds + RESERVE_SECONDS)
    if timeout is not None:
        yield "scrape_timeout", timeout


def _group(target: Target) -> dict[str, Any]:
    scheme, host_port = address()
    labels = target_labels(target)
    labels |= {"__scheme__": scheme, "__metrics_path__": path(target.name)}
    labels |= {f"__{name}__": duration(seconds) for name, seconds in timing(target)}
    labels |= {
        "__meta_servicebus_namespace": target.name,
        "__meta_servicebus_team": target.team,
        "__meta_servicebus_host": target.endpoint.host if target.endpoint is not None else "",
        "__meta_servicebus_credential_kind": target.credential.kind if target.credential else "",
    }
    labels |= {f"__meta_servicebus_label_{name}": value for name, value in target.labels}
    return {"targets": [host_port], "labels": labels}
