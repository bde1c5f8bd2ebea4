"""Prometheus configuration for this hub, as text that is ready to copy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from django.conf import settings

from ..configuration.targets import Target
from .targets import address, duration, path, target_labels, timing

TOKEN_FILE = "/etc/prometheus/servicebus-token"  # noqa: S105 - the path of the token, not the token
_SECRET = {"name": "servicebus-hub", "key": "scrape-token"}
# Short enough that a new namespace is scraped within a minute.
_REFRESH = "30s"


@dataclass(frozen=True, slots=True)
class Snippet:
    key: str
    title: str
    remark: str
    text: str


def snippets(team: str, targets: Iterable[Target]) -> list[Snippet]:
    """Return the ways to scrape a team's namespaces, best first; only the static one uses `targets`."""
    return [
        Snippet(
            "http-sd",
            "HTTP service discovery (recommended)",
            "For prometheus.yml. Covers all enabled namespaces that the token has access to, with their labels, "
            f"including those that team {team} adds later.",
            _yaml({"scrape_configs": [_http_sd()]}),
        ),
        Snippet(
            "static",
            "Static",
            "For a Prometheus that can't use service discovery. When you change namespaces in the hub, update this "
            "as well.",
            _yaml({"scrape_configs": [_static(targets)]}),
        ),
        Snippet(
            "operator",
            "Prometheus Operator",
            "Store the token in a Secret in the same namespace: kubectl create secret generic "
            f"{_SECRET['name']} --from-file={_SECRET['key']}=FILE",
            _yaml(_operator(team)),
        ),
    ]


def _authorization() -> dict[str, Any]:
    return {"authorization": {"credentials_file": TOKEN_FILE}}


def _sd_url() -> str:
    return f"{settings.HUB_EXTERNAL_URL}/sd"


def _http_sd() -> dict[str, Any]:
    return {
        "job_name": "servicebus",
        **_authorization(),
        "http_sd_configs": [{"url": _sd_url(), "refresh_interval": _REFRESH, **_authorization()}],
    }


def _static(targets: Iterable[Target]) -> dict[str, Any]:
    scheme, host_port = address()
    return {
        "job_name": "servicebus",
        "scheme": scheme,
        **_authorization(),
        "static_configs": [
            {
                "targets": [host_port],
                "labels": {
                    "__metrics_path__": path(target.name),
                    **{f"__{name}__": duration(seconds) for name, seconds in timing(target)},
                    **target_labels(target),
                },
            }
            for target in targets
        ],
    }


def _operator(team: str) -> dict[str, Any]:
    authorization = {"authorization": {"credentials": dict(_SECRET)}}
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "ScrapeConfig",
        "metadata": {"name": f"servicebus-{team}"},
        "spec": {
            "authorization": dict(authorization["authorization"]),
            "httpSDConfigs": [{"url": _sd_url(), "refreshInterval": _REFRESH, **authorization}],
            # The alerts and dashboards expect this job name; the operator would set another one.
            "relabelings": [{"targetLabel": "job", "replacement": "servicebus"}],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes each value out in full: an alias breaks when someone copies a part."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(value: Any) -> str:
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120
    )
