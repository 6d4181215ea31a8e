"""The whole oracle against servers that are right, and against servers with a seeded fault."""

import unittest

from oracle import linearizability, loss, resp, value
from oracle.client import Client
from oracle.fake_server import FakeServer

WRITES = 3000


class Story:
    """Load on one server, its death, then everything read back from its successor."""

    def __init__(self, first, succeed):
        client = Client(seed=7, connections_count=4, groups_count=40, shared_count=4)
        connections = client.connect("a", first.address)
        self.reached = client.load(
            connections, lambda: client.tally.acknowledged_writes >= WRITES, 30
        )
        first.stop()
        client.drain(connections, 5)
        second = succeed(first)
        connections = client.connect("b", second.address)
        self.reads = client.read_back(connections, 30)
        client.load(connections, lambda: False, 0.1)
        client.drain(connections, 5)
        second.stop()
        client.close()
        self.client = client
        self.lost = loss.find(client.history, self.reads)
        self.findings = linearizability.check(client.history)


class Right(unittest.TestCase):
    def test_successor_with_everything(self):
        story = Story(FakeServer(), lambda first: FakeServer(first.store))
        self.assertTrue(story.reached)
        self.assertEqual(story.lost, [])
        self.assertEqual(story.client.tally.torn_keys, set())
        self.assertEqual(story.findings, [])
        self.assertEqual(story.client.tally.errors, 0)


class ForgetsWhileServing(FakeServer):
    """Acknowledges every write and keeps all but each hundredth."""

    counted = 0

    def write(self, key, written):
        self.counted += 1
        if self.counted % 100:
            super().write(key, written)


class Wrong(unittest.TestCase):
    def test_successor_without_one_cell(self):
        def succeed(first):
            store = dict(first.store)
            del store[max(key for key in store if b":group:" in key)]
            return FakeServer(store)

        story = Story(FakeServer(), succeed)
        self.assertNotEqual(story.lost, [])
        self.assertNotEqual(story.findings, [])

    def test_successor_that_counts_one_less(self):
        def succeed(first):
            store = dict(first.store)
            key = max(key for key in store if b":counter:" in key)
            store[key] = b"%d" % (int(store[key]) - 1)
            return FakeServer(store)

        story = Story(FakeServer(), succeed)
        self.assertEqual(len(story.lost), 1)
        self.assertEqual(len(story.findings), 1)

    def test_successor_with_a_torn_value(self):
        def succeed(first):
            store = dict(first.store)
            key = max(key for key in store if b":group:" in key)
            store[key] = store[key][:-20] + b"x" + store[key][-19:]
            return FakeServer(store)

        story = Story(FakeServer(), succeed)
        self.assertEqual(len(story.client.tally.torn_keys), 1)
        self.assertNotEqual(story.findings, [])

    def test_server_that_forgets_while_it_serves(self):
        story = Story(ForgetsWhileServing(), lambda first: FakeServer(first.store))
        self.assertNotEqual(story.findings, [])


class Values(unittest.TestCase):
    KEY = b"oracle:group:1:2"

    def test_round_trip(self):
        padding = value.Padding(1)
        for sequence in range(1, 500):
            encoded = value.encode(self.KEY, sequence, padding.take())
            self.assertEqual(value.decode(self.KEY, encoded), sequence)

    def test_mixture_of_two_values(self):
        first = value.encode(self.KEY, 1, b"a" * 300)
        second = value.encode(self.KEY, 2, b"b" * 300)
        for cut in range(1, len(first)):
            mixed = first[:cut] + second[cut:]
            if mixed not in (first, second):
                self.assertIsNone(value.decode(self.KEY, mixed))

    def test_value_of_another_key(self):
        self.assertIsNone(value.decode(b"other", value.encode(self.KEY, 1, b"")))

    def test_short_and_strange_bytes(self):
        for read in (b"", b"1", b"12345678", b"|||||", bytes(range(256))):
            self.assertIsNone(value.decode(self.KEY, read))


class Replies(unittest.TestCase):
    WHOLE = b"*3\r\n$3\r\nabc\r\n$-1\r\n:7\r\n"

    def test_every_cut_waits_for_the_rest(self):
        for cut in range(len(self.WHOLE)):
            self.assertIsNone(resp.parse(self.WHOLE[:cut], 0))
        self.assertEqual(resp.parse(self.WHOLE, 0), ([b"abc", None, 7], len(self.WHOLE)))

    def test_errors_are_told_apart(self):
        reply, _ = resp.parse(b"-ERR no\r\n", 0)
        self.assertIsInstance(reply, resp.ReplyError)

    def test_bytes_that_are_no_reply(self):
        for data in (b"hello\r\n", b"$x\r\n", b"$1\r\nabc\r\n", b":\r\n"):
            with self.assertRaises(resp.ProtocolError):
                resp.parse(data, 0)


if __name__ == "__main__":
    unittest.main()
