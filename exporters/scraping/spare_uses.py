"""When a credential's spare secret was last used: counted at once, written at most once a minute."""

import threading

from django.db.models import Q

from ..models import Credential
from ..servicebus import clock
from ..telemetry import metrics
from . import dates

_WRITTEN_EVERY_SECONDS = 60.0

_lock = threading.Lock()
# By servicebus.clock.
_noted: dict[int, float] = {}
_written: dict[int, float] = {}


def note(credential_id: int, name: str, team: str) -> None:
    """Count a request made with the spare secret. Called on the I/O loop, so it doesn't query the database."""
    if not credential_id:
        return  # a test of an unsaved credential
    metrics.SPARE_USED.labels(name, team).inc()
    with _lock:
        if clock.now() - _written.get(credential_id, -_WRITTEN_EVERY_SECONDS) >= _WRITTEN_EVERY_SECONDS:
            _noted[credential_id] = clock.now()


def write() -> None:
    """Store the noted uses. If the database fails, raise its error and keep them for the next call."""
    with _lock:
        batch = dict(_noted)
    for credential_id, moment in batch.items():
        # update() doesn't change the configuration's version, so no process reloads for it.
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
