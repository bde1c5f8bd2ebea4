"""gunicorn's configuration: `gunicorn -c hub/gunicorn.py`."""

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import resource
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Must come before anything imports prometheus_client's metrics: worker processes sum theirs through files in this
# folder. Each start uses a new folder, because old files belong to processes that are gone.
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _folder = tempfile.mkdtemp(prefix="hub-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folder
    _remove_folder = partial(shutil.rmtree, _folder, ignore_errors=True)
    atexit.register(_remove_folder)
    os.register_at_fork(after_in_child=lambda: atexit.unregister(_remove_folder))

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

from django.core.exceptions import ImproperlyConfigured

from exporters.management.production import ignored_proxy, refusal
from hub import owners
from hub.tls import Certificate

# Checked here too, because errors in hub.wsgi would come with a traceback.
try:
    from hub import limits, settings
except ImproperlyConfigured as error:
    raise SystemExit(str(error)) from None
if _why := refusal(settings):
    raise SystemExit(_why)

wsgi_app = "hub.wsgi:application"
# Each open TLS connection has a read buffer of 256 KiB and uses little of it. glibc maps allocations of 128 KiB or more
# separately, so only touched pages count; by default it raises that threshold and takes the buffers from its heap,
# where all their pages count eventually: 592 MiB instead of 373 with 300 namespaces. Forked workers inherit the
# setting.
_M_MMAP_THRESHOLD = -3  # malloc.h
with contextlib.suppress(AttributeError):  # another C library
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
# Both IP versions if the machine has them.
bind = [f"[::]:{settings.HUB_PORT}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.HUB_PORT}"]
# If set, the hub itself serves TLS.
certfile = settings.HUB_TLS_CERT_FILE
keyfile = settings.HUB_TLS_KEY_FILE
_certificate = Certificate(certfile or "", keyfile or "")
if certfile:
    try:
        _certificate.context()
    except OSError as error:
        raise SystemExit(
            f"HUB_TLS_CERT_FILE ({certfile}) and HUB_TLS_KEY_FILE ({keyfile}) can't be used together: {error}"
        ) from None
# gunicorn's gthread, with limits on what a client can hold.
worker_class = "hub.worker.Worker"
workers = settings.HUB_WORKERS
threads = settings.HUB_THREADS
# Clients, including idle keep-alive connections. At this number a worker stops accepting: new clients wait instead of
# being refused. From 1,000 idle connections on, it closes a connection after its answer.
worker_connections = settings.HUB_THREADS + 1000
# Each of them is an open file, as is each open connection to Service Bus. Many systems have a soft limit of 1,024 and a
# far higher hard limit.
with contextlib.suppress(ValueError, OSError):  # macOS reports a hard limit that can't be reached
    _hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))
limit_request_line = limits.MAX_URL_BYTES
limit_request_fields = limits.MAX_HEADERS
limit_request_field_size = limits.MAX_HEADER_BYTES
# Loaded once and shared by the workers through fork; the I/O loop, threads and connections start after the fork.
preload_app = True
# Longer than common scrape intervals, so that Prometheus keeps its connection (the default is 2 s).
keepalive = 75
# With gthread, this only detects dead workers; the hub's own deadline ends a slow scrape.
timeout = 60
# A scrape in progress may take as long as its deadline.
graceful_timeout = 30
max_requests = settings.HUB_MAX_REQUESTS
max_requests_jitter = settings.HUB_MAX_REQUESTS // 10
control_socket_disable = True
# Only Django and the hub read proxy headers: gunicorn would accept the scheme, SCRIPT_NAME and PATH_INFO from anyone on
# this machine.
forwarded_allow_ips = ""
# Workers report to the master through a file that they are alive; on a disk that blocks they would be killed.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
logconfig_dict = settings.LOGGING
accesslog = None
logger_class = "hub.gunicorn_logger.Logger"
proc_name = "servicebus-exporter-hub"


def ssl_context(config: Any, default_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context of a new connection; by default, gunicorn creates one for each."""
    return _certificate.context()


def on_starting(server: Any) -> None:
    """Refuse invalid settings; clean up what earlier runs shared, before any worker uses it."""
    from exporters import checks, shared_state

    if errors := checks.errors():
        raise SystemExit("\n".join(errors))
    if _unused := ignored_proxy(os.environ):
        logging.getLogger("hub").warning(_unused)
    shared_state.sweep()
    owners.make_slots(settings.HUB_WORKERS)


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker its slot: that of the worker that it replaces."""
    if owners.slots is not None:
        worker.slot = owners.slots.least_used([other.slot for other in server.WORKERS.values()])


def when_ready(server: Any) -> None:
    """Close the database connections, which the workers would inherit but can't share.

    Everything loaded by now stays in memory and is shared. It is excluded from garbage collection, because full
    collections would otherwise stop a worker for up to 80 ms.
    """
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Start to read the configuration, so that the first scrape finds it."""
    # A scrape creates about 10,000 objects that all live until its end. At the default threshold of 700, looking for
    # garbage among them takes a seventh of its CPU time.
    gc.set_threshold(10_000, 50, 100)
    if "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        from exporters.database_sessions.sessions import Session

        Session.patience = 20.0  # longer than any page's statement takes
    from exporters.configuration.reloader import reloader

    reloader.warm_up()


def child_exit(server: Any, worker: Any) -> None:
    """Keep the counts of a worker that ended; drop its live gauges and its files."""
    from exporters.telemetry.multiprocess import bury

    bury(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), worker.pid)
    if owners.slots is not None:
        owners.slots.leave(worker.slot, worker.pid)


def worker_exit(server: Any, worker: Any) -> None:
    """Close the worker's connections to endpoints, and write its queued records of scrapes."""
    from exporters.scraping import scrape, scrape_records

    scrape.close()
    scrape_records.recorder.close()
