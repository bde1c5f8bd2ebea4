"""The hub's one settings module. What an operator sets is a HUB_* variable; docs/configuration.md has the table."""

import base64
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from . import addresses, environment, limits, server_urls
from .logs import logging_config
from .version import VERSION

BASE_DIR = Path(__file__).resolve().parent.parent

# Development conveniences (error pages, generated keys without a word) are off unless asked for.
DEBUG = environment.boolean("HUB_DEBUG", False)

# --- Files of the hub itself -----------------------------------------------------------------------------------------
HUB_DATA_DIR = environment.folder("HUB_DATA_DIR", BASE_DIR / "var", is_there=False)


def _kept_key(file_name: str, make: Any) -> str:
    """Return the key kept in HUB_DATA_DIR, made on the first start: a local run needs no set-up.

    Replicas share no such folder: they set the variable, and a deployment check says so.
    """
    path = HUB_DATA_DIR / file_name
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"HUB_DATA_DIR holds {file_name}, which can't be read: {error}") from None
    key: str = make()
    try:
        HUB_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(key + "\n")
    except FileExistsError:  # another process was faster
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"HUB_DATA_DIR ({HUB_DATA_DIR}) can't be written: {error}. Name a writable folder in HUB_DATA_DIR, "
            "or set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS."
        ) from None
    return key


def _new_encryption_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


_secret_key = environment.text("HUB_SECRET_KEY")
_encryption_keys = environment.words("HUB_ENCRYPTION_KEYS")
HUB_KEYS_ARE_GENERATED = _secret_key is None or not _encryption_keys
SECRET_KEY = _secret_key or _kept_key("secret_key", lambda: secrets.token_urlsafe(50))
# The first encrypts, all decrypt. Apart from SECRET_KEY, so that one can be rotated without the other.
HUB_ENCRYPTION_KEYS = _encryption_keys or [_kept_key("encryption_key", _new_encryption_key)]
# Followed while the hub runs (exporters/credentials/key_file.py).
HUB_ENCRYPTION_KEYS_FILE = os.environ.get("HUB_ENCRYPTION_KEYS_FILE", "")

# --- Who may ask ------------------------------------------------------------------------------------------------------
HUB_PORT = environment.integer("HUB_PORT", 9580, minimum=1, maximum=65535)
# TLS by the hub itself, where nothing in front does it. Both files are read anew when they change.
HUB_TLS_CERT_FILE = environment.file("HUB_TLS_CERT_FILE")
HUB_TLS_KEY_FILE = environment.file("HUB_TLS_KEY_FILE")
if bool(HUB_TLS_CERT_FILE) != bool(HUB_TLS_KEY_FILE):
    raise ImproperlyConfigured("HUB_TLS_CERT_FILE and HUB_TLS_KEY_FILE are set together or not at all.")
HUB_EXTERNAL_URL = environment.external_url(
    "HUB_EXTERNAL_URL", f"{'https' if HUB_TLS_CERT_FILE else 'http'}://localhost:{HUB_PORT}"
)
_external = urlsplit(HUB_EXTERNAL_URL)
_https = _external.scheme == "https"
# Below which path of its host a proxy shows the hub; hub/wsgi.py takes requests with and without it.
FORCE_SCRIPT_NAME = _external.path or None
# For the web pages alone: scrapes, discovery and probes arrive under whatever address Prometheus or a kubelet
# uses.
ALLOWED_HOSTS = sorted(
    {
        addresses.host(_external.hostname or ""),
        *(environment.hosts("HUB_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]),
    }
)
# Forms work as well behind a proxy that hands on another Host than the one that the browser shows.
CSRF_TRUSTED_ORIGINS = [f"{_external.scheme}://{_external.netloc}"]
# Proxies whose X-Forwarded-For is believed, as addresses or networks.
HUB_TRUSTED_PROXIES = environment.networks("HUB_TRUSTED_PROXIES")
# "none" opens /metrics/<namespace>, /sd and /metrics to whoever reaches the port: for closed networks only.
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
# A scrape waits in its thread for Service Bus; threads that wait cost little, too few would let hung targets
# block healthy ones.
HUB_THREADS = environment.integer("HUB_THREADS", 256, minimum=2, maximum=2000)
# How many scrapes a worker process runs at a time; what comes on top is refused at once. Below HUB_THREADS,
# so that the admin and the health checks always find a free thread.
HUB_MAX_SCRAPES = environment.integer("HUB_MAX_SCRAPES", max(1, HUB_THREADS - 24), minimum=1, maximum=2000)
# Answers after which a worker process is replaced by a fresh one; 0: never.
HUB_MAX_REQUESTS = environment.integer("HUB_MAX_REQUESTS", 0, minimum=0, maximum=10_000_000)
# How old a worker's compiled configuration may be before it asks the database again.
HUB_CATALOG_SECONDS = environment.seconds("HUB_CATALOG_SECONDS", 2.0, minimum=0.1, maximum=5.0)

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
    "hub.costly_pages.CostlyPages",
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
        "HUB_DATABASE_URL is not understood; it takes postgres://user:password@host:5432/name or sqlite:////path."
    ) from None
# Connections of one worker process at most. Scrapes need none; the admin and the refresh of the configuration
# share these. PostgreSQL must allow hubs x HUB_WORKERS x this many.
_pool_size = environment.integer("HUB_DATABASE_POOL_SIZE", 8, minimum=2, maximum=100)
_database = DATABASES["default"]
if "sqlite" in _database["ENGINE"]:
    # WAL lets scrapes read while the admin writes; IMMEDIATE makes writers wait for each other instead of
    # failing.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    from .database_sessions import Session

    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        "connect_timeout": 3,
        # A former primary and a standby are no use: of several hosts the one that takes writes is used.
        # hub/read_only.py replaces sessions that become read-only later.
        "target_session_attrs": "read-write",
        # A server that vanished without a word (a failover) is noticed within about 10 s; the system's own
        # default is 2 hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "pool": {
            "connection_class": Session,
            "min_size": 1,
            "max_size": _pool_size,
            # Who finds no connection gets an error page after 3 s instead of holding a thread.
            "timeout": 3,
            # Given up as fast, because the attempts' pauses double: after a long outage the pool would
            # otherwise come back up to as much later. The next request begins anew.
            "reconnect_timeout": 3,
        },
        # sslmode, sslrootcert and whatever else libpq takes, from the URL's query.
        **_database.get("OPTIONS", {}),
    }

# Left empty, what scrapes share stays on this machine, in files below HUB_DATA_DIR.
HUB_CACHE_URL = environment.text("HUB_CACHE_URL")
if HUB_CACHE_URL:
    try:
        server_urls.check_cache(HUB_CACHE_URL)
    except ValueError:
        raise ImproperlyConfigured(
            "HUB_CACHE_URL is not understood; it takes redis://:password@host:6379/0, or rediss:// with TLS."
        ) from None

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
# Where a page has no relative time: as logs and dashboards write it, and in whose zone.
DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = r"Y-m-d H:i:s \U\T\C"
USE_TZ = True

STATIC_URL = f"{_external.path}/static/"
# Collected when the image is built. In a checkout there is no such folder, and the apps' own files are served.
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
# A whole request is bounded by hub.middleware.BoundedBody before these are. Nothing goes to the temporary folder.
DATA_UPLOAD_MAX_MEMORY_SIZE = limits.MAX_IMPORT_BYTES
FILE_UPLOAD_MAX_MEMORY_SIZE = limits.MAX_IMPORT_BYTES
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = limits.MAX_FORM_FIELDS
DATA_UPLOAD_MAX_NUMBER_FILES = limits.MAX_FORM_FILES
SESSION_COOKIE_SECURE = _https
# A browser that holds localhost to https would refuse whatever else is developed there.
SECURE_HSTS_SECONDS = 365 * 86_400 if _https and _external.hostname != "localhost" else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
# W008: who ends TLS in front redirects, and asks the hub by plain http. W021: preloading is for the domain's owner.
SILENCED_SYSTEM_CHECKS = ["security.W008", "security.W021"]
# Without it no page behind a proxy would count as secure, and none would carry HSTS. Who forges the header can only
# make the hub send that to himself: cookies are secure by the setting.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
CSRF_COOKIE_SECURE = _https
# Other applications of the same host don't get the hub's cookies. Theirs reach the hub, so they need other names.
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
# A stranger who guesses from one address is slowed down there; the user can still sign in from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "exporters.access.rate_limit.sign_in_address"
# Only what is counted is stored, in a bounded number of rows; a try during a lock-out doesn't prolong it.
AXES_HANDLER = "exporters.access.sign_in_attempts.SignInAttempts"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# A lock-out ends by itself after the quarter of an hour; `manage.py axes_reset` ends it at once.
AXES_ENABLE_ADMIN = False
AXES_LOCKOUT_TEMPLATE = "429.html"

HUB_LOG_LEVEL = environment.choice("HUB_LOG_LEVEL", "info", ["debug", "info", "warning", "error"])
HUB_LOG_FORMAT = environment.choice("HUB_LOG_FORMAT", "text", ["text", "json"])
LOGGING = logging_config(HUB_LOG_LEVEL, HUB_LOG_FORMAT)
LOGGING_CONFIG = "logging.config.dictConfig"

HUB_VERSION = VERSION
