#!/usr/bin/python3
"""The metrics of a controller, read as Prometheus' own client reads them, and what bad requests do.
usage: test_metrics.py TANDEM-FAILOVERD TANDEMCTL SOURCE"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

CONTROLLER, TOOL, SOURCE = sys.argv[1:4]
sys.path.insert(0, f"{SOURCE}/tests")

from kill.layout import free_ports, release_ports  # noqa: E402 (the path comes first)

DEADLINE_SECONDS = 30
CROWD = 600


def configuration(directory, metrics_port, first_port):
    nodes = ",\n".join(
        f'{{ name = "{name}"; address = "127.0.0.1"; port = {first_port + 2 * i};'
        f' metrics_port = {metrics_port if name == "a" else 0};'
        f' heartbeat = ( {{ address = "127.0.0.1"; port = {first_port + 2 * i + 1}; }} );'
        f' run_directory = "{directory}/{name}"; image_directory = "{directory}/{name}/i"; }}'
        for i, name in enumerate("ab")
    )
    pairs = ",\n".join(
        f'{{ name = "{name}"; nodes = ["a", "b"]; promote = {{ command = "true"; }};'
        f' arbiter = {{ type = "file"; path = "{directory}/arbiter"; }}; }}'
        for name in ("kv", "other")
    )
    return f'cluster = "test"; nodes = (\n{nodes} );\npairs = ( {pairs} );\n'


class Metrics(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        first_port = free_ports()
        self.addCleanup(release_ports, first_port)
        self.port = first_port + 4
        self.path = Path(self.directory.name) / "tandem.conf"
        self.path.write_text(configuration(self.directory.name, self.port, first_port))
        self.controller = subprocess.Popen(
            [CONTROLLER, "--config", self.path, "--node", "a"], stderr=subprocess.DEVNULL
        )
        self.addCleanup(self.controller.wait)
        self.addCleanup(self.controller.kill)
        self.until(lambda: self.status_is_answered())

    def until(self, holds):
        end = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            self.assertIsNone(self.controller.poll(), "the controller ended")
            self.assertLess(time.monotonic(), end)

    def status(self):
        ended = subprocess.run(
            [TOOL, "--config", self.path, "--node", "a", "status", "--json"],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )
        return json.loads(ended.stdout)

    def status_is_answered(self):
        return self.status()["ok"]

    def get(self, path, **options):
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, **options)
        return urllib.request.urlopen(request, timeout=DEADLINE_SECONDS)

    def scrape(self):
        with self.get("/metrics") as answer:
            kind = answer.headers["Content-Type"]
            self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
            text = answer.read().decode()
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, families, name, **labels):
        labels = {"pair": "kv", "node": "a", **labels}
        found = [sample.value for family in families.values() for sample in family.samples
                 if sample.name == name and sample.labels == labels]
        self.assertEqual(len(found), 1, (name, labels))
        return found[0]

    def raw(self, data, seconds=DEADLINE_SECONDS):
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as one:
            try:
                one.sendall(data)
                return one.recv(65536)
            except ConnectionError:
                return b""

    def test_every_metric_of_the_page_is_there(self):
        page = (Path(SOURCE) / "docs/metrics.md").read_text()
        rows = re.findall(r"^\| `(tandem_\w+)` \| (\w+) \|", page, re.MULTILINE)
        self.assertGreater(len(rows), 20)
        families = self.scrape()
        self.assertEqual(
            [(name.removesuffix("_total"), kind) for name, kind in rows],
            [(family.name, family.type) for family in families.values()],
        )
        for family in families.values():
            self.assertNotEqual(family.documentation, "")

    def test_values(self):
        def arbiter_was_read():
            return {pair["state"] for pair in self.status()["pairs"]} == {"JOINING"}

        self.until(arbiter_was_read)
        families = self.scrape()
        self.assertEqual(self.value(families, "tandem_role", role="JOINING"), 1)
        self.assertEqual(self.value(families, "tandem_role", role="PRIMARY_PAIR"), 0)
        self.assertEqual(self.value(families, "tandem_role", pair="other", role="JOINING"), 1)
        self.assertEqual(self.value(families, "tandem_protected"), 0)
        self.assertEqual(self.value(families, "tandem_generation"), 0)
        self.assertEqual(self.value(families, "tandem_mode", mode="PAIR"), 0)
        self.assertEqual(self.value(families, "tandem_arbiter_up"), 1)
        took = self.value(families, "tandem_arbiter_rtt_seconds", quantile="1")
        self.assertTrue(0 < took < DEADLINE_SECONDS, took)
        self.assertGreater(self.value(families, "tandem_arbiter_rtt_seconds_count"), 0)
        self.assertEqual(self.value(families, "tandem_fence_attempts_total", result="late"), 0)
        self.assertEqual(self.value(families, "tandem_link_up", link="0"), 0)
        self.assertEqual(self.value(families, "tandem_failover_total", reason="automatic"), 0)
        self.assertEqual(
            self.value(families, "tandem_heartbeat_gap_seconds_bucket", link="0", le="+Inf"),
            self.value(families, "tandem_heartbeat_gap_seconds_count", link="0"),
        )
        self.assertEqual(self.value(families, "tandem_alarm", alarm="ARBITER_UNREACHABLE"), 0)
        self.assertEqual(families["tandem_pause_seconds"].samples, [], "no program runs here")

    def test_other_pages(self):
        with self.get("/") as answer:
            self.assertIn(b'href="/metrics"', answer.read())
        for path, options in (
            ("/other", {}), ("/metrics/", {}), ("//", {}),
            ("/metrics", {"data": b"x"}), ("/metrics", {"method": "DELETE"}),
        ):
            with self.subTest(path=path, options=options):
                with self.assertRaises(urllib.error.HTTPError) as caught:
                    self.get(path, **options)
                self.assertGreaterEqual(caught.exception.code, 400)
                caught.exception.close()

    def test_bad_requests_hurt_nobody(self):
        for data in (
            b"\0" * 100 + b"\r\n\r\n",
            b"GET /metrics HTTP/9.9\r\n\r\n",
            b"GET " + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"POST /metrics HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000,
            b"\r\n\r\n\r\n",
        ):
            with self.subTest(data=data[:60]):
                self.assertNotIn(b"tandem_", self.raw(data))
                self.assertIsNone(self.controller.poll())
        self.assertIn("tandem_role", self.scrape())
        self.assertTrue(self.status_is_answered())

    def test_a_crowd_leaves_room_for_the_operator_and_ends(self):
        """They say nothing; the controller's own descriptors are not theirs to take."""
        crowd = []
        try:
            for _ in range(CROWD):
                one = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)
                crowd.append(one)
                one.sendall(b"GET /metrics HTTP/1.1\r\n")
            self.assertTrue(self.status_is_answered())
            open_count = len(list(Path(f"/proc/{self.controller.pid}/fd").iterdir()))
            self.assertLess(open_count, CROWD)
        finally:
            for one in crowd:
                one.close()
        self.assertIn("tandem_role", self.scrape())


class Start(unittest.TestCase):
    def test_a_port_that_is_taken(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            port = one.getsockname()[1]
            path = Path(directory) / "tandem.conf"
            path.write_text(configuration(directory, port, free_ports()))
            ended = subprocess.run(
                [CONTROLLER, "--config", path, "--node", "a"],
                capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
            )
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"metrics_address 127.0.0.1, metrics_port {port}", ended.stderr)
        self.assertIn("Address already in use", ended.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
