"""The watchdog: a machine whose controller does not run is reset, one whose controller ends is not."""

import shlex
import signal
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

from lab import Lab

PROGRAMS = CHECKOUT / "build/bin"
SHARE = Path("/mnt/share")
CONFIGURATION = """
cluster = "w";
nodes = (
  { name = "a"; address = "127.0.0.1"; port = 7400; heartbeat = ( { address = "127.0.0.1"; port = 7401; } );
    watchdog = "/dev/watchdog"; watchdog_timeout_s = 5; },
  { name = "b"; address = "127.0.0.1"; port = 7410; run_directory = "/run/tandem-b"; image_directory = "/dev/shm/tandem-b";
    heartbeat = ( { address = "127.0.0.1"; port = 7411; } ); } );
pairs = ( { name = "kv"; nodes = ["a", "b"]; arbiter = { type = "file"; path = "/tmp/arbiter"; };
  promote = { command = "true"; }; } );
"""
STATUS = f"{PROGRAMS}/tandemctl status --config {SHARE}/w.conf --node a"


def start(machine):
    command = f"exec {shlex.quote(str(PROGRAMS / 'tandem-failoverd'))} --config {SHARE}/w.conf --node a"
    controller = machine.spawn(f"{command} >> {SHARE}/log 2>&1")
    until(lambda: machine.run(STATUS).text.find("watchdog:") >= 0, "status names the watchdog", 60)
    return controller


def story_reset():
    with tempfile.TemporaryDirectory() as share, Lab(machine_count=1, share=share) as lab:
        (Path(share) / "w.conf").write_text(CONFIGURATION, encoding="ascii")
        lab.start()
        machine = next(iter(lab.machines.values()))
        command = f"{PROGRAMS}/tandem-failoverd --config {SHARE}/w.conf --node a"
        refused = machine.run(f"timeout 20 {command} 2>&1")
        expect(refused.status not in (0, 124) and "modprobe softdog" in refused.text,
               "without the device the controller does not start, and says what to do", refused)
        machine.check("modprobe softdog")
        controller = start(machine)
        shown = machine.check(STATUS)
        expect("Software Watchdog, 5 s" in shown, "status tells which and after how long", shown)
        controller.send_signal(signal.SIGTERM)
        controller.wait(30)
        machine.check("sleep 12")
        expect(machine.is_running(), "a controller that was asked to end leaves it disarmed")
        controller = start(machine)
        machine.check("sleep 12")
        expect(machine.is_running(), "a controller that runs keeps it from firing")
        controller.send_signal(signal.SIGSTOP)
        until(lambda: not machine.is_running(), "a controller that is stopped takes its node down", 60)


main({"reset": story_reset})
