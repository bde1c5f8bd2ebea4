#!/usr/bin/env python3
"""Write the dashboards next to this file: `python deploy/grafana/make.py`. Change them here, not in the JSON.

This needs nothing but Python. The tests run every query against a real Prometheus. The labels are those of service
discovery. If you set HUB_NAMESPACE_LABEL, change NAMESPACE here too.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
NAMESPACE = "servicebus_namespace"
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ALL = f'team=~"$team", {NAMESPACE}=~"$namespace"'
_ONE = f'{NAMESPACE}="$namespace"'
_HUB = 'job="servicebus-hub", instance=~"$instance"'
_WIDTH = 24  # of Grafana's grid

Panel = dict[str, Any]


def _panel(kind: str, title: str, queries: dict[str, str], unit: str, width: int, height: int) -> Panel:
    targets = [
        {
            "datasource": _DATASOURCE,
            "expr": expression,
            "legendFormat": legend,
            "refId": chr(ord("A") + number),
            **({"format": "table", "instant": True} if kind == "table" else {}),
        }
        for number, (expression, legend) in enumerate(queries.items())
    ]
    return {
        "type": kind,
        "title": title,
        "datasource": _DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
    }


def stat(title: str, expression: str, unit: str = "short", **steps: float) -> Panel:
    """Return a panel with a single number; `steps` maps a colour to the value at which it starts."""
    panel = _panel("stat", title, {expression: ""}, unit, 4, 4)
    colours = [{"color": "green", "value": None}]
    colours += [{"color": colour, "value": value} for colour, value in steps.items()]
    panel["fieldConfig"]["defaults"]["thresholds"] = {"mode": "absolute", "steps": colours}
    panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    return panel


def graph(title: str, expression: str, legend: str, unit: str = "short", **more: str) -> Panel:
    """Return a panel with lines over time; `more` maps legends to further queries."""
    queries = {expression: legend, **{text: name for name, text in more.items()}}
    panel = _panel("timeseries", title, queries, unit, 12, 8)
    panel["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 5, "showPoints": "never", "spanNulls": False}
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi"},
    }
    return panel


def table(title: str, expression: str, unit: str = "short", width: int = 12) -> Panel:
    """Return a table with the latest value of each series and its labels."""
    panel = _panel("table", title, {expression: ""}, unit, width, 8)
    hidden = dict.fromkeys(("Time", "__name__", "job", "instance"), True)
    panel["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return panel


def _variable(name: str, query: str, *, many: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "current": {"text": "All", "value": "$__all"} if many else {},
    }


def dashboard(uid: str, title: str, variables: list[dict[str, Any]], panels: list[Panel]) -> dict[str, Any]:
    """Place the panels from left to right, row by row."""
    x = y = row = 0
    for number, panel in enumerate(panels, start=1):
        place = panel["gridPos"]
        if x + place["w"] > _WIDTH:
            x, y, row = 0, y + row, 0
        place |= {"x": x, "y": y}
        x, row = x + place["w"], max(row, place["h"])
        panel["id"] = number
    datasource = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["servicebus"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [datasource, *variables]},
        "links": [
            {
                "type": "dashboards",
                "tags": ["servicebus"],
                "title": "Service Bus",
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


def namespaces() -> dict[str, Any]:
    by = f"{{{{{NAMESPACE}}}}}"

    def total(metric: str) -> str:
        return f'sum by ({NAMESPACE}) ({{__name__=~"servicebus_(queue|subscription)_{metric}", {_ALL}}})'

    return dashboard(
        "servicebus-namespaces",
        "Service Bus: all namespaces",
        [
            _variable("team", "label_values(servicebus_up, team)"),
            _variable("namespace", f'label_values(servicebus_up{{team=~"$team"}}, {NAMESPACE})'),
        ],
        [
            stat("Namespaces", f"count(servicebus_up{{{_ALL}}})"),
            stat("Incomplete reads", f"count(servicebus_up{{{_ALL}}} == 0) or vector(0)", red=1),
            stat("Active messages", f"sum({total('active_messages')})"),
            stat("Dead letters", f"sum({total('dead_letter_messages')})", yellow=1),
            stat("Entities", f"sum(servicebus_entities{{{_ALL}}})"),
            stat(
                "Disabled entities",
                f'sum({{__name__=~"servicebus_(queue|topic|subscription)_status", status=~".*disabled", {_ALL}}})'
                " or vector(0)",
                yellow=1,
            ),
            graph("Active messages", total("active_messages"), by),
            graph("Dead letters", total("dead_letter_messages"), by),
            table("Errors by reason", f"servicebus_scrape_error{{{_ALL}}}"),
            table("Entities", f"sum by ({NAMESPACE}, team, kind) (servicebus_entities{{{_ALL}}})"),
            graph("Read duration", f"servicebus_scrape_duration_seconds{{{_ALL}}}", by, "s"),
            graph("Management requests per scrape", f"servicebus_scrape_requests{{{_ALL}}}", by),
            graph("Throttled requests per scrape", f"servicebus_scrape_throttled_requests{{{_ALL}}}", by),
            graph(
                "Entities relative to max_entities",
                f"sum by ({NAMESPACE}) (servicebus_entities{{{_ALL}}})"
                f" / sum by ({NAMESPACE}) (servicebus_entities_limit{{{_ALL}}})",
                by,
                "percentunit",
            ),
        ],
    )


def namespace() -> dict[str, Any]:
    def top(metric: str, kinds: str = "queue|subscription") -> str:
        return f'topk(10, {{__name__=~"servicebus_({kinds})_{metric}", {_ONE}}})'

    entity = "{{topic_name}} {{name}}"
    return dashboard(
        "servicebus-namespace",
        "Service Bus: one namespace",
        [_variable("namespace", f"label_values(servicebus_up, {NAMESPACE})", many=False)],
        [
            stat("Up", f"servicebus_up{{{_ONE}}}"),
            stat(
                "Active messages",
                f'sum({{__name__=~"servicebus_(queue|subscription)_active_messages", {_ONE}}})',
            ),
            stat(
                "Dead letters",
                f'sum({{__name__=~"servicebus_(queue|subscription)_dead_letter_messages", {_ONE}}})',
                yellow=1,
            ),
            stat("Scrape duration", f"servicebus_scrape_duration_seconds{{{_ONE}}}", "s", yellow=5, red=9),
            stat(
                "Age of the data",
                f"servicebus_scrape_oldest_sample_age_seconds{{{_ONE}}}",
                "s",
                yellow=60,
                red=300,
            ),
            stat("SKU", f"sum by (sku) (servicebus_namespace_info{{{_ONE}}})"),
            graph("Largest backlogs", top("active_messages"), entity),
            graph("Most dead letters", top("dead_letter_messages"), entity),
            graph("Most scheduled messages", top("scheduled_messages"), entity),
            graph("Most messages in transfer", top("transfer_messages"), entity),
            graph(
                "Fullest queues and topics",
                f"topk(10, servicebus_queue_size_bytes{{{_ONE}}} / (servicebus_queue_max_size_bytes{{{_ONE}}} > 0))",
                "queue {{name}}",
                "percentunit",
                **{
                    "topic {{name}}": f"topk(10, servicebus_topic_size_bytes{{{_ONE}}}"
                    f" / (servicebus_topic_max_size_bytes{{{_ONE}}} > 0))"
                },
            ),
            graph("Entities", f"servicebus_entities{{{_ONE}}}", "{{kind}}"),
            table(
                "Entities by status",
                f'count by (status) ({{__name__=~"servicebus_(queue|topic|subscription)_status", {_ONE}}})',
            ),
            table(
                "Longest since last access",
                "topk(20, time() - "
                f'{{__name__=~"servicebus_(queue|subscription)_accessed_timestamp_seconds", {_ONE}}})',
                "s",
            ),
            graph(
                "Management requests per scrape",
                f"servicebus_scrape_requests{{{_ONE}}}",
                "requests",
                throttled=f"servicebus_scrape_throttled_requests{{{_ONE}}}",
            ),
            graph(
                "Request budget per second",
                f"servicebus_scrape_budget_requests_per_second{{{_ONE}}}",
                "budget",
                "reqps",
            ),
            graph("Entities not exported", f"servicebus_entities_dropped{{{_ONE}}}", "{{reason}}"),
        ],
    )


def hub() -> dict[str, Any]:
    def rate(metric: str, by: str) -> str:
        return f"sum by ({by}) (rate({metric}{{{_HUB}}}[$__rate_interval]))"

    def quantile(share: str) -> str:
        return f"histogram_quantile({share}, {rate('hub_scrape_duration_seconds_bucket', 'le')})"

    of = "{{instance}}"
    return dashboard(
        "servicebus-hub",
        "Service Bus: the hub",
        [_variable("instance", 'label_values(hub_build_info{job="servicebus-hub"}, instance)')],
        [
            stat("Hubs", f"count(hub_build_info{{{_HUB}}})"),
            stat("Workers", f"sum(hub_workers{{{_HUB}}})"),
            stat("Namespaces", f'max(hub_namespaces{{state="enabled", {_HUB}}})'),
            stat("Paused", f'max(hub_namespaces{{state="paused", {_HUB}}})'),
            stat("Scrapes in progress", f"sum(hub_scrapes_in_flight{{{_HUB}}})"),
            stat("Configuration age", f"max(hub_config_age_seconds{{{_HUB}}})", "s", yellow=30, red=300),
            graph("Scrapes per second", rate("hub_scrapes_total", "outcome"), "{{outcome}}", "ops"),
            graph("Scrape duration", quantile("0.5"), "median", "s", **{"99 %": quantile("0.99")}),
            graph(
                "Management requests per second",
                rate("hub_upstream_requests_total", "code"),
                "{{code}}",
                "ops",
            ),
            graph(
                "Discovery requests per second",
                rate("hub_discovery_requests_total", "code"),
                "{{code}}",
                "ops",
            ),
            graph(
                "Throttling episodes and shared reads (5 minutes)",
                f"sum(increase(hub_throttling_episodes_total{{{_HUB}}}[5m]))",
                "throttling episodes",
                **{
                    "shared or cached answers": f"sum(increase(hub_scrapes_shared_total{{{_HUB}}}[5m])) or vector(0)"
                },
            ),
            graph(
                "Shared state errors",
                f"sum by (store) (increase(hub_shared_state_errors_total{{{_HUB}}}[5m])) or vector(0)",
                "{{store}}",
            ),
            graph("CPU", rate("process_cpu_seconds_total", "instance"), of, "percentunit"),
            graph("Memory", f"process_resident_memory_bytes{{{_HUB}}}", of, "bytes"),
            graph(
                "Open files",
                f"process_open_fds{{{_HUB}}} / process_max_fds{{{_HUB}}}",
                of,
                "percentunit",
            ),
            table(
                "Credential expiry",
                f"sort(min by (credential, team) (hub_credential_expiry_timestamp_seconds{{{_HUB}}}) - time())",
                "s",
            ),
            table(
                "Last use of tokens",
                f"time() - max by (token, team) (hub_token_last_used_timestamp_seconds{{{_HUB}}})",
                "s",
            ),
            table("Versions", f"hub_build_info{{{_HUB}}}"),
        ],
    )


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by file name."""
    return {f"{made['uid']}.json": made for made in (namespaces(), namespace(), hub())}


if __name__ == "__main__":
    for name, made in dashboards().items():
        (FOLDER / name).write_text(json.dumps(made, indent=1) + "\n")
