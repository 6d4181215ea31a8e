"""Both nodes of a test, and what it asks them."""

import hashlib
import json
import signal
import socket
import subprocess
import time

from kill import stats_file, wait
from kill.layout import PAIR
from kill.node import Node, faults_in
from oracle import resp

PAIR_SECONDS = 30
TAKE_OVER_SECONDS = 30


class Pair:
    """A context manager: nothing of it runs after the block."""

    end_words = "server, data plane and controller of node a"  # what the end befalls

    def __init__(self, layout, programs):
        self.layout = layout
        self.programs = programs
        self.a = Node(layout, layout.nodes["a"], programs)
        self.b = Node(layout, layout.nodes["b"], programs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.a.kill()
        self.b.kill()

    def start(self, server_environment=None):
        self.b.start(with_server=False)
        self.a.start(with_server=True, server_environment=server_environment)

    def end_primary(self, number):
        """The signal that ends or stops a host's programs, at once."""
        self.a.signal_all(number)

    def resume_primary(self):
        self.a.signal_all(signal.SIGCONT)

    def resume_server(self):
        """Only the server of the primary: a scheduler may well run its controller much later."""
        self.a.signal_program(self.layout.program.name, signal.SIGCONT)

    def wait_pair(self, timeout_seconds=PAIR_SECONDS, on_copy=None):
        """Until the primary is protected; its Stats. Those of a copy under way go to on_copy()."""

        def protected():
            program = self.layout.program.name
            if not self.a.is_running(program):
                raise wait.Timeout(f"{program} of node a ended before it was protected")
            stats = self.stats()
            if on_copy and stats and stats.copy_since_ns:
                on_copy(stats)
            return stats if stats and stats.is_pair else None

        return wait.until(protected, timeout_seconds, "PAIR on node a")

    def faults(self):
        """Sanitizer reports and failed assertions of all programs."""
        return [line for name in "ab" for line in faults_in(self.layout.log_path(name))]

    def stats(self, name="a"):
        return stats_file.read(self.layout.nodes[name].stats_path)

    def wait_serving(self, name, timeout_seconds=TAKE_OVER_SECONDS):
        """Until a node answers PING; the monotonic nanoseconds of its first reply."""
        address = self.layout.nodes[name].serve_at
        return wait.until(
            lambda: answers(address), timeout_seconds, f"an answer of node {name}", 0.002
        )

    def status(self, name):
        """What the operator's tool says: parsed JSON, or None when it failed."""
        command = [
            str(self.programs / "tandemctl"), "--config", str(self.layout.configuration_path),
            "--node", name, "status", "--json",
        ]
        if self.layout.nodes[name].namespace:
            command = ["ip", "netns", "exec", self.layout.nodes[name].namespace, *command]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=10, check=False)
            return json.loads(ended.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return None


    def end_and_take_image(self, name):
        """Ends a node; the directory with its images."""
        {"a": self.a, "b": self.b}[name].kill()
        return self.layout.nodes[name].image_directory / PAIR

    def image_digests(self, name):
        """{region: digest} of the images of a node."""
        directory = self.layout.nodes[name].image_directory / PAIR
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(directory.iterdir())}

    def take_over(self, name):
        """How the node's controller says that it took over: its "last_failover", or None."""
        return (self._pair_status(name) or {}).get("last_failover")

    def alarms(self, name):
        """What the node's controller complains about, as texts."""
        return (self._pair_status(name) or {}).get("alarms", [])

    def _pair_status(self, name):
        status = self.status(name) or {}
        return next((each for each in status.get("pairs", []) if each["pair"] == PAIR), None)


def answers(address, timeout_seconds=0.25):
    """Monotonic nanoseconds of the reply to a PING; 0 when there is none."""
    try:
        with socket.create_connection(address, timeout_seconds) as connection:
            connection.sendall(resp.encode(b"PING"))
            reply = connection.recv(64)
    except OSError:
        return 0
    return time.monotonic_ns() if reply == b"+PONG\r\n" else 0
