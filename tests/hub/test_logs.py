import json
import logging
import re

import pytest
from gunicorn.http.errors import InvalidHeader, InvalidHeaderName, InvalidRequestLine

from hub.logs import JsonFormatter, TextFormatter, logging_config


def _record(**extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {
            "name": "exporters.scraping.scrape",
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
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO "
        r"exporters\.scraping\.scrape Scraped a namespace=payments requests=3",
        line,
    )


def test_a_value_that_would_not_end_at_the_next_blank_is_in_quotes() -> None:
    line = TextFormatter().format(_record(by="the hub", fields="", reason='a="b"\nc'))
    assert line.endswith(' by="the hub" fields="" reason="a=\\"b\\"\\nc"')


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


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        (
            "Service Unavailable: /wall/sbw_AbC-dEfGhIjKlMnOpQrS?x=1",
            "Service Unavailable: /wall/[secret]?x=1",
        ),
        (
            "Endpoint=sb://a/;SharedAccessKey=ab+/cd==;EntityPath=x",
            "Endpoint=sb://a/;SharedAccessKey=[secret];EntityPath=x",
        ),
        ("SharedAccessSignature sr=x&sig=a%2Fb%3D&se=1", "SharedAccessSignature sr=x&sig=[secret]&se=1"),
        ("Authorization: Bearer eyJ0eXAiOiJKV1QiLCJ.a-b_c", "Authorization: Bearer [secret]"),
        ("Authorization: Bearer short-it", "Authorization: Bearer [secret]"),
        (
            f"Invalid request: {InvalidHeader('Cookie x=y z')}",
            "Invalid request: Invalid HTTP Header: [secret]",
        ),
        (f"{InvalidHeaderName('Authorization Basic eDp5: ')}", "Invalid HTTP header name: [secret]"),
        (f"{InvalidRequestLine('GET /sd?token=x')}", "Invalid HTTP request line: [secret]"),
        ("token sbh_AbC-dEfGhIjKlMnOpQrS", "token sbh_[secret]"),
        ("token sbh_AbC-dE was revoked", "token sbh_AbC-dE was revoked"),
    ],
)
def test_what_is_secret_by_its_form_is_left_out_of_every_part_of_a_line(text: str, logged: str) -> None:
    record = _record(msg=text, args=(), extra_value=text)
    try:
        raise ValueError(text)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["extra_value"]) == (logged, logged)
    assert line["exception"].endswith(f"ValueError: {logged}")
    assert TextFormatter().format(record).count(logged) == 3
