"""Epochs of a guest are taken out of a real, unmodified QEMU; when that is killed a new one goes on from the last epoch,
and a guest whose epochs nobody keeps any more is let go.

Run as `SCRIPT STORY DRIVER [QEMU]`."""

import contextlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from device_test import expect, main, status_at, until

from lab import LabUnavailable
from lab.qmp import Qmp

MEMORY_MIB = 8
PAGE_BYTES = 4096
PAGES = range(0x100000, 0x500000, PAGE_BYTES)  # what the guest writes to
COUNT_AT = 0x7000
LOW_END = 0xa0000  # what follows is not RAM, until HIGH_BEGIN
HIGH_BEGIN = 0x100000
PAUSE_LIMIT_S = 2  # the driver's
SOURCE = Path(__file__).with_name("qemu_guest.S")


def assemble(folder, *symbols):
    """The guest's boot sector as a disk."""
    for program in ("as", "objcopy"):
        if not shutil.which(program):
            raise LabUnavailable(f"{program} is missing; the package binutils has it")
    defined = [word for symbol in symbols for word in ("--defsym", f"{symbol}=1")]
    subprocess.run(["as", "--32", *defined, "-o", folder / "guest.o", SOURCE], check=True)
    disk = folder / "disk"
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", folder / "guest.o", disk], check=True)
    expect(disk.stat().st_size == 512, "the guest is one sector")
    return disk


class Machine:
    """A QEMU with two control sockets: the driver's and ours."""

    def __init__(self, folder, name, disk, *arguments):
        program = sys.argv[3] if len(sys.argv) > 3 else shutil.which("qemu-system-x86_64")
        if not program:
            raise LabUnavailable("qemu-system-x86_64 is missing; tools/install-dependencies --lab "
                                 "installs it")
        self.control, self.socket = folder / f"{name}.control", folder / f"{name}.qmp"
        self.serial, self.folder = folder / f"{name}.serial", folder
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, "-accel", "tcg", "-machine", "pc", "-m",
             str(MEMORY_MIB), "-nodefaults", "-display", "none", "-serial", f"file:{self.serial}",
             "-drive", f"file={disk},format=raw,if=ide,snapshot=on",
             "-qmp", f"unix:{self.control},server=on,wait=off",
             "-qmp", f"unix:{self.socket},server=on,wait=off", *arguments])
        until(self.status, f"QEMU {name} listens")

    def output(self):
        """A star for each boot, a dot for each 64 rounds."""
        return self.serial.read_bytes() if self.serial.exists() else b""

    def status(self):
        """None: it does not say."""
        return status_at(self.socket)

    def execute(self, command, **arguments):
        with Qmp(self.socket) as qmp:
            return qmp.execute(command, **arguments)

    def memory(self, begin, end):
        path = self.folder / "memory"
        self.execute("pmemsave", val=begin, size=end - begin, filename=str(path))
        return path.read_bytes()

    def count(self):
        return struct.unpack("<I", self.memory(COUNT_AT, COUNT_AT + 4))[0]

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def machine(*arguments):
    created = Machine(*arguments)
    try:
        yield created
    finally:
        created.kill()


class Driver:
    """Protects the machine; its lines tell what happened."""

    def __init__(self, protected, folder, epochs, then):
        self.folder = folder / "epoch"
        self.folder.mkdir()
        self.log = folder / "driver.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.argv[2], protected.control,
                 folder / "stream", self.folder, str(epochs), then],
                stdout=log, stderr=subprocess.STDOUT)

    def said(self, begin):
        return [line for line in self.log.read_text().splitlines() if line.startswith(begin)]

    def end(self):
        expect(self.process.wait(30) == 0, "the driver ends well", self.log.read_text())
        lines = self.said("end ")
        expect(len(lines) == 1, "it says how it ended", self.log.read_text())
        return lines[0]


def check_consistent(ram):
    """The guest counts through its pages, so a true moment has each value or the one before it, in that order."""
    counts = [struct.unpack_from("<I", ram, at)[0] for at in PAGES]
    expect(counts[0] > 0 and counts[0] - counts[-1] in (0, 1) and
           counts == sorted(counts, reverse=True),
           "the epoch is one moment of the guest", f"{counts[0]} .. {counts[-1]}")
    return struct.unpack_from("<I", ram, COUNT_AT)[0]


def check_memory(restored, ram):
    expect(restored.memory(0, LOW_END) == ram[:LOW_END] and
           restored.memory(HIGH_BEGIN, len(ram)) == ram[HIGH_BEGIN:],
           "the new guest's memory is the epoch's, byte for byte")


def check_goes_on(restored, count):
    restored.execute("cont")
    until(lambda: restored.count() > count, "the guest goes on counting")
    until(restored.output, "and writes to its serial line")
    expect(b"*" not in restored.output(), "without having booted")
    restored.execute("system_reset")
    until(lambda: b"*." in restored.output(), "it can reboot")


def story_restore():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        disk = assemble(folder)
        with machine(folder, "first", disk) as first:
            until(lambda: b"." in first.output(), "the guest runs")
            driver = Driver(first, folder, 2, "go")
            until(lambda: driver.said("epoch 2 "), "two epochs are kept")
            first.kill()
        expect(" running 0 " in driver.end(), "the end of QEMU is seen", driver.log.read_text())
        ram = (driver.folder / "pc.ram").read_bytes()
        count = check_consistent(ram)
        with machine(folder, "second", disk, "-S", "-incoming",
                     f"exec:cat {driver.folder / 'restore'}") as second:
            until(lambda: second.status() not in (None, "inmigrate", "prelaunch"), "a new QEMU has it")
            check_memory(second, ram)
            check_goes_on(second, count)


def story_held():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with machine(folder, "first", assemble(folder)) as first:
            until(lambda: b"." in first.output(), "the guest runs")
            driver = Driver(first, folder, 1, "hold")
            until(lambda: driver.said("epoch 1 "), "an epoch is there and nobody keeps it")
            begin = time.monotonic()
            end = driver.end()
            took_s = time.monotonic() - begin
            expect(" running 1 " in end and "stood still for too long" in end, "it is let go", end)
            expect(took_s < PAUSE_LIMIT_S + 20, f"soon after its {PAUSE_LIMIT_S} s: {took_s:.2f} s")
            expect(first.status() == "running", "the guest runs as before")
            written = first.output()
            until(lambda: first.output() != written, "and writes on")


if __name__ == "__main__":
    main({"restore": story_restore, "held": story_held})
