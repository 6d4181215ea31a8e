#!/usr/bin/python3
"""tandem-kv standing alone, as its users' tools see it: redis-py, redis-cli, redis-benchmark and
LMDB's own. usage: kv_commands.py PATH_OF_TANDEM_KV"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import redis

from kv_server import DEADLINE_SECONDS, Client, Server, until

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.layout import free_ports  # noqa: E402 (the path comes first)

PROGRAM = sys.argv.pop()


def run(*command, **options):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, **options
    ).stdout


class WithServer(unittest.TestCase):
    def setUp(self):
        self.server = Server(PROGRAM)
        self.addCleanup(self.server.__exit__)
        self.redis = redis.Redis(port=self.server.port)

    def tearDown(self):
        self.redis.close()
        self.assertEqual(self.server.stop(), (0, ""))


class RedisPy(WithServer):
    def test_strings(self):
        r = self.redis
        self.assertTrue(r.set("a", b"\0\r\n\xff"))
        self.assertEqual(r.get("a"), b"\0\r\n\xff")
        self.assertIsNone(r.get("b"))
        self.assertIsNone(r.set("a", 1, nx=True))
        self.assertEqual(r.set("a", 2, get=True), b"\0\r\n\xff")
        self.assertEqual(r.incr("a", 40), 42)
        self.assertEqual(r.decr("a"), 41)
        self.assertTrue(r.mset({"x": 1, "y": 2}))
        self.assertEqual(r.mget("x", "nothing", "y"), [b"1", None, b"2"])
        self.assertEqual(r.exists("x", "y", "nothing"), 2)
        self.assertEqual(r.delete("x", "nothing"), 1)
        self.assertEqual(r.type("y"), b"string")
        self.assertEqual(r.strlen("y"), 1)
        self.assertEqual(r.dbsize(), 2)
        self.assertTrue(r.flushall())
        self.assertEqual(r.dbsize(), 0)

    def test_expiry(self):
        r = self.redis
        r.set("a", 1, ex=100)
        self.assertTrue(100 - DEADLINE_SECONDS < r.ttl("a") <= 100, r.ttl("a"))
        r.set("b", 1, px=1)
        until(lambda: r.get("b") is None, "b expires")
        self.assertEqual(r.ttl("b"), -2)
        r.set("a", 2, keepttl=True)
        self.assertGreater(r.ttl("a"), 0)
        self.assertTrue(r.persist("a"))
        self.assertEqual(r.ttl("a"), -1)

    def test_scan(self):
        names = {f"key:{i}".encode() for i in range(5000)}
        with self.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.set(name, b"v")
            pipe.execute()
        self.assertEqual(set(self.redis.scan_iter(count=100)), names)
        matching = {name for name in names if name.startswith(b"key:12")}
        self.assertEqual(set(self.redis.scan_iter(match="key:12*")), matching)

    def test_large_values_in_a_pipeline(self):
        values = {f"v{i}": os.urandom(1 << 20) for i in range(20)}
        with self.redis.pipeline(transaction=False) as pipe:
            for name, value in values.items():
                pipe.set(name, value)
            self.assertEqual(pipe.execute(), [True] * 20)
            for name in values:
                pipe.get(name)
            self.assertEqual(pipe.execute(), list(values.values()))

    def test_administration(self):
        r = self.redis
        self.assertTrue(r.ping())
        self.assertEqual(r.echo("hello"), b"hello")
        r.client_setname("me")
        self.assertEqual(r.client_getname(), "me")
        self.assertEqual(r.client_list()[0]["name"], "me")
        self.assertEqual(r.config_get("appendonly"), {"appendonly": "no"})
        info = r.info()
        self.assertEqual(info["tandem_role"], "standalone")
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["connected_clients"], 1)
        self.assertEqual(info["tcp_port"], self.server.port)

    def test_errors(self):
        with self.assertRaisesRegex(redis.ResponseError, "unknown command 'LPUSH'"):
            self.redis.lpush("a", 1)
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments for 'get'"):
            self.redis.execute_command("GET")
        with self.assertRaisesRegex(redis.ResponseError, "1 to 511 bytes"):
            self.redis.set("k" * 512, 1)
        with self.assertRaises(redis.ResponseError):
            self.redis.execute_command("HELLO", 3)
        self.assertTrue(self.redis.ping())


class StockTools(WithServer):
    def cli(self, *arguments, **options):
        return run("redis-cli", "-p", str(self.server.port), *arguments, **options)

    def test_redis_cli(self):
        self.assertEqual(self.cli("set", "a", "1"), "OK\n")
        self.assertEqual(self.cli("incr", "a"), "2\n")
        self.assertEqual(self.cli(input="set b 2\nget b\n"), "OK\n2\n")
        self.assertEqual(sorted(self.cli("--scan").split()), ["a", "b"])
        self.assertIn("unknown command", self.cli("lpush", "a", "1"))
        # Two keys and a thousand that come through --pipe.
        lines = "".join(f"set p{i} {i}\r\n" for i in range(1000))
        self.assertIn("errors: 0, replies: 1000", self.cli("--pipe", input=lines))
        self.assertEqual(self.cli("dbsize"), "1002\n")

    def test_redis_benchmark(self):
        for pipeline in ("1", "16"):
            output = run(
                *("redis-benchmark", "-p", str(self.server.port), "-t", "ping,set,get,incr,mset"),
                *("-n", "5000", "-r", "1000", "-c", "20", "-P", pipeline, "--csv"),
            )
            rates = {line.split(",")[0].strip('"') for line in output.splitlines()[1:]}
            wanted = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"}
            self.assertEqual(rates, wanted)
        self.assertGreater(self.redis.dbsize(), 900)


class Streams(WithServer):
    """What no well-behaved client sends."""

    def test_bytes_one_by_one(self):
        with self.server.connect() as client:
            for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\nget k\r\n":
                client.send(bytes([byte]))
            self.assertEqual(client.read(15), b"+OK\r\n$4\r\na\r\nb\r\n")

    def test_protocol_errors_are_answered_and_close(self):
        for stream, error in (
            ("*1\r\n$-1\r\n", "invalid bulk length"),
            ("*99999999\r\n", "invalid multibulk length"),
            ("*1\r\nPING\r\n", "expected '$', got 'P'"),
            ("*1\r\n$4\r\nPINGxx", "expected CRLF after bulk"),
            ('get "a\r\n', "unbalanced quotes in request"),
            ("x" * 70000, "too big inline request"),
        ):
            with self.server.connect() as client:
                client.send("PING\r\n" + stream)
                self.assertEqual(
                    client.read_to_end().decode(), f"+PONG\r\n-ERR Protocol error: {error}\r\n"
                )

    def test_random_bytes(self):
        dice = random.Random(1)
        for _ in range(50):
            with self.server.connect() as client:
                try:
                    client.send(dice.randbytes(dice.randrange(1, 3000)))
                    client.send("\r\nQUIT\r\n")
                except OSError:
                    pass
        self.assertTrue(self.redis.ping())

    def test_half_closed_client_gets_its_replies(self):
        with self.server.connect() as client:
            client.send("set a 1\r\nget a\r\nget")
            client.socket.shutdown(1)
            self.assertEqual(client.read_to_end(), b"+OK\r\n$1\r\n1\r\n")

    def test_quit(self):
        with self.server.connect() as client:
            client.send("QUIT\r\nset a 1\r\n")
            self.assertEqual(client.read_to_end(), b"+OK\r\n")
        self.assertEqual(self.redis.exists("a"), 0)

    def test_reset_by_peer(self):
        for _ in range(20):
            client = self.server.connect()
            client.send("get a\r\n" * 2000)
            client.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: close resets
            client.socket.close()
        self.assertTrue(self.redis.ping())
        until(lambda: self.redis.info()["connected_clients"] == 1, "the others are gone")


class Bounds(unittest.TestCase):
    def test_client_that_does_not_read(self):
        with Server(PROGRAM, "--stall-timeout", "500") as server:
            other = redis.Redis(port=server.port)
            other.set("big", b"v" * 1000000)
            with server.connect() as client:
                client.socket.settimeout(0.2)
                try:
                    while True:
                        client.send("get big\r\n" * 100)
                except (TimeoutError, ConnectionResetError, BrokenPipeError):
                    pass
                # The others are served meanwhile, and it is gone in the end.
                for i in range(100):
                    self.assertTrue(other.set("a", i))
                self.assertLess(resident_mib(server.process.pid), 150)
                until(lambda: other.info()["connected_clients"] == 1, "it is closed")
            self.assertIn("takes no replies", server.stop()[1])

    def test_out_of_descriptors(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        with Server(PROGRAM, preexec=limit) as server:
            clients = [server.connect() for _ in range(40)]
            clients[0].ask("PING\r\n", "+PONG\r\n")
            for client in clients[:30]:
                client.socket.close()
            clients[39].ask("PING\r\n", "+PONG\r\n")
            for client in clients[30:]:
                client.socket.close()
            self.assertIn("accept: ", server.stop()[1])

    def test_full_map(self):
        with Server(PROGRAM, "--map-size", "2") as server:
            r = redis.Redis(port=server.port)
            stored = 0
            with self.assertRaisesRegex(redis.ResponseError, "OOM the map of 2 MiB is full"):
                while True:
                    r.set(f"k{stored}", b"v" * 3000)
                    stored += 1
            self.assertGreater(stored, 100)
            self.assertEqual(r.dbsize(), stored)
            self.assertEqual(r.delete(*(f"k{i}" for i in range(stored // 2))), stored // 2)
            self.assertTrue(r.set("again", b"v" * 3000))
            self.assertTrue(r.flushall())


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) >> 10


class MapFile(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tandem-kv-e2e-", dir="/dev/shm")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "map")

    def test_lmdb_tools_read_it_and_it_is_served_again(self):
        with Server(PROGRAM, "--map", self.path, "--map-size", "4") as server:
            r = redis.Redis(port=server.port)
            r.set("alpha", "one")
            r.set("beta", b"\0" * 100000, pxat=0x0102030405060708)
            for i in range(2000):
                r.set(f"gone{i}", i)
                r.delete(f"gone{i}")
            self.assertEqual(server.stop(), (0, ""))
        self.assertEqual(os.path.getsize(self.path), 4 << 20)
        self.assertIn("Entries: 2", run("mdb_stat", "-n", self.path))
        dump = run("mdb_dump", "-n", self.path).splitlines()
        records = dict(zip(dump[dump.index("HEADER=END") + 1 : -1 : 2],
                           dump[dump.index("HEADER=END") + 2 : -1 : 2]))
        self.assertEqual(records[" " + b"alpha".hex()], " " + "00" * 8 + b"one".hex())
        self.assertEqual(records[" " + b"beta".hex()], " 0807060504030201" + "00" * 100000)
        with Server(PROGRAM, "--map", self.path) as server:
            self.assertIn("map 4 MiB, tracker ", server.line)
            self.assertEqual(redis.Redis(port=server.port).get("alpha"), b"one")

    def test_a_killed_server_leaves_a_sound_map(self):
        with Server(PROGRAM, "--map", self.path) as server:
            with server.connect() as client:
                client.send("".join(f"set k{i} {i}\r\n" for i in range(20000)))
                client.read(5)
                server.process.kill()
                server.end()
        run("mdb_stat", "-n", self.path)
        with Server(PROGRAM, "--map", self.path) as server:
            r = redis.Redis(port=server.port)
            count = r.dbsize()
            self.assertGreater(count, 0)
            self.assertEqual(r.mget(*(f"k{i}" for i in range(count))),
                             [str(i).encode() for i in range(count)])

    def test_one_server_at_a_time(self):
        with Server(PROGRAM, "--map", self.path):
            with Server(PROGRAM, "--map", self.path) as second:
                status, errors = second.end()
                self.assertEqual(status, 1)
                self.assertIn("is in use by another process", errors)

    def test_files_that_are_no_map(self):
        for content, options, message in (
            (b"x" * 5000, (), "which no map of tandem-kv has"),
            (b"\0" * (2 << 20), (), "MDB_INVALID"),
            (b"\0" * (4 << 20), ("--map-size", "8"), "has 4 MiB; leave --map-size out"),
        ):
            with open(self.path, "wb") as file:
                file.write(content)
            with Server(PROGRAM, "--map", self.path, *options) as server:
                status, errors = server.end()
                self.assertEqual(status, 1)
                self.assertIn(message, errors)
            with open(self.path, "rb") as file:
                self.assertEqual(file.read(), content, "untouched")

    def test_the_default_map_has_no_name(self):
        before = set(os.listdir("/dev/shm"))
        with Server(PROGRAM) as server:
            left = [name for name in os.listdir("/dev/shm") if f".{server.process.pid}" in name]
            self.assertEqual(left, [])
            self.assertTrue(before)
            with open(f"/proc/{server.process.pid}/maps", encoding="utf-8") as maps:
                lines = [line for line in maps if "/dev/shm/tandem-kv.standalone" in line]
            self.assertEqual(len(lines), 1)
            self.assertIn("(deleted)", lines[0])


class CommandLine(unittest.TestCase):
    def test_help_has_examples(self):
        output = run(PROGRAM, "--help")
        self.assertIn("usage: tandem-kv --pair PAIR", output)
        self.assertIn("examples:", output)

    def test_start_line(self):
        with Server(PROGRAM, "--map-size", "8") as server:
            self.assertEqual(
                server.line,
                f"tandem-kv: serving pair standalone on 127.0.0.1:{server.port} "
                "(generation 0, epoch 0, map 8 MiB, tracker none)\n",
            )

    def test_ipv6(self):
        with Server(PROGRAM, "--listen", "[::1]:0") as server:
            port = int(server.line.split("[::1]:")[1].split()[0])
            with redis.Redis(host="::1", port=port) as r:
                self.assertTrue(r.ping())
                self.assertIn("[::1]:", r.client_info()["addr"])
            self.assertEqual(server.stop(), (0, ""))

    def test_wrong_use(self):
        for arguments, message in (
            (("--listen", "127.0.0.1:1"), "--pair is missing"),
            (("--pair", "kv"), "--listen is missing"),
            (("--standalone", "--listen", "localhost:1"), "must be ADDRESS:PORT"),
            (("--standalone", "--listen", "127.0.0.1"), "must be ADDRESS:PORT"),
            (("--standalone", "--listen", "127.0.0.1:65536"), "must be ADDRESS:PORT"),
            (("--standalone", "--listen", "[::1:1"), "must be ADDRESS:PORT"),
            (("--standalone", "--listen", "127.0.0.1:1", "--map-size", "1"), "from 2 to"),
            (("--standalone", "--listen", "127.0.0.1:1", "--map-size", "x"), "from 2 to"),
            (("--standalone", "--listen", "127.0.0.1:1", "--tracker", "x"), "must be auto"),
            (("--standalone", "--listen", "127.0.0.1:1", "extra"), "is not expected"),
            (("--pair", "a/b", "--listen", "127.0.0.1:1"), "must not hold a '/'"),
            (("--what",), "see tandem-kv --help"),
        ):
            ended = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True,
                                   timeout=20, check=False)
            self.assertEqual(ended.returncode, 2, arguments)
            self.assertIn(message, ended.stderr)

    def test_address_in_use(self):
        with Server(PROGRAM) as server:
            ended = subprocess.run(
                [PROGRAM, "--standalone", "--listen", f"127.0.0.1:{server.port}"],
                capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(ended.returncode, 1)
            self.assertIn("Address already in use", ended.stderr)

    def test_restart_on_the_same_port_at_once(self):
        port = free_ports()
        with Server(PROGRAM, "--listen", f"127.0.0.1:{port}") as server:
            with server.connect() as client:
                client.ask("PING\r\n", "+PONG\r\n")
                server.stop()
        with Server(PROGRAM, "--listen", f"127.0.0.1:{port}") as server:
            self.assertEqual(server.port, port)
            with Client(port) as client:
                client.ask("PING\r\n", "+PONG\r\n")


if __name__ == "__main__":
    unittest.main()
