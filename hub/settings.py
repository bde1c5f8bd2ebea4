"""The hub's only settings module. Operators set HUB_* variables; docs/configuration.md lists them."""

import os
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from . import addresses, environment, generated_keys, limits, server_urls
from .logs import logging_config
from .version import VERSION

BASE_DIR = Path(__file__).resolve().parent.parent

# Development conveniences (error pages, generated keys without a warning) are off by default.
DEBUG = environment.boolean("HUB_DEBUG", False)

# --- Files of the hub itself -----------------------------------------------------------------------------------------
HUB_DATA_DIR = environment.folder("HUB_DATA_DIR", BASE_DIR / "var", is_there=False)

_secret_key = environment.text("HUB_SECRET_KEY")
_encryption_keys = environment.words("HUB_ENCRYPTION_KEYS")
HUB_KEYS_ARE_GENERATED = _secret_key is None or not _encryption_keys
SECRET_KEY = _secret_key or generated_keys.secret_key(HUB_DATA_DIR)
# The first key encrypts, all of them decrypt. Separate from SECRET_KEY, so that each can be rotated alone.
HUB_ENCRYPTION_KEYS = _encryption_keys or [generated_keys.encryption_key(HUB_DATA_DIR)]
# Reloaded while the hub runs (exporters/credentials/key_file.py).
HUB_ENCRYPTION_KEYS_FILE = os.environ.get("HUB_ENCRYPTION_KEYS_FILE", "")
HUB_READ_ENCRYPTION_KEYS = partial(environment.words, "HUB_ENCRYPTION_KEYS")

# --- Access -----------------------------------------------------------------------------------------------------------
HUB_PORT = environment.integer("HUB_PORT", 9580, minimum=1, maximum=65535)
# TLS by the hub itself, if nothing in front provides it. Both files are reloaded when they change.
HUB_TLS_CERT_FILE = environment.file("HUB_TLS_CERT_FILE")
HUB_TLS_KEY_FILE = environment.file("HUB_TLS_KEY_FILE")
if bool(HUB_TLS_CERT_FILE) != bool(HUB_TLS_KEY_FILE):
    raise ImproperlyConfigured("Set both HUB_TLS_CERT_FILE and HUB_TLS_KEY_FILE, or neither.")
HUB_EXTERNAL_URL = environment.external_url(
    "HUB_EXTERNAL_URL", f"{'https' if HUB_TLS_CERT_FILE else 'http'}://localhost:{HUB_PORT}"
)
_external = urlsplit(HUB_EXTERNAL_URL)
_https = _external.scheme == "https"
# The path of its host under which a proxy exposes the hub; hub/wsgi.py accepts requests with and without it.
FORCE_SCRIPT_NAME = _external.path or None
# For web pages only: scrapes, discovery and probes use whatever address Prometheus or a kubelet has.
ALLOWED_HOSTS = sorted(
    {
        addresses.host(_external.hostname or ""),
        *(environment.hosts("HUB_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]),
    }
)
# Lets forms work behind a proxy that passes on a different Host than the browser's.
CSRF_TRUSTED_ORIGINS = [f"{_external.scheme}://{_external.netloc}"]
# Proxies whose X-Forwarded-For is trusted, as addresses or networks.
HUB_TRUSTED_PROXIES = environment.networks("HUB_TRUSTED_PROXIES")
# "none" opens /metrics/<namespace>, /sd and /metrics to anyone who reaches the port: for closed networks only.
HUB_SCRAPE_AUTH = environment.choice("HUB_SCRAPE_AUTH", "required", ["required", "none"])
# Opens /metrics (the hub's own metrics) without a token.
HUB_METRICS_OPEN = environment.boolean("HUB_METRICS_OPEN", False)
HUB_NAMESPACE_LABEL = environment.text("HUB_NAMESPACE_LABEL", "servicebus_namespace")

# --- Where the hub may connect ----------------------------------------------------------------------------------------
HUB_ENDPOINT_SUFFIXES = environment.words("HUB_ENDPOINT_SUFFIXES")
HUB_ALLOW_LOOPBACK = environment.boolean("HUB_ALLOW_LOOPBACK", False)
HUB_CA_FILE = environment.file("HUB_CA_FILE")

# --- Scrapes ----------------------------------------------------------------------------------------------------------
HUB_WORKERS = environment.integer("HUB_WORKERS", 2, minimum=1, maximum=64)
# A scrape waits in its thread for Service Bus. Waiting threads cost little; with too few of them, hung targets would
# block healthy ones.
HUB_THREADS = environment.integer("HUB_THREADS", 256, minimum=2, maximum=2000)
# Concurrent scrapes of a worker process; further ones are refused immediately. Keep it below HUB_THREADS, so that there
# is always a free thread for the admin and the health checks.
HUB_MAX_SCRAPES = environment.integer("HUB_MAX_SCRAPES", max(1, HUB_THREADS - 24), minimum=1, maximum=2000)
# Responses after which a worker process is replaced; 0: never.
HUB_MAX_REQUESTS = environment.integer("HUB_MAX_REQUESTS", 0, minimum=0, maximum=10_000_000)
# The maximum age of a worker's configuration before it checks the database again.
HUB_RELOAD_SECONDS = environment.seconds("HUB_RELOAD_SECONDS", 2.0, minimum=0.1, maximum=5.0)

HUB_CONFIG = environment.text("HUB_CONFIG")
HUB_ADMIN_PASSWORD = environment.text("HUB_ADMIN_PASSWORD")

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "exporters.apps.ExportersConfig",
    "exporters.apps.HubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "simple_history",
    "axes",
]

MIDDLEWARE = [
    "hub.middleware.RequestId",
    "hub.middleware.BoundedBody",
    "hub.middleware.MachineEndpoints",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "hub.middleware.DatabaseAway",
    "hub.middleware.ImpossibleNumbers",
    "hub.middleware.NoNul",
    "exporters.access.costly_pages.CostlyPages",
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]

ROOT_URLCONF = "hub.urls"
WSGI_APPLICATION = "hub.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_database_url = environment.text("HUB_DATABASE_URL", f"sqlite:///{HUB_DATA_DIR / 'hub.sqlite3'}")
try:
    DATABASES: dict[str, Any] = {"default": server_urls.database(_database_url)}
except ValueError:
    raise ImproperlyConfigured(
        "HUB_DATABASE_URL is invalid. Use postgres://user:password@host:5432/name or sqlite:////path."
    ) from None
# The most connections of one worker process. Scrapes need none; the admin and the configuration refresh share these.
# PostgreSQL must allow hubs x HUB_WORKERS x this many.
_pool_size = environment.integer("HUB_DATABASE_POOL_SIZE", 8, minimum=2, maximum=100)
_database = DATABASES["default"]
if "sqlite" in _database["ENGINE"]:
    # WAL lets scrapes read while the admin writes; IMMEDIATE makes writers wait for each other instead of failing.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    from exporters.database_sessions.sessions import Session

    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        "connect_timeout": 3,
        # Former primaries and standbys are useless: of several hosts, use the writable one. Sessions that become
        # read-only later are replaced (exporters/database_sessions/read_only.py).
        "target_session_attrs": "read-write",
        # Detects a server that vanished silently (a failover) within about 10 s; the system's default is 2 hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "pool": {
            "connection_class": Session,
            "min_size": 1,
            "max_size": _pool_size,
            # Without a free connection, a request gets an error page after 3 s instead of holding a thread.
            "timeout": 3,
            # Also short, because the pauses between attempts double: after a long outage the pool could otherwise take
            # as long again to recover. The next request starts over.
            "reconnect_timeout": 3,
        },
        # sslmode, sslrootcert and other libpq options, from the URL's query.
        **_database.get("OPTIONS", {}),
    }

# If empty, scrapes share data on this machine only, in files in HUB_DATA_DIR.
HUB_REDIS_URL = environment.text("HUB_REDIS_URL")
if HUB_REDIS_URL:
    try:
        server_urls.check_redis(HUB_REDIS_URL)
    except ValueError:
        raise ImproperlyConfigured(
            "HUB_REDIS_URL is invalid. Use redis://:password@host:6379/0, or rediss:// with TLS."
        ) from None

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
# For times that are not relative on a page: the format of logs and dashboards, with the time zone.
DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = r"Y-m-d H:i:s \U\T\C"
USE_TZ = True

STATIC_URL = f"{_external.path}/static/"
# Collected when the image is built. A checkout has no such folder, so the apps' own files are served.
_static_root = environment.folder("HUB_STATIC_ROOT", BASE_DIR / "staticfiles", is_there=True)
STATIC_ROOT = str(_static_root) if _static_root.is_dir() else None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
_static_storage = (
    "whitenoise.storage.CompressedManifestStaticFilesStorage"
    if STATIC_ROOT
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _static_storage},
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- The web ----------------------------------------------------------------------------------------------------------
# hub.middleware.BoundedBody limits the whole request before these apply. Nothing goes to the temporary folder.
DATA_UPLOAD_MAX_MEMORY_SIZE = limits.MAX_IMPORT_BYTES
FILE_UPLOAD_MAX_MEMORY_SIZE = limits.MAX_IMPORT_BYTES
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = limits.MAX_FORM_FIELDS
DATA_UPLOAD_MAX_NUMBER_FILES = limits.MAX_FORM_FILES
SESSION_COOKIE_SECURE = _https
# A browser with HSTS for localhost would refuse anything else that is developed there.
SECURE_HSTS_SECONDS = 365 * 86_400 if _https and _external.hostname != "localhost" else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
# W008: the TLS proxy in front redirects, and connects to the hub by plain http. W021: preloading is up to the domain's
# owner.
SILENCED_SYSTEM_CHECKS = ["security.W008", "security.W021"]
# Otherwise no page behind a proxy would count as secure, and none would have HSTS. A client that forges the header
# affects only itself: the settings make cookies secure.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
CSRF_COOKIE_SECURE = _https
# Keeps the hub's cookies from other applications on the host. Theirs reach the hub, so the names must differ.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = _external.path or "/"
if _external.path:
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "hub_sessionid", "hub_csrftoken"
MESSAGE_STORAGE = "hub.messages.Storage"
SESSION_ENGINE = "hub.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],  # the admin's stylesheet has data: icons
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
# Slows down guessing from one address; the user can still sign in from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "exporters.access.rate_limit.sign_in_address"
# Stores only what is counted, in a bounded number of rows; an attempt during a lockout doesn't prolong it.
AXES_HANDLER = "exporters.access.sign_in_attempts.SignInAttempts"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# A lockout ends by itself after 15 minutes; `manage.py axes_reset` ends it immediately.
AXES_ENABLE_ADMIN = False
AXES_LOCKOUT_TEMPLATE = "429.html"

HUB_LOG_LEVEL = environment.choice("HUB_LOG_LEVEL", "info", ["debug", "info", "warning", "error"])
HUB_LOG_FORMAT = environment.choice("HUB_LOG_FORMAT", "text", ["text", "json"])
LOGGING = logging_config(HUB_LOG_LEVEL, HUB_LOG_FORMAT)
LOGGING_CONFIG = "logging.config.dictConfig"

HUB_VERSION = VERSION
