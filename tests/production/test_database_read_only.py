"""PostgreSQL refuses writes or is no longer primary: pages report it, scrapes go on, and the hub recovers by itself."""

import contextlib
import http.cookiejar
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from tests.support import programs
from tests.support.hubs import Hub, Simulated, deployed_settings
from tests.support.servers import PostgreSQL, wait_for

pytestmark = pytest.mark.e2e

READ_ONLY = "read-only: it is not the primary, or default_transaction_read_only is on"


@dataclass
class Deployment:
    hub: Hub
    token: str
    namespace: str

    def database(self) -> str:
        """Return what readiness reports for the database; assert that the hub is ready throughout."""
        status, body = self.hub.get("/-/ready")
        assert status == 200, body
        said: str = json.loads(body)["checks"]["database"]
        return said

    def scrapes(self) -> bool:
        return "servicebus_up 1.0" in self.hub.get(f"/metrics/{self.namespace}", self.token)[1]

    def sign_in(self, password: str = "bench-bench-bench") -> int:
        """Sign in as people do; return the status of the response to the form."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), _NoRedirect)
        address = f"http://localhost:{self.hub.port}/admin/login/"
        with opener.open(address, timeout=30) as page:
            hidden = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
        assert hidden
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": hidden[1]}
        try:
            with opener.open(address, urlencode(form).encode(), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        return None


@contextlib.contextmanager
def deployed(database: PostgreSQL, url: str) -> Iterator[Deployment]:
    with ExitStack() as stack:
        simulated = stack.enter_context(Simulated(1, 5, 0))
        hub = Hub({**deployed_settings(url, "", simulated.ca_file), "HUB_WORKERS": "1"})
        stack.callback(hub.close)
        token = hub.prepare(simulated.namespaces)
        hub.start()
        yield Deployment(hub, token, next(iter(simulated.namespaces)))


@pytest.fixture(autouse=True)
def _programs() -> None:
    for name in ("postgres", "initdb", "psql"):
        programs.require(name)


def set_read_only(server: PostgreSQL, value: str) -> None:
    server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}", database="postgres")
    server.sql("SELECT pg_reload_conf()", database="postgres")


def test_a_database_that_refuses_writes_is_said_and_costs_no_scrape() -> None:
    with PostgreSQL() as server, deployed(server, server.url()) as deployment:
        assert [deployment.sign_in() for _ in range(3)] == [302] * 3
        set_read_only(server, "on")
        # From the first request on, because the pool's existing sessions are no longer used.
        assert [deployment.sign_in() for _ in range(3)] == [503] * 3
        assert deployment.scrapes()
        wait_for(lambda: deployment.database() == READ_ONLY, "readiness says it", 15)
        assert {deployment.database() for _ in range(8)} == {READ_ONLY}
        assert deployment.scrapes()
        assert deployment.hub.get("/sd", deployment.token)[0] == 503
        set_read_only(server, "off")
        wait_for(lambda: deployment.database() == "ok", "readiness says that it is over", 30)
        wait_for(lambda: deployment.sign_in() == 302, "people can sign in", 15)
        wait_for(lambda: deployment.hub.get("/sd", deployment.token)[0] == 200, "targets are listed", 15)
        assert "Traceback" not in deployment.hub.log.read_text()


def test_after_a_failover_the_hub_uses_the_host_that_takes_writes() -> None:
    with PostgreSQL() as first, ExitStack() as stack:
        second = PostgreSQL()
        stack.callback(second.close)
        url = f"postgres://hub@127.0.0.1:{first.port},127.0.0.1:{second.port}/hub"
        deployment = stack.enter_context(deployed(first, url))
        # The second server is a standby with the same data.
        first.stop()
        subprocess.run(["cp", "-a", str(first._data), str(second._data)], check=True)
        second._data.joinpath("standby.signal").touch()
        if second._user:
            shutil.chown(second._data / "standby.signal", second._user)
        first.start()
        second.start()
        wait_for(lambda: deployment.database() == "ok", "the hub uses the first one", 60)
        assert deployment.sign_in() == 302

        # The first server fails and comes back as a standby; the second is promoted later.
        first.stop()
        first._data.joinpath("standby.signal").touch()
        if first._user:
            shutil.chown(first._data / "standby.signal", first._user)
        first.start()
        wait_for(lambda: deployment.database() == READ_ONLY, "readiness says that there is no primary", 30)
        assert deployment.sign_in() == 503
        assert deployment.scrapes()
        second.sql("SELECT pg_promote()", database="postgres")
        wait_for(lambda: deployment.database() == "ok", "the hub uses the second one", 60)
        wait_for(lambda: deployment.sign_in() == 302, "people can sign in", 15)
        assert second.sql("SELECT count(*) FROM django_session") == "1"
