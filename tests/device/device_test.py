"""What tests that boot a lab have in common; they are run as `SCRIPT STORY`."""

import os
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tools"))

from lab import LabError, LabUnavailable  # noqa: E402 (the path above comes first)
from lab.qmp import Qmp  # noqa: E402

STATUS_SKIPPED = 77


def expect(is_true, what, detail=""):
    """Fails the test, in every Python mode."""
    if not is_true:
        raise SystemExit(f"FAILED: {what}\n{detail}")
    print(f"ok: {what}", flush=True)


def until(condition, what, timeout_s=30):
    """Asks again until the answer is true, which is returned; the deadline fails the test."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED: {what}, not within {timeout_s} s")
        time.sleep(0.1)
    print(f"ok: {what}", flush=True)
    return answer


def status_at(path):
    """Of the guest of the QEMU that listens there; None: nobody does, whether there is a file or not."""
    try:
        with Qmp(path) as qmp:
            return qmp.execute("query-status")["status"]
    except LabError:
        return None


def main(stories):
    story = stories[sys.argv[1]]
    try:
        story()
    except LabUnavailable as error:
        print(f"no lab on this computer: {error}", flush=True)
        sys.exit(1 if os.environ.get("TANDEM_REQUIRE_DEVICE") == "1" else STATUS_SKIPPED)
