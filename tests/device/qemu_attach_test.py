"""A QEMU 11.1 that runs already is protected by one command, and let go by another.

Let go, it is what it was: nobody holds it, it outlives the programs of its host, and the other node, which had a
copy, does not go on with it. Protected, it ends with its host, killed all at once, and the guest goes on at the other
node, as soon as that has the right QEMU; the first host comes back, is a copy again, and takes over in its turn.
That guest shares its memory.

Run as `SCRIPT STORY PROGRAMS`, PROGRAMS being where the programs are."""

import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, status_at, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from kill.layout import PAIR, on_loopback  # noqa: E402 (the path above comes first)
from kill.pair import Pair  # noqa: E402
from qemu.boot_sector import BootSector  # noqa: E402
from qemu_guest_test import MEMORY_MIB  # noqa: E402

from lab import private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

PROTECT_S = 90
GOES_ON_S = 60
LEASE_MS = 3000  # nothing holds back what the guest sends
PAUSE_LIMIT_MS = 3900
SURE_S = 6  # many windows in which a node that may would have taken over


class Guest(BootSector):
    """Protected by the pair's group `protect`, and on the first node it runs before that."""

    def __init__(self, program, folder, shares_memory):
        super().__init__(program, folder)
        self._shares_memory = shares_memory
        self.process = None
        self.more = ""  # words of the QEMU that takes over only
        self.disks = "replicated"  # it is read when it boots, and never written to
        for node in "ab":
            self.is_other(node, False)

    def is_other(self, name, is_other):
        """The QEMU of a node says that it is of another version, or does not."""
        change = " | sed -u 's/\"micro\": [0-9]*/\"micro\": 99/'" if is_other else ""
        path = self.folder / f"qemu.{name}"
        new = path.with_suffix(".new")
        new.write_text(f"#!/bin/sh\n{'' if is_other else 'exec '}{self._words[0]} \"$@\"{change}\n")
        new.chmod(0o755)
        new.rename(path)

    def words(self, name):
        return [*self._words, *self._own(name)]

    def is_broken(self, name, is_broken):
        """The QEMU of a node starts without a machine, and not to take over, or it does."""
        path = self.folder / f"qemu.{name}"
        new = path.with_suffix(".new")
        more = f"-chardev file,id=absent,path={self.folder}/absent/file" if is_broken else ""
        words = "seq 20000 >&2" if is_broken else ":"  # more than a pipe takes
        new.write_text(f'#!/bin/sh\ncase "$*" in *-incoming*) {words}; set -- "$@" {more};; esac\n'
                       f'exec {self._words[0]} "$@"\n')
        new.chmod(0o755)
        new.rename(path)

    def _own(self, name):
        memory = ["-machine", "memory-backend=ram", "-object",
                  f"memory-backend-file,id=ram,size={MEMORY_MIB}M,share=on,"
                  f"discard-data=on,mem-path={self.folder}/{name}.ram"] if self._shares_memory else []
        return [*super()._own(name), *memory]

    def protect_group(self):
        command = " ".join([f"{self.folder}/qemu.$TANDEM_NODE", shlex.join(self._words[1:]),
                            *self._own("$TANDEM_NODE"), self.more])
        escaped = command.replace("\\", "\\\\").replace('"', '\\"')
        return (f'protect = {{ type = "qemu"; network = "ungated"; interval_ms = 50;'
                f' pause_limit_ms = {PAUSE_LIMIT_MS}; disks = "{self.disks}";'
                f' command = "{escaped}"; }};')

    def start(self, run_directory):
        """Of its own, in no group of a node's programs."""
        sockets = [word for kind in ("qmp", "watch") for word in
                   ("-qmp", f"unix:{run_directory}/{PAIR}.{kind},server=on,wait=off")]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self._words, *self._own("a"), *sockets],
            stdin=subprocess.DEVNULL)

    def holder(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines()
                        if line.startswith("TracerPid:")))


class Diskless(Guest):
    """Has nothing that another node could have in its hands: its QEMU is tried before it is needed."""

    def __init__(self, program, folder, shares_memory):
        super().__init__(program, folder, shares_memory)
        self._words[-1] = f"file={folder}/disk,format=raw,if=floppy,readonly=on"
        self.disks = "refused"


def tool(pair, node, *words):
    return subprocess.run(
        [str(pair.programs / "tandemctl"), "--config", str(pair.layout.configuration_path),
         "--node", node, *words], capture_output=True, text=True, timeout=PROTECT_S, check=False)


def order(pair, node, *words):
    """What the operator's tool says; it has to succeed."""
    done = tool(pair, node, *words)
    expect(done.returncode == 0, f"tandemctl {' '.join(words)}: {done.stdout.splitlines()[-1:]}",
           done.stdout + done.stderr)


def counts_on(guest, name):
    first = until(lambda: guest.count(name), "the guest says how far it is")
    return lambda: guest.count(name) > first


def kept_count(pair, guest, name):
    """Of the guest; the other node has it: of the next epochs to be committed the first may have been under way."""
    count = until(lambda: guest.count(name), "the guest says how far it is")
    enough = pair.stats(name).epochs_committed + 2
    until(lambda: pair.stats(name).epochs_committed >= enough, "epochs with it are committed")
    return count


def see_going_on(guest, name, kept):
    """It runs, from an epoch that has what was kept."""
    until(lambda: status_at(guest.socket(name)) == "running", f"the guest goes on at node {name}", GOES_ON_S)
    goes_on = counts_on(guest, name)
    expect(guest.count(name) >= kept, "from where it was", kept)
    until(goes_on, "and counts")
    expect(b"*" not in guest.output(name), "without having booted")


def _pair_status(pair, name):
    return ((pair.status(name) or {}).get("pairs") or [{}])[0]


def state(pair, name):
    return _pair_status(pair, name).get("state")


def has_standby(pair, name):
    return _pair_status(pair, name).get("data_plane", {}).get("standby_attached")


def start(pair, guest):
    for node in (pair.b, pair.a):
        node.start(with_server=False)
    guest.start(pair.layout.nodes["a"].run_directory)
    until(lambda: has_standby(pair, "a"), "the nodes are up")
    until(lambda: guest.count("a") > 0, "the guest runs", GOES_ON_S)


def restart(pair, name):
    node = {"a": pair.a, "b": pair.b}[name]
    node.kill()
    node.start(with_server=False)


def log_of(pair, name):
    return pair.layout.log_path(name).read_text(errors="replace")


def refused(pair, guest, reason, what):
    pair.layout.write()
    done = tool(pair, "a", "protect", PAIR)
    log = pair.layout.log_path("a").read_text()
    expect(done.returncode == 1 and reason in log, what, f"{done}\n{log}")
    expect(guest.holder() == 0, "and nobody holds QEMU")
    until(counts_on(guest, "a"), "which goes on as before")


def check_refusals(pair, guest):
    """A disk that the guest could write to, which nothing copies; another machine."""
    disks, guest.disks = guest.disks, "refused"
    refused(pair, guest, "disks are not copied", "a disk is refused")
    guest.disks, guest.more = disks, "-device isa-debugcon,iobase=0x402"
    refused(pair, guest, "could not go on in what it starts: -device", "another machine is refused")
    done = tool(pair, "a", "qemu-args", PAIR)
    expect(done.returncode == 1 and "isa-debugcon" in done.stderr, "and seen before", done)
    guest.more = ""
    pair.layout.write()
    line = tool(pair, "a", "qemu-args", PAIR, "--json").stdout
    words = json.loads(line)["words"]
    expect("-m" in words and not any(f"{PAIR}.qmp" in word for word in words),
           "its command line can be had", line)


def check_other_qemu(pair, guest):
    """The other node's QEMU is not the one that runs: no guest could go on there."""
    guest.is_other("b", True)
    until(lambda: ".99, machine pc" in log_of(pair, "b"), "the other node has looked")
    refused(pair, guest, ".99, machine pc-i440fx", "another version of QEMU is refused")
    expect(state(pair, "a") != "PRIMARY_PAIR", "and nothing is a pair", state(pair, "a"))
    guest.is_other("b", False)
    until(lambda: ".99" not in re.findall("would go on here in (.*)", log_of(pair, "b"))[-1],
          "the other node has the right one")


def status_says(pair, *words):
    text = tool(pair, "a", "status").stdout
    return all(word in text for word in words)


def spoil(pair, guest, change, alarm, help_text):
    """The other node's QEMU becomes one that could not go on with the guest, while it holds a copy."""
    change("b", True)
    until(lambda: alarm in " ".join(pair.alarms("a")), "an alarm says so", SURE_S * 3)
    until(lambda: status_says(pair, "session down", help_text), "and status what is wrong")
    until(lambda: state(pair, "a") == "PRIMARY_SOLO", "the guest is not protected any more")
    expect(guest.holder() != 0, "and stays what it was")
    change("b", False)
    until(lambda: state(pair, "a") == "PRIMARY_PAIR", "with the right one it is protected again",
          PROTECT_S)


def check_upgrade(pair, guest):
    """The package of the other node is exchanged while it holds a copy."""
    spoil(pair, guest, guest.is_other, ".99, machine", "install the same QEMU")


def migration(guest):
    """How QEMU would migrate it, where that is the operator's."""
    with Qmp(guest.socket("a")) as qmp:
        limits = qmp.execute("query-migrate-parameters")
        return {"limits": (limits["max-bandwidth"], limits["downtime-limit"]),
                **{one["capability"]: one["state"]
                   for one in qmp.execute("query-migrate-capabilities")}}


def play_leave(pair, guest):
    start(pair, guest)
    with Qmp(guest.socket("a")) as qmp:
        qmp.execute("migrate-set-capabilities",
                    capabilities=[{"capability": name, "state": True} for name in ("return-path", "multifd")])
    before = migration(guest)
    check_refusals(pair, guest)
    check_other_qemu(pair, guest)
    order(pair, "a", "protect", PAIR)
    check_upgrade(pair, guest)
    expect(guest.holder() != 0, "QEMU ends with its protection")
    expect(migration(guest)["limits"][1] == PAUSE_LIMIT_MS // 2, "what QEMU may stop it for fits", migration(guest))
    said = until(lambda: _pair_status(pair, "a").get("guest"), "its status is told")
    expect(said["kept"] and said["memory"] == "stream" and said["why"]
           and said["stood_ms"]["count"] > 0 and len(said["not_copied"]) == 1, "all of it", said)
    text = tool(pair, "a", "status").stdout
    expect("its epochs are kept" in text and "not copied: disk" in text, "also to people", text)
    order(pair, "a", "unprotect", PAIR)
    expect(guest.process.poll() is None, "QEMU does not end with its protection", guest.process.poll())
    expect(guest.holder() == 0, "nobody holds QEMU any more")
    expect(migration(guest) == before, "it would migrate as before", migration(guest))
    until(counts_on(guest, "a"), "the guest goes on as before")
    pair.a.kill()
    epoch = counts_on(guest, "a")
    signal.sigtimedwait([], SURE_S)
    expect(guest.process.poll() is None, "it outlives the programs of its host")
    until(epoch, "and goes on")
    expect(state(pair, "b") == "JOINING", "the other node goes on with nothing", state(pair, "b"))
    restart(pair, "a")
    until(lambda: has_standby(pair, "a"), "its host is back")
    order(pair, "a", "protect", PAIR)


def check_trial(pair, guest):
    """The other node's QEMU is the right one, and cannot start to take over."""
    guest.is_broken("b", True)
    refused(pair, guest, "its QEMU does not start: ", "a QEMU that does not start is seen before it is needed")
    expect("absent/file" in log_of(pair, "b"), "and says itself why", log_of(pair, "b"))
    guest.is_broken("b", False)
    order(pair, "a", "protect", PAIR)
    spoil(pair, guest, guest.is_broken, "does not start", "does not start")


def check_untouched(guest):
    """A QEMU that waits for its guest writes none of its RAM, which may be a copy that is kept."""
    ram = guest.folder / "waits.ram"
    content = bytes(range(256)) * (MEMORY_MIB * 2**12)
    ram.write_bytes(content)
    words = guest.words("waits")
    with subprocess.Popen([*words, "-S", "-incoming", "defer"], stdin=subprocess.DEVNULL) as process:
        try:
            until(lambda: status_at(guest.socket("waits")) == "inmigrate", "a QEMU waits for its guest")
            expect(ram.read_bytes() == content, "and has written none of its RAM")
        finally:
            process.kill()


def process_at(path):
    """Who listens there; 0: nobody does."""
    with socket.socket(socket.AF_UNIX) as link:
        if link.connect_ex(str(path)):
            return 0
        return struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def waiting_process(pair, guest, name, other_than=0):
    """The QEMU that waits at a node for its take-over, and only waits, which its tandemd knows; 0: none."""
    log = log_of(pair, name)
    is_known = log.rfind("the QEMU that would take over waits") > log.rfind("ended before it was needed")
    if not is_known or status_at(guest.socket(name)) != "inmigrate":
        return 0
    process = process_at(guest.socket(name))
    return 0 if process == other_than else process


def play_trial(pair, guest):
    check_untouched(guest)
    start(pair, guest)
    check_trial(pair, guest)
    left = [path.name for path in pair.layout.nodes["b"].run_directory.iterdir() if "trial" in path.name]
    expect(not left, "a trial leaves nothing", left)
    first = until(lambda: waiting_process(pair, guest, "b"), "a QEMU is started ahead", SURE_S * 3)
    os.kill(first, signal.SIGTERM)
    qemu = until(lambda: waiting_process(pair, guest, "b", other_than=first), "there is always one", PROTECT_S)
    until(lambda: state(pair, "a") == "PRIMARY_PAIR", "of a guest that is protected", PROTECT_S)
    kept = kept_count(pair, guest, "a")
    pair.a.kill()
    until(lambda: guest.process.poll() is not None, "QEMU ends with its host")
    guest.process = None
    see_going_on(guest, "b", kept)
    expect(process_at(guest.socket("b")) == qemu, "in the QEMU that waited for it")
    restart(pair, "a")
    until(lambda: state(pair, "b") == "PRIMARY_PAIR", "the first node has a copy", PROTECT_S)
    waits = until(lambda: waiting_process(pair, guest, "a"), "and a QEMU that waits", SURE_S * 3)
    pair.a.signal_program("tandemd", signal.SIGKILL)
    until(lambda: not Path(f"/proc/{waits}").exists(), "which ends with its node's tandemd")


def check_wrong_qemu(pair, guest):
    """The host of the guest ended when the other node had just got another QEMU, with a copy that counts."""
    until(lambda: "it does not take over until it has" in log_of(pair, "b"), "the take-over waits")
    expect(state(pair, "b") == "SECONDARY" and guest.count("b") == 0, "and nothing was won or started")
    guest.is_other("b", False)


def play_twice(pair, guest):
    start(pair, guest)
    order(pair, "a", "protect", PAIR)
    for here, there in ("ab", "ba"):
        kept = kept_count(pair, guest, here)
        if guest.process:
            guest.is_other("b", True)
        {"a": pair.a, "b": pair.b}[here].kill()
        if guest.process:
            until(lambda: guest.process.poll() is not None, "its QEMU ends with its host")
            guest.process = None
            check_wrong_qemu(pair, guest)
        see_going_on(guest, there, kept)
        expect("is shared with QEMU" in pair.layout.log_path(here).read_text(), "its memory was shared")
        restart(pair, here)
        until(lambda: state(pair, there) == "PRIMARY_PAIR", f"node {here} has a copy", PROTECT_S)
    with Qmp(guest.socket("a")) as qmp:
        qmp.execute("system_reset")
    until(lambda: b"*." in guest.output("a"), "it can reboot")


def story(play, shares_memory, make=Guest):
    program = private_qemu.obtain().program
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        guest = make(program, Path(name), shares_memory)
        layout = on_loopback(program=guest, pair_options={"lease_ms": LEASE_MS, "unprotected_after_ms": 1000})
        is_well = False
        try:
            with Pair(layout, Path(sys.argv[2])) as pair:
                play(pair, guest)
                expect(not pair.faults(), "no program reports a fault", pair.faults())
            is_well = True
        finally:
            if guest.process:
                guest.process.kill()
                guest.process.wait()
            if not is_well:
                for node in "ab":
                    print(f"--- node {node}\n{layout.log_path(node).read_text(errors='replace')}")
            layout.remove()


if __name__ == "__main__":
    main({"trial": lambda: story(play_trial, True, Diskless), "leave": lambda: story(play_leave, False), "twice": lambda: story(play_twice, True)})
