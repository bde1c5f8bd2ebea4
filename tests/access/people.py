"""Two teams with everything in them, and somebody for every role: whom `tests/permissions.csv` speaks of."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from exporters.models import Credential, LabelRule, Membership, Namespace, ScrapeToken, Team, WallLink

# Of team payments, whose objects the table's addresses name; of team orders; of none.
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
# Who shows a scrape token: of payments, of orders, of the platform, one that ended, one that was revoked.
TOKENS = ("token", "other-token", "platform-token", "expired-token", "revoked-token")
# Names for several in the table: who gets no further than the sign-in page, and the roles of each team.
GROUPS = {
    "outsiders": ("anonymous", "deactivated", "nobody"),
    "members": ("viewer", "editor", "owner"),
    "strangers": ("other-viewer", "other-editor", "other-owner"),
    "everybody": PEOPLE,
    "tokens": TOKENS,
}


def _team(name: str, prefix: str, number: int) -> dict[str, Any]:
    """Store a team with one of everything; the numbers are high, so that they stand nowhere in a page by chance."""
    team = Team.objects.create(name=f"{name}-team", pk=number)
    for place, role in enumerate(Membership.Role):
        user = User.objects.create(username=f"{prefix}{role}", pk=number + 10 + place)
        Membership.objects.create(user=user, team=team, role=role, pk=number + 20 + place)
    secret = (
        f"Endpoint=sb://{name}.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=bm90IGEga2V5"
    )
    credential = Credential.objects.create(pk=number + 1, name=f"{name}-key", team=team, secret=secret)
    # Without a credential: a scrape of it answers and asks nobody.
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
    """Store everything; return what addresses are filled in with, `other_...` being team orders'."""
    payments, orders = _team("payments", "", 5100), _team("orders", "other-", 6200)
    User.objects.create(username="nobody")
    # Platform administrators choose a member by number, owners of teams by name: here both are the same.
    User.objects.create(username="4711", pk=4711)
    User.objects.create(username="admin", is_superuser=True)
    # The membership outlives the deactivation: it must open nothing.
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
    """Return a browser in which somebody has signed in, or a scraper that shows a token."""
    if who in TOKENS:
        return Client(headers={"Authorization": f"Bearer secret-of-{who}"})
    browser = Client()
    if who != "anonymous":
        browser.force_login(
            User.objects.get(username=who), backend="django.contrib.auth.backends.ModelBackend"
        )
    return browser
