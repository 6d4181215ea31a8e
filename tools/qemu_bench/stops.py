"""For how long a guest stands still: from STOP to RESUME on its QEMU's control socket."""

import re
import subprocess
import time

from checkpoint.run import Failure

SETUP_TIMEOUT_S = 60
CHECKPOINT_TIMEOUT_S = 30


def wait_until(condition, what, timeout_s=SETUP_TIMEOUT_S):
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"{what}, not within {timeout_s} s")
        time.sleep(0.02)
    return answer


def sent_bytes(port):
    """What was sent so far on all connections to a port of this computer."""
    done = subprocess.run(["ss", "--no-header", "--tcp", "--info", "--numeric", "state",
                           "established", "dst", f"127.0.0.1:{port}"],
                          capture_output=True, text=True, check=True)
    return sum(map(int, re.findall(r"bytes_sent:(\d+)", done.stdout)))


def seconds_of(event):
    return event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6


def windows_ms(events):
    """From each STOP to the RESUME after it."""
    windows, stopped = [], None
    for event in events:
        if event["event"] == "STOP":
            stopped = seconds_of(event)
        elif event["event"] == "RESUME" and stopped is not None:
            windows.append((seconds_of(event) - stopped) * 1e3)
            stopped = None
    return windows


def wait_checkpoint(vm, after_count):
    """How many events there are when the guest goes on after its next stop."""
    vm.qmp.wait_event("STOP", CHECKPOINT_TIMEOUT_S, after_count)
    events = vm.qmp.events
    stop = next(i for i in range(after_count, len(events)) if events[i]["event"] == "STOP")
    vm.qmp.wait_event("RESUME", CHECKPOINT_TIMEOUT_S, stop)
    return next(i for i in range(stop, len(events)) if events[i]["event"] == "RESUME") + 1


def watch(vm, port, count):
    """Stop times in ms of `count` checkpoints, the first one left out, and the bytes sent to a port
    meanwhile."""
    first = seen = wait_checkpoint(vm, len(vm.qmp.events))
    bytes_before = sent_bytes(port)
    for _ in range(count):
        seen = wait_checkpoint(vm, seen)
    byte_count = sent_bytes(port) - bytes_before
    return windows_ms(vm.qmp.events[first:seen]), byte_count
