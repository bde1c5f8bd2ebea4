"""The machine endpoints, for Prometheus and probes."""

from django.urls import path

from .views import discovery, health, metrics

urlpatterns = [
    path("metrics", metrics.hub, name="hub-metrics"),
    path("metrics/<str:name>", metrics.namespace, name="namespace-metrics"),
    path("sd", discovery.targets, name="discovery"),
    path("-/healthy", health.healthy, name="healthy"),
    path("-/ready", health.ready, name="ready"),
]
