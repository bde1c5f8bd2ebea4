"""Django system checks for deployment mistakes: `manage.py check`, and for production `manage.py check --deploy`.

`manage.py check --database default` checks the stored secrets.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography import x509
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from .configuration.reencrypt import unreadable
from .credentials.encryption import key_ring
from .management.production import ignored_proxy
from .models.validators import target_label_problem

# A host name with at least two labels.
_SUFFIX = re.compile(r"\.?[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+", re.IGNORECASE | re.ASCII)


def register() -> None:
    checks.register(check_settings)
    checks.register(check_production, deploy=True)
    checks.register(check_stored_secrets, checks.Tags.database)


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Find settings that are invalid, or that don't work together."""
    return [*_keys(), *_ca_file(), *_names(), *_capacity()]


def errors() -> list[str]:
    """Return one line for each invalid setting, to show at startup."""
    found = [each for each in check_settings() if each.is_serious(checks.ERROR)]
    return [f"{each.msg} {each.hint or ''}".rstrip() for each in found]


def check_production(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Find settings that are fine on a laptop but unsafe in production.

    Django's own checks cover DEBUG.
    """
    found: list[checks.CheckMessage] = []
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            checks.Error(
                "HUB_ALLOWED_HOSTS allows every host, which lets a forged Host header into links.",
                hint="Name the hosts under which people open the hub.",
                id="hub.E010",
            )
        )
    if settings.HUB_SCRAPE_AUTH == "none":
        found.append(
            checks.Warning(
                "HUB_SCRAPE_AUTH=none: whoever reaches the port can scrape every namespace of every team.",
                hint="Leave it at required, unless the network lets Prometheus alone through.",
                id="hub.W010",
            )
        )
    if settings.HUB_ALLOW_LOOPBACK:
        found.append(
            checks.Warning(
                "HUB_ALLOW_LOOPBACK=1: users can make the hub connect to services on its own machine.",
                hint="Take it away; it is for development and the local emulator.",
                id="hub.W011",
            )
        )
    if not settings.HUB_EXTERNAL_URL.startswith("https://"):
        found.append(
            checks.Warning(
                "HUB_EXTERNAL_URL is not https: passwords, connection strings and tokens cross the network "
                "in plain.",
                hint="Put TLS in front, or set HUB_TLS_CERT_FILE and HUB_TLS_KEY_FILE, and give the https "
                "address.",
                id="hub.W012",
            )
        )
    if unused := ignored_proxy(os.environ):
        found.append(checks.Warning(unused, id="hub.W013"))
    return found


def check_stored_secrets(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report every stored secret that doesn't decrypt.

    A warning rather than an error: if one team's key is lost, the hub must still migrate and start for the others.
    """
    if not databases:
        return []
    try:
        messages = unreadable()
    except (DatabaseError, ImproperlyConfigured):
        return []  # not migrated yet; an invalid key ring has its own error
    return [checks.Warning(message, id="hub.W020") for message in messages]


def _keys() -> Iterator[checks.CheckMessage]:
    try:
        key_ring()
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), id="hub.E001")
    if not settings.HUB_KEYS_ARE_GENERATED:
        return
    if "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        yield checks.Warning(
            "The keys are generated ones from HUB_DATA_DIR, but the database is shared: another replica "
            "has other "
            "keys and can't read what this one stores.",
            hint="Set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS, the same for all replicas.",
            id="hub.W001",
        )
    for name in ("secret_key", "encryption_key"):
        path = settings.HUB_DATA_DIR / name
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield checks.Warning(
                f"{path} can be read by other users of this machine.", hint=f"chmod 600 {path}", id="hub.W002"
            )


def _ca_file() -> Iterator[checks.CheckMessage]:
    if not settings.HUB_CA_FILE:
        return
    try:
        with open(settings.HUB_CA_FILE, "rb") as file:
            x509.load_pem_x509_certificates(file.read())
    except OSError as error:
        yield checks.Error(
            f"HUB_CA_FILE ({settings.HUB_CA_FILE}) can't be read: {error.strerror}.", id="hub.E002"
        )
    except ValueError:
        yield checks.Error(
            f"HUB_CA_FILE ({settings.HUB_CA_FILE}) holds no certificate.",
            hint="It takes one certificate or more as PEM (-----BEGIN CERTIFICATE-----).",
            id="hub.E002",
        )


def _names() -> Iterator[checks.CheckMessage]:
    label = settings.HUB_NAMESPACE_LABEL
    if target_label_problem(label) or label == "team":
        yield checks.Error(
            "HUB_NAMESPACE_LABEL can't be the label of the namespace.",
            hint="Use letters, digits and _, and neither job, instance, team nor a label that a metric has, such as "
            "name or status.",
            id="hub.E003",
        )
    for suffix in settings.HUB_ENDPOINT_SUFFIXES:
        if not _SUFFIX.fullmatch(suffix):
            yield checks.Error(
                "HUB_ENDPOINT_SUFFIXES holds a suffix that is no host name, or that allows a whole top-level domain.",
                hint="Give the suffix of your Service Bus endpoints, for example servicebus.example.net.",
                id="hub.E004",
            )


def _capacity() -> Iterator[checks.CheckMessage]:
    if settings.HUB_MAX_SCRAPES >= settings.HUB_THREADS:
        yield checks.Warning(
            "HUB_MAX_SCRAPES is not below HUB_THREADS: hung targets could take every thread, health checks "
            "included.",
            hint="Lower HUB_MAX_SCRAPES, or raise HUB_THREADS.",
            id="hub.W003",
        )
