"""The screens of the web admin, one module each."""

from django.contrib import admin

from . import credential, label_rule, namespace, team, token, user

__all__ = ["credential", "label_rule", "namespace", "team", "token", "user"]

admin.site.site_header = "Service Bus exporter hub"
admin.site.site_title = "Service Bus exporter hub"
admin.site.index_title = "Targets"
# The navigation in the header holds the same links and leaves the width to the tables.
admin.site.enable_nav_sidebar = False
