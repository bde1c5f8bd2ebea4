"""`python -m exporters.prometheus.metrics_table` prints the tables of docs/metrics.md."""

from .metrics import ENTITY_METRICS, QUEUE, SCRAPE_METRICS, SUBSCRIPTION, TOPIC, EntityMetric, ScrapeMetric


def table() -> str:
    """Return the catalogue as the Markdown tables of docs/metrics.md."""
    lines = []
    headings = {QUEUE: "Queues", TOPIC: "Topics", SUBSCRIPTION: "Subscriptions"}
    rows: dict[str, list[EntityMetric | ScrapeMetric]] = {
        "The scrape and the namespace": list(SCRAPE_METRICS)
    }
    for kind, heading in headings.items():
        rows[heading] = [metric for metric in ENTITY_METRICS if metric.kind == kind]
    for heading, metrics in rows.items():
        lines += [
            f"## {heading}",
            "",
            "| metric | labels | group | meaning | no sample when |",
            "| --- | --- | --- | --- | --- |",
        ]
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(f"| `{metric.name}` | {labels} | {metric.group} | {metric.help} | {metric.absent} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - printing is the purpose
