"""Secrets of every kind are planted in a hub; all its output, whatever fails, is searched for them.

They may appear only in the database, encrypted. Secrets that the hub shows once by design (a new scrape token, the
address of a new wall page) are created by the hub during the test and are not among the planted ones.
"""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.access.table import Case, cases
from tests.support import programs
from tests.support.hubs import ROOT, Hub
from tests.support.servers import wait_for

from . import guarded_deployment
from .browser import Browser
from .searching import Search

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("leaks")]

# The users who see most and least of the team, a member of another team, an administrator, and an anonymous visitor.
VISITORS = ("owner", "viewer", "other-owner", "admin", "anonymous")
# Cases that delete objects which other cases need come last.
_DESTRUCTIVE = re.compile(r"delete|logout|revoke|retire|move to|make oneself|import", re.IGNORECASE)
_TYPED = ("typed-key", "typed-secret", "typed-password", "typed-signature")

_KEY_RING = "import django; django.setup(); from exporters.credentials.encryption import key_ring; key_ring()"


class Tour:
    def __init__(self, deployment: guarded_deployment.GuardedDeployment) -> None:
        self.deployment = deployment
        typed = {name: f"{name}-{'x' * 4}{index}9Qz" for index, name in enumerate(_TYPED)}
        typed["typed-key"] = base64.b64encode(b"a key that somebody has typed 1!").decode()
        self.typed = typed
        self.search = Search({**deployment.planted, **typed})
        self.statuses: list[tuple[int, str]] = []

    def browser(self, who: str, hub: Hub | None = None) -> Browser:
        return Browser(
            (hub or self.deployment.hub).address, self.search, who, self.deployment.sessions.get(who, "")
        )

    def ask(
        self, browser: Browser, method: str, url: str, form: Any = None, **headers: str
    ) -> tuple[int, str]:
        status, body = browser.ask(method, url, form, **headers)
        self.statuses.append((status, f"{method} {url} as {browser.who}"))
        return status, body

    # Requests

    def every_page(self) -> None:
        """Send every request in the permission table, the harmless ones first."""
        order: dict[bool, list[Case]] = {False: [], True: []}
        for case in cases():
            if case.user in VISITORS:
                order[bool(_DESTRUCTIVE.search(case.name + case.url))].append(case)
        browsers = {who: self.browser(who) for who in VISITORS}
        for method, destructive in (
            ("GET", False),
            ("GET", True),
            ("POST", False),
            ("GET", False),
            ("POST", True),
        ):
            for case in order[destructive]:
                if case.method == method:
                    form = case.form(self.deployment.objects)
                    for name in ("secret", "password", "password1", "password2"):
                        if name in form:
                            form[name] = [self.typed["typed-secret"]]
                    if "connection_string" in form:
                        form["connection_string"] = [self.connection_string()]
                    self.ask(browsers[case.user], method, case.url.format(**self.deployment.objects), form)

    def every_scrape(self, hub: Hub) -> None:
        browser = self.browser("anonymous", hub)
        names = ["payments-bus", *list(self.deployment.credentials)[1:], "by-env", "by-file", "no-such"]
        for token in (self.deployment.planted["scrape-token"], self.deployment.planted["token-by-env"]):
            basic = base64.b64encode(f"user:{token}".encode()).decode()
            for header in (f"Bearer {token}", f"Basic {basic}"):
                for name in names:
                    self.ask(browser, "GET", f"/metrics/{name}", Authorization=header)
                for url in ("/metrics", "/sd", "/-/ready", "/-/healthy"):
                    self.ask(browser, "GET", url, Authorization=header)
        for wrong in (self.typed["typed-secret"], self.deployment.planted["admin-password"]):
            self.ask(browser, "GET", "/metrics/payments-bus", Authorization=f"Bearer {wrong}")
        self.ask(browser, "GET", f"/metrics/{self.deployment.planted['scrape-token']}"[:9])

    def connection_string(self, **changed: str) -> str:
        host = changed.get("host") or self.deployment.credentials["key"]["host"]
        return f"Endpoint=sb://{host}/;SharedAccessKeyName=Typed;SharedAccessKey={self.typed['typed-key']}"

    def forms_with_errors(self, hub: Hub) -> None:
        owner, admin = self.browser("owner", hub), self.browser("admin", hub)
        team = str(self.deployment.objects["team"])
        right = self.connection_string()
        wrong = [
            right,  # well-formed, but refused with 401
            right.replace("Endpoint=", "Endpont="),
            right.replace("SharedAccessKey=", "SharedAccesKey="),
            right.replace("sb://", "http://"),
            right.replace("SharedAccessKeyName=Typed;", ""),
            f'"{right}',
            right + ";" + right,
            right.replace(";", "\n"),
            self.connection_string(host="evil.example"),
            self.connection_string(host="127.0.0.1"),
            f"{self.typed['typed-key']}",
            f"Endpoint=sb://{self.deployment.credentials['key']['host']}/;SharedAccessSignature="
            f"SharedAccessSignature sr=x&sig={self.typed['typed-signature']}&se=1&skn=k",
        ]
        for text in wrong:
            for do in ("parse", "save"):
                # An invalid name: the form comes back, and must not lose the typed values.
                form = {"do": [do], "team": [team], "name": ["Not A Name"], "connection_string": [text]}
                self.ask(owner, "POST", "/admin/exporters/namespace/new/", form)
            form = {"do": ["test"], "team": [team], "name": ["typed"], "connection_string": [text]}
            self.ask(owner, "POST", "/admin/exporters/namespace/new/", form)
            self.ask(owner, "POST", "/admin/exporters/namespace/new/", form, Accept="application/x-ndjson")
        page = f"/admin/exporters/credential/{self.deployment.objects['credential']}/change/"
        for url in ("/admin/exporters/credential/add/", page):
            for kind in ("connection_string", "client_secret", "client_certificate"):
                for secret in (
                    right,
                    wrong[2],
                    self.typed["typed-secret"],
                    self.deployment.credentials["client-certificate"]["secret"],
                ):
                    form = {
                        "name": ["Not A Name"],
                        "team": [team],
                        "kind": [kind],
                        "tenant_id": ["no tenant"],
                        **{name: [secret] for name in ("secret", "spare_secret")},
                        **{
                            name: [self.typed["typed-password"]]
                            for name in ("certificate_password", "spare_certificate_password")
                        },
                    }
                    self.ask(owner, "POST", url, form)
        sign_in = self.browser("anonymous", hub)
        for password in (self.typed["typed-password"], self.deployment.planted["owner-password"]):
            self.ask(sign_in, "POST", "/admin/login/", {"username": ["owner"], "password": [password]})
        self.ask(
            owner,
            "POST",
            "/admin/password_change/",
            {
                "old_password": [self.typed["typed-password"]],
                "new_password1": [self.typed["typed-secret"]],
                "new_password2": [self.typed["typed-password"]],
            },
        )
        self.ask(
            admin,
            "POST",
            "/admin/auth/user/add/",
            {"username": ["no name!"], "password1": [self.typed["typed-password"]], "password2": ["another"]},
        )
        inline = (
            f"credentials: [{{name: a, team: payments-team, kind: connection_string, secret: '{right}'}}]"
        )
        for text in (
            "credentials: [{",
            "tokens: [{name: a, scope: all_teams, token: {env: NOT_SET}}]",
            inline,
        ):
            self.ask(admin, "POST", "/admin/exporters/namespace/import/", {"do": ["plan"], "text": [text]})

    def commands(self, hub: Hub) -> None:
        inline = self.deployment.directory / "inline.yaml"
        inline.write_text(
            "teams: [{name: a}]\ncredentials: [{name: a, team: a, kind: connection_string, "
            f"secret: '{self.connection_string()}'}}]\n"
            f"tokens: [{{name: t, scope: all_teams, token: {self.typed['typed-secret']}}}]\n"
        )
        config = str(self.deployment.directory / "hub.yaml")
        commands = [
            ["apply_config", config, "--dry-run"],
            ["apply_config", config],
            ["apply_config", str(inline)],
            ["export_config"],
            ["reencrypt"],
            ["check"],
            ["check", "--deploy", "--database", "default"],
            ["prepare"],
            ["dumpdata", "--exclude", "auth.user"],
            ["diffsettings", "--all"],
            *(
                ["scrape", name]
                for name in ("payments-bus", *list(self.deployment.credentials)[1:], "by-env")
            ),
        ]
        self.run(hub, "-m", "tests.security.commands", text=json.dumps(commands))
        asked = json.dumps([["dumpdata", "auth.user"]])
        self.run(hub, "-m", "tests.security.commands", text=asked, but=guarded_deployment.PASSWORD_HASH)

    def run(self, hub: Hub, *command: str, text: str = "", but: str = "", **changed: str) -> int:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**hub.environment(), "DJANGO_SETTINGS_MODULE": "hub.settings", **changed},
            input=text.encode(),
            check=False,
            capture_output=True,
            timeout=120,
        )
        self.search.look(" ".join([*command[:2], text[:40]]), done.stdout + b"\n" + done.stderr, but)
        return done.returncode

    def settings_that_are_wrong(self) -> None:
        """Start with settings that can't be parsed: the error message must not repeat them."""
        planted = self.deployment.planted
        for name, value in {
            "HUB_DATABASE_URL": f"postgres://hub:{planted['database-password']}@[::1/hub",
            "HUB_REDIS_URL": f"rediss:/{planted['redis-password']}@nowhere",
            "HUB_ENCRYPTION_KEYS": planted["encryption-first-key"][:-3] + "!!!",
            "HUB_PORT": planted["secret-key"],
            "HUB_LOG_LEVEL": planted["secret-key"],
            "HUB_EXTERNAL_URL": f"http://[{planted['secret-key']}",
        }.items():
            assert self.run(self.deployment.hub, "-c", _KEY_RING, **{name: value}) != 0, name
        wrong = {
            "HUB_DATABASE_URL": self.deployment.postgresql.url().replace(
                planted["database-password"], self.typed["typed-password"]
            ),
            "HUB_REDIS_URL": self.deployment.redis.url.replace(
                planted["redis-password"], self.typed["typed-password"]
            ),
        }
        asked = json.dumps([["check", "--database", "default"], ["reencrypt"], ["scrape", "payments-bus"]])
        self.run(self.deployment.hub, "-m", "tests.security.commands", text=asked, **wrong)

    # Failures

    def crash(self) -> None:
        """Make the database refuse a row: PostgreSQL puts the row into its message, and so into the exception."""
        sql = self.deployment.postgresql.sql
        owner = self.browser("owner")
        form = {
            "name": ["crashing"],
            "team": [str(self.deployment.objects["team"])],
            "kind": ["connection_string"],
            "secret": [self.connection_string()],
        }
        for table in ("exporters_credential", "exporters_historicalcredential"):
            sql(f"ALTER TABLE {table} ADD CONSTRAINT crash CHECK (false) NOT VALID")
            status, _ = self.ask(owner, "POST", "/admin/exporters/credential/add/", form)
            sql(f"ALTER TABLE {table} DROP CONSTRAINT crash")
            assert status == 500, f"a refused row of {table} is no crash any more"
        assert "Failing row contains" in self.deployment.postgresql.log.read_text()
        said = self.deployment.hub.log.read_text()
        assert "Internal error (page): IntegrityError" in said
        assert "Failing row contains" not in said

    def away(self) -> None:
        """Take away the token endpoint, Redis and the database, one after the other."""
        deployment = self.deployment
        deployment.simulator.identity.faults.set("disconnect")
        self.every_scrape(deployment.other)
        deployment.simulator.identity.faults.clear()
        deployment.redis.stop()
        self.every_scrape(deployment.hub)
        deployment.postgresql.stop()
        for hub in (deployment.hub, deployment.other):
            self.every_scrape(hub)
            owner = self.browser("owner", hub)
            for url in (
                "/admin/",
                "/admin/exporters/credential/",
                f"/wall/{deployment.planted['wall-token']}",
            ):
                status, _ = self.ask(owner, "GET", url)
                assert status == 503
            self.ask(owner, "POST", "/admin/login/", {"password": [deployment.planted["owner-password"]]})
        asked = json.dumps([["prepare"], ["reencrypt"], ["scrape", "payments-bus"]])
        self.run(deployment.hub, "-m", "tests.security.commands", text=asked)
        deployment.redis.start()
        deployment.postgresql.start()
        wait_for(lambda: deployment.hub.get("/-/ready")[0] == 200, "the hub is ready again", seconds=60)

    # Places to search

    def what_is_kept(self) -> None:
        deployment = self.deployment
        rows = deployment.postgresql.dump().splitlines()
        users = [row for row in rows if row.startswith(b"INSERT INTO public.auth_user VALUES")]
        histories = [row for row in rows if row.startswith(b"INSERT INTO public.exporters_historicaluser ")]
        assert users
        assert any(b"password set" in row for row in histories)
        self.search.look("the rows of users", b"\n".join(users), guarded_deployment.PASSWORD_HASH)
        self.search.look("the database", b"\n".join(row for row in rows if row not in users))
        for part in deployment.redis.dump():
            self.search.look("Redis", part)
        for hub in (deployment.hub, deployment.other):
            self.search.look("log", hub.log.read_bytes())
            for folder in (hub.directory / "data", deployment.directory / "multiprocess"):
                for file in folder.rglob("*"):
                    if file.is_file():
                        self.search.look(f"file {file.name}", file.read_bytes())
            for process in (psutil.Process(hub.pid), *psutil.Process(hub.pid).children(recursive=True)):
                with suppress(OSError):
                    self.search.look("command line", Path(f"/proc/{process.pid}/cmdline").read_bytes())


@pytest.fixture(scope="module")
def tour(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    for name in ("postgres", "initdb", "pg_dump", "redis-server"):
        programs.require(name)
    with ExitStack() as stack:
        deployment = guarded_deployment.build(stack, certificates, tmp_path_factory.mktemp("leaks"))
        guarded_deployment.start(deployment)
        yield Tour(deployment)


def test_planted_secrets_come_out_nowhere(tour: Tour) -> None:
    deployment = tour.deployment
    tour.every_scrape(deployment.hub)
    tour.every_scrape(deployment.other)
    tour.forms_with_errors(deployment.other)
    tour.commands(deployment.hub)
    tour.settings_that_are_wrong()
    tour.what_is_kept()
    tour.crash()
    tour.away()
    tour.what_is_kept()
    tour.every_page()
    tour.what_is_kept()
    assert sorted(set(tour.search.found)) == []
    # Make sure that there was something to search.
    assert tour.search.bytes > 1_000_000
    assert {200, 302, 401, 403, 404, 500, 503} <= {status for status, _ in tour.statuses}
