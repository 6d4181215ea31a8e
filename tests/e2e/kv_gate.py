#!/usr/bin/python3
"""tandem-kv behind a gate that the test holds: nothing leaves before its ticket is released.
usage: kv_gate.py PATH_OF_TANDEM_KV_FAKE (linked with tests/unit/examples/fake_tandem.c)"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import redis

from kv_server import DEADLINE_SECONDS, Server, until

PROGRAM = sys.argv.pop()


class Gate:
    """Tells the fake library in the server what to do, and hears what it counted."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.environment = {"FAKE_TANDEM_COMMANDS": path}

    def command(self, server, letter):
        """Returns once it is obeyed: counts of checkpoints, confirms and regions before,
        and the MiB of the map that are used."""
        with open(self.path, "wb", buffering=0) as pipe:
            pipe.write(letter.encode())
        line = server.process.stderr.readline().decode()
        found = re.match(
            rf"fake: {letter} checkpoints=(\d+) confirms=(\d+) regions=(\d+) used=(\d+)\n", line
        )
        assert found, line
        return tuple(int(number) for number in found.groups())


class GateTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tandem-kv-gate-", dir="/dev/shm")
        self.addCleanup(self.directory.cleanup)
        self.gate = Gate(os.path.join(self.directory.name, "commands"))
        self.server = self.start()

    def start(self, *arguments, **environment):
        server = Server(PROGRAM, *arguments, standalone=False,
                        environment={**self.gate.environment, **environment})
        self.addCleanup(server.__exit__)
        return server

    def tell(self, letter):
        return self.gate.command(self.server, letter)

    def test_start_line_says_generation_and_epoch(self):
        self.assertIn("serving pair kv on 127.0.0.1:", self.server.line)
        self.assertIn("(generation 3, epoch 0, map 64 MiB, tracker ", self.server.line)
        self.assertEqual(self.tell("h"), (0, 0, 1, 1))

    def test_every_kind_of_output_is_held(self):
        self.tell("h")
        clients = []
        for request, reply in (
            ("set a 1\r\n", b"+OK\r\n"),
            ("get nothing\r\n", b"$-1\r\n"),
            ("PING\r\n", b"+PONG\r\n"),
            ("nosuch\r\n", b"-ERR unknown command 'nosuch'\r\n"),
            ("*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
            ("QUIT\r\n", b"+OK\r\n"),
        ):
            client = self.server.connect()
            self.addCleanup(client.socket.close)
            client.send(request)
            clients.append((client, reply))
        for client, _ in clients:
            self.assertTrue(client.is_silent())
        self.tell("r")
        for client, reply in clients:
            self.assertEqual(client.read(len(reply)), reply)
        for client, _ in clients[-2:]:
            self.assertEqual(client.read_to_end(), b"")

    def test_a_turn_that_wrote_is_a_checkpoint_and_one_that_read_a_confirmation(self):
        with self.server.connect() as client:
            client.ask("get a\r\n", "$-1\r\n")
            client.ask("set a 1\r\nget a\r\n", "+OK\r\n$1\r\n1\r\n")
            client.ask("PING\r\n", "+PONG\r\n")
        self.assertEqual(self.tell("h")[:2], (1, 2))

    def test_many_clients_share_a_checkpoint(self):
        self.tell("b")
        clients = [self.server.connect() for _ in range(30)]
        for i, client in enumerate(clients):
            client.send(f"set k{i} {i}\r\n")
        self.assertTrue(clients[0].is_silent(), "nothing leaves while the gate is busy")
        self.tell("i")
        for client in clients:
            self.assertEqual(client.read(5), b"+OK\r\n")
            client.socket.close()
        self.assertEqual(self.tell("h")[0], 1)

    def test_turns_beside_a_busy_gate_share_a_checkpoint(self):
        self.tell("b")
        with self.server.connect() as one, self.server.connect() as other:
            one.send("set a 1\r\n")
            self.assertTrue(one.is_silent())
            other.send("incr a\r\n")
            self.assertTrue(other.is_silent())
            self.assertEqual(self.tell("i")[:2], (0, 0))
            self.assertEqual(one.read(5), b"+OK\r\n")
            self.assertEqual(other.read(4), b":2\r\n")
        self.assertEqual(self.tell("h")[:2], (1, 0))

    def test_what_reads_a_write_without_a_checkpoint_waits_for_that(self):
        self.tell("b")
        with self.server.connect() as writer, self.server.connect() as reader:
            writer.send("set a 1\r\n")
            self.assertTrue(writer.is_silent())
            reader.send("get a\r\n")
            self.assertTrue(reader.is_silent())
            self.tell("h")
            self.tell("i")
            self.assertTrue(reader.is_silent())
            self.assertEqual(self.tell("r")[:2], (1, 0), "not a confirmation")
            self.assertEqual(reader.read(7), b"$1\r\n1\r\n")
            self.assertEqual(writer.read(5), b"+OK\r\n")

    def test_reads_beside_a_busy_gate_are_confirmed(self):
        self.tell("b")
        with self.server.connect() as client:
            client.send("get a\r\n")
            self.assertTrue(client.is_silent())
            self.tell("i")
            self.assertEqual(client.read(5), b"$-1\r\n")
        self.assertEqual(self.tell("h")[:2], (0, 1))

    def test_a_client_that_leaves_before_the_checkpoint_is_forgotten(self):
        self.tell("b")
        with self.server.connect() as client:
            client.send("set a 1\r\n")
            self.assertTrue(client.is_silent())
            client.socket.close()
        self.tell("i")
        with self.server.connect() as client:
            client.ask("get a\r\n", "$1\r\n1\r\n")

    def test_terminated_it_makes_the_checkpoint_of_what_was_run(self):
        self.tell("b")
        with self.server.connect() as client:
            client.send("set a 1\r\n")
            self.assertTrue(client.is_silent())
            self.server.process.send_signal(signal.SIGTERM)
            self.tell("i")
            self.assertEqual(client.read_to_end(), b"+OK\r\n")
        self.assertEqual(self.server.end()[0], 0)

    def test_what_is_used_of_the_map_is_told_before_a_checkpoint(self):
        with self.server.connect() as client:
            for key in "abcd":
                client.send(f"*3\r\n$3\r\nset\r\n$1\r\n{key}\r\n$900000\r\n{'v' * 900000}\r\n")
                self.assertEqual(client.read(5), b"+OK\r\n")
        used = self.tell("h")[3]
        self.assertGreaterEqual(used, 4)
        self.assertLess(used, 16, "of 64")

    def test_a_held_client_is_not_read_again(self):
        self.tell("h")
        with self.server.connect() as client, self.server.connect() as other:
            client.send("incr n\r\n")
            self.assertTrue(client.is_silent())
            client.send("incr n\r\n")
            other.send("incr m\r\n")
            until(lambda: self.tell("h")[0] == 2, "the other one is run")
            self.assertTrue(client.has_nothing())
            self.assertEqual(self.tell("h")[0], 2, "the held one is not")
            self.tell("r")
            self.assertEqual(client.read(8), b":1\r\n:2\r\n")
            self.assertEqual(other.read(4), b":1\r\n")

    def test_a_wanted_checkpoint_is_taken_without_requests(self):
        self.tell("w")
        end = time.monotonic() + DEADLINE_SECONDS
        while self.tell("i")[0] == 0:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.tell("i")[0], 1, "and once")

    def test_halted_says_nothing_more_and_ends(self):
        self.tell("h")
        with self.server.connect() as client, self.server.connect() as idle:
            client.send("set a 1\r\n")
            self.assertTrue(client.is_silent())
            self.tell("x")
            self.assertEqual(client.read_to_end(), b"")
            self.assertEqual(idle.read_to_end(), b"")
        status, errors = self.server.end()
        self.assertEqual(status, 3)
        self.assertEqual(errors.count("\n"), 1)
        self.assertIn("halted, another node leads", errors)

    def test_a_stopped_server_answers_nothing_it_reads_after_it_was_halted(self):
        with self.server.connect() as client:
            client.ask("set a 1\r\n", "+OK\r\n")
            self.tell("h")
            self.server.process.send_signal(signal.SIGSTOP)
            client.send("get a\r\n")
            with open(self.gate.path, "wb", buffering=0) as pipe:
                pipe.write(b"x")
                self.server.process.send_signal(signal.SIGCONT)
                self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(self.server.end()[0], 3)

    def test_terminated_it_waits_for_the_release(self):
        self.tell("h")
        with self.server.connect() as client:
            client.send("set a 1\r\n")
            self.assertTrue(client.is_silent())
            self.server.process.send_signal(signal.SIGTERM)
            self.assertTrue(client.is_silent())
            self.tell("r")
            self.assertEqual(client.read_to_end(), b"+OK\r\n")
        self.assertEqual(self.server.end()[0], 0)

    def test_terminated_it_does_not_wait_for_ever_and_sends_nothing_held(self):
        self.tell("h")
        with self.server.connect() as client:
            client.send("set a 1\r\n")
            self.assertTrue(client.is_silent())
            self.server.process.send_signal(signal.SIGTERM)
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(self.server.end()[0], 0)

    def test_info_tells_about_the_pair(self):
        with redis.Redis(port=self.server.port) as r:
            r.set("a", 1)
            info = r.info("tandem")
        self.assertEqual(info["pair"], "kv")
        self.assertEqual(info["generation"], 3)
        self.assertEqual(info["epoch_committed"], 1)
        self.assertEqual(info["is_pair"], 1)
        self.assertEqual(info["tandem_role"], "primary_pair")


class StartTest(unittest.TestCase):
    def test_with_every_tracker(self):
        for tracker in ("auto", "pagemap", "mark", "compare"):
            arguments = ("--tracker", tracker, "--run-dir", "/tmp")
            with Server(PROGRAM, *arguments, standalone=False) as server:
                with server.connect() as client:
                    client.ask("set a 1\r\n", "+OK\r\n")
                self.assertEqual(server.stop(), (0, ""))

    def test_refused(self):
        with Server(PROGRAM, standalone=False, environment={"FAKE_TANDEM_REFUSES": "1"}) as server:
            status, errors = server.end()
        self.assertEqual(status, 3)
        self.assertIn("node b leads pair kv since generation 7", errors)
        self.assertEqual(server.line, "")

    def test_killed_where_replies_begin_to_leave(self):
        environment = {"TANDEM_FAILPOINT": "reply:kill:2"}
        with Server(PROGRAM, standalone=False, environment=environment) as server:
            with server.connect() as client:
                client.ask("set a 1\r\n", "+OK\r\n")
                client.send("set a 2\r\n")
                self.assertEqual(client.read_to_end(), b"")
            self.assertEqual(server.end()[0], -signal.SIGKILL)

    def test_takes_over_from_an_image(self):
        with tempfile.TemporaryDirectory(prefix="tandem-kv-image-", dir="/dev/shm") as directory:
            image = os.path.join(directory, "map")
            with Server(PROGRAM, "--map", image, "--map-size", "4", standalone=False) as server:
                with redis.Redis(port=server.port) as r:
                    r.set("a", "kept")
                server.process.kill()
            # --map has no meaning now: the image is what is served, at its own size.
            environment = {"TANDEM_IMAGE_DIR": directory, "TANDEM_PAIR": "kv"}
            other = os.path.join(directory, "other")
            with Server(PROGRAM, "--map", other, "--map-size", "8", standalone=False,
                        environment=environment) as server:
                self.assertIn("map 4 MiB, tracker ", server.line)
                with redis.Redis(port=server.port) as r:
                    self.assertEqual(r.get("a"), b"kept")
                    r.set("b", "new")
                    self.assertEqual(r.info("tandem")["is_takeover"], 1)
                self.assertFalse(os.path.exists(other))
                copy = shutil.copy(image, os.path.join(directory, "copy"))
                server.stop()
            self.assertTrue(os.path.exists(image))
            for path in (image, copy):
                stat = subprocess.run(["mdb_stat", "-n", path], capture_output=True, text=True,
                                      timeout=20, check=True).stdout
                self.assertIn("Entries: 2", stat)

    def test_an_image_that_is_missing(self):
        environment = {"TANDEM_IMAGE_DIR": "/dev/shm/no-such-directory", "TANDEM_PAIR": "kv"}
        with Server(PROGRAM, standalone=False, environment=environment) as server:
            status, errors = server.end()
        self.assertEqual(status, 1)
        self.assertIn("/dev/shm/no-such-directory/map", errors)


if __name__ == "__main__":
    unittest.main()
