"""Inside a lab machine: both kinds of gates between a tap, which a bridge has, and who sends through it: a program,
and behind the kernel's gate a guest in a QEMU. Run as `SCRIPT GATE`, GATE being build/tests/qemu_gate. Without a kernel that has sch_plug only one kind."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import expect, until
from qemu_guest_test import Machine, assemble

TAP, BRIDGE = "guest0", "bridge0"
KIND = 0x88B5  # of frames that are an experiment
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SO_RCVBUFFORCE = 33
EVERYBODY, CARD = b"\xff" * 6, bytes.fromhex("525400780003")
SILENT_S, SEEN_S = 0.3, 10
ROOM_BYTES = 65536
GUEST_ROOM_BYTES = 2**26  # more than any guest sends in GUEST_S, at either end
STEP = 8  # from one count of the guest to the next
FRAMES = 3
GUEST_S = 60  # emulation in emulation


def run(*words):
    subprocess.run(words, check=True)


def frame(name, length=60):
    return EVERYBODY + CARD + struct.pack("!H", KIND) + name.encode().ljust(length, b".")


def wait_forwarding():
    """The bridge learns a little later that somebody has the tap."""

    def state():
        done = subprocess.run(["ip", "-details", "link", "show", "dev", TAP], check=True,
                              capture_output=True, text=True)
        return "state forwarding" in done.stdout

    until(state, "the bridge takes frames of the tap")


class Outside:
    """The bridge, which sees what the tap brings."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(KIND))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, GUEST_ROOM_BYTES)
        self.socket.bind((BRIDGE, KIND))

    def _next(self, timeout_s):
        self.socket.settimeout(timeout_s)
        try:
            return chr(self.socket.recv(2048)[14])
        except TimeoutError:
            return ""

    def sees(self, names, what):
        seen = "".join(self._next(SEEN_S) for _ in names) + self._next(SILENT_S)
        expect(seen == names, what, f"seen {seen!r}, needed {names!r}")

    def send(self, name):
        self.socket.send(frame(name))

    def counts(self, least=0):
        """Of a guest, until no more come; before it has counted to `least` they are waited for."""
        counts = [0]
        try:
            while True:
                self.socket.settimeout(SILENT_S if counts[-1] >= least else SEEN_S)
                counts.append(struct.unpack_from("<I", self.socket.recv(2048), 14)[0])
        except TimeoutError:
            return counts[1:]


class Card:
    """QEMU's end of a tap."""

    def __init__(self):
        self.file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.file, TUNSETIFF, struct.pack("16sH22x", TAP.encode(), IFF_TAP | IFF_NO_PI))

    def send(self, *arguments):
        os.write(self.file, frame(*arguments))

    def gets(self, name):
        """Others send, too, such as IPv6 of the bridge."""
        while True:
            os.set_blocking(self.file, True)
            got = os.read(self.file, 2048)
            if got[12:14] == struct.pack("!H", KIND):
                return chr(got[14]) == name

    def close(self):
        os.close(self.file)


class StreamCard:
    """QEMU's end of `-netdev stream`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.socket.settimeout(SEEN_S)

    def send(self, *arguments):
        sent = frame(*arguments)
        self.socket.sendall(struct.pack("!I", len(sent)) + sent)

    def gets(self, name):
        while True:
            length = struct.unpack("!I", self.socket.recv(4, socket.MSG_WAITALL))[0]
            got = self.socket.recv(length, socket.MSG_WAITALL)
            if got[12:14] == struct.pack("!H", KIND):
                return chr(got[14]) == name

    def close(self):
        self.socket.close()


class Gate:
    """The gate's process."""

    def __init__(self, *words):
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("FAILED: the gate has ended")
        return int(line)

    def order(self, text):
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        return self._answer()

    def mark(self, ticket):
        self.order("mark")
        self.order(f"promise {ticket}")

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait() == 0, "the gate ends well")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def check_epochs(gate, card, outside):
    card.send("a")
    outside.sees("", "nothing leaves before an epoch ends")
    gate.mark(1)
    card.send("b")
    outside.sees("", "nor before it is committed")
    gate.order("release 1")
    outside.sees("a", "what was sent in it leaves then, and no more")
    gate.mark(2)
    gate.order("mark")
    gate.mark(3)
    gate.order("release 3")
    outside.sees("b", "an epoch that was given up leaves with a later one")
    card.send("c")
    gate.mark(4)
    gate.order("release 3")
    outside.sees("", "an earlier ticket lets nothing go")
    gate.order("release 4")
    outside.sees("c", "its own does")


def check_ways(gate, card, outside):
    outside.send("i")
    expect(card.gets("i"), "what comes passes at once")
    for _ in range(ROOM_BYTES // 1000 + 10):
        card.send("d", 1000)
    gate.mark(5)
    expect(gate.order("dropped") > 0, "more than there is room for is dropped")


def check_open(gate, card, outside):
    outside.sees("", "what a killed program held is gone")
    gate.order("let")
    card.send("o")
    outside.sees("o", "a leader without an epoch is free to send")
    gate.mark(1)
    card.send("p")
    outside.sees("", "until its first epoch")


def check(make_gate, make_card, outside):
    gate = make_gate()
    card = make_card()
    wait_forwarding()
    check_epochs(gate, card, outside)
    check_ways(gate, card, outside)
    gate.kill()
    card.close()
    gate = make_gate()
    card = make_card()
    wait_forwarding()
    check_open(gate, card, outside)
    gate.order("shut")
    card.send("s")
    outside.sees("", "nothing leaves when it is shut")
    gate.end()
    card.close()


def check_left(outside):
    card = Card()
    wait_forwarding()
    card.send("t")
    outside.sees("t", "the tap is left as it was")
    card.close()
    names = [name for _, name in socket.if_nameindex()]
    expect(not any(name.startswith("tandem") for name in names), "no interface is left", names)


def check_leaving(gate, outside):
    card = Card()
    wait_forwarding()
    gate.mark(1)
    card.send("u")
    outside.sees("", "what is held")
    expect(gate.order("leave") == 0, "the gate is not needed any more")
    outside.sees("u", "leaves then")
    card.send("v")
    outside.sees("v", "and so does what comes later")
    gate.end()
    card.close()


def end_epoch(gate, guest, ticket):
    """As a checkpoint does; the guest's count while it stood still."""
    guest.execute("stop")
    gate.mark(ticket)
    count = guest.count()
    guest.execute("cont")
    return count


def sends_on(guest):
    written = len(guest.output())
    until(lambda: len(guest.output()) > written + FRAMES, "the guest sends", GUEST_S)


def check_released(gate, outside, ticket, after, count):
    """Every count behind `after`, up to the one at which the guest stood still; the last one."""
    gate.order(f"release {ticket}")
    counts = outside.counts(least=count - STEP) or [after]
    expect(counts == list(range(after + STEP, counts[-1] + 1, STEP)) and
           count - STEP <= counts[-1] <= count,
           "when it is committed, all that the guest had sent before it stood still", (counts, count))
    return counts[-1]


def check_guest(gate, outside, folder):
    """A QEMU has the tap, and its guest counts in frames (qemu_guest.S)."""
    guest = Machine(folder, "guest", assemble(folder, "CARD"),
                    "-netdev", f"tap,id=tandem0,ifname={TAP},script=no,downscript=no",
                    "-device", f"ne2k_isa,netdev=tandem0,iobase=0x300,irq=9,mac={CARD.hex(':')}")
    try:
        sends_on(guest)
        count = end_epoch(gate, guest, 1)
        sends_on(guest)
        expect(not outside.counts(), "nothing is seen outside before the epoch is committed")
        last = check_released(gate, outside, 1, 0, count)
        count = end_epoch(gate, guest, 2)
        expect(not outside.counts(), "nor is what was sent since")
        check_released(gate, outside, 2, last, count)
    finally:
        guest.kill()
    gate.end()


def main():
    program = sys.argv[1]
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "tuntap", "add", TAP, "mode", "tap")
    run("ip", "link", "set", TAP, "master", BRIDGE, "up")
    run("ip", "link", "set", BRIDGE, "up")
    outside = Outside()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "card")
        print("--- held by the program", flush=True)
        check(lambda: Gate(program, "user", TAP, path, ROOM_BYTES), lambda: StreamCard(path), outside)
        check_left(outside)
    print("--- held by the kernel", flush=True)
    check(lambda: Gate(program, "plug", TAP, ROOM_BYTES), Card, outside)
    check_left(outside)
    check_leaving(Gate(program, "plug", TAP, ROOM_BYTES), outside)
    check_left(outside)
    print("--- held by the kernel, sent by a guest", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        check_guest(Gate(program, "plug", TAP, GUEST_ROOM_BYTES), outside, Path(folder))
    check_left(outside)


if __name__ == "__main__":
    main()
