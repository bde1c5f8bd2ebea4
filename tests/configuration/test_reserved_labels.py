"""A namespace's labels can't have the names of the metrics' own labels, which Prometheus would rename."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from exporters.checks import check_settings
from exporters.models import Namespace
from exporters.models.validators import MAX_NAMESPACE_LABELS, validate_target_labels
from exporters.prometheus import metrics
from exporters.prometheus.relabel import MAX_LABEL_VALUE_CHARACTERS

from .conftest import errors

OF_METRICS = sorted(
    {label for metric in (*metrics.ENTITY_METRICS, *metrics.SCRAPE_METRICS) for label in metric.labels}  # type: ignore[attr-defined]
)


@pytest.mark.parametrize("name", OF_METRICS)
def test_a_label_of_a_metric_is_no_label_of_a_namespace(name: str, settings: Any) -> None:
    with pytest.raises(ValidationError, match=f"exported_{name}"):
        validate_target_labels({name: "x"})
    settings.HUB_NAMESPACE_LABEL = name
    (error,) = [found for found in check_settings() if found.id == "hub.E003"]
    assert "labels of the metrics" in str(error.hint)


def test_the_known_ones_are_among_them() -> None:
    assert {"name", "topic_name", "status", "forward_to", "sku", "reason", "collector", "kind"} <= set(
        OF_METRICS
    )


@pytest.mark.django_db
def test_model_and_hub_yaml_refuse_them(namespace: Namespace, whole: str) -> None:
    namespace.labels = {"status": "x"}
    with pytest.raises(ValidationError, match="exported_status"):
        namespace.full_clean()
    (line,) = errors(whole.replace("environment: prod", "status: prod"))
    assert "namespaces[0].labels: “status” is a label of the metrics" in line


def test_labels_of_a_namespace_are_bounded() -> None:
    validate_target_labels({f"l{number}": "x" for number in range(MAX_NAMESPACE_LABELS)})
    with pytest.raises(ValidationError, match="at most"):
        validate_target_labels({f"l{number}": "x" for number in range(MAX_NAMESPACE_LABELS + 1)})
    with pytest.raises(ValidationError, match="at most"):
        validate_target_labels({"a": "x" * (MAX_LABEL_VALUE_CHARACTERS + 1)})
