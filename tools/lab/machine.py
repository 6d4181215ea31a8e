"""One virtual machine: its QEMU process, the agent inside it, and the faults a test can cause."""

import itertools
import json
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from . import qemu
from .errors import LabError, LabTimeout
from .qmp import Qmp

BOOT_TIMEOUT_S = 120
POWER_OFF_TIMEOUT_S = 15


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit status (128 + signal when one ended it) and all it printed."""

    status: int
    output: bytes

    @property
    def text(self):
        return self.output.decode("utf-8", "replace")


class Process:
    """A command inside a machine."""

    def __init__(self, machine, number, on_output):
        self.machine = machine
        self.number = number
        self.on_output = on_output
        self.chunks = []
        self.status = None
        self.ended = threading.Event()

    @property
    def output(self):
        return b"".join(self.chunks)

    def add_output(self, data):
        self.chunks.append(data)
        if self.on_output:
            self.on_output(data)

    def end(self, status):
        self.status = status
        self.ended.set()

    def wait(self, timeout_s):
        """Result. After LabTimeout the command still runs, after LabError the machine is gone."""
        if not self.ended.wait(timeout_s):
            raise LabTimeout(f"machine {self.machine.name}: command still runs after {timeout_s} s",
                             self.output)
        if self.status is None:
            raise LabError(f"machine {self.machine.name} went away during the command"
                           + self.machine.console_tail())
        return Result(self.status, self.output)

    def send_signal(self, number=signal.SIGTERM):
        """To the command and all of its process group."""
        self.machine.send({"signal": self.number, "number": int(number)})


class Machine:
    """Made by Lab. start() returns at once; wait_ready() returns when commands can run."""

    def __init__(self, settings):
        self.settings = settings
        self.name = settings.name
        self.address = settings.address
        self.state = settings.state
        self.qemu = None
        self.boot_s = None
        self.facts = None
        self._numbers = itertools.count(1)
        self._processes = {}
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._socket = None
        self._reader = None
        self._ready = threading.Event()
        self._gone = threading.Event()
        self._started_at = None

    # -- life -------------------------------------------------------------------------------

    def start(self):
        """Boots, also after kill() or power_off(). The calling thread must outlive the machine."""
        if self.is_running():
            raise LabError(f"machine {self.name} runs already")
        self.kill()  # also one that ended by itself
        if self._reader is not None:
            self._reader.join()  # what it tells is the end of the one before
        self.state.mkdir(exist_ok=True)
        for name in ("agent", "qmp"):
            (self.state / name).unlink(missing_ok=True)
        (self.state / "settings").write_text(qemu.guest_settings(self.settings))
        self._ready.clear()
        self._gone.clear()
        self._processes.clear()
        self._started_at = time.monotonic()
        wire = self.settings.wire
        if wire:
            wire.keep()
        with open(self.state / "qemu.log", "wb") as log:
            # The kernel ends QEMU when this process ends, however that happens.
            self.qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *qemu.command_line(self.settings)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[wire.fileno()] if wire else [], start_new_session=True)
        self._socket = self._connect()
        self._reader = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._reader.start()

    def wait_ready(self, timeout_s=BOOT_TIMEOUT_S):
        """Until the agent answers; `boot_s` and `facts` are set then."""
        deadline = time.monotonic() + timeout_s
        while not self._ready.wait(0.1):
            if self._gone.is_set() or not self.is_running():
                raise LabError(f"machine {self.name} ended while it booted" + self.console_tail())
            if time.monotonic() > deadline:
                raise LabTimeout(f"machine {self.name} did not boot in {timeout_s:.0f} s"
                                 + self.console_tail())
        return self

    def has_panicked(self):
        """Whether its kernel died; what a machine ran is over then, too."""
        console = self.state / "console.log"
        return console.exists() and "Kernel panic" in console.read_text(errors="replace")

    def is_running(self):
        return self.qemu is not None and self.qemu.poll() is None

    def power_off(self, timeout_s=POWER_OFF_TIMEOUT_S):
        """In order; a machine that does not follow in time is killed."""
        if self.is_running():
            try:
                self.send({"stop": True})
                self.qemu.wait(timeout_s)
            except (LabError, subprocess.TimeoutExpired):
                pass
        self.kill()

    def kill(self):
        """Power loss."""
        if self.qemu is not None:
            self.qemu.kill()
            self.qemu.wait()
        if self._reader is not None:
            self._reader.join(5)  # it may wait for whoever takes its output
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- faults -----------------------------------------------------------------------------

    def stop(self):
        """A frozen host: nothing in it runs, its memory and its connections stay."""
        self.qemu.send_signal(signal.SIGSTOP)
        if self.settings.wire:
            self.settings.wire.drop()

    def cont(self):
        """The frozen host goes on where it was."""
        if self.settings.wire:
            self.settings.wire.keep()
        self.qemu.send_signal(signal.SIGCONT)

    def set_link(self, is_up, device="rdma"):
        """Plugs or pulls the cable of `rdma` (between the machines) or `user` (to the host)."""
        with Qmp(self.state / "qmp") as qmp:
            qmp.execute("set_link", name=f"{device}-card", up=is_up)

    # -- commands ---------------------------------------------------------------------------

    def spawn(self, command, env=None, directory=None, on_output=None):
        """Starts a shell command as root and returns its Process."""
        with self._lock:
            if self._gone.is_set():
                raise LabError(f"machine {self.name} does not run")
            number = next(self._numbers)
            process = self._processes[number] = Process(self, number, on_output)
        self.send({"run": number, "command": command, "env": env or {},
                   "directory": str(directory or self.settings.directory)})
        return process

    def run(self, command, timeout_s=60, **options):
        """Runs a shell command to its end; past the timeout it is killed and LabTimeout raised."""
        process = self.spawn(command, **options)
        try:
            return process.wait(timeout_s)
        except LabTimeout:
            process.send_signal(signal.SIGKILL)
            raise

    def check(self, command, timeout_s=60, **options):
        """run() for a command that has to succeed: its output as text."""
        result = self.run(command, timeout_s, **options)
        if result.status:
            raise LabError(f"machine {self.name}: '{command}' ended with status {result.status}:\n"
                           + result.text)
        return result.text

    def send(self, message):
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._send_lock:
                self._socket.sendall(line)
        except (OSError, AttributeError) as error:
            raise LabError(f"machine {self.name} does not take commands: {error}") from error

    # -- inside -----------------------------------------------------------------------------

    def console_tail(self, lines_count=15):
        """The end of what kernel and QEMU printed, for messages."""
        tail = []
        for name in ("qemu.log", "console.log"):
            path = self.state / name
            if path.exists():
                tail += path.read_text(errors="replace").splitlines()[-lines_count:]
        return ":\n  " + "\n  ".join(tail) if tail else ""

    def _connect(self):
        deadline = time.monotonic() + 60
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self.state / "agent"))
                return connection
            except OSError as error:
                connection.close()
                if not self.is_running() or time.monotonic() > deadline:
                    self.kill()
                    raise LabError(f"QEMU of machine {self.name} did not start"
                                   + self.console_tail()) from error
                time.sleep(0.02)

    def _read(self, connection):
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError):
            pass
        if self.settings.wire:
            self.settings.wire.drop()
        with self._lock:
            self._gone.set()
            left, self._processes = self._processes, {}
        for process in left.values():
            process.end(None)

    def _take(self, message):
        if "ready" in message:
            self.facts = message["ready"]
            self.boot_s = time.monotonic() - self._started_at
            self._ready.set()
            return
        with self._lock:
            process = self._processes.get(message.get("output", message.get("exit")))
            if "exit" in message:
                self._processes.pop(message["exit"], None)
        if process and "output" in message:
            process.add_output(message["data"].encode("latin-1"))
        elif process:
            process.end(message["status"])
