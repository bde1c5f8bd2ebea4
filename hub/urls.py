"""All URLs of the hub."""

from django.contrib import admin
from django.urls import include, path

from exporters.views import landing, wall

from . import errors

handler500 = errors.server_error

urlpatterns = [
    path("", landing.landing, name="landing"),
    path("wall/<str:token>", wall.wall, name="wall"),
    path("admin/", admin.site.urls),
    path("", include("exporters.urls")),
]
