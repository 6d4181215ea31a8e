"""The two pairs that are attacked: one healthy and under load, one whose primary is an impostor."""

import os
import random
import socket
import subprocess
import threading
import time

from e2e.bad_input import colo, control, wires
from e2e.bad_input.primary import Identity, Primary
from e2e.bad_input.vitals import Log
from kill import stats_file, wait
from kill.layout import PAIR, on_loopback
from kill.node import Node
from kill.pair import Pair
from oracle import resp

STATE_FILE = "state.blob"  # the room of what a promotion writes

# Wide, so that a machine busy with other tests does not end a session by itself.
_TIMERS = {
    "heartbeat_interval_ms": "100", "heartbeat_misses": "80", "commit_timeout_ms": "10000",
    "solo_after_ms": "10000", "connect_timeout_ms": "5000",
}


def new_layout(**timers):
    return on_loopback(provider="tcp", pair_options={**_TIMERS, **timers})


class Programs:
    """The processes of one node that this test watches."""

    def __init__(self, node, log_path):
        self._node = node
        self.log = Log(log_path)

    def process_id(self, program):
        return self._node._processes[program].pid

    def dead(self):
        return [name for name, process in self._node._processes.items()
                if process.poll() is not None]

    def end(self, program):
        """Asks a program to end; problems. A leak makes its exit status another than 0."""
        process = self._node._processes[program]
        process.terminate()
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            return [f"{program} of node {self._node.name} did not end"]
        return [f"{program} of node {self._node.name} ended with status {status}"] if status else []

    def end_daemons(self):
        return self.end("tandemd") + self.end("tandem-failoverd")


class Load(threading.Thread):
    """A client that writes and reads back, not fast, and remembers what was acknowledged."""

    _KEYS = 50

    def __init__(self, address):
        super().__init__(daemon=True)
        self._address = address
        self._is_ending = threading.Event()
        self.acknowledged = {}
        self.count = 0
        self.problems = []

    def run(self):
        try:
            with wires.connect(self._address, 20) as connection:
                while not self._is_ending.wait(0.004):
                    self._write_and_read(connection)
        except (OSError, wires.Closed, resp.ProtocolError) as error:
            self.problems.append(f"load: {type(error).__name__}: {error}")

    def _write_and_read(self, connection):
        key = b"load:%d" % (self.count % self._KEYS)
        value = b"%d" % self.count
        connection.sendall(resp.encode(b"SET", key, value) + resp.encode(b"GET", key))
        expected = b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
        reply = wires.read_exactly(connection, len(expected))
        if reply != expected:
            self.problems.append(f"load: {reply!r} instead of {expected!r}")
            self._is_ending.set()
        self.acknowledged[key] = value
        self.count += 1

    def end(self):
        self._is_ending.set()
        self.join(20)


class Healthy:
    """Both nodes with a program under load; its session must not notice anything."""

    def __init__(self, programs):
        self.layout = new_layout()
        self.pair = Pair(self.layout, programs)
        self.a = Programs(self.pair.a, self.layout.log_path("a"))
        self.b = Programs(self.pair.b, self.layout.log_path("b"))
        self.load = Load(self.layout.nodes["a"].serve_at)

    def start(self):
        self.pair.start()
        self.pair.wait_pair()
        self.pair.wait_serving("a")
        self.load.start()
        wait.until(lambda: self.load.count > 20 or self.load.problems, 20, "the load")
        self.generation = self.pair.stats().generation

    @property
    def door(self):
        """Where node b's tandemd listens."""
        return wires.Door(self.layout.nodes["b"], self.layout.session_key)

    def check(self):
        """Problems since the start: it commits epochs in the session and generation it began with."""
        before = self.pair.stats().epochs_committed
        count = self.load.count
        problems = [f"healthy {name}: {program} ended" for name, node in (("a", self.a), ("b", self.b))
                    for program in node.dead()]
        try:
            wait.until(
                lambda: self.pair.stats().epochs_committed > before and self.load.count > count,
                wires.WAIT_SECONDS, "an epoch of the healthy pair"
            )
        except wait.Timeout as error:
            problems.append(str(error))
        stats = self.pair.stats()
        if not stats.is_pair or stats.generation != self.generation:
            problems.append(f"healthy: generation {stats.generation}, is_pair {stats.is_pair}")
        lost = [line for node in (self.a, self.b) for line in node.log.lines(0)
                if "session lost" in line]
        return problems + lost + self.load.problems + self.a.log.faults() + self.b.log.faults()

    def end(self):
        """Ends the programs as an operator does; problems, which leaks are."""
        self.load.end()
        problems = self.a.end("tandem-kv") + self.a.end_daemons() + self.b.end_daemons()
        return problems + self.a.log.faults() + self.b.log.faults()

    def kill(self):
        self.pair.a.kill()
        self.pair.b.kill()

    def read_back(self):
        """Every acknowledged write is still there."""
        with wires.connect(self.layout.nodes["a"].serve_at) as connection:
            for key, value in self.load.acknowledged.items():
                connection.sendall(resp.encode(b"GET", key))
                expected = b"$%d\r\n%s\r\n" % (len(value), value)
                reply = wires.read_exactly(connection, len(expected))
                if reply != expected:
                    return [f"healthy: {key!r} is {reply!r}, acknowledged was {value!r}"]
        return []


class Impostor(threading.Thread):
    """The controller of node a, as far as node b can tell: it only sends heartbeats."""

    def __init__(self, layout, incarnation):
        super().__init__(daemon=True)
        node, peer = layout.nodes["a"], layout.nodes["b"]
        self.key = layout.heartbeat_key
        self.instance = random.getrandbits(63) | 1
        self.sequence = 0
        self.echo = 0
        self.incarnation = incarnation
        self.record = b""
        self.peer_at = peer.heartbeats[0]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(node.heartbeats[0])
        self.socket.settimeout(0.05)
        self._is_ending = threading.Event()
        self._may_beat = threading.Lock()

    def beat(self, **wrong):
        """The bytes of the next heartbeat."""
        self.sequence += 1
        right = dict(key=self.key, pair=PAIR, node="a", instance=self.instance,
                     sequence=self.sequence, echo=self.echo,
                     program=(control.ALIVE, self.incarnation, 0), known_record=self.record)
        return control.heartbeat(**{**right, **wrong})

    def run(self):
        beat_at = 0
        while not self._is_ending.is_set():
            if time.monotonic() >= beat_at and self._may_beat.acquire(blocking=False):
                beat_at = time.monotonic() + 0.1
                self.socket.sendto(self.beat(), self.peer_at)
                self._may_beat.release()
            try:
                data = self.socket.recv(2048)
            except OSError:
                continue
            if len(data) == control.HEARTBEAT_BYTES:
                self.echo = control.heartbeat_instance(data)

    def pause(self):
        """No heartbeat is being sent any more."""
        self._may_beat.acquire()

    def go_on(self):
        self._may_beat.release()

    def end(self):
        self._is_ending.set()
        self.join(5)
        self.socket.close()


class Idle:
    """Node b only; this process is its primary, with the right pair, generation and incarnation."""

    REGIONS = [colo.Region("map", 200), colo.Region("tail", 5)]

    def __init__(self, programs, rng):
        self.rng = rng
        self.layout = new_layout()
        self.node = Node(self.layout, self.layout.nodes["b"], programs)
        self.b = Programs(self.node, self.layout.log_path("b"))
        self.identity = Identity(PAIR, rng.getrandbits(63) | 1, 1, self.REGIONS)
        self.impostor = Impostor(self.layout, self.identity.incarnation)
        self.committed = 0
        self.model = {region.name: bytearray(region.pages * colo.PAGE_BYTES)
                      for region in self.REGIONS}

    def start(self):
        self._write_record(1)
        self.node.start_controller()
        self.node.start_data_plane()
        self.impostor.start()
        log = self.b.log
        lines = log.wait_for(r"standing by, incarnation [0-9a-f]{16}", 0, 20)
        line = next(line for line in lines if "standing by" in line)
        self.incarnation = int(line.rsplit(" ", 1)[1], 16)
        self._first_copy()
        self._write_record(2, self.incarnation)
        self.identity.generation = 2
        wait.until(self._is_told, 20, "generation 2 at the standby")

    def _write_record(self, generation, copy_incarnation=0):
        directory = self.layout.arbiter / PAIR
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.impostor.record = control.record(
            PAIR, generation, "a", self.identity.incarnation, copy_incarnation,
            decision=self.rng.getrandbits(63) | 1
        )
        draft = directory / "draft"
        draft.write_bytes(self.impostor.record)
        os.rename(draft, directory / f"gen-{generation:020d}")

    def _first_copy(self):
        def greeted():
            try:
                return self.primary()
            except (wires.Closed, OSError, AssertionError, RuntimeError):
                return None
            except Exception as error:  # Refused: the controller has not told it yet
                if "does not" not in str(error):
                    raise
                return None

        with wait.until(greeted, 20, "a session of the impostor", 0.1) as primary:
            self.commit(primary, {page: self.page() for page in range(0, 200, 7)}, b"state 1")

    def _is_told(self):
        try:
            with self.primary():
                return True
        except Exception as error:
            if "does not" not in str(error):
                raise
            return False

    @property
    def door(self):
        return wires.Door(self.layout.nodes["b"], self.layout.session_key)

    def end(self):
        self.impostor.end()
        return self.b.end_daemons() + self.b.log.faults()

    def kill(self):
        self.node.kill()

    @property
    def images(self):
        return self.layout.nodes["b"].image_directory / PAIR

    def page(self):
        return self.rng.randbytes(colo.PAGE_BYTES)

    def primary(self, hello=None):
        return Primary(self.door, self.identity, hello)

    def commit(self, primary, pages, state=b""):
        """An epoch that is right, and what it makes of the image."""
        primary.commit(self.committed + 1, pages, state)
        self.committed += 1
        for page, data in pages.items():
            region, inside = primary.layout.region(page)
            image = self.model[self.REGIONS[region].name]
            image[inside * colo.PAGE_BYTES : (inside + 1) * colo.PAGE_BYTES] = (
                data or bytes(colo.PAGE_BYTES)
            )

    def check(self):
        """The image is what right epochs made it, and the node serves a right primary."""
        problems = [f"idle: {program} ended" for program in self.b.dead()]
        problems += self.image_problems()
        try:
            with self.primary() as primary:
                if primary.committed != self.committed:
                    problems.append(f"idle: WELCOME names epoch {primary.committed},"
                                    f" committed was {self.committed}")
                self.commit(primary, {self.rng.randrange(200): self.page(), 208: None,
                                      self.rng.randrange(209, 213): self.page()})
        except Exception as error:  # whatever it is, the node does not serve
            problems.append(f"idle: no right session: {type(error).__name__}: {error}")
        problems += self.image_problems()
        if problems:
            self._believe_the_node()
        return problems + self.b.log.faults()

    def _believe_the_node(self):
        """So that one wrong epoch is not every later attack's fault, too."""
        try:
            with self.primary() as primary:
                self.committed = primary.committed
            self.model = {name: bytearray((self.images / name).read_bytes()) for name in self.model}
        except Exception:  # it does not serve; that was told
            pass

    def image_problems(self):
        problems = []
        for name, expected in self.model.items():
            image = (self.images / name).read_bytes()
            if image != expected:
                at = next((i for i, pair in enumerate(zip(image, expected)) if pair[0] != pair[1]),
                          min(len(image), len(expected)))
                problems.append(f"idle: image {name} differs at byte {at} of page {at // 4096}")
        files = sorted(path.name for path in self.images.iterdir())
        if files != sorted([*self.model, STATE_FILE]):
            problems.append(f"idle: files in the image directory: {files}")
        return problems


class Lonely:
    """Only the data plane of a node; its controller is not there."""

    def __init__(self, programs):
        self.layout = new_layout()
        self.node = Node(self.layout, self.layout.nodes["b"], programs)
        self.b = Programs(self.node, self.layout.log_path("b"))
        self.door = wires.Door(self.layout.nodes["b"], self.layout.session_key)

    def start(self):
        self.node.start_data_plane()
        self.b.log.wait_for("waiting for the controller", 0, 20)
        self.b.log.wait_for("listening on", 0, 20)  # said by another thread

    @property
    def process_id(self):
        return self.b.process_id("tandemd")

    def end(self):
        try:
            return self.b.end("tandemd") + self.b.log.faults()
        finally:
            self.node.kill()
            self.layout.remove()
