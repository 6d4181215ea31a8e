"""A secondary that is made of bytes, and the real primary that connects to it."""

import socket
import threading

from e2e.bad_input import colo, transport, wires
from e2e.bad_input.grounds import Load, Programs, new_layout
from kill import stats_file, wait
from kill.node import Node
from kill.pair import answers

INCARNATION = 0x5EC0DA41


class Visit:
    """The primary's next attempt at a session; nobody else is there to answer it."""

    def __init__(self, victim):
        self._victim = victim
        self._listener = socket.create_server(victim.peer_at, backlog=64)
        self._listener.settimeout(wires.WAIT_SECONDS)
        self.control = self._accept()
        hello = transport.parse_hello(wires.read_exactly(self.control, transport.HELLO_BYTES))
        self.channels = hello.channels
        self._nonce = hello.value
        self.data = []
        self.sequence = 0

    def _accept(self):
        connection, _ = self._listener.accept()
        connection.settimeout(wires.WAIT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Leaves when the primary has noticed that nobody is there: the next reason is news then."""
        mark = self._victim.a.log.mark()
        for connection in [self._listener, self.control, *self.data]:
            connection.close()
        self._victim.a.log.wait_for("session failed: .*Connection refused", mark)

    def answer(self, data):
        """To the control connection's hello."""
        return wires.send(self.control, data)

    def join(self, session=77, answer=None):
        """Right answers to all connections, but for the one to data connections if it is given."""
        nonce = bytes(range(16))
        self.secrets = transport.Secrets(self._victim.layout.session_key, self.channels, session,
                                         self._nonce, nonce)
        self.answer(transport.answer(session=session, nonce=nonce,
                                     proof=self.secrets.listening_proof))
        right = transport.proof(self.secrets.connecting_proof)
        assert wires.read_exactly(self.control, transport.PROOF_BYTES) == right
        for _ in range(self.channels):
            connection = self._accept()
            self.data.append(connection)
            hello = transport.parse_hello(wires.read_exactly(connection, transport.HELLO_BYTES))
            assert hello.value == self.secrets.token(hello.channel, hello.attempt), hello
            token = self.secrets.token(hello.channel, hello.attempt, is_answer=True)
            wires.send(connection, answer or transport.answer(session=session, proof=token))

    def read_hello(self):
        """The primary's first message; what a right secondary would answer and expose follows."""
        head = wires.read_exactly(self.control, transport.FRAME_BYTES)
        frame = transport.parse_frame(head)
        data = wires.read_exactly(self.control, frame.length)
        tag = wires.read_exactly(self.control, transport.TAG_BYTES)
        assert tag == self.secrets.tag(False, frame.sequence, head, data), frame
        message = colo.parse(data)
        assert message.type == colo.HELLO, message
        _, self.incarnation, _, self.epoch, channels, _, state_max, count = message.fields
        self.generation = message.generation
        regions = [
            colo.Region(str(i), int.from_bytes(data[at + 32 : at + 40], "little"))
            for i, at in enumerate(range(88, 88 + 40 * count, 40))
        ]
        self.layout = colo.Layout(regions, channels, state_max)

    def _frame(self, kind, payload=b"", sequence=None, **fields):
        fields.setdefault("length", len(payload))
        if sequence is None:
            sequence, self.sequence = self.sequence, self.sequence + 1
        head = transport.frame(kind, sequence=sequence, **fields)
        return head + payload + self.secrets.tag(True, sequence, head, payload)

    def send_frame(self, kind, payload=b"", **fields):
        return wires.send(self.control, self._frame(kind, payload, **fields))

    def say(self, *messages):
        """Several are read at once: the primary does nothing in between."""
        return wires.send(self.control, b"".join(self._frame(transport.MESSAGE, data)
                                                 for data in messages))

    def expose(self, **wrong):
        """Every memory with its right size, but for {id: size} in `wrong`."""
        sizes = {i: region.pages * colo.PAGE_BYTES for i, region in enumerate(self.layout.regions)}
        sizes[colo.SLOTS_ID] = 2 * self.layout.parity_bytes
        sizes.update(wrong.get("sizes", {}))
        for memory, size in sizes.items():
            if size:
                self.send_frame(transport.EXPOSE, memory=memory, offset=size, key=1000 + memory)

    def welcoming(self, generation=None, incarnation=INCARNATION, copy=0, epoch=0, is_fresh=1):
        generation = self.generation if generation is None else generation
        return colo.welcome(generation, incarnation, copy, epoch, is_fresh)

    def welcome(self, **fields):
        self.say(self.welcoming(**fields))

    def swallow(self):
        """Reads what the primary writes and throws it away, until it ends the session."""
        threads = [threading.Thread(target=_swallow, args=(each,), daemon=True)
                   for each in self.data]
        for thread in threads:
            thread.start()
        wires.read_until_closed(self.control)

    def was_dropped(self):
        wires.read_until_closed(self.control)


def _swallow(connection):
    try:
        while connection.recv(1 << 20):
            pass
    except OSError:
        pass


class Victim:
    """Node a with its program under load; node b is this process."""

    def __init__(self, programs):
        self.layout = new_layout(commit_timeout_ms="1500", heartbeat_misses="10",
                                 connect_timeout_ms="1000", solo_after_ms="1500",
                                 reconnect_interval_max_ms="100")
        self.node = Node(self.layout, self.layout.nodes["a"], programs)
        self.a = Programs(self.node, self.layout.log_path("a"))
        self.load = Load(self.layout.nodes["a"].serve_at)
        self.peer_at = (self.layout.nodes["b"].address, self.layout.nodes["b"].port)

    def start(self):
        self.node.start_controller()
        self.node.start_server()
        address = self.layout.nodes["a"].serve_at
        wait.until(lambda: answers(address), 30, "an answer of the victim")
        self.load.start()
        self.generation = self.stats().generation

    def stats(self):
        return stats_file.read(self.layout.nodes["a"].stats_path)

    def visit(self):
        return Visit(self)

    def check(self):
        """It serves alone, as it did, and does not believe that anybody holds a copy."""
        problems = [f"victim: {program} ended" for program in self.a.dead()]
        count = self.load.count
        try:
            wait.until(lambda: self.load.count > count + 3, wires.WAIT_SECONDS, "writes of the victim")
        except wait.Timeout as error:
            problems.append(str(error))
        stats = self.stats()
        if stats.is_pair or stats.generation != self.generation or stats.epochs_committed:
            problems.append(f"victim: is_pair {stats.is_pair}, generation {stats.generation},"
                            f" {stats.epochs_committed} epochs")
        return problems + self.load.problems + self.a.log.faults()

    def end(self):
        self.load.end()
        return self.a.end("tandem-kv") + self.a.end("tandem-failoverd") + self.a.log.faults()

    def kill(self):
        self.node.kill()
