"""What the database stores: the configuration (teams, credentials, namespaces, label rules, tokens) and scrape records.

A model checks its own values, so that forms and hub.yaml report the same errors. Permissions are in `access`; models
read no namespace and import nothing from the packages above.
"""

from . import users  # noqa: F401 - keeps their history
from .credentials import Credential
from .identities import IdentityGrant
from .namespaces import Namespace
from .records import NamespaceStatus, Outcome, ScrapeRecord
from .rules import LabelRule
from .secret_slots import SecretSlot
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
    "SecretSlot",
    "Source",
    "Team",
    "Version",
    "WallLink",
]
