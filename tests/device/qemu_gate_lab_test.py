"""The gates of a guest's network on a stock kernel, by a tap: qemu_gate_lab.py in a lab machine.

Run as `SCRIPT all BUILD`."""

import sys
from pathlib import Path

from device_test import CHECKOUT, expect, main

from lab import Lab

TIMEOUT_S = 150


def story():
    program = Path(sys.argv[2]).resolve() / "tests/qemu_gate"
    script = CHECKOUT / "tests/device/qemu_gate_lab.py"
    with Lab(memory_mib=512) as lab:
        lab.start()
        done = lab.machines["a"].run(
            f"modprobe tun && exec /usr/bin/python3 -B {script} {program} 2>&1", TIMEOUT_S)
        print(done.text, flush=True)
        expect(done.status == 0, "all of it", done.status)


main({"all": story})
