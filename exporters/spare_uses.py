"""When a credential's spare secret was last needed: counted at once, written once a minute at most."""

import threading
import time
from datetime import UTC, datetime

from django.db.models import Q

from . import telemetry
from .models import Credential

_WRITTEN_EVERY_SECONDS = 60.0

_lock = threading.Lock()
_noted: dict[int, datetime] = {}
_written: dict[int, float] = {}  # monotonic


def note(credential_id: int, name: str, team: str) -> None:
    """Count a request that showed the spare secret. Called on the I/O loop: it asks no database."""
    if not credential_id:
        return  # tried out before it was saved
    telemetry.SPARE_USED.labels(name, team).inc()
    with _lock:
        if time.monotonic() - _written.get(credential_id, -_WRITTEN_EVERY_SECONDS) >= _WRITTEN_EVERY_SECONDS:
            _noted[credential_id] = datetime.now(UTC)


def write() -> None:
    """Store what was noted; after an error of the database, which is raised, it is still to be written."""
    with _lock:
        batch = dict(_noted)
    for credential_id, moment in batch.items():
        # update() changes no configuration: no process reads everything anew for it.
        earlier = Q(spare_used_at=None) | Q(spare_used_at__lt=moment)
        Credential.objects.filter(earlier, pk=credential_id).exclude(spare_secret_fingerprint="").update(
            spare_used_at=moment
        )
        with _lock:
            _written[credential_id] = time.monotonic()
            if _noted.get(credential_id) == moment:
                del _noted[credential_id]
