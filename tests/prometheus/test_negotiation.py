"""The format and encoding chosen for a header follow RFC 9110, whatever bytes the header contains."""

import time

import pytest
from django.http.request import MediaType
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.prometheus import negotiation, text
from exporters.prometheus.negotiation import accepts_gzip

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
OPENMETRICS_UTF8 = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

# As written in the source code of each version (scrape/scrape.go, config/config.go).
SENT_BY_PROGRAMS = {
    "Prometheus 2.4": (
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        TEXT,
    ),
    "Prometheus 2.42": (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    "Prometheus 2.42 with native histograms": (
        f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,"
        "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
    ),
    "Prometheus 2.53": (
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
    ),
    "Prometheus 3": (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS_UTF8,
    ),
    "Prometheus 3 with PrometheusProto": (
        f"{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        OPENMETRICS_UTF8,
    ),
    "Prometheus 3 with PrometheusText1.0.0 alone": (
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
        TEXT_1,
    ),
    "Prometheus 3 with PrometheusText0.0.4 alone": ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", TEXT),
    "Prometheus 3 with legacy names": (
        "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        OPENMETRICS,
    ),
    "Telegraf": (f"{PROTOBUF};q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", TEXT),
    "curl": ("*/*", TEXT),
    "Chrome": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        TEXT,
    ),
}


@pytest.mark.parametrize("program", SENT_BY_PROGRAMS)
def test_the_format_is_the_one_that_a_program_asks_for(program: str) -> None:
    accept, content_type = SENT_BY_PROGRAMS[program]
    assert text.negotiate(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        (
            "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.1",
            TEXT,
        ),
        ("application/openmetrics-text;q=0, text/plain", TEXT),
        ("application/openmetrics-text;version=99.0.0", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT),
        ('text/plain;version="0.0.4"', TEXT),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        (r'application/openmetrics-text; version="1.\0.0"', OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.1", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;charset=UTF-8", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;charset=utf-16", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;version=\xff", TEXT),
        ("application/openmetrics-text;version=", TEXT),
        ('application/openmetrics-text;version="1.0.0', TEXT),
        ("application/openmetrics-text;version=1.0.0;q=2", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=nan", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=-1", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=\u0660.\u0665", TEXT),
        ("application/openmetrics-text;version=1.0.0;escaping=other", TEXT),
        ('text/html;x="a,application/openmetrics-text;b"', TEXT),
        # The more specific range decides, wherever it is in the header.
        ("*/*;q=1,text/plain;q=0", OPENMETRICS),
        ("application/*, text/*;q=0.9", OPENMETRICS),
        ("application/*;q=0.9, text/*", TEXT),
        # The hub has none of these: for a scrape, any response is better than 406.
        ("application/json", TEXT),
        ("*/*;q=0", TEXT),
        ("application/openmetrics-text;version=1.0.0" + " " * negotiation.MAX_HEADER_CHARACTERS, TEXT),
    ],
)
def test_weights_parameters_and_what_is_not_understood(accept: str, content_type: str) -> None:
    assert text.negotiate(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("x-gzip", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip;q=0.000, deflate", False),
        ("gzip;q=0.001", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip, *;q=0", True),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("gzip;q=abc", False),
        ("gzipped", False),
        ("\xff\x00", False),
        ("gzip" + "," * negotiation.MAX_HEADER_CHARACTERS, False),
    ],
)
def test_gzip_is_chosen_by_its_weight(accept_encoding: str, gzip: bool) -> None:
    assert accepts_gzip(accept_encoding) is gzip


WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.1", ";q=0.5", "; q=0.5", ";q=0.999", ";q=1", ";Q=1.000"])
RANGES = st.sampled_from(
    [
        "*/*",
        "text/*",
        "application/*",
        "text/plain",
        "text/plain;version=0.0.4",
        'text/plain;version="0.0.4"',
        "text/plain ; version=1.0.0",
        "text/plain;version=1.0.0;escaping=dots",
        "text/plain;escaping=allow-utf-8",
        "text/plain;charset=utf-8",
        "text/html",
        "Application/OpenMetrics-Text",
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=1.0.0;escaping=values",
        "application/openmetrics-text;version=99.0.0",
    ]
)


def _by_django(accept: str) -> dict[str, float]:
    """Return the weight of each format: Django parses the ranges, and the rule is RFC 9110, section 12.5.1."""
    ranges = [MediaType(each) for each in accept.split(",")]
    weights = {}
    for offer in text.FORMATS:
        media = MediaType(offer.content_type)
        # The content type of version 0.0.4 has no escaping parameter, which means underscores.
        media.params.setdefault("escaping", "underscores")
        matching = []
        for each in ranges:
            types = f"{each.main_type}/{each.sub_type}"
            if types not in ("*/*", f"{media.main_type}/*", f"{media.main_type}/{media.sub_type}"):
                continue
            wanted = {name.lower(): value for name, value in each.params.items()}
            weight = wanted.pop("q", 1)
            if all(media.params.get(name) == value for name, value in wanted.items()):
                matching.append(
                    ((each.main_type != "*") + (each.sub_type != "*") + len(wanted), float(weight))
                )
        most = max((specificity for specificity, _ in matching), default=None)
        # If the same range occurs twice, the first one counts.
        weights[offer.content_type] = next((w for s, w in matching if s == most), 0.0)
    return weights


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(RANGES, WEIGHTS).map("".join), min_size=1, max_size=6).map(", ".join))
def test_no_other_format_has_a_higher_weight_by_a_second_implementation(accept: str) -> None:
    weights = _by_django(accept)
    chosen = text.negotiate(accept).content_type
    assert weights[chosen] == max(weights.values()), weights


HEADER_BYTES = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"gzip", b"text/plain", b"application/openmetrics-text", b"version", b"q"])
    | st.sampled_from(
        [b";", b",", b'"', b"\\", b"=", b" ", b"*", b"/", b"1.0.0", b"0.0.4", b"\xff", b"'", b"\0"]
    ),
    max_size=40,
).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(HEADER_BYTES)
def test_any_bytes_get_a_format_and_an_encoding(header: bytes) -> None:
    value = header.decode("latin-1")  # as WSGI passes it on
    assert text.negotiate(value) in text.FORMATS
    assert accepts_gzip(value) in (True, False)


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', ",", ";", ";q=", "text/plain;", " ", "a", "=", 'a="\\'])
def test_no_header_takes_long(piece: str) -> None:
    header = (piece * negotiation.MAX_HEADER_CHARACTERS)[: negotiation.MAX_HEADER_CHARACTERS]
    started = time.process_time()
    for start in ("", "text/plain", "text/plain;version=", '"', "text/plain;"):
        text.negotiate((start + header)[: negotiation.MAX_HEADER_CHARACTERS])
    assert time.process_time() - started < 0.5
