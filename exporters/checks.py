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
                "HUB_ALLOWED_HOSTS allows every host, so a forged Host header can get into links.",
                hint="List the host names under which users open the hub.",
                id="hub.E010",
            )
        )
    if settings.HUB_SCRAPE_AUTH == "none":
        found.append(
            checks.Warning(
                "HUB_SCRAPE_AUTH=none: anyone who can reach the port can scrape every namespace of every team.",
                hint="Keep it at required, unless the network only lets Prometheus through.",
                id="hub.W010",
            )
        )
    if settings.HUB_ALLOW_LOOPBACK:
        found.append(
            checks.Warning(
                "HUB_ALLOW_LOOPBACK=1: users can make the hub connect to services on its own machine.",
                hint="Remove it; it is for development and the local emulator.",
                id="hub.W011",
            )
        )
    if not settings.HUB_EXTERNAL_URL.startswith("https://"):
        found.append(
            checks.Warning(
                "HUB_EXTERNAL_URL is not https: passwords, connection strings and tokens cross the network "
                "unencrypted.",
                hint="Put a TLS proxy in front, or set HUB_TLS_CERT_FILE and HUB_TLS_KEY_FILE, and set the https "
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
            "The keys are generated in HUB_DATA_DIR, but the database is shared: other replicas have different keys "
            "and can't read what this one stores.",
            hint="Set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS to the same values in all replicas.",
            id="hub.W001",
        )
    for name in ("secret_key", "encryption_key"):
        path = settings.HUB_DATA_DIR / name
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield checks.Warning(
                f"{path} is readable by other users of this machine.", hint=f"chmod 600 {path}", id="hub.W002"
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
            f"HUB_CA_FILE ({settings.HUB_CA_FILE}) contains no certificate.",
            hint="It must contain one or more PEM certificates (-----BEGIN CERTIFICATE-----).",
            id="hub.E002",
        )


def _names() -> Iterator[checks.CheckMessage]:
    label = settings.HUB_NAMESPACE_LABEL
    if target_label_problem(label) or label == "team":
        yield checks.Error(
            "HUB_NAMESPACE_LABEL is not a valid label for the namespace.",
            hint="Use letters, digits and _. The labels job, instance and team, and labels of the metrics, such as "
            "name or status, are not allowed.",
            id="hub.E003",
        )
    for suffix in settings.HUB_ENDPOINT_SUFFIXES:
        if not _SUFFIX.fullmatch(suffix):
            yield checks.Error(
                "HUB_ENDPOINT_SUFFIXES contains a suffix that is not a host name or that allows a whole top-level "
                "domain.",
                hint="Enter the suffix of your Service Bus endpoints, for example servicebus.example.net.",
                id="hub.E004",
            )


def _capacity() -> Iterator[checks.CheckMessage]:
    if settings.HUB_MAX_SCRAPES >= settings.HUB_THREADS:
        yield checks.Warning(
            "HUB_MAX_SCRAPES is not below HUB_THREADS: hanging targets could occupy all threads, including those "
            "for health checks.",
            hint="Lower HUB_MAX_SCRAPES, or raise HUB_THREADS.",
            id="hub.W003",
        )
