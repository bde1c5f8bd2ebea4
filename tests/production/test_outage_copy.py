"""The copy's format: whatever a configuration can contain is restored unchanged."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.configuration.plain_data import decode, encode
from exporters.configuration.targets import Configuration

st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


@given(st.from_type(Configuration))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_configuration_comes_back_as_it_was(configuration: Configuration) -> None:
    assert decode(Configuration, json.loads(json.dumps(encode(configuration)))) == configuration


@dataclass(frozen=True)
class Former:
    name: str
    retired: int = 0


@dataclass(frozen=True)
class Newer:
    name: str
    added: tuple[str, ...] = ()
    limit: float | None = None


def test_a_copy_of_the_former_version_is_read_with_the_defaults_of_what_it_lacks() -> None:
    assert decode(Newer, encode(Former("orders", retired=1))) == Newer("orders")


@pytest.mark.parametrize(
    "value", [{}, {"name": 7}, {"name": "orders", "limit": "high"}, {"name": "o", "added": [1]}, 5]
)
def test_a_value_that_does_not_fit_its_type_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError, AttributeError)):
        decode(Newer, value)


def test_what_is_not_plain_data_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError, match="plain values only, so that it can be kept; not object"):
        encode({"rule": object()})
