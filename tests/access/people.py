"""The users and data behind `tests/permissions.csv`: two teams with every kind of object, and a user for every role."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from exporters.models import Credential, LabelRule, Membership, Namespace, ScrapeToken, Team, WallLink

# Users of team payments, whose objects appear in the table's addresses; then of team orders; then of no team.
PEOPLE = (
    "anonymous",
    "deactivated",
    "nobody",
    "viewer",
    "editor",
    "owner",
    "other-viewer",
    "other-editor",
    "other-owner",
    "admin",
)
# Holders of scrape tokens: of payments, of orders, of the platform, an expired one, a revoked one.
TOKENS = ("token", "other-token", "platform-token", "expired-token", "revoked-token")
# The table's names for groups: users who get no further than the sign-in page, and the roles of each team.
GROUPS = {
    "outsiders": ("anonymous", "deactivated", "nobody"),
    "members": ("viewer", "editor", "owner"),
    "strangers": ("other-viewer", "other-editor", "other-owner"),
    "everybody": PEOPLE,
    "tokens": TOKENS,
}


def _team(name: str, prefix: str, number: int) -> dict[str, Any]:
    """Store a team with one of everything; the numbers are high, so that they don't occur in a page by chance."""
    team = Team.objects.create(name=f"{name}-team", pk=number)
    for place, role in enumerate(Membership.Role):
        user = User.objects.create(username=f"{prefix}{role}", pk=number + 10 + place)
        Membership.objects.create(user=user, team=team, role=role, pk=number + 20 + place)
    secret = (
        f"Endpoint=sb://{name}.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=bm90IGEga2V5"
    )
    credential = Credential.objects.create(pk=number + 1, name=f"{name}-key", team=team, secret=secret)
    # Without a credential, so that a scrape of it is answered without any request.
    namespace = Namespace.objects.create(
        pk=number + 2, name=f"{name}-bus", team=team, host=f"{name}.servicebus.windows.net"
    )
    rule = LabelRule.objects.create(pk=number + 3, team=team, target_label="x", replacement="y")
    for key, word in ((4, "shown"), (5, "revoked")):
        link = WallLink(pk=number + key, name=word, team=team, scope="team")
        link.set_token(f"wall-{name}-{word}")
        link.revoked_at = timezone.now() if word == "revoked" else None
        link.save()
    return {
        "wall_link": number + 4,
        "wall": f"wall-{name}-shown",
        "wall_revoked": f"wall-{name}-revoked",
        "team": team.pk,
        "user": number + 10,  # the viewer
        "member": number + 20,
        "credential": credential.pk,
        "namespace": namespace.pk,
        "namespace_name": namespace.name,
        "rule": rule.pk,
    }


def make() -> dict[str, Any]:
    """Store everything; return the values for placeholders in addresses; `other_...` are those of team orders."""
    payments, orders = _team("payments", "", 5100), _team("orders", "other-", 6200)
    User.objects.create(username="nobody")
    # Platform administrators choose a member by ID, team owners by name; here the two are equal.
    User.objects.create(username="4711", pk=4711)
    User.objects.create(username="admin", is_superuser=True)
    # The membership remains after the deactivation and must grant nothing.
    gone = User.objects.create(username="deactivated", is_active=False)
    Membership.objects.create(user=gone, team_id=payments["team"], role=Membership.Role.OWNER)
    now = timezone.now()
    for name in TOKENS:
        team = {"other-token": orders["team"], "platform-token": None}.get(name, payments["team"])
        token = ScrapeToken(name=name, team_id=team, pk=7300 + TOKENS.index(name))
        token.scope = ScrapeToken.Scope.TEAM if team else ScrapeToken.Scope.ALL_TEAMS
        token.set_token(f"secret-of-{name}")
        token.expires_at = now - timedelta(days=1) if name == "expired-token" else None
        token.revoked_at = now if name == "revoked-token" else None
        token.save()
    payments["token"], orders["token"] = 7300, 7301
    return payments | {"newcomer": 4711} | {f"other_{name}": value for name, value in orders.items()}


def client(who: str) -> Client:
    """Return a browser in which a user has signed in, or a scraper that sends a token."""
    if who in TOKENS:
        return Client(headers={"Authorization": f"Bearer secret-of-{who}"})
    browser = Client()
    if who != "anonymous":
        browser.force_login(
            User.objects.get(username=who), backend="django.contrib.auth.backends.ModelBackend"
        )
    return browser
