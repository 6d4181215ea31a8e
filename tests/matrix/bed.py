"""The nodes of a round, each in a network namespace, with the ledger and its sink."""

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

from kill import wait
from kill.layout import PAIR
from kill.node import crashes_of
from kill.separated import SeparatedPair
from matrix import etcd
from matrix.cable import CableNetwork

_HERE = Path(__file__).resolve().parent
_ANSWER_SECONDS = 20
OUTPUT_SECONDS = 20
PEER = {"a": "b", "b": "a"}

# The detector is not what most rows are about, and other work on the computer must not look like
# a fault.
PAIR_OPTIONS = {
    "heartbeat_interval_ms": "20",
    "heartbeat_misses": "30",
    "solo_after_ms": "700",
    "take_overs_max": "16",
    "take_over_window_ms": "10000",
}


class Ledger:
    """The protected program."""

    name = "ledger"

    def __init__(self, sink_address, step_us=500):
        self.sink_address = sink_address
        self._step_us = step_us

    def path(self, programs):
        return programs.parent / "tests" / self.name

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), "--node", node.name,
                "--sink", str(self.sink_address), "--step-us", str(self._step_us)]

    def promote_command(self, _nodes):
        return (
            'exec "$TANDEM_BIN_DIR/../tests/ledger" --pair "$TANDEM_PAIR"'
            ' --run-dir "$TANDEM_RUN_DIR" --node "$TANDEM_NODE"'
            f" --sink {self.sink_address} --step-us {self._step_us}"
        )


class Sink:
    """The sink's process."""

    def __init__(self, address):
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-B", str(_HERE / "sink.py"),
             str(address)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.lives()  # listens from now on

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], _ANSWER_SECONDS)[0]:
            raise wait.Timeout(f"the sink's answer to '{command}'")
        return json.loads(self._process.stdout.readline())

    def lives(self):
        """What it knows of each life, the first one's first; as sink.py says it."""
        return self.tell("status")["lives"]

    def judge(self, may_begin_anew):
        return self.tell("judge anew" if may_begin_anew else "judge")["problems"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(_ANSWER_SECONDS)


class Watched:
    """What is seen of a pair; self.sink is the sink."""

    pace = 1  # how many times longer than usual things may take

    def says(self, name):
        """The pair's object in a node's status, {} when its controller does not answer."""
        try:
            return self._pair_status(name) or {}
        except subprocess.TimeoutExpired:
            return {}

    def is_paired(self, owner):
        return (self.says(owner).get("state") == "PRIMARY_PAIR"
                and self.says(PEER[owner]).get("state") == "SECONDARY")

    def wait_paired(self, owner, timeout_seconds=30):
        wait.until(lambda: self.is_paired(owner), timeout_seconds * self.pace,
                   f"PAIR led by node {owner}", 0.02)

    def life(self, name=None):
        """The newest life, or the newest one on a node."""
        lives = [each for each in self.sink.lives() if name in (None, each["node"])]
        return lives[-1] if lives else None

    def wait_output(self, name, since_ns=0, timeout_seconds=OUTPUT_SECONDS, count=20):
        """Until a node has let out so many steps more, later than since_ns."""
        first = {}

        def goes_on():
            life = self.life(name)
            if not life or life["last_ns"] < since_ns:
                return None
            start = first.setdefault((life["generation"], life["began_ns"]), life["steps"])
            return life if life["steps"] >= start + count else None

        return wait.until(goes_on, timeout_seconds * self.pace, f"output of node {name}", 0.01)

    def signal_node(self, name, number):
        self.nodes[name].signal_all(number)

    def crashes(self):
        return crashes_of(self.nodes)


class MatrixPair(Watched, SeparatedPair):
    """A context manager. Heartbeats go over both links, data over the first one, or over both."""

    def __init__(self, programs, step_us=500, has_rail=False, options=None, arbiter="file",
                 fence_delay_ms=800, own_configurations=False, has_cable=False, seed=0, **more):
        if has_cable:
            self.network_class = CableNetwork
        program = Ledger("", step_us)
        super().__init__(
            programs, "tcp", has_rail=has_rail, program=program, arbiter_type=arbiter,
            pair_options={**PAIR_OPTIONS, **(options or {})}, **more,
        )
        program.sink_address = self.layout.directory / "sink"
        self.nodes = {"a": self.a, "b": self.b}
        self.sink = self.etcd = self.relay = None
        self._seed = seed
        if has_cable:
            self.network.program = programs.parent / "tests" / "cable"
            self.network.seed = seed
        self._mounts = []
        if arbiter == "fence":
            self._prepare_fencing(fence_delay_ms)
        elif arbiter == "etcd":
            self._prepare_etcd()
        self.layout.write()
        if own_configurations or arbiter == "fence":
            self._write_own_configurations()

    def __enter__(self):
        super().__enter__()
        try:
            if self.etcd:
                self.etcd.start()
                addresses = [(self.network.host_address(name), self._relay_port) for name in "ab"]
                self.relay = etcd.Relay(addresses, self.etcd.port, self._seed)
                self.relay.start()
            self.sink = Sink(self.layout.program.sink_address)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self.relay:
            self.relay.end()
        if self.etcd:
            self.etcd.close()
        if self.sink:
            self.sink.close()
        for path in self._mounts:
            subprocess.run(["umount", "-l", str(path)], check=True, timeout=20)

    # ---- arbiters ----

    def _prepare_etcd(self):
        directory = self.layout.directory
        self.etcd = etcd.Etcd(directory / "etcd", directory / "etcd.log")
        self._relay_port = 2379
        endpoints = ", ".join(f'"http://{self.network.host_address(name)}:{self._relay_port}"'
                              for name in "ab")
        self.layout.arbiter_options = f"endpoints = [ {endpoints} ];"

    def _prepare_fencing(self, fence_delay_ms):
        folder = self.layout.directory / "fencing"
        folder.mkdir()
        for name, node in self.layout.nodes.items():
            node.fence = (f'{{ agent = "{_HERE / "fence-agent"}";'
                          f' parameters = "node={name} namespace={node.namespace} folder={folder}";'
                          " timeout_ms = 1000; }")
            self.set_fencing(name, "works")
        self.layout.arbiter_options = f"fence_delay_ms = {fence_delay_ms};"

    def set_fencing(self, name, mode):
        """What comes of switching a node off: works, fails, hangs, lies."""
        (self.layout.directory / "fencing" / f"mode-{name}").write_text(f"{mode}\n")

    def _write_own_configurations(self):
        """A file for each node: a register of its own, or settings that differ."""
        for name, node in self.nodes.items():
            text = self.layout.configuration()
            if self.layout.arbiter_type == "fence":
                own = str(self.layout.directory / f"register-{name}")
                text = text.replace(f'path = "{self.layout.arbiter}"', f'path = "{own}"')
            self.configuration_of(name).write_text(text)
            node.use_configuration(self.configuration_of(name))

    def configuration_of(self, name):
        return self.layout.directory / f"tandem-{name}.conf"

    # ---- what runs ----

    def program_id(self, name):
        """Of the ledger that leads or led on a node, also a promoted one; None when it is gone."""
        stats = self.stats(name)
        return stats.process_id if stats and _is_alive(stats.process_id) else None

    def signal_program(self, name, number):
        process = self.program_id(name)
        if process is None:
            raise wait.Timeout(f"node {name} has no ledger to signal")
        os.kill(process, number)

    def is_program_stopped(self, name, program):
        process = self.program_id(name) if program == "ledger" else (
            self.nodes[name].process_id(program))
        return _state(process) == "T"

    def restart(self, name):
        """What is missing of controller and data plane."""
        node = self.nodes[name]
        if not node.is_running("tandem-failoverd"):
            node.start_controller()
        if not node.is_running("tandemd"):
            node.start_data_plane()

    def order(self, name, *words):
        """An operator's command on a node; what came of it."""
        command = [str(self.programs / "tandemctl"), *words, "--config",
                   str(self.layout.configuration_path), "--node", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    def ask_admin(self, name, request):
        """The controller's answer to a request on the operator's socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self.layout.nodes[name].run_directory / "admin.sock"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(connection.makefile().readline())

    # ---- directories ----

    def mount(self, path, size):
        """A small file system of its own, before anything runs; both nodes see it."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(path)],
                       check=True, timeout=20)
        self._mounts.append(path)

    def hide_arbiter(self, name):
        """The controller of a node sees an empty directory, as when storage is not mounted."""
        self._in_mounts(name, "mount", "-t", "tmpfs", "none", str(self.layout.arbiter))

    def show_arbiter(self, name):
        self._in_mounts(name, "umount", str(self.layout.arbiter))

    def _in_mounts(self, name, *command):
        """ip netns exec gave the process mounts of its own."""
        process = self.nodes[name].process_id("tandem-failoverd")
        subprocess.run(["nsenter", "-t", str(process), "-m", *command], check=True, timeout=20)

    def is_paired(self, owner):
        stats = self.stats(owner)
        return (stats is not None and stats.is_pair and self.program_id(owner) is not None
                and super().is_paired(owner))


def _is_alive(process):
    return _state(process) not in ("", "Z", "X")


def _state(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""
