import json
import logging
import re

import pytest

from hub.logs import JsonFormatter, TextFormatter, logging_config


def _record(**extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {
            "name": "exporters.scrape",
            "levelno": logging.INFO,
            "levelname": "INFO",
            "msg": "Scraped %s",
            "args": ("a",),
        }
    )
    vars(record).update(extra)
    return record


def test_a_text_line_has_time_level_logger_message_and_extras() -> None:
    line = TextFormatter().format(_record(namespace="payments", requests=3))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO exporters\.scrape Scraped a namespace=payments requests=3",
        line,
    )


def test_a_json_line_is_one_object() -> None:
    line = json.loads(JsonFormatter().format(_record(namespace="pay\nments")))
    assert line["message"] == "Scraped a"
    assert line["level"] == "info"
    assert line["namespace"] == "pay\nments"


def test_an_object_passed_as_extra_is_left_out_as_it_could_hold_anything() -> None:
    assert "request" not in json.loads(JsonFormatter().format(_record(request=object())))


@pytest.mark.parametrize("library", ["azure", "msal", "aiohttp", "urllib3"])
def test_libraries_that_print_headers_at_debug_stay_quiet_at_debug(library: str) -> None:
    assert logging_config("debug", "text")["loggers"][library]["level"] == "WARNING"
