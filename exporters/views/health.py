"""`/-/healthy` and `/-/ready`, for load balancers and kubelets; open to anyone, so they name no object."""

import math
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from hub.read_only import why_away

from .. import shared_state
from ..configuration.reloader import reloader
from ..credentials.encryption import UndecryptableError
from ..models import Credential
from ..pages import degraded as degraded_state

# A probe's time is short (a kubelet waits for 1 s unless told otherwise), and a hub that serves scrapes must
# not be taken out of service because its database hangs.
_PATIENCE_SECONDS = 0.5
# Probes of several load balancers share an answer of this age.
_KEPT_SECONDS = 2.0


@require_safe
def healthy(request: HttpRequest) -> HttpResponse:
    """Answer 200 whenever the process can answer at all."""
    return HttpResponse(
        "The Service Bus exporter hub is healthy.\n", content_type="text/plain; charset=utf-8"
    )


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 when scrapes can be served, with each check and what is degraded; 503 when not."""
    # A file doesn't hang as a network does, and what a transaction has written is visible to it alone.
    here = connection.vendor == "sqlite" or connection.in_atomic_block
    if not here:
        _database.begin()
    _shared_state.begin()
    until = time.monotonic() + _PATIENCE_SECONDS
    configuration = _configuration()
    database = _ask_database() if here else _database.checks(until)
    _shared_state.checks(until)
    # Of this moment: scrapes find out as well.
    checks = {"configuration": configuration, **database, "shared_state": degraded_state.shared_state()}
    # Scrapes need the configuration alone: while the database is away they go on from the last one.
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
        return "never read: the database doesn't answer or is not migrated; run `manage.py prepare`"
    return "ok"


class _Aside:
    """Makes checks aside from the request that asks, so that a server that hangs holds up no probe."""

    def __init__(self, ask: Callable[[], dict[str, str]], meanwhile: dict[str, str]) -> None:
        self._ask = ask
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._checker: threading.Thread | None = None
        self._checked_at = -math.inf  # monotonic
        self._checks: dict[str, str] = {}

    def begin(self) -> None:
        """Begin to check, unless there is an answer that is fresh enough."""
        with self._lock:
            if time.monotonic() - self._checked_at < _KEPT_SECONDS:
                return
            if self._checker is None or not self._checker.is_alive():
                self._checker = threading.Thread(target=self._check, name="readiness", daemon=True)
                self._checker.start()

    def checks(self, until: float) -> dict[str, str]:
        """Return the checks that were begun; `meanwhile` if they are not finished at that (monotonic) time.

        What failed before goes on to be said until then: it tells more.
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
        return why_away(connection) if connection.vendor == "postgresql" else "doesn't answer"
    return "ok"


def _keys() -> str:
    """Tell whether what is stored decrypts, by one row: the system checks name all rows that don't."""
    try:
        credential = Credential.objects.exclude(secret="").first()
        if credential is not None:
            credential.reveal_secret()
    except UndecryptableError:
        return "HUB_ENCRYPTION_KEYS does not decrypt what is stored; run `manage.py check --database default`"
    except Exception:
        return "unknown: the database doesn't answer"
    return "ok"


def _probe_shared_state() -> dict[str, str]:
    shared_state.shared().probe()
    return {}


_database = _Aside(
    _ask_database, {"database": "doesn't answer", "keys": "unknown: the database doesn't answer"}
)
_shared_state = _Aside(_probe_shared_state, {})
