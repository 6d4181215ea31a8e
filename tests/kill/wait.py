"""Waiting for something that happens elsewhere, with a deadline."""

import time

_LISTENING = "00010000"  # flags in /proc/net/unix


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


def listens(path, process="self"):
    """Whether somebody listens at a local socket, as a process sees them: the file is there before
    that, and may be of a process that was killed."""
    try:
        with open(f"/proc/{process}/net/unix", encoding="utf-8") as table:
            rows = [line.rstrip("\n").split(maxsplit=7) for line in table]
    except OSError:  # it has ended
        return False
    return any(row[3] == _LISTENING and row[7:] == [str(path)] for row in rows)


def passed(seconds):
    """Until that much time has passed."""
    if seconds > 0:
        time.sleep(seconds)
