"""Run with a hub's settings: fill its database with planted secrets and all users of the permission table.

Reads the secrets to plant as JSON from standard input; prints the placeholders' values and a session of each user.
"""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User

    from exporters.models import Credential, Namespace, ScrapeToken, Team, WallLink
    from tests.access import people

    asked = json.load(sys.stdin)
    User.objects.filter(username="admin").delete()
    objects = people.make()
    payments = Team.objects.get(pk=objects["team"])
    for number, (name, fields) in enumerate(asked["credentials"].items()):
        host = fields.pop("host")
        if number == 0:  # the one in the table's addresses
            credential = Credential.objects.get(pk=objects["credential"])
            namespace = Namespace.objects.get(pk=objects["namespace"])
        else:
            credential = Credential(name=name, team=payments)
            namespace = Namespace(name=name, team=payments)
        for field, value in fields.items():
            setattr(credential, field, value)
        credential.full_clean()
        credential.save()
        namespace.host, namespace.credential = host, credential
        namespace.full_clean()
        namespace.save()
    # As after a key was removed too early: another row's ciphertext can't be decrypted either.
    sealed = Credential.objects.filter(pk=objects["credential"]).values_list("secret", flat=True).get()
    Credential.objects.filter(name="undecryptable").update(secret=sealed)
    token = ScrapeToken(name="planted", team=payments, scope="team")
    token.set_token(asked["token"])
    token.save()
    link = WallLink(name="planted", team=payments, scope="team")
    link.set_token(asked["wall"])
    link.save()
    sessions = {}
    for who in people.PEOPLE:
        browser = people.client(who)
        if settings.SESSION_COOKIE_NAME in browser.cookies:
            sessions[who] = browser.cookies[settings.SESSION_COOKIE_NAME].value
    user = User.objects.get(username="owner")
    user.set_password(asked["password"])
    user.save()
    # Changing the password ended the user's sessions, so this one is created again.
    sessions["owner"] = people.client("owner").cookies[settings.SESSION_COOKIE_NAME].value
    told = {"objects": objects | {"wall": asked["wall"]}, "sessions": sessions, "hash": user.password}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
