"""When a credential's spare secret was last needed: counted at once, written once a minute at most."""

import threading

from django.db.models import Q

from ..models import Credential
from ..servicebus import clock
from ..telemetry import metrics
from . import dates

_WRITTEN_EVERY_SECONDS = 60.0

_lock = threading.Lock()
# By the machine's clock.
_noted: dict[int, float] = {}
_written: dict[int, float] = {}


def note(credential_id: int, name: str, team: str) -> None:
    """Count a request that showed the spare secret. Called on the I/O loop: it asks no database."""
    if not credential_id:
        return  # tried out before it was saved
    metrics.SPARE_USED.labels(name, team).inc()
    with _lock:
        if clock.now() - _written.get(credential_id, -_WRITTEN_EVERY_SECONDS) >= _WRITTEN_EVERY_SECONDS:
            _noted[credential_id] = clock.now()


def write() -> None:
    """Store what was noted; after an error of the database, which is raised, it is still to be written."""
    with _lock:
        batch = dict(_noted)
    for credential_id, moment in batch.items():
        # update() changes no configuration: no process reads everything anew for it.
        at = dates.seconds_ago(clock.now() - moment)
        earlier = (
            Q(spare_used_at=None) | Q(spare_used_at__lt=at) | Q(spare_used_at__gt=dates.latest_possible())
        )
        Credential.objects.filter(earlier, pk=credential_id).exclude(spare_secret_fingerprint="").update(
            spare_used_at=at
        )
        with _lock:
            _written[credential_id] = clock.now()
            if _noted.get(credential_id) == moment:
                del _noted[credential_id]
