"""`/-/healthy` and `/-/ready`, for load balancers and kubelets; open to anyone, so they name no object."""

import math
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from .. import shared_state
from ..configuration.reloader import reloader
from ..credentials.encryption import UndecryptableError
from ..database_sessions.read_only import why_away
from ..models import Credential
from ..pages import degraded as degraded_state

# Probes have short timeouts (a kubelet's default is 1 s), and a hub that serves scrapes must not be taken out of
# service because its database hangs.
_PATIENCE_SECONDS = 0.5
# The probes of several load balancers share an answer up to this age.
_KEPT_SECONDS = 2.0


@require_safe
def healthy(request: HttpRequest) -> HttpResponse:
    """Answer 200 whenever the process can answer at all."""
    return HttpResponse(
        "The Service Bus exporter hub is healthy.\n", content_type="text/plain; charset=utf-8"
    )


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the hub can serve scrapes, otherwise 503, with each check and the list of degraded ones."""
    # A database file doesn't hang as a network can, and only this connection sees what its transaction has written.
    here = connection.vendor == "sqlite" or connection.in_atomic_block
    if not here:
        _database.begin()
    _shared_state.begin()
    until = time.monotonic() + _PATIENCE_SECONDS
    configuration = _configuration()
    database = _ask_database() if here else _database.checks(until)
    _shared_state.checks(until)
    # Read now, because scrapes also detect failures.
    checks = {"configuration": configuration, **database, "shared_state": degraded_state.shared_state()}
    # Scrapes only need the configuration. While the database is away, they go on with the last one.
    servable = checks["configuration"] == "ok"
    degraded = [name for name, state in checks.items() if state != "ok"]
    answer: dict[str, object] = {"ready": servable, "degraded": degraded, "checks": checks}
    if servable and degraded:
        answer["configuration_age_seconds"] = round(reloader.age_seconds(), 1)
    return JsonResponse(answer, status=200 if servable else 503)


def _configuration() -> str:
    try:
        reloader.current()
    except Exception:
        return "never read: the database is unavailable or not migrated; run `manage.py prepare`"
    return "ok"


class _Aside:
    """Runs checks in a background thread, so that a server that hangs doesn't delay probes."""

    def __init__(self, ask: Callable[[], dict[str, str]], meanwhile: dict[str, str]) -> None:
        self._ask = ask
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._checker: threading.Thread | None = None
        self._checked_at = -math.inf  # monotonic
        self._checks: dict[str, str] = {}

    def begin(self) -> None:
        """Start the checks, unless they are running or there is a recent answer."""
        with self._lock:
            if time.monotonic() - self._checked_at < _KEPT_SECONDS:
                return
            if self._checker is None or not self._checker.is_alive():
                self._checker = threading.Thread(target=self._check, name="readiness", daemon=True)
                self._checker.start()

    def checks(self, until: float) -> dict[str, str]:
        """Return the results of the checks, or `meanwhile` if they haven't finished by `until` (monotonic time).

        Previous failures override `meanwhile`, because they are more specific.
        """
        checker = self._checker
        if checker is not None:
            checker.join(max(0.0, until - time.monotonic()))
            if checker.is_alive():
                failed = {name: state for name, state in self._checks.items() if state != "ok"}
                return {**self._meanwhile, **failed}
        return self._checks

    def _check(self) -> None:
        close_old_connections()
        try:
            self._checks = self._ask()
            self._checked_at = time.monotonic()
        finally:
            connection.close()


def _ask_database() -> dict[str, str]:
    return {"database": _migrations(), "keys": _keys()}


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "not migrated; run `manage.py prepare`"
    except Exception:
        return why_away(connection) if connection.vendor == "postgresql" else "unavailable"
    return "ok"


def _keys() -> str:
    """Return whether stored secrets can be decrypted, judging by one row. The system checks list all bad rows."""
    try:
        credential = Credential.objects.exclude(secret="").first()
        if credential is not None:
            credential.reveal_secret()
    except UndecryptableError:
        return "HUB_ENCRYPTION_KEYS does not decrypt what is stored; run `manage.py check --database default`"
    except Exception:
        return "unknown: the database is unavailable"
    return "ok"


def _probe_shared_state() -> dict[str, str]:
    shared_state.shared().probe()
    return {}


_database = _Aside(_ask_database, {"database": "unavailable", "keys": "unknown: the database is unavailable"})
_shared_state = _Aside(_probe_shared_state, {})
