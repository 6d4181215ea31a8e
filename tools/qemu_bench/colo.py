"""QEMU's own pair: COLO between two QEMUs on this computer, over TCP on loopback."""

import re
import socket
import subprocess
import time

from checkpoint.run import Failure

SETUP_TIMEOUT_S = 60
CHECKPOINT_TIMEOUT_S = 30
RELEASE_TIMEOUT_S = 10
CHANNELS = 4
PARAMETERS = {"max-bandwidth": 1 << 33, "downtime-limit": 2000}
MODES = {"plain": (), "multifd": ("multifd",)}


def wait_until(condition, what, timeout_s=SETUP_TIMEOUT_S):
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"{what}, not within {timeout_s} s")
        time.sleep(0.02)
    return answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def set_capabilities(vm, mode):
    wanted = ("x-colo", "return-path", *MODES[mode])
    everything = ("x-colo", "return-path", "multifd")
    vm.qmp.execute("migrate-set-capabilities", capabilities=[
        {"capability": name, "state": name in wanted} for name in everything])
    if "multifd" in wanted:
        vm.qmp.execute("migrate-set-parameters", **{"multifd-channels": CHANNELS})


def sent_bytes(port):
    """What the primary has sent so far on all its connections."""
    done = subprocess.run(["ss", "--no-header", "--tcp", "--info", "--numeric", "state",
                           "established", "dst", f"127.0.0.1:{port}"],
                          capture_output=True, text=True, check=True)
    return sum(map(int, re.findall(r"bytes_sent:(\d+)", done.stdout)))


def seconds_of(event):
    return event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6


def stop_windows_ms(events):
    """From each STOP to the RESUME after it."""
    windows, stopped = [], None
    for event in events:
        if event["event"] == "STOP":
            stopped = seconds_of(event)
        elif event["event"] == "RESUME" and stopped is not None:
            windows.append((seconds_of(event) - stopped) * 1e3)
            stopped = None
    return windows


def connect(primary, secondary, mode, delay_ms):
    """The port, once the guest on the primary has gone on in the state colo."""
    port = free_port()
    for vm in (secondary, primary):
        set_capabilities(vm, mode)
    secondary.qmp.execute("migrate-incoming", uri=f"tcp:127.0.0.1:{port}")
    primary.qmp.execute("migrate-set-parameters", **{"x-checkpoint-delay": delay_ms, **PARAMETERS})
    primary.qmp.execute("migrate", uri=f"tcp:127.0.0.1:{port}")

    def has_begun():
        state = primary.qmp.execute("query-migrate")
        if state.get("status") in ("failed", "completed", "cancelled"):
            raise Failure(f"COLO, {mode}: the migration {state['status']}: "
                          f"{state.get('error-desc', 'no reason')}")
        return (state.get("status") == "colo"
                and primary.qmp.execute("query-status")["status"] == "running")

    wait_until(has_begun, f"COLO, {mode}: the pair is synchronised")
    return port


def wait_checkpoint(primary, after_count):
    """How many events there are when the guest goes on after its next stop."""
    primary.qmp.wait_event("STOP", CHECKPOINT_TIMEOUT_S, after_count)
    events = primary.qmp.events
    stop = next(i for i in range(after_count, len(events)) if events[i]["event"] == "STOP")
    primary.qmp.wait_event("RESUME", CHECKPOINT_TIMEOUT_S, stop)
    return next(i for i in range(stop, len(events)) if events[i]["event"] == "RESUME") + 1


def release(primary, secondary):
    """Ends the pair; the guest on the primary goes on alone."""
    secondary.kill()
    primary.qmp.execute_oob("yank", instances=[{"type": "migration"}])
    primary.qmp.execute("x-colo-lost-heartbeat")
    wait_until(lambda: primary.qmp.execute("query-status")["status"] == "running"
               and primary.qmp.execute("query-migrate")["status"] == "completed",
               "COLO: the primary goes on alone", RELEASE_TIMEOUT_S)


def measure(primary, start_secondary, mode, count, delay_ms):
    """Stop times in ms and sent bytes of `count` checkpoints, the first one left out."""
    secondary = start_secondary()
    port = connect(primary, secondary, mode, delay_ms)
    first = seen = wait_checkpoint(primary, len(primary.qmp.events))
    bytes_before = sent_bytes(port)
    for _ in range(count):
        seen = wait_checkpoint(primary, seen)
    byte_count = sent_bytes(port) - bytes_before
    windows = stop_windows_ms(primary.qmp.events[first:seen])
    release(primary, secondary)
    return windows, byte_count
