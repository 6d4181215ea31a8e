"""What the guest of an unmodified QEMU sends through tandem-qemu's gate is never taken back: its host
is killed, and no counter that was seen outside is one that the guest at the other node has yet to reach.

The QEMU runs already when it is protected, and has to have no other network. One that is let go keeps
the one that it has, loses no frame of it, and is protected again.

Run as `SCRIPT STORY BUILD`."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from device_test import CHECKOUT, expect, main, until
from network_sink import GUEST_ADDRESS, Sink

sys.path.insert(0, str(CHECKOUT / "tests"))

from guest import Bed  # noqa: E402 (the path above comes first)
from guest.bed import KERNEL_OPTIONS  # noqa: E402
from kill.layout import PAIR, on_loopback  # noqa: E402
from kill.pair import Pair  # noqa: E402
from lab import private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402
from qemu_attach_test import has_standby, order, process_at, restart, tool  # noqa: E402

TICK_MS = 5
INTERVAL_MS = 100  # twenty ticks of the guest
TICKS = 200        # outside, before the host is killed
BOOT_S = 60
SETTINGS = f"address={GUEST_ADDRESS}/24 tick_ms={TICK_MS} memory_mib=8 hot_mib=4 rate=200"
CARD = "virtio-net-pci,netdev=tandem0,mac=52:54:00:78:00:01,romfile="


class Guest:
    """Protected by the pair's group `protect`; on the first node it runs before that."""

    name = "tandem-qemu"

    def __init__(self, bed, sink):
        self.folder = bed.folder
        self.sink = sink
        self.serial = bed.folder / "a.serial"
        self.process = None
        self.words = [str(word) for word in (
            bed.programs[private_qemu.VERSION], "-accel", "tcg", "-machine", "pc", "-cpu", "max",
            "-m", "96M", "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", bed.kernel.image, "-initrd", bed.initramfs,
            "-append", f"{KERNEL_OPTIONS} -- {SETTINGS}", "-device", CARD)]

    def path(self, programs):
        return programs / self.name

    def protect_group(self):
        command = f'{shlex.join(self.words)} -serial "file:{self.folder}/$TANDEM_NODE.serial"'
        escaped = command.replace("\\", "\\\\").replace('"', '\\"')
        return (f'protect = {{ type = "qemu"; network = "user:{self.sink}";'
                f' interval_ms = {INTERVAL_MS}; command = "{escaped}"; }};')

    def start(self, run_directory, *more, card=f"{PAIR}.card0"):
        """Of its own, in no group of a node's programs."""
        sockets = [word for kind in ("qmp", "watch") for word in
                   ("-qmp", f"unix:{run_directory}/{PAIR}.{kind},server=on,wait=off")]
        netdev = ("stream,id=tandem0,server=off,reconnect-ms=100,addr.type=unix,"
                  f"addr.path={run_directory}/{card}")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.words, "-netdev", netdev, *sockets,
             "-serial", f"file:{self.serial}", *more], stdin=subprocess.DEVNULL)
        until(lambda: self.serial.exists() and self.serial.read_bytes(), "the guest boots")

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.serial.unlink(missing_ok=True)


def gate_of(pair, name):
    """Where a node's gate takes frames for its guest."""
    return str(pair.layout.nodes[name].run_directory / f"{PAIR}.net0")


def ticks(sink, gate):
    return [message["tick"] for message in sink.of(gate, "tick")]


def check_rising(numbers, what):
    expect(all(a < b for a, b in zip(numbers, numbers[1:])), f"{what} count up", numbers)


def check_take_over(pair, sink):
    first, second = gate_of(pair, "a"), gate_of(pair, "b")
    expect(second not in sink.announced, "the other node is silent")
    pair.a.kill()
    until(lambda: len(ticks(sink, second)) >= TICKS, "the guest is seen through the other node", 60)
    before, after = ticks(sink, first), ticks(sink, second)
    check_rising(before, "what was seen of the first")
    check_rising(after, "what was seen of the second")
    expect(before[-1] < after[0], "no counter that was seen is taken back",
           (before[-5:], after[:5]))
    expect(second in sink.announced, "switches are told where the card is now")
    state = sink.ask(second, "state", "state")
    expect(state and state["state"] > before[-1], "what comes reaches the guest", state)
    boots = {message["boot"] for _, message in sink.messages if "boot" in message}
    expect(len(boots) == 1, "it has not booted again", boots)


def check_refused(pair, guest, reason, what):
    done = tool(pair, "a", "protect", PAIR)
    log = pair.layout.log_path("a").read_text()
    expect(done.returncode == 1 and reason in log, what, f"{done}\n{log}")
    guest.end()


def check_other_network(pair, guest):
    """Of which what the guest sends would pass by the gate."""
    run_directory = pair.layout.nodes["a"].run_directory
    guest.start(run_directory, "-netdev", "user,id=net0")
    check_refused(pair, guest, "net0: index=0,type=user", "a network that passes no gate is refused")
    guest.start(run_directory, card="elsewhere")
    check_refused(pair, guest, "tandem0 is not connected to its gate", "so is a card that goes elsewhere")


def play(pair, guest, sink):
    for node in (pair.b, pair.a):
        node.start(with_server=False)
    until(lambda: has_standby(pair, "a"), "the nodes are up")
    check_other_network(pair, guest)
    guest.start(pair.layout.nodes["a"].run_directory)
    order(pair, "a", "protect", PAIR)
    until(lambda: ticks(sink, gate_of(pair, "a")), "the guest has booted", BOOT_S)
    seen = len(ticks(sink, gate_of(pair, "a")))
    until(lambda: len(ticks(sink, gate_of(pair, "a"))) >= seen + TICKS,
          f"{TICKS} counters are seen outside", BOOT_S)
    check_take_over(pair, sink)
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def gate_state(pair, name):
    """Of the gate, as `status` tells it; None: it tells none."""
    told = ((pair.status(name) or {}).get("pairs") or [{}])[0].get("guest") or {}
    return {**told["gates"][0], "forwards_for": told.get("forwards_for")} if told.get("gates") else None


def gate_process(pair, name):
    return pair.status(name)["pairs"][0]["guest"]["process_id"]


def check_goes_on(pair, sink, name, what):
    """What the guest sends is seen, and nothing of it is missing."""
    gate = gate_of(pair, name)
    seen = len(ticks(sink, gate))
    until(lambda: len(ticks(sink, gate)) >= seen + TICKS, f"{what}: {TICKS} counters more are seen")
    numbers = ticks(sink, gate)
    expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "and none is missing",
           [pair for pair in zip(numbers, numbers[1:]) if pair[1] != pair[0] + 1])


def check_let_go(pair, sink, name, process):
    order(pair, name, "unprotect", PAIR)
    state = until(lambda: gate_state(pair, name), "status tells of the gate")
    expect(state["open"] and state["forwards_for"] == process,
           "which holds nothing back, and whose it is", state)
    text = tool(pair, name, "status").stdout
    expect("NOT PROTECTED" in text and "is open and holds nothing back" in text, "also to people", text)
    check_goes_on(pair, sink, name, "let go")


def check_protected(pair, sink, name):
    order(pair, name, "protect", PAIR)
    until(lambda: gate_state(pair, name) and not gate_state(pair, name)["open"], "the gate holds again")
    check_goes_on(pair, sink, name, "protected again")


def check_restart(pair, sink):
    """What holds the node's copies ends and comes back: the guest does not see it."""
    pair.a.signal_program("tandemd", signal.SIGKILL)
    until(lambda: not pair.a.is_running("tandemd"), "tandemd has ended")
    check_goes_on(pair, sink, "a", "without tandemd")
    pair.a.start_data_plane()
    until(lambda: has_standby(pair, "a"), "tandemd is back")


def check_stays(pair, sink, reason, what):
    done = tool(pair, "a", "protect", PAIR)
    log = pair.layout.log_path("a").read_text()
    expect(done.returncode == 1 and reason in log, what, f"{done}\n{log}")
    check_goes_on(pair, sink, "a", "as it was")


def check_refusals(pair, guest, sink):
    """A guest that was let go keeps its network also when it cannot be protected again."""
    guest.sink = f"{sink.path}.other"
    pair.layout.write()
    check_stays(pair, sink, "the guest's card leads to", "other gates than the guest has are refused")
    guest.sink = sink.path
    pair.layout.write()
    with Qmp(pair.layout.nodes["a"].run_directory / f"{PAIR}.qmp") as qmp:
        qmp.execute("netdev_add", type="user", id="net0")
    check_stays(pair, sink, "net0: index=0,type=user", "so is a network that passes no gate")
    with Qmp(pair.layout.nodes["a"].run_directory / f"{PAIR}.qmp") as qmp:
        qmp.execute("netdev_del", id="net0")


def play_leave(pair, guest, sink):
    for node in (pair.b, pair.a):
        node.start(with_server=False)
    until(lambda: has_standby(pair, "a"), "the nodes are up")
    guest.start(pair.layout.nodes["a"].run_directory)
    order(pair, "a", "protect", PAIR)
    until(lambda: ticks(sink, gate_of(pair, "a")), "the guest has booted", BOOT_S)
    check_let_go(pair, sink, "a", guest.process.pid)
    check_restart(pair, sink)
    check_refusals(pair, guest, sink)
    check_protected(pair, sink, "a")
    check_take_over(pair, sink)
    process = process_at(pair.layout.nodes["b"].run_directory / f"{PAIR}.qmp")
    check_let_go(pair, sink, "b", process)
    restart(pair, "a")
    check_protected(pair, sink, "b")
    check_let_go(pair, sink, "b", process)
    forwarder = gate_process(pair, "b")
    os.kill(process, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{forwarder}").exists(), "what has its network ends with QEMU")
    left = [path.name for path in pair.layout.nodes["b"].run_directory.iterdir()
            if path.name.startswith(f"{PAIR}.") and path.suffix in (".gates", ".guest", ".card0", ".net0")]
    expect(not left, "and leaves nothing", left)
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def story(play):
    build = Path(sys.argv[2])
    with Bed(build) as bed, Sink(bed.folder / "sink") as sink:
        guest = Guest(bed, sink.path)
        layout = on_loopback(program=guest)
        is_well = False
        try:
            with Pair(layout, build / "bin") as pair:
                play(pair, guest, sink)
            is_well = True
        finally:
            guest.end()
            if not is_well:
                for node in "ab":
                    print(f"--- node {node}\n{layout.log_path(node).read_text(errors='replace')}")
            layout.remove()


main({"kill": lambda: story(play), "leave": lambda: story(play_leave)})
