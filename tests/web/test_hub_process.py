"""How a hub's own process handles scrape records."""

import json

import pytest

from tests.browser import demo


@pytest.mark.e2e
def test_a_hub_that_is_stopped_writes_its_last_records() -> None:
    with demo.running() as running:
        hub = running.hub
        assert hub.get("/metrics/payments-prod", running.ids["token"])[0] == 200
        assert hub.stop() == 0  # before the next scheduled write of records
        newest = (
            "from exporters.models import *; import json; record = ScrapeRecord.objects.latest('at'); "
            "print(json.dumps([record.namespace.name, record.outcome, record.reason, record.series]))"
        )
        name, outcome, reason, series = json.loads(
            hub.manage("shell", "--verbosity", "0", "--command", newest)
        )
        assert (name, outcome, reason) == ("payments-prod", "success", "")
        assert series > 50
