"""`tandem-bench failover` with a few rounds of each fault: the fields of its report, and that they can
be true. Times are not judged: the machine of a test is busy. Run as `SCRIPT TANDEM_BENCH`."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PARTS = ("detect_ms", "decide_ms", "fence_ms", "drain_ms", "activate_ms", "reply_ms")
# Wide windows: a machine that is busy with other tests is no dead peer.
ARGUMENTS = ("--profile", "vm", "--size", "16M")


def command(*arguments):
    return [PROGRAM, "failover", *ARGUMENTS, *arguments]


def run(*arguments, status=0):
    result = subprocess.run(command(*arguments), timeout=100, capture_output=True, text=True,
                            check=False)
    if result.returncode != status:
        raise AssertionError(f"{arguments}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def commands_of(directory):
    """Processes that write their logs below the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "fd" / "1").startswith(directory):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tandem-")
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.directory], check=False))

    def report_of(self, *arguments):
        path = Path(self.directory) / "report.json"
        told = run("--directory", self.directory, "--json", str(path), *arguments).stdout
        self.assertEqual([entry.name for entry in Path(self.directory).iterdir()], ["report.json"])
        self.assertEqual(commands_of(self.directory), [])
        return json.loads(path.read_text()), told

    def check_distribution(self, distribution, count):
        self.assertEqual(set(distribution), {"count", "p50", "p99", "max"})
        self.assertEqual(distribution["count"], count)
        self.assertLessEqual(0, distribution["p50"])
        self.assertLessEqual(distribution["p50"], distribution["p99"])
        self.assertLessEqual(distribution["p99"], distribution["max"])

    def check(self, report, told, rounds):
        self.assertEqual(report["rounds"], rounds)
        self.assertEqual(report["lost_writes"], 0)
        self.assertLess(0, report["acknowledged_writes"])
        self.assertLess(0, report["failover_ms"]["p50"])
        for name in ("failover_ms", "pair_again_ms", *PARTS):
            self.check_distribution(report[name], rounds)
            self.assertIn(name.replace("pair_again_ms", "pair again"), told)
        samples = report["failover_samples_ms"]
        self.assertEqual(samples, sorted(samples))
        self.assertEqual(samples[-1], report["failover_ms"]["max"])
        for part in PARTS:
            self.assertLessEqual(report[part]["max"], report["failover_ms"]["max"])


class Failover(Case):
    def test_death_of_the_process(self):
        report, told = self.report_of("--rounds", "3")
        self.assertEqual((report["fault"], report["profile"]), ("kill", "vm"))
        self.check(report, told, 3)

    def test_stopped_node(self):
        report, told = self.report_of("--rounds", "2", "--fault", "stop", "--connections", "2")
        self.assertEqual(report["fault"], "stop")
        self.check(report, told, 2)
        # 6 beats of 50 ms, of which the last may have been sent just before.
        self.assertLess(200, report["detect_ms"]["p50"])

    def test_nothing_outlives_it(self):
        """Not even when nobody can tell it to end."""
        bench = subprocess.Popen(command("--directory", self.directory, "--rounds", "100000"),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(bench.kill)
        self.wait_for(lambda: any("tandem-kv" in line for line in commands_of(self.directory)))
        bench.send_signal(signal.SIGKILL)
        bench.wait()
        self.wait_for(lambda: not commands_of(self.directory))
        self.remove_images()

    def test_it_ends_by_a_signal(self):
        bench = subprocess.Popen(command("--directory", self.directory, "--rounds", "100000"),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(bench.kill)
        self.wait_for(lambda: any("tandem-kv" in line for line in commands_of(self.directory)))
        bench.send_signal(signal.SIGTERM)
        told = bench.communicate(timeout=30)[1]
        self.assertEqual(bench.returncode, 1)
        self.assertIn("ended by a signal", told)
        self.assertEqual(commands_of(self.directory), [])

    def remove_images(self):
        """Files are all that it could leave behind."""
        text = next(Path(self.directory).glob("*/tandem.conf")).read_text()
        directory = re.search(r'image_directory = "(/dev/shm/tandem-bench-[^/"]+)', text).group(1)
        subprocess.run(["rm", "-rf", directory], check=True)

    def wait_for(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


class Usage(unittest.TestCase):
    def test_help(self):
        self.assertIn("examples:", run("--help").stdout)

    def test_wrong_use(self):
        self.assertIn("must be one of: kill stop none", run("--fault", "pause", status=2).stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
