"""docs/metrics.md matches the catalogue and lists every reason."""

import re
from pathlib import Path

from exporters.prometheus import metrics, metrics_table
from exporters.servicebus.errors import Reason

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "metrics.md").read_text()


def test_the_tables_are_the_catalogues() -> None:
    assert metrics_table.table().strip() in DOCS
    documented = re.findall(r"^\| `(servicebus_\w+)` \|", DOCS, re.MULTILINE)
    assert sorted(documented) == sorted(
        metric.name for metric in (*metrics.ENTITY_METRICS, *metrics.SCRAPE_METRICS)
    )


def test_every_reason_is_documented_and_no_other() -> None:
    table = DOCS[DOCS.index("| reason |") : DOCS.index("`servicebus_scrape_collector_success")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {str(reason) for reason in Reason}
