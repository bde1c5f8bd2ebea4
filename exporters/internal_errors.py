"""Bugs of the hub itself: each is logged with its traceback and counted, wherever it is caught."""

import logging
import traceback

from . import telemetry

logger = logging.getLogger(__name__)


def report(where: str, error: BaseException) -> None:
    """Log and count an exception that no code expected.

    `where` is one of a few fixed words, a label of `hub_internal_errors_total`. The log gets the exception's type and
    its frames. Its text stays out: it can hold a part of an answer or a secret.
    """
    telemetry.INTERNAL_ERRORS.labels(where).inc()
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("Internal error (%s): %s\n%s", where, type(error).__qualname__, frames)
