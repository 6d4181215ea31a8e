"""`tandem-bench transport`, `yank` and `fence` over TCP with tiny sizes: the fields of their reports,
and that they can be true. Run as `SCRIPT TANDEM_BENCH`."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kill.layout import free_ports  # noqa: E402 (the path comes first)

MIB = 1 << 20
LATENCY_KEYS = {"count", "p50", "p99", "p999", "max"}
PATTERN_WRITE_BYTES = {"random": 4096, "runs": 65536, "sequential": 262144}


def bench(*arguments, command="transport", status=0):
    result = subprocess.run([PROGRAM, command, "--provider", "tcp", *arguments], timeout=60,
                            capture_output=True, text=True, check=False)
    if result.returncode != status:
        raise AssertionError(f"{arguments}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def report_of(*arguments, command="transport"):
    return json.loads(bench("--json", *arguments, command=command).stdout)


class Case(unittest.TestCase):
    def check_latency(self, latency, count):
        self.assertEqual(set(latency), LATENCY_KEYS)
        self.assertEqual(latency["count"], count)
        self.assertLess(0, latency["p50"])
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["p999"])
        self.assertLessEqual(latency["p999"], latency["max"])


class Report(Case):
    def check_rates(self, report, total_bytes):
        self.assertLess(0, report["seconds"])
        self.assertAlmostEqual(report["bytes_per_second"] * report["seconds"], total_bytes, 1)
        self.assertAlmostEqual(report["pages_s"] * report["seconds"], total_bytes / 4096, 1)
        for side in ("sender", "receiver"):
            cpu_s = report[f"{side}_cpu_s_per_gib"] * total_bytes / MIB / 1024
            self.assertGreaterEqual(cpu_s, 0)

    def test_each_pattern(self):
        for pattern, write_bytes in PATTERN_WRITE_BYTES.items():
            for channels in (1, 4):
                with self.subTest(pattern=pattern, channels=channels):
                    report = report_of("--pattern", pattern, "--channels", str(channels), "--bytes",
                                       "2M", "--region-bytes", "8M", "--epochs", "3", "--commits", "20")
                    self.assertEqual(report["provider"], "tcp")
                    self.assertEqual(report["pattern"], pattern)
                    self.assertEqual(report["channels"], channels)
                    self.assertEqual(report["bytes"], 2 * MIB)
                    self.assertEqual(report["region_bytes"], 8 * MIB)
                    self.assertEqual(report["write_bytes"], write_bytes)
                    self.check_rates(report, 3 * 2 * MIB)
                    self.check_latency(report["epoch_us"], 3)
                    self.check_latency(report["commit_us"], 20)

    def test_text(self):
        text = bench("--bytes", "1M", "--epochs", "1", "--commits", "5").stdout
        for word in ("goodput", "epoch", "one-page commit", "CPU"):
            self.assertIn(word, text)

    def test_two_processes(self):
        port = str(free_ports())
        with subprocess.Popen([PROGRAM, "transport", "--provider", "tcp", "--listen", "--port", port],
                              stderr=subprocess.PIPE, text=True) as receiver:
            self.assertIn(port, receiver.stderr.readline())
            report = report_of("--connect", "127.0.0.1", "--port", port, "--bytes", "1M")
            self.assertEqual(receiver.wait(60), 0)
        self.check_rates(report, 8 * MIB)


class Yank(Case):
    def test_with_a_stopped_peer(self):
        report = report_of("--rounds", "3", "--channels", "2", "--depth", "32", command="yank")
        self.assertEqual(report["requests"], 64)
        for name in ("issue_us", "done_us", "bare_sockets_issue_us", "bare_sockets_done_us"):
            self.check_latency(report[name], 3)
        self.assertLessEqual(report["issue_us"]["max"], report["done_us"]["max"])


class Fence(Case):
    def test_of_two_sizes(self):
        report = report_of("--sizes", "2M,8M", "--rounds", "2", command="fence")
        rows = [(row["size_bytes"], row["has_huge_pages"]) for row in report["rows"]]
        self.assertEqual(rows, [(2 * MIB, False), (2 * MIB, True), (8 * MIB, False), (8 * MIB, True)])
        for row in report["rows"]:
            self.check_latency(row["fence_us"], 2)


class Refusals(unittest.TestCase):
    def test_load_that_does_not_fit(self):
        result = bench("--bytes", "8M", "--region-bytes", "4M", status=1)
        self.assertIn("each page once", result.stderr)

    def test_region_beyond_the_receiver(self):
        result = bench("--pattern", "sequential", "--bytes", "1M", "--region-bytes", "900G",
                       status=1)
        self.assertIn("half of the receiver's memory", result.stderr)

    def test_wrong_options(self):
        for arguments in (("--pattern", "none"), ("--channels", "17"), ("--bytes", "5X"),
                          ("--bytes", "-4096"), ("--listen", "--connect", "127.0.0.1"), ("word",)):
            with self.subTest(arguments=arguments):
                self.assertIn("usage:", bench(*arguments, status=2).stderr)

    def test_help(self):
        self.assertIn("examples:", bench("--help").stdout)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
