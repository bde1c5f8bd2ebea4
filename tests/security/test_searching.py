"""Tests of the search itself: it must find secrets."""

import base64
import gzip
import zlib

import pytest

from .searching import Search

SECRET = "ab+/cd'<e>&f=="


@pytest.mark.parametrize("lead", range(5))
def test_base64_is_found_at_every_alignment(lead: int) -> None:
    search = Search({"it": SECRET})
    search.look("here", base64.b64encode(b"x" * lead + SECRET.encode() + b"tail"))
    assert len(search.found) == 1


@pytest.mark.parametrize(
    "data",
    [
        SECRET.encode(),
        b"%61 ab%2B%2Fcd%27%3Ce%3E%26f%3D%3D",
        b"ab+/cd&#x27;&lt;e&gt;&amp;f==",
        zlib.compress(b"long " * 9 + SECRET.encode()),
        b"head" + gzip.compress(SECRET.encode(), mtime=0),
    ],
)
def test_other_forms_are_found(data: bytes) -> None:
    search = Search({"it": SECRET})
    search.look("here", data)
    assert len(search.found) == 1


def test_what_is_not_there_is_not_found() -> None:
    search = Search({"it": SECRET})
    search.look("here", b"ab+/cd")
    assert search.found == []


def test_what_belongs_somewhere_is_not_looked_for_there() -> None:
    search = Search({"it": SECRET, "other": "another secret"})
    search.look("here", SECRET + "another secret", but="it")
    assert [found.split()[0] for found in search.found] == ["other"]
