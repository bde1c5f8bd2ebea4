"""The hub's rendering compared with prometheus_client's own, byte for byte."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
    Timestamp,
    UnknownMetricFamily,
)
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from exporters.prometheus import text
from exporters.prometheus.columns import ColumnFamily, number

ACCEPTS = [
    "",
    "*/*",
    # What Debian's Prometheus 2.42 sends.
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    # What Prometheus 3 sends.
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=1.0.0;escaping=values",
    "application/openmetrics-text;version=1.0.0;escaping=underscores",
]


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def stock(families: list[Metric], answer_format: text.Format) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))  # type: ignore[arg-type]
    return answer_format.encode(registry)


NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True) | st.sampled_from(
    ["up.down", "ünder", "a-b"]
)
LABEL_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True) | st.sampled_from(["a.b", "ñ"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['"\\\n', "\\n", 'a"b', "é\t"]
)
VALUES = (
    st.floats()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0.0, -0.0, 1e6, 999999.0, 1000000, 999999, -1000000, 1e21, 1e-7, True, 2**53 + 1])
)


@st.composite
def gauges(draw: st.DrawFn) -> Metric:
    name = draw(NAMES)
    family = Metric(name, draw(TEXTS), "gauge", draw(st.sampled_from(["", ""])))
    shared = [draw(st.dictionaries(LABEL_NAMES, TEXTS, max_size=4)) for _ in range(3)]
    for _ in range(draw(st.integers(0, 5))):
        labels = draw(st.sampled_from(shared))
        timestamp = draw(st.sampled_from([None, None, None, 1.5, Timestamp(1, 500)]))
        suffix = draw(st.sampled_from(["", "", "", "_created", "_other"]))
        family.samples.append(Sample(name + suffix, labels, draw(VALUES), timestamp))
    return family


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(gauges(), max_size=4), st.sampled_from(ACCEPTS))
def test_gauges_are_rendered_to_the_byte_as_prometheus_client_does(
    families: list[Metric], accept: str
) -> None:
    answer_format = text.negotiate(accept)
    assert text.render(families, answer_format) == stock(families, answer_format)


TIMES = (
    st.integers(1_000_000_000_000_000, 4_100_000_000_000_000).map(lambda microseconds: microseconds / 1e6)
    | st.floats(9e8, 9e9)
    | st.integers(999_999_999, 4_000_000_001).map(float)
)


@st.composite
def column_families(draw: st.DrawFn) -> list[Metric]:
    names = draw(st.lists(LABEL_NAMES, max_size=3, unique=True))
    alike = st.fixed_dictionaries(dict.fromkeys(names, TEXTS))
    some = st.dictionaries(LABEL_NAMES, TEXTS, max_size=3)
    labels = draw(st.lists(draw(st.sampled_from([alike, some])), max_size=5))
    return [
        ColumnFamily(name, draw(TEXTS), labels, draw(st.lists(values, min_size=len(labels), max_size=len(labels))))
        for name in draw(st.lists(NAMES, min_size=1, max_size=3))
        for values in (VALUES.filter(lambda value: value != 0 or str(value) != "-0.0"), TIMES)
    ]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(column_families(), st.sampled_from(ACCEPTS))
def test_columns_are_rendered_to_the_byte_as_prometheus_client_does(
    families: list[Metric], accept: str
) -> None:
    answer_format = text.negotiate(accept)
    assert text.render(families, answer_format) == stock(families, answer_format)


@given(TIMES | VALUES)
def test_a_number_is_written_as_prometheus_client_writes_it(value: float) -> None:
    assert number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


def _every_kind() -> list[Metric]:
    counter = CounterMetricFamily("c", "Counter", labels=["x"], created=1.5)
    counter.add_metric(["1"], 5, created=3.5)
    counter.samples.append(Sample("c_total", {"x": "2"}, 6, None, Exemplar({"trace": "t"}, 1.0, 2.0)))
    histogram = HistogramMetricFamily("h", "Histogram", buckets=[("1.0", 2), ("+Inf", 3)], sum_value=4)
    unit = GaugeMetricFamily("g_seconds", 'Help with "quotes", \\ and\nlines', value=1, unit="seconds")
    return [
        counter,
        histogram,
        unit,
        SummaryMetricFamily("s", "Summary", count_value=1, sum_value=2),
        InfoMetricFamily("i", "Info", value={"a": "b"}),
        StateSetMetricFamily("st", "States", value={"a": True, "b": False}),
        GaugeHistogramMetricFamily("gh", "GH", buckets=[("1.0", 2), ("+Inf", 3)], gsum_value=4),
        UnknownMetricFamily("u", "Unknown", value=3),
        GaugeMetricFamily("empty", "No samples"),
    ]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_every_other_kind_of_family_is_rendered_as_prometheus_client_does(accept: str) -> None:
    answer_format = text.negotiate(accept)
    families = [*_every_kind(), GaugeMetricFamily("plain", "Plain", value=2.5)]
    assert text.render(families, answer_format) == stock(families, answer_format)


def test_two_dicts_that_are_equal_but_not_the_same_are_each_rendered() -> None:
    family = GaugeMetricFamily("g", "Help")
    family.samples += [Sample("g", {"name": name}, 1) for name in ("a", "b", "a")]
    body = text.render([family], text.negotiate(""))
    assert body.count(b'g{name="a"} 1.0') == 2
    assert body.count(b'g{name="b"} 1.0') == 1


def test_compress_makes_gzip() -> None:
    assert gzip.decompress(text.compress(b"abc" * 1000)) == b"abc" * 1000
