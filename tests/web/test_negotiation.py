"""/metrics and /metrics/<namespace> answer 200 in the same format, whatever Accept and Accept-Encoding contain."""

import gzip
from collections.abc import Callable

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.models import Namespace
from simulator import SimulatedNamespace

AddTarget = Callable[..., Namespace]
PATHS = ["/metrics", "/metrics/payments"]


@pytest.fixture
def target(bus: SimulatedNamespace, add_target: AddTarget) -> Namespace:
    return add_target(bus, cache_seconds=60)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "accept",
    [
        'text/plain;version="0.0.4"',
        'application/openmetrics-text; version="1.0.0"',
        "version=abc",
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=\xff",
        "application/openmetrics-text;version=99.0.0",
        "application/openmetrics-text;q=0, text/plain",
        "text/plain;version=1.0.0;escaping=dots",
        "application/openmetrics-text;version=1.0.0;escaping=values",
    ],
)
def test_both_endpoints_answer_in_a_format_that_can_be_read(
    target: Namespace, scraper: Client, path: str, accept: str
) -> None:
    answer = scraper.get(path, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer["Vary"] == "Accept, Accept-Encoding"
    in_openmetrics = answer["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")
    assert in_openmetrics == (accept == 'application/openmetrics-text; version="1.0.0"')
    assert list((parse_openmetrics if in_openmetrics else parse_text)(answer.content.decode()))


@pytest.mark.parametrize("path", PATHS)
def test_gzip_that_is_refused_is_not_sent(target: Namespace, scraper: Client, path: str) -> None:
    assert "Content-Encoding" not in scraper.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    answer = scraper.get(path, headers={"Accept-Encoding": "gzip;q=0.5"})
    assert answer["Content-Encoding"] == "gzip"
    assert b"# HELP" in gzip.decompress(answer.content)


HEADERS = st.text(st.characters(max_codepoint=255), max_size=100) | st.text(
    st.sampled_from('gzip;q=0.1,*/ "\\\0'), max_size=60
)


@pytest.mark.parametrize("path", PATHS)
def test_any_bytes_in_the_headers_are_answered(target: Namespace, scraper: Client, path: str) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HEADERS, HEADERS)
    def answered(accept: str, accept_encoding: str) -> None:
        answer = scraper.get(path, headers={"Accept": accept, "Accept-Encoding": accept_encoding})
        assert answer.status_code == 200

    answered()
