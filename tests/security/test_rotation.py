"""Keys are rotated under load: a short run of what bench/rotation.py measures."""

import pytest

from tests.support import programs, rotation

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rotation")]


def test_no_scrape_fails_while_every_key_is_rotated() -> None:
    for name in ("postgres", "initdb"):
        programs.require(name)
    figures = rotation.measure(seconds=0)  # one full rotation
    assert figures.steps.keys() >= {"promoted", "active key regenerated", "encryption key taken away"}
    assert len(figures.seconds) > 20
    assert figures.failures == []
    # The spare key has taken over; otherwise nothing was rotated.
    assert figures.refused > 0
