"""A hub at http://host:port/monitoring/hub behind a real nginx that either removes or keeps the path.

nginx sends its default Host header, which is the hub's own address and not the one in the browser.
"""

import http.client
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from simulator import Simulator
from tests.browser.watched import Watch
from tests.support import programs
from tests.support.hubs import Hub
from tests.support.prometheus import PrometheusServer
from tests.support.servers import Server, program, wait_for

pytestmark = pytest.mark.e2e

PATH = "/monitoring/hub"
PASSWORD = "a-password-of-this-test"
# References in a page.
_REFERENCE = re.compile(r'(?:href|src|action|formaction)="([^"#?][^"]*)"')


class Proxy(Server):
    """nginx configured as a proxy in the way its documentation describes; `target` is the proxy_pass value."""

    name = "proxy"

    def __init__(self) -> None:
        super().__init__()
        self.directory.chmod(0o755)  # its workers are not root

    def configure(self, target: str) -> None:
        folders = "".join(
            f"{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.directory / "nginx.conf").write_text(
            f"daemon off; pid {self.directory}/pid; error_log stderr; events {{}} http {{ {folders} access_log off; "
            f"server {{ listen 127.0.0.1:{self.port}; location {PATH}/ {{ proxy_pass {target}; }} }} }}"
        )

    def command(self) -> Sequence[str]:
        return [program("nginx"), "-c", str(self.directory / "nginx.conf"), "-p", str(self.directory)]


@dataclass
class Deployed:
    hub: Hub
    origin: str
    token: str


@pytest.fixture(scope="module", params=["removed", "kept"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    for name in ("nginx", "chromium", "prometheus"):
        programs.require(name)
    with ExitStack() as stack:
        simulator = Simulator(directory=tmp_path_factory.mktemp("certificates"))
        stack.enter_context(simulator.running())
        bus = simulator.add_namespace("orders")
        bus.add_queue("work", active=3)
        proxy = Proxy()
        origin = f"http://127.0.0.1:{proxy.port}"
        hub = Hub(
            {
                "HUB_EXTERNAL_URL": f"{origin}{PATH}/",
                "HUB_ADMIN_PASSWORD": PASSWORD,
                "HUB_WORKERS": "1",
                "HUB_ALLOW_LOOPBACK": "1",
                "HUB_CA_FILE": str(simulator.ca_file),
            }
        )
        stack.callback(hub.close)
        token = hub.prepare({"orders": bus.connection_string})
        hub.start()
        proxy.configure(f"http://{hub.address}" + ("/" if request.param == "removed" else ""))
        stack.enter_context(proxy)
        yield Deployed(hub, origin, token)


def test_people_sign_in_and_everything_that_pages_refer_to_is_below_the_path(deployed: Deployed) -> None:
    base = deployed.origin + PATH
    watch = Watch(urlsplit(deployed.origin).netloc)
    outside: set[str] = set()
    failed: set[str] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=programs.require("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context()
        context.set_default_timeout(30_000)
        watch.on(context)
        page = context.new_page()

        def look() -> None:
            for reference in _REFERENCE.findall(page.content()):
                if reference.startswith("/") and not reference.startswith(PATH + "/"):
                    outside.add(f"{reference} on {page.url}")

        page.on(
            "response",
            lambda answer: (
                failed.add(f"{answer.status} {answer.url}")
                if answer.status >= 400 or not urlsplit(answer.url).path.startswith(PATH)
                else None
            ),
        )
        page.goto(f"{base}/admin/exporters/namespace/")
        assert page.url == f"{base}/admin/login/?next={PATH}/admin/exporters/namespace/"
        look()
        page.fill("#id_username", "admin")
        page.fill("#id_password", PASSWORD)
        page.click("input[type=submit]")
        page.wait_for_selector("#main-nav")
        assert page.url == f"{base}/admin/exporters/namespace/"
        cookies = {cookie["name"]: cookie["path"] for cookie in context.cookies()}
        assert cookies == {"hub_sessionid": PATH, "hub_csrftoken": PATH}

        for path in ("/", "/admin/", "/admin/changes/", "/admin/exporters/namespace/1/change/"):
            page.goto(base + path)
            look()
        # A page whose script sends requests to the hub.
        page.goto(f"{base}/admin/exporters/namespace/1/status/")
        assert f"{PATH}/metrics/orders" in page.content()
        page.click("[data-test]")
        page.wait_for_selector("#connection-test-result .note")
        look()

        page.goto(f"{base}/admin/exporters/walllink/add/")
        page.fill("#id_name", "screen")
        page.check("input[name=scope][value=all_teams]")
        page.click("input[name=_save]")
        address = page.text_content("#new-address") or ""
        assert address.startswith(f"{base}/wall/")
        look()
        assert page.goto(address).status == 200  # type: ignore[union-attr]
        assert "orders" in page.content()
        look()

        page.goto(f"{base}/admin/exporters/team/add/")
        page.fill("#id_name", "search")
        page.click("input[name=_save]")
        page.wait_for_selector(".messagelist")
        assert page.url.startswith(f"{base}/admin/exporters/team/")
        look()
        page.goto(f"{base}/admin/")
        page.click("#logout-form button")
        page.wait_for_url(f"{base}/admin/**")
        assert {cookie["path"] for cookie in context.cookies()} <= {PATH}
        browser.close()
    assert not outside
    assert not failed
    assert watch.problems == []


def test_prometheus_finds_and_scrapes_the_targets_through_the_path(
    deployed: Deployed, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(deployed.token)
    access = {"authorization": {"credentials_file": str(tmp_path / "token")}}
    prometheus = PrometheusServer()
    prometheus.configure(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": "servicebus",
                    **access,
                    "http_sd_configs": [
                        {"url": f"{deployed.origin}{PATH}/sd", "refresh_interval": "1s", **access}
                    ],
                }
            ],
        }
    )
    with prometheus:
        wait_for(
            lambda: bool(prometheus.query("servicebus_queue_active_messages")), "a queue is in Prometheus"
        )
        (up,) = prometheus.query("up")
        assert up["value"][1] == "1"
        assert up["metric"]["instance"] == urlsplit(deployed.origin).netloc
        (target,) = prometheus.get("/api/v1/targets")["activeTargets"]
        assert target["scrapeUrl"] == f"{deployed.origin}{PATH}/metrics/orders"


def test_probes_and_a_prometheus_beside_the_hub_ask_it_without_the_path(deployed: Deployed) -> None:
    for prefix in ("", PATH):
        assert deployed.hub.get(f"{prefix}/-/healthy")[0] == 200
        assert deployed.hub.get(f"{prefix}/metrics/orders", deployed.token)[0] == 200
    assert deployed.hub.get("/monitoring/hubs/-/healthy")[0] == 404


def test_headers_of_strangers_change_neither_path_nor_scheme(deployed: Deployed) -> None:
    # From ::1, which gunicorn would trust.
    connection = http.client.HTTPConnection("::1", deployed.hub.port, timeout=30)
    strange = {"SCRIPT_NAME": "/elsewhere", "X-Forwarded-Proto": "https", "X-Forwarded-Protocol": "http"}
    connection.request("GET", "/admin/", headers=strange)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 302
    assert answer.headers["Location"] == f"{PATH}/admin/login/?next={PATH}/admin/"
    connection.close()
