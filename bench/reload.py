"""`python -m bench.reload`: what it costs a process to read the configuration, apart from everything else it does.

Runs with the hub's environment on a database filled by tests.support.company, and changes namespaces in it. Prints
JSON: the CPU milliseconds (excluding the database's own) of a full read and of the median and the slowest change, the
same figures for the copy on disk, and the memory of one configuration in MiB.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import django
import psutil

_CHANGES = 20


def _timed(do: Callable[[], Any]) -> tuple[float, Any]:
    started = time.thread_time()
    result = do()
    return round(1000 * (time.thread_time() - started), 1), result


def _read(known: Any) -> Any:
    from exporters.configuration.loading import read

    return read(known, lambda: None, look_at_references=True)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    # A separate copy, so that the hub's own is left alone.
    os.environ["HUB_DATA_DIR"] = tempfile.mkdtemp(prefix="hub-reload-")
    django.setup()
    from exporters.configuration.disk_copy import DiskCopy
    from exporters.models import Namespace

    list(Namespace.objects.select_related("credential")[:10])
    before = psutil.Process().memory_full_info().uss
    everything, loaded = _timed(lambda: _read(None))
    memory = psutil.Process().memory_full_info().uss - before
    copy = DiskCopy()
    whole_copy, _ = _timed(lambda: copy.keep(loaded))
    changes, copies = [], []
    for namespace in Namespace.objects.select_related("team").order_by("-pk")[:_CHANGES]:
        namespace.max_entities += 1
        namespace.save()
        milliseconds, loaded = _timed(partial(_read, loaded))
        changes.append(milliseconds)
        copies.append(_timed(partial(copy.keep, loaded))[0])
    said = {
        "namespaces": len(loaded.targets),
        "everything_ms": everything,
        "change_ms": [statistics.median(changes), max(changes)],
        "whole_copy_ms": whole_copy,
        "copy_of_a_change_ms": [statistics.median(copies), max(copies)],
        "memory_mib": round(memory / 2**20, 1),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
