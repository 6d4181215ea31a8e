"""`tandem-bench checkpoint` and `copy` with tiny sizes: the fields of its report, that they can be true, the
picture, and that nothing is left behind. Times are not judged. Run as `SCRIPT TANDEM_BENCH`."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MIB = 1 << 20
LATENCY_KEYS = {"count", "mean", "p50", "p99", "p999", "max"}
SPANS = ("pause_us", "memory_us", "scan_us", "push_us", "commit_us", "apply_us", "total_us")
BARE = ("bare_scan_us", "bare_copy_us", "bare_send_us")
RATIOS = ("scan_ratio", "copy_ratio", "send_ratio")
TINY = ("--size", "16M", "--provider", "tcp")


def left_behind(number):
    """Files of the bench with this process number."""
    return [path for folder in ("/tmp", "/dev/shm")
            for path in Path(folder).glob(f"tandem-bench-{number}-*")]


def run(*arguments, command="checkpoint", status=0):
    """What it prints, and what it says of errors."""
    few = ("--epochs", "5") if command == "checkpoint" else ()
    with subprocess.Popen([PROGRAM, command, *TINY, *few, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.communicate(timeout=60)
    if process.returncode != status or left_behind(process.pid):
        raise AssertionError(f"{arguments}: status {process.returncode}, left "
                             f"{left_behind(process.pid)}\n{output}{errors}")
    return output, errors


def bench(*arguments, status=0, **words):
    output, errors = run(*arguments, status=status, **words)
    return output if status == 0 else errors


def report_of(*arguments, command="checkpoint"):
    return json.loads(bench("--json", *arguments, command=command))


def bare_words():
    """--bare where the kernel can: Linux 6.7."""
    return ("--bare",) if report_of("--dirty", "4K")["tracker"] == "pagemap" else ()


class Case(unittest.TestCase):
    def check_latency(self, latency, count):
        self.assertEqual(set(latency), LATENCY_KEYS)
        self.assertEqual(latency["count"], count)
        self.assertLess(0, latency["p50"])
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["p999"])
        self.assertLessEqual(latency["p999"], latency["max"])
        self.assertLessEqual(latency["mean"], latency["max"])

    def check_samples(self, row, count):
        samples = row["pause_samples_us"]
        self.assertEqual(len(samples), count)
        self.assertEqual(samples, sorted(samples))
        self.assertAlmostEqual(samples[-1], row["pause_us"]["max"], 3)
        self.assertEqual(sum(how_often for _, how_often in row["pause_histogram_us"]), count)


class Report(Case):
    def test_rows_and_their_pairs(self):
        bare = bare_words()
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder, "pause.svg")
            report = report_of("--dirty", "64K,25%,100%", *bare, "--channels", "2", "--plot", picture)
            self.check_picture(picture, bare)
        self.assertEqual(report["provider"], "tcp")
        self.assertEqual(report["channels"], 2)
        self.assertEqual(report["size_bytes"], 16 * MIB)
        self.assertLess(0, report["program_memory_bytes"])
        self.assertLess(32 * MIB, report["standby_memory_bytes"], "cache and image")
        self.assertEqual([row["dirty_bytes"] for row in report["rows"]], [65536, 4 * MIB, 16 * MIB])
        for row in report["rows"]:
            for name in SPANS:
                self.check_latency(row[name], 5)
            self.check_samples(row, 5)
            self.assertLessEqual(row["memory_us"]["p50"], row["pause_us"]["max"])
        if bare:
            self.check_bare(report["rows"])

    def check_bare(self, rows):
        for row in rows:
            self.assertEqual(row["pushed_bytes_mean"], row["dirty_bytes"])
            for name in BARE:
                self.check_latency(row[name], 5)
            for name in RATIOS:
                self.assertLess(0, row[name]["p25"])
                self.assertLessEqual(row[name]["p25"], row[name]["p50"])
                self.assertLessEqual(row[name]["p50"], row[name]["p75"])

    def check_picture(self, path, bare):
        root = ElementTree.parse(path).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        text = path.read_text(encoding="utf-8")
        for words in ("The pause of a checkpoint", "64 KiB", "16 MiB"):
            self.assertIn(words, text)
        self.assertEqual("bare scan and plain send" in text, bool(bare))

    def test_each_pattern(self):
        for pattern in ("random", "sequential", "hot"):
            with self.subTest(pattern=pattern):
                report = report_of("--pattern", pattern, "--dirty", "1M")
                self.assertEqual(report["pattern"], pattern)
                row = report["rows"][0]
                self.check_latency(row["pause_us"], 5)
                self.assertGreater(row["pushed_bytes_mean"], 0)
                self.assertLessEqual(row["pushed_bytes_mean"], MIB)

    def test_rates(self):
        for pattern in ("random", "upload"):
            with self.subTest(pattern=pattern):
                report = report_of("--pattern", pattern, "--rate", "20M", "--interval", "100")
                row = report["rows"][0]
                self.assertEqual(row["dirty_bytes"], 2 * MIB)
                self.check_latency(row["pause_us"], 5)
                self.check_latency(row["memory_us"], 5)
                self.check_samples(row, 5)
                self.assertGreaterEqual(row["seconds"], 0.5)
                self.assertGreater(row["pushed_bytes_mean"], 0)

    def test_captures(self):
        for words in (("--capture", "stage"), ("--capture", "auto"),
                      ("--capture", "stage", "--push-interval", "2000", "--budget", "20000")):
            with self.subTest(words=words):
                report = report_of(*words, "--dirty", "64K,4M")
                self.assertEqual(report["capture"], words[1])
                for row in report["rows"]:
                    self.check_latency(row["pause_us"], 5)
                    # What was pushed before the call is not of its epoch's figures.
                    self.assertLessEqual(row["pushed_bytes_mean"], row["dirty_bytes"])

    def test_marks(self):
        report = report_of("--tracker", "mark", "--dirty", "4K,1M")
        self.assertEqual(report["tracker"], "mark")
        self.assertEqual([row["pushed_bytes_mean"] for row in report["rows"]], [4096, MIB])

    def test_text(self):
        text = bench("--dirty", "1M")
        for words in ("16 MiB", "5 checkpoints", "pause"):
            self.assertIn(words, text)

    def test_nothing_is_left_of_one_that_was_killed(self):
        with subprocess.Popen([PROGRAM, "checkpoint", *TINY, "--epochs", "100000", "--dirty", "4K"],
                              stdout=subprocess.PIPE, text=True) as process:
            self.assertRegex(process.stdout.readline(), re.compile("MiB, pattern"))
            process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while left_behind(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(left_behind(process.pid), [])


class Copy(unittest.TestCase):
    def check(self, report, live_bytes):
        self.assertEqual(report["live_bytes"], live_bytes)
        self.assertLess(0, report["copy_seconds"])
        self.assertLess(report["copy_seconds"], report["seconds"])
        self.assertLessEqual(report["pushed_bytes"], report["channel_bytes"])

    def test_free_pages_cost_no_data(self):
        for history in ("boot", "ended"):
            with self.subTest(history=history):
                report = report_of("--history", history, "--live", "1M", "--free", command="copy")
                self.check(report, MIB)
                self.assertEqual(report["pushed_bytes"], MIB)

    def test_what_is_not_known_to_be_free_is_copied(self):
        report = report_of("--history", "ended", "--live", "1M", command="copy")
        self.check(report, MIB)
        self.assertEqual(report["pushed_bytes"], 16 * MIB)

    def test_the_program_writes_meanwhile(self):
        report = report_of("--live", "16M", "--rate", "100M", command="copy")
        self.check(report, 16 * MIB)
        self.assertGreaterEqual(report["pushed_bytes"], 16 * MIB)
        self.assertGreater(report["written_bytes"], 0)
        text = bench("--rate", "100M", command="copy")
        for words in ("16 MiB", "a copy after", "meanwhile the program wrote"):
            self.assertIn(words, text)


    def test_a_program_that_outpaces_its_copy_is_held_and_told(self):
        output, errors = run("--json", "--size", "64M", "--live", "64M", "--rate", "900G",
                             command="copy")
        report = json.loads(output)
        self.assertRegex(errors, r"the program writes as fast as a copy of it is made: it was held "
                                 r"for \d+ ms, until the last \d+ of 64 MiB were on their way\n")
        self.assertEqual(errors.count("it was held"), 1)
        self.assertGreater(report["held_seconds"], 0)
        # Two passes and the rest of one more: the copy does not go on for ever.
        self.assertLessEqual(report["pushed_bytes"], 4 * 64 * MIB)

    def test_a_program_that_writes_little_is_not_held(self):
        output, errors = run("--json", "--live", "16M", "--rate", "1M", command="copy")
        self.assertEqual(json.loads(output)["held_seconds"], 0)
        self.assertNotIn("held", errors)


class Refusals(unittest.TestCase):
    def test_wrong_options(self):
        self.assertIn("usage:", bench("--live", "17M", command="copy", status=2))
        for arguments in (("--rate", "64M"), ("--pattern", "cold"), ("--dirty", "17M"), ("word",)):
            with self.subTest(arguments=arguments):
                self.assertIn("usage:", bench(*arguments, status=2))

    def test_bare_without_write_protection(self):
        self.assertIn("pagemap", bench("--tracker", "mark", "--bare", status=1))

    def test_picture_that_cannot_be_written(self):
        result = bench("--dirty", "4K", "--plot", "/nowhere/pause.svg", status=1)
        self.assertIn("/nowhere/pause.svg", result)

    def test_help(self):
        for command in ("checkpoint", "copy"):
            self.assertIn("examples:", bench("--help", command=command))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
