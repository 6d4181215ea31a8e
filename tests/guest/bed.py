"""QEMUs that run tests/guest/guest.c, and their sockets; the folder tools has to be in sys.path."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lab import LabError, initramfs, kernel, private_qemu
from lab.qemu import escaped, program
from lab.qmp import Qmp

MODULES = ("virtio_pci", "virtio_net", "virtio_balloon")
KERNEL_OPTIONS = "console=ttyS0 loglevel=4 mitigations=off"
BOOT_TIMEOUT_S = 60
TIMEOUT_S = 30
CONNECT_S = 30
CARD = "virtio-net-pci,netdev=net,mac=52:54:00:78:00:01,romfile="
ANSWERS = {"verify": "verified"}  # the key of a command's answer, where it is not the command


class VmError(Exception):
    """A QEMU or its guest did not do what it was asked for."""


def programs(say=print):
    """{"7.2": the computer's own QEMU, "11.1": the fetched one}"""
    return {"7.2": Path(program()), private_qemu.VERSION: private_qemu.obtain(say=say).program}


class Bed:
    """What all machines of a test share: a folder, a kernel, the guest. A context manager.

    with Bed(BUILD) as bed:
        vm = bed.start("a", bed.programs["11.1"], memory="ram", rate=8000)
        vm.wait_tick()
    """

    def __init__(self, build, say=print):
        self.build = Path(build)
        self.say = say
        self.programs = programs(say)
        self.kernel = kernel.obtain(say=say)
        self.folder = Path(tempfile.mkdtemp(prefix="tandem-guest-"))
        self.initramfs = self.folder / "initramfs"
        self.initramfs.write_bytes(self._pack())
        self.machines = []

    def _pack(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copy(self.build / "tests/guest_init", root / "init")
            initramfs.add_modules(root, self.kernel, MODULES)
            return initramfs.pack(root)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for machine in self.machines:
            machine.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, qemu, **options):
        """A Vm, at once; see there for the options."""
        machine = Vm(self, name, qemu, **options)
        self.machines.append(machine)
        return machine

    def read_memory(self, path, *words):
        """What is found in a file of a guest's RAM, as build/tests/guest_memory tells it."""
        done = subprocess.run([self.build / "tests/guest_memory", path, *map(str, words)],
                              capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise VmError(f"guest_memory {path}: {done.stderr.strip()}")
        return json.loads(done.stdout)


class Console:
    """What a guest tells on its serial port, and is told there. `lines` are its messages, each with
    "heard_s", when it was heard (time.time()). Who inherits says is_running() and log()."""

    def __init__(self, name):
        self.name = name
        self.lines = []
        self._news = threading.Condition()

    def is_running(self):
        return True

    def log(self):
        """What a message about a failure ends with."""
        return ""

    def _join(self, path, deadline):
        """QEMU listens at `path`, or is about to."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while self._socket.connect_ex(str(path)):
            if not self.is_running() or time.monotonic() > deadline:
                self._socket.close()
                raise VmError(f"QEMU of {self.name} did not start{self.log()}")
            time.sleep(0.02)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        """Lines of the kernel, and what is cut off at either end, are no JSON."""
        with self._socket.makefile("rb") as lines:
            try:
                for line in lines:
                    if line.startswith(b"{"):
                        self._take(line)
            except OSError:
                pass

    def _take(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            return
        message["heard_s"] = time.time()
        with self._news:
            self.lines.append(message)
            self._news.notify_all()

    def wait_line(self, key, timeout_s=TIMEOUT_S, after=None):
        """The first message with that key behind the first `after` ones; default: a new one."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            after = len(self.lines) if after is None else after
            while not (found := next((m for m in self.lines[after:] if key in m), None)):
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self.is_running():
                    raise VmError(f"guest {self.name} told no {key} in {timeout_s} s{self.log()}")
                self._news.wait(min(left_s, 0.5))
        return found

    def wait_tick(self, timeout_s=BOOT_TIMEOUT_S, after=None):
        """The next tick; the first one comes when the guest has booted."""
        return self.wait_line("tick", timeout_s, after)

    def tell(self, command):
        self._socket.sendall(command.encode() + b"\n")

    def ask(self, command, timeout_s=TIMEOUT_S):
        """The guest's answer: verify, state, echo TEXT, rate N."""
        after = len(self.lines)
        self.tell(command)
        word = command.split()[0]
        return self.wait_line(ANSWERS.get(word, word), timeout_s, after)


class Places:
    """Where one QEMU has its sockets and files: `qmp` is the test's own control socket, `control`
    a second one for what is tested."""

    def __init__(self, folder, name):
        self.serial, self.console = folder / f"{name}.serial", folder / f"{name}.console"
        self.qmp, self.control = folder / f"{name}.qmp", folder / f"{name}.control"
        self.log = folder / f"{name}.log"

    def tail(self):
        """The end of what QEMU and the guest's kernel said, for messages."""
        tail = []
        for path in (self.log, self.console):
            if path.exists():
                tail += path.read_text(errors="replace").splitlines()[-8:]
        return ":\n  " + "\n  ".join(tail) if tail else ""


def command_line(bed, qemu, places, *, memory=None, ram_mib=128, machine="pc", accelerator="tcg",
                 netdev=None, options=(), **settings):
    """The words that start QEMU with the guest; what they mean is at Vm. `memory` is a path."""
    backend = ",memory-backend=ram" if memory else ""
    words = " ".join(f"{key}={value}" for key, value in settings.items())
    return [str(word) for word in (
        qemu, "-accel", accelerator, "-machine", machine + backend,
        "-cpu", "max", "-m", f"{ram_mib}M", "-nodefaults", "-no-user-config",
        "-display", "none", "-kernel", bed.kernel.image, "-initrd", bed.initramfs,
        "-append", f"{KERNEL_OPTIONS} -- {words}",
        "-chardev", f"socket,id=serial,path={escaped(places.serial)},server=on,wait=off,"
                    f"logfile={escaped(places.console)}",
        "-serial", "chardev:serial",
        "-qmp", f"unix:{escaped(places.qmp)},server=on,wait=off",
        *(("-object", f"memory-backend-file,id=ram,size={ram_mib}M,mem-path={escaped(memory)},"
                      "share=on") if memory else ()),
        *(("-netdev", netdev, "-device", CARD) if netdev else ()), *options)]


class Vm(Console):
    """One QEMU with the guest; `pid` is QEMU's.

    memory       name of a file in the bed's folder, or an absolute path: its RAM; None: its own
    incoming     "defer" for one that waits for a migration
    netdev       such as "user,id=net", with the guest's `address`, such as "10.0.2.15/24"
    options      more words for QEMU
    front        words in front of its command, of a program that starts it; `pid` is that one's
    all others   the guest's settings (README.md), such as rate=8000

    `qmp` is the test's own control socket, `control` the path of a second one for what is tested.
    """

    def __init__(self, bed, name, qemu, *, memory=None, incoming=None, front=(), **options):
        super().__init__(name)
        self._places = Places(bed.folder, name)
        self.control = self._places.control
        self.memory = bed.folder / memory if memory else None
        command = [
            *map(str, front), *command_line(bed, qemu, self._places, memory=self.memory, **options), "-name", name,
            "-qmp", f"unix:{escaped(self.control)},server=on,wait=off",
            *(("-incoming", incoming) if incoming else ())]
        with open(self._places.log, "wb") as log:
            # The kernel ends QEMU when this process ends, however that happens.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        try:
            self._connect()
        except (LabError, VmError):
            self.kill()
            raise

    def _connect(self):
        deadline = time.monotonic() + CONNECT_S
        self._join(self._places.serial, deadline)
        while not self._try_qmp():
            if not self.is_running() or time.monotonic() > deadline:
                raise VmError(f"QEMU of {self.name} did not start{self.log()}")
            time.sleep(0.02)

    def _try_qmp(self):
        """False while QEMU has not made its socket, or does not listen there yet."""
        try:
            self.qmp = Qmp(self._places.qmp, TIMEOUT_S)
        except LabError as error:
            if isinstance(error.__cause__, (FileNotFoundError, ConnectionRefusedError)):
                return False
            raise
        return True

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        """As a host's power loss: nothing of QEMU has a say. The last lines stay readable."""
        self.process.kill()
        self.process.wait()
        if hasattr(self, "qmp"):
            self.qmp.close()

    def log(self):
        return self._places.tail()
