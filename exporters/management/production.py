"""Settings that a production hub must not start with: `check --deploy` only warns those who run it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def is_production(settings: Any) -> bool:
    """Return whether these are production settings: an https address, or a database server.

    A first run on a laptop has neither, and needs no settings.
    """
    return settings.HUB_EXTERNAL_URL.startswith("https://") or (
        "sqlite" not in settings.DATABASES["default"]["ENGINE"]
    )


def refusals(settings: Any) -> list[str]:
    """Return why the hub refuses to start with these settings, each with what to set; empty outside of production."""
    if not is_production(settings):
        return []
    found = []
    if settings.DEBUG:
        found.append("HUB_DEBUG=1 shows settings and code on error pages. Remove it, or set it to 0.")
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            "HUB_ALLOWED_HOSTS=* lets a forged Host header get into links. List the host names under which users open "
            "the hub, or remove it: the host of HUB_EXTERNAL_URL is allowed by default."
        )
    if settings.HUB_KEYS_ARE_GENERATED:
        folder = Path(settings.HUB_DATA_DIR)
        found.append(
            "The keys are not set. The hub would generate them in its data folder: they would be lost with that "
            "folder, and other replicas would not have them. Set HUB_SECRET_KEY and HUB_ENCRYPTION_KEYS (see "
            f"docs/configuration.md). To keep using the keys in {folder}, set "
            f"HUB_SECRET_KEY_FILE={folder / 'secret_key'} and HUB_ENCRYPTION_KEYS_FILE={folder / 'encryption_key'}."
        )
    if settings.SECRET_KEY.startswith("django-insecure-"):
        found.append("HUB_SECRET_KEY is a key that Django generated for development. Generate a new one.")
    return found


def refusal(settings: Any) -> str:
    """Return the refusals as one text to show at startup; empty if there are none."""
    found = refusals(settings)
    if not found:
        return ""
    why = "\n".join(f"  - {each}" for each in found)
    return (
        "The hub does not start with these settings in production (HUB_EXTERNAL_URL is https, or HUB_DATABASE_URL "
        f"names a server):\n{why}"
    )


def ignored_proxy(environment: Mapping[str, str]) -> str:
    """Return a warning if the environment names a proxy for outgoing connections; empty if not.

    The hub checks the address of each connection to Service Bus, so that nobody can make it connect to itself or to a
    metadata service. Through a proxy it could not check that address.
    """
    named = [name for name in _PROXY_VARIABLES if environment.get(name) or environment.get(name.lower())]
    if not named:
        return ""
    return (
        f"{', '.join(named)}: the hub doesn't use a proxy to connect to Service Bus and Microsoft Entra ID, because it "
        "must check the addresses that it connects to. Allow direct connections (docs/operations.md)."
    )
