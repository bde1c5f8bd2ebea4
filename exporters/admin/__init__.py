"""The screens of the web admin."""

from django.contrib import admin

from ..models import Credential, LabelRule, Membership, Namespace, ScrapeToken, Team

for model in (Team, Membership, Credential, Namespace, LabelRule, ScrapeToken):
    admin.site.register(model)
