"""URLs of servers are read as the servers' own clients read them."""

import pytest

from hub.server_urls import database


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://hub:p%40s%2Fs@db-1:5432,db-2:5433/hub?sslmode=verify-full&sslrootcert=/etc/ca.crt",
            {
                "NAME": "hub",
                "USER": "hub",
                "PASSWORD": "p@s/s",
                "HOST": "db-1,db-2",
                "PORT": "5432,5433",
                "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/ca.crt"},
            },
        ),
        ("postgres://db-1,db-2/hub", {"NAME": "hub", "HOST": "db-1,db-2", "PORT": ","}),
        ("postgresql://hub@[::1]:5432/hub", {"NAME": "hub", "USER": "hub", "HOST": "::1", "PORT": "5432"}),
        (
            "postgres://hub@/hub?host=/run/postgresql",
            {"NAME": "hub", "USER": "hub", "HOST": "/run/postgresql"},
        ),
        ("postgres:///?service=hub", {"OPTIONS": {"service": "hub"}}),
    ],
)
def test_a_database_server_is_read_as_libpq_reads_it(url: str, expected: dict[str, object]) -> None:
    engine = "django.db.backends.postgresql"
    empty: dict[str, object] = {
        **dict.fromkeys(["NAME", "USER", "PASSWORD", "HOST", "PORT"], ""),
        "OPTIONS": {},
    }
    assert database(url) == {"ENGINE": engine, **empty, **expected}


@pytest.mark.parametrize(
    "path", ["/var/lib/hub/hub.sqlite3", "var/hub.sqlite3", "/a folder/100%20?#+.sqlite3"]
)
def test_a_file_has_the_path_as_it_is_written(path: str) -> None:
    assert database(f"sqlite:///{path}") == {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
