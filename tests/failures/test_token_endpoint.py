"""A token endpoint that never answers, through the whole hub."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import yaml

from simulator import Simulator
from tests.support.hubs import Hub
from tests.support.servers import wait_for

from .conftest import TOKEN
from .fault_table import Row, build, token_endpoint


def scrape(hub: Hub, name: str) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Prometheus-Scrape-Timeout-Seconds": "12"}
    with urlopen(Request(f"http://{hub.address}/metrics/{name}", headers=headers), timeout=60) as answer:
        return str(answer.read().decode())


def test_a_token_endpoint_that_hangs_obeys_the_deadline_and_holds_nothing_else_up(
    simulator: Simulator, tmp_path: Path
) -> None:
    long = {"timeout_seconds": 11}
    rows = [
        Row(f"no-token-{number}", "", "", "", "", token_endpoint("hang"), entra=True, limits=long)
        for number in range(8)
    ]
    config, variables = build(simulator, (Row("healthy", "", "", "", ""), *rows))
    file = tmp_path / "hub.yaml"
    file.write_text(yaml.safe_dump(config))
    settings = {
        "HUB_ALLOW_LOOPBACK": "1",
        "HUB_CA_FILE": str(simulator.ca_file),
        "HUB_CONFIG": str(file),
        "MATRIX_TOKEN": TOKEN,
    }
    with ExitStack() as stack:
        hub = Hub({**settings, **variables})
        stack.callback(hub.close)
        hub.manage("prepare")
        hub.start()
        pool = stack.enter_context(ThreadPoolExecutor(len(rows)))
        hanging = [pool.submit(scrape, hub, row.name) for row in rows]
        asked = simulator.identity.requests
        wait_for(lambda: asked.in_flight + asked.total > 0, "the token endpoint is asked")
        for _ in range(5):
            assert "\nservicebus_up 1.0\n" in scrape(hub, "healthy")
        assert not any(each.done() for each in hanging), "the healthy one waited for a token"
        for each in hanging:
            assert "\nservicebus_up 0.0\n" in each.result()
            assert 'servicebus_scrape_error{reason="timeout"} 1.0' in each.result()
