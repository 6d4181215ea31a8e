"""Waiting for something that happens elsewhere, with a deadline."""

import time


class Timeout(Exception):
    """What was waited for did not happen in time."""


def until(condition, timeout_seconds, what, interval_seconds=0.005):
    """The first true value of condition(); Timeout names what did not happen."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(interval_seconds)


def passed(seconds):
    """Until that much time has passed."""
    if seconds > 0:
        time.sleep(seconds)
