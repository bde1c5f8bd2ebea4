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
from pathlib import Path
from typing import Any

# Before anything imports prometheus_client's metrics: worker processes sum theirs through files in this
# folder. Made anew at each start, as the files of a former run belong to processes that are gone.
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _folder = tempfile.mkdtemp(prefix="hub-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folder
    _owner = os.getpid()

    @atexit.register
    def _remove_folder() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_folder, ignore_errors=True)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

from django.core.exceptions import ImproperlyConfigured

from hub import owners
from hub.production import ignored_proxy, refusal
from hub.tls import Certificate

# Here, too, as hub.wsgi's errors would come with a traceback.
try:
    from hub import limits, settings
except ImproperlyConfigured as error:
    raise SystemExit(str(error)) from None
if _why := refusal(settings):
    raise SystemExit(_why)

wsgi_app = "hub.wsgi:application"
# Each kept TLS connection holds a read buffer of 256 KiB and uses a few of it. From 128 KiB on glibc maps memory of its
# own, where only used pages count; left to itself it raises that threshold and takes the buffers from its heap, where
# all of their pages count sooner or later: 592 MiB instead of 373 with 300 namespaces. Forked workers inherit it.
_M_MMAP_THRESHOLD = -3  # malloc.h
with contextlib.suppress(AttributeError):  # another C library
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
# Both IP versions where the machine has them.
bind = [f"[::]:{settings.HUB_PORT}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{settings.HUB_PORT}"]
# Set: the hub speaks TLS itself.
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
# gunicorn's gthread with a bound to what a client can hold.
worker_class = "hub.worker.Worker"
workers = settings.HUB_WORKERS
threads = settings.HUB_THREADS
# Of clients, kept and silent ones included. At this number a worker accepts no more: who comes then waits and is not
# refused. From 1,000 kept ones on it closes a connection after its answer.
worker_connections = settings.HUB_THREADS + 1000
# Each of them is an open file, as is each kept connection to Service Bus. The soft limit is 1,024 on many systems,
# where the hard one is far higher.
with contextlib.suppress(ValueError, OSError):  # macOS knows a hard limit that can't be reached
    _hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))
limit_request_line = limits.MAX_URL_BYTES
limit_request_fields = limits.MAX_HEADERS
limit_request_field_size = limits.MAX_HEADER_BYTES
# Loaded once and shared by the workers through fork; the I/O loop, threads and connections start after it.
preload_app = True
# Above the longest common scrape interval, so that Prometheus keeps its connection (2 s by default).
keepalive = 75
# gthread's timeout only tells a dead worker from a living one; the hub's own deadline ends a slow scrape.
timeout = 60
# A scrape in flight may take as long as its deadline.
graceful_timeout = 30
max_requests = settings.HUB_MAX_REQUESTS
max_requests_jitter = settings.HUB_MAX_REQUESTS // 10
control_socket_disable = True
# Headers of proxies are Django's and the hub's own to read: gunicorn would take the scheme, SCRIPT_NAME and PATH_INFO
# from anybody on this machine.
forwarded_allow_ips = ""
# Workers tell the master that they live through a file; on a disk that blocks they would be killed for it.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
logconfig_dict = settings.LOGGING
accesslog = None
logger_class = "hub.gunicorn_logger.Logger"
proc_name = "servicebus-exporter-hub"


def ssl_context(config: Any, default_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context of a new connection; gunicorn's own way makes one for each."""
    return _certificate.context()


def on_starting(server: Any) -> None:
    """Refuse settings that can't work; clear away what former runs shared, while no worker uses it."""
    from exporters import checks, shared_state

    if errors := checks.errors():
        raise SystemExit("\n".join(errors))
    if _unused := ignored_proxy(os.environ):
        logging.getLogger("hub").warning(_unused)
    shared_state.sweep()
    owners.make_slots(settings.HUB_WORKERS)


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker its slot: the one of the worker that it replaces."""
    if owners.slots is not None:
        worker.slot = owners.slots.least_used([other.slot for other in server.WORKERS.values()])


def when_ready(server: Any) -> None:
    """Leave no database connection open that the workers would inherit: they can't share one.

    What is loaded by now stays for good and is shared: it is taken out of the garbage collector's sight, whose full
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
    """Begin to read the configuration, so that the first scrape finds it."""
    # A scrape makes some 10,000 objects, all of them alive to its end: looking for garbage among them every 700, as by
    # default, takes a seventh of its CPU time.
    gc.set_threshold(10_000, 50, 100)
    if "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        from hub.database_sessions import Session

        Session.patience = 20.0  # more than any page's statement takes
    from exporters.configuration.reloader import reloader

    reloader.warm_up()


def child_exit(server: Any, worker: Any) -> None:
    """Keep the counts of a worker that ended; forget its live gauges and its files."""
    from exporters.telemetry.multiprocess import bury

    bury(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), worker.pid)
    if owners.slots is not None:
        owners.slots.leave(worker.slot, worker.pid)


def worker_exit(server: Any, worker: Any) -> None:
    """Say goodbye to the endpoints that the worker kept connections to; write what it remembers of scrapes."""
    from exporters.scraping import history, upstream

    upstream.close()
    history.recorder.close()
