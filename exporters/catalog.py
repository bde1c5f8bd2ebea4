"""The configuration of this process: `catalog.current()` is what a scrape goes by, and asks the database nothing."""

from .configuration import Configuration, CredentialSpec, Expiry, Grant, Limits, Target
from .derivation import credential_spec, target
from .keeper import Keeper
from .loading import everything

__all__ = [
    "Configuration",
    "CredentialSpec",
    "Expiry",
    "Grant",
    "Limits",
    "Target",
    "catalog",
    "credential_spec",
    "load",
    "target",
]


def load() -> Configuration:
    """Read the whole configuration from the database, in a number of queries that doesn't grow with it."""
    return everything().configuration


catalog = Keeper()
