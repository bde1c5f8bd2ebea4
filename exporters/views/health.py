"""`/-/healthy` and `/-/ready`, for load balancers and kubelets; open to anyone, so they name no object."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from ..catalog import catalog
from ..models import Credential
from ..secrets import UndecryptableError


@require_safe
def healthy(request: HttpRequest) -> HttpResponse:
    """Answer 200 whenever the process can answer at all."""
    return HttpResponse(
        "The Service Bus exporter hub is healthy.\n", content_type="text/plain; charset=utf-8"
    )


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 when scrapes can be served, with each check and what is degraded; 503 when not."""
    checks = {"configuration": _configuration(), "database": _database(), "keys": _keys()}
    # Scrapes need the configuration alone: while the database is away they go on from the last one.
    servable = checks["configuration"] == "ok"
    return JsonResponse(
        {
            "ready": servable,
            "degraded": [name for name, state in checks.items() if state != "ok"],
            "checks": checks,
        },
        status=200 if servable else 503,
    )


def _configuration() -> str:
    try:
        catalog.current()
    except Exception:
        return "never read: the database doesn't answer or is not migrated; run `manage.py migrate`"
    return "ok"


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "not migrated; run `manage.py migrate`"
    except Exception:
        return "doesn't answer"
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
