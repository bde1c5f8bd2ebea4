"""The stored configuration: teams, credentials, namespaces, label rules and scrape tokens."""

from . import users  # noqa: F401 - keeps their history
from .credentials import Credential
from .identities import IdentityGrant
from .namespaces import Namespace
from .records import NamespaceStatus, Outcome, ScrapeRecord
from .rules import LabelRule
from .source import Source
from .teams import Membership, Team
from .tokens import ScrapeToken
from .version import ConfigurationChange, ConfigurationVersion, Version
from .wall import WallLink

__all__ = [
    "ConfigurationChange",
    "ConfigurationVersion",
    "Credential",
    "IdentityGrant",
    "LabelRule",
    "Membership",
    "Namespace",
    "NamespaceStatus",
    "Outcome",
    "ScrapeRecord",
    "ScrapeToken",
    "Source",
    "Team",
    "Version",
    "WallLink",
]
