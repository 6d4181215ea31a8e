"""Both nodes in a virtual machine each, joined by soft-RoCE, with the clients outside both."""

import base64
import json
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from kill import stats_file, wait
from kill.layout import PAIR, KeyValue, Layout, NodeLayout, free_ports
from kill.node import faults_in
from kill.pair import Pair

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tools"))

from lab import Lab  # noqa: E402

_SHARE = Path("/mnt/share")  # the shared folder, as both machines see it
_SERVE_PORT = 6379
_ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2"}
_START_SECONDS = 30
_BOOT_SECONDS = 300  # on a busy computer
_MAP_MIB = 8  # on Linux 6.1 all of it is hashed in every epoch, by an emulated processor
# An emulated machine, of two on as many cores, is often not scheduled for longer than heartbeats
# may be silent where machines are real.
_PAIR_OPTIONS = {
    "heartbeat_interval_ms": "50",
    "heartbeat_misses": "30",
    "solo_after_ms": "2000",
    "connect_timeout_ms": "5000",
    "commit_timeout_ms": "3000",
}


class LabKeyValue(KeyValue):
    def arguments(self, node):
        return [*super().arguments(node), "--map-size", str(_MAP_MIB)]


class LabLayout(Layout):
    """Sockets and images are inside the machines, file, logs and arbiter in the shared folder, which
    is `directory`, or above it. Heartbeats go to the same addresses, or to others."""

    def __init__(self, provider, program=None, directory=None, share=_SHARE, heartbeat_addresses=None):
        self.share = share  # `directory`, as both machines see it
        first_port = free_ports()
        serve_ports = {"a": first_port, "b": first_port + 1}
        nodes = {
            name: NodeLayout(
                name=name,
                address=address,
                port=7400,
                heartbeats=[((heartbeat_addresses or _ADDRESSES)[name], 7401)],
                serve_address="127.0.0.1",
                serve_port=serve_ports[name],
                listen=f"0.0.0.0:{_SERVE_PORT}",
                run_directory=Path("/run/tandem"),
                image_directory=Path("/dev/shm/tandem"),
            )
            for name, address in _ADDRESSES.items()
        }
        directory = directory or Path(tempfile.mkdtemp(prefix="tandem-lab-test-"))
        images = directory / "images"
        images.mkdir()
        super().__init__(
            directory, images, nodes, share / "arbiter", provider=provider,
            pair_options=_PAIR_OPTIONS, program=program or LabKeyValue(),
        )
        self.write()


    @property
    def key_path(self):
        """A copy of its own in each machine: the share keeps the owner that it has outside."""
        return Path("/run/kv.key")


class LabNode:
    """A machine and the programs in it; what befalls the host befalls the QEMU process."""

    def __init__(self, machine, layout, programs):
        self._machine = machine
        self._programs = programs
        self._processes = {}
        self._share = layout.share
        self._where = f"--config {self._share}/tandem.conf --node {machine.name}"
        self.program = layout.program
        self.name = machine.name
        self.layout = layout.nodes[machine.name]

    def start(self, with_server, server_environment=None):
        self.start_controller()
        self.start_data_plane()
        if with_server:
            self.start_server(server_environment)

    def start_controller(self, environment=None):
        self._machine.check(f"install -m 600 {self._share}/kv.key /run/kv.key")
        self._spawn("tandem-failoverd", self._where, environment)
        self._machine.check(
            f"timeout {_START_SECONDS} sh -c"
            f" 'until grep -q \"00010000 .* {self.layout.run_directory}/failoverd.sock\" /proc/net/unix;"
            " do sleep 0.05; done'"
        )

    def start_data_plane(self, environment=None):
        self._spawn("tandemd", self._where, environment)

    def start_server(self, environment=None):
        arguments = shlex.join(self.program.arguments(self.layout))
        self._spawn(self.program.name, arguments, environment)

    def start_again(self):
        """After the power was lost: a new machine with nothing in its memory."""
        self._processes.clear()
        self._machine.start()
        self._machine.wait_ready(_BOOT_SECONDS)
        self.start(with_server=False)

    def _spawn(self, program, arguments, environment=None):
        path = self._programs / program
        if program == self.program.name:
            path = self.program.path(self._programs)
        self._processes[program] = self._machine.spawn(
            f"exec {self._launcher(environment)}{shlex.quote(str(path))} {arguments}"
            f" >> {self._share}/{self.name}.log 2>&1", env=environment
        )

    def _launcher(self, _environment):
        """What starts a program that is to have such an environment."""
        return ""

    def is_running(self, program):
        process = self._processes.get(program)
        return process is not None and not process.ended.is_set()

    def exit_statuses(self):
        """Of what was started here last; None while it runs."""
        return {program: process.status for program, process in self._processes.items()}

    def signal_program(self, program, number):
        self._processes[program].send_signal(number)

    def has_ended(self):
        return not self._machine.is_running()

    def is_stopped(self):
        try:
            with open(f"/proc/{self._machine.qemu.pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def signal_all(self, number):
        """SIGKILL: power loss; SIGSTOP: the host freezes; SIGCONT: it goes on."""
        act = {
            signal.SIGKILL: self._machine.kill,
            signal.SIGSTOP: self._machine.stop,
            signal.SIGCONT: self._machine.cont,
        }
        act[number]()

    def kill_programs(self):
        for process in self._processes.values():
            process.send_signal(signal.SIGKILL)
        for process in self._processes.values():
            process.wait(_START_SECONDS)

    def run(self, command):
        return self._machine.run(command, 20)


class LabPair(Pair):
    """A context manager: the machines run inside the block only."""

    end_words = "the machine of node a (its QEMU process)"

    def __init__(self, programs, provider, kernel=None, say=lambda text: None, program=None):
        layout = LabLayout(provider, program)
        forwards = [(name, layout.nodes[name].serve_port, _SERVE_PORT) for name in "ab"]
        lab = Lab(2, kernel, share=layout.directory, forwards=forwards, say=say)
        self._use(lab, layout, programs)

    def _use(self, lab, layout, programs, node_class=LabNode):
        self.lab = lab
        self.layout = layout
        self.programs = programs
        self.a = node_class(lab.machines["a"], layout, programs)
        self.b = node_class(lab.machines["b"], layout, programs)
        self._last_stats = None

    def __enter__(self):
        try:
            self.lab.start()
        except BaseException:
            self.lab.close()
            raise
        return self

    def __exit__(self, *_):
        self.lab.close()

    def wait_pair(self, timeout_seconds=60, on_copy=None):
        stats = super().wait_pair(timeout_seconds, on_copy)
        if self.layout.provider == "rdma":
            for name in "ab":
                wait.until(lambda name=name: self.peer_process(name) == "lives", timeout_seconds,
                           f"node {name} reads that the other one's counter moves", 0.2)
        return stats

    def peer_process(self, name):
        """What a node reads in the memory of the other one's data plane."""
        return (self._pair_status(name) or {}).get("peer", {}).get("process")

    def stats(self, name="a"):
        """While the machine runs; afterwards the last that was seen, without its phase."""
        node = {"a": self.a, "b": self.b}[name]
        if node.has_ended() or node.is_stopped():
            return self._last_stats and self._last_stats._replace(phase="")
        result = node.run(f"base64 -w0 {node.layout.stats_path} 2>&1")
        if result.status == 0:
            self._last_stats = stats_file.parse(base64.b64decode(result.output)) or self._last_stats
        return self._last_stats

    def status(self, name):
        node = {"a": self.a, "b": self.b}[name]
        command = f"{self.programs / 'tandemctl'} --config {self.layout.share}/tandem.conf --node {name}"
        try:
            return json.loads(node.run(f"{command} status --json").output)
        except ValueError:
            return None

    def resume_server(self):
        """A host goes on as a whole."""

    def end_and_take_image(self, name):
        node = {"a": self.a, "b": self.b}[name]
        node.kill_programs()
        node.run(f"cp {node.layout.image_directory}/{PAIR}/* {self.layout.share}/images/")
        return self.layout.images

    def faults(self):
        return [line for name in "ab" for line in faults_in(self.layout.log_path(name))]

    def image_digests(self, name):
        node = {"a": self.a, "b": self.b}[name]
        lines = node.run(f"cd {node.layout.image_directory}/{PAIR} && sha256sum *").text.splitlines()
        return {region: digest for digest, region in (line.split() for line in lines)}
