#!/usr/bin/env python3
"""What the operator's tool says about a pair that runs, over tcp on two rails of loopback.
usage: operators_eye.py BUILD_DIRECTORY"""

import json
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

from kill import wait  # noqa: E402
from kill.layout import PAIR, on_loopback  # noqa: E402
from kill.pair import Pair  # noqa: E402

PROGRAMS = Path(sys.argv.pop()) / "bin"
CHANNELS = 4
PROBE_LIFE_SECONDS = 5
DEADLINE_SECONDS = 40


def lay_out():
    layout = on_loopback(provider="tcp")
    for node in layout.nodes.values():
        node.rails = ["127.0.0.2"]
    layout.write()
    return layout


class Ground(unittest.TestCase):
    """Node b stands by; subclasses add what they need."""

    has_primary = False

    @classmethod
    def setUpClass(cls):
        cls.layout = lay_out()
        cls.addClassCleanup(cls.layout.remove)
        cls.pair = Pair(cls.layout, PROGRAMS)
        cls.addClassCleanup(cls.pair.__exit__)
        cls.prepare()
        if cls.has_primary:
            cls.pair.start()
            cls.pair.wait_pair()
        else:
            cls.pair.b.start(with_server=False)
            cls.wait_log(r"listening on 127\.0\.0\.2")

    @classmethod
    def prepare(cls):
        """Changes to the configuration before anything starts."""

    @classmethod
    def log(cls, name="b"):
        return cls.layout.log_path(name).read_text()

    @classmethod
    def wait_log(cls, pattern):
        wait.until(lambda: re.search(pattern, cls.log()), DEADLINE_SECONDS, f"{pattern} in the log")

    def command(self, *words, config=None):
        config = config or self.layout.configuration_path
        return [str(PROGRAMS / "tandemctl"), "--config", str(config), "--node", "a", *words]

    def run_tool(self, *words, config=None):
        return subprocess.run(
            self.command(*words, config=config), capture_output=True, text=True,
            timeout=DEADLINE_SECONDS, check=False,
        )

    def config_with_key(self, name, digits):
        """A copy of the file whose pair has another key."""
        key = self.layout.directory / f"{name}.key"
        key.write_text(digits + "\n")
        key.chmod(0o600)
        path = self.layout.directory / f"{name}.conf"
        path.write_text(
            self.layout.configuration().replace(str(self.layout.key_path), str(key))
        )
        return path


class Running(Ground):
    has_primary = True

    def test_doctor_finds_nothing_wrong_and_disturbs_nothing(self):
        before = self.pair.status("a")["pairs"][0]
        ended = self.run_tool("doctor")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn(f"pair {PAIR}, from node a to node b\n", ended.stdout)
        self.assertIn("no RDMA is needed", ended.stdout)
        self.assertIn("sessions and heartbeats are proven with the pair's key", ended.stdout)
        for address in ("127.0.0.1", "127.0.0.2"):
            self.assertRegex(ended.stdout, rf"ok +address +{address} is on lo, MTU \d+")
            self.assertRegex(ended.stdout, rf"ok +peer +node b answers at {address} by tcp")
            self.assertRegex(ended.stdout, rf"ok +goodput +[0-9.]+ Gb/s to {address} over {CHANNELS}")
        self.assertRegex(ended.stdout, r"round trip [0-9.]+ [mu]s at least, median [0-9.]+ [mu]s")
        self.assertTrue(ended.stdout.endswith(f"pair {PAIR}: can run\n"), ended.stdout)
        after = self.pair.status("a")["pairs"][0]
        for key in ("state", "generation"):
            self.assertEqual(before[key], after[key])
        self.assertEqual(before["data_plane"]["incarnation"], after["data_plane"]["incarnation"])
        self.assertTrue(self.pair.stats().is_pair)
        self.assertEqual(self.pair.faults(), [])

    def test_doctor_for_programs(self):
        answer = json.loads(self.run_tool("doctor", "--pair", PAIR, "--json").stdout)
        self.assertTrue(answer["ok"])
        (pair,) = answer["pairs"]
        self.assertEqual((pair["pair"], pair["node"], pair["peer"]), (PAIR, "a", "b"))
        self.assertEqual([rail["address"] for rail in pair["rails"]], ["127.0.0.1", "127.0.0.2"])
        for rail in pair["rails"]:
            self.assertTrue(rail["answered"])
            self.assertGreater(rail["round_trip_min_ns"], 0)
            self.assertGreaterEqual(rail["round_trip_median_ns"], rail["round_trip_min_ns"])
            self.assertGreater(rail["sample_bytes"], 0)
            self.assertGreaterEqual(rail["sample_ns"], 1_000_000_000)
        for finding in pair["findings"]:
            self.assertEqual(
                set(finding), {"level", "topic", "text", "seen", "needed", "fix"}
            )

    def test_status_tells_every_channel(self):
        def filled():
            channels = json.loads(self.run_tool("status", "--json").stdout)["pairs"][0]["channels"]
            return channels if sum(channel["bytes"] for channel in channels) else None

        channels = wait.until(filled, DEADLINE_SECONDS, "the first copy's bytes on the channels")
        self.assertEqual([channel["channel"] for channel in channels], list(range(CHANNELS)))
        first_rail = channels[0]["rail"]  # an attempt that failed before moved the control channel
        for channel in channels:
            self.assertEqual(channel["state"], "up")
            self.assertEqual(channel["rail"], (first_rail + channel["channel"]) % 2)
            self.assertEqual(channel["times_lost"], 0)
            self.assertIsNone(channel["first_error"])
        text = self.run_tool("status").stdout
        for number in range(CHANNELS):
            rail = (first_rail + number) % 2
            self.assertRegex(text, rf"\n  channel {number} +up, rail {rail}, [0-9.]+ \w+, ")

    def test_config_says_where_values_come_from(self):
        text = self.run_tool("config").stdout
        self.assertRegex(text, r"\n  provider +tcp +/\S+tandem\.conf:\d+\n")
        self.assertRegex(text, r"\n  rails +127\.0\.0\.2 +/\S+tandem\.conf:\d+\n")
        self.assertRegex(text, r"\n  commit_timeout_ms +1 s +default\n")
        self.assertRegex(text, r"\n  merge_bytes_max +64 KiB +default\n")
        self.assertNotIn(self.layout.key, text)

    def test_nobody_tells_the_key(self):
        for words in (("status", "--json"), ("doctor", "--json"), ("events", "--json"), ("check",)):
            self.assertNotIn(self.layout.key, self.run_tool(*words).stdout)
        for name in "ab":
            self.assertNotIn(self.layout.key, self.log(name))


class Strangers(Ground):
    """[P1], [S1]: node b serves two pairs, each with its key."""

    other_key = "f0" * 16

    @classmethod
    def prepare(cls):
        key = cls.layout.directory / "other.key"
        key.write_text(cls.other_key + "\n")
        key.chmod(0o600)
        text = cls.layout.configuration()
        start = text.index("pairs = (\n") + len("pairs = (\n")
        block = text[start:text.rindex(");")].rstrip()
        other = block.replace(f'name = "{PAIR}"', 'name = "other"', 1)
        other = other.replace(str(cls.layout.key_path), str(key))
        other = other.replace(str(cls.layout.arbiter), str(cls.layout.arbiter) + "-other")
        cls.layout.configuration_path.write_text(f"{text[:start]}{block},\n{other}\n);\n")

    def test_without_the_key(self):
        ended = self.run_tool("doctor", config=self.config_with_key("stranger", "0e" * 16))
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertRegex(ended.stdout, r"FAILURE +peer +node b at 127\.0\.0\.1: ")
        self.assertIn("fix: the same key_file on both nodes", ended.stdout)
        self.wait_log(r"connection refused: .*key")

    def test_with_the_key_of_another_pair(self):
        ended = self.run_tool("doctor", config=self.config_with_key("wrong", self.other_key))
        self.assertEqual(ended.returncode, 1, ended.stdout)
        reason = "the session was proven with the key of another pair"
        self.assertIn(reason, ended.stdout)
        self.wait_log(rf"probe of .* refused: pair {PAIR}: {reason}")

    def test_with_the_right_keys_of_both(self):
        ended = self.run_tool("doctor", "--json", config=self.layout.configuration_path)
        answers = {pair["pair"]: pair for pair in json.loads(ended.stdout)["pairs"]}
        self.assertEqual(set(answers), {PAIR, "other"})
        for pair in answers.values():
            self.assertTrue(all(rail["answered"] for rail in pair["rails"]), ended.stdout)


class Rotation(Ground):
    """docs/security.md, "Changing the key", step by step [L3]."""

    has_primary = True

    def restart(self, node):
        for program in ("tandemd", "tandem-failoverd"):
            node.signal_program(program, signal.SIGTERM)
            wait.until(
                lambda program=program: not node.is_running(program), DEADLINE_SECONDS,
                f"the end of {program}",
            )
        node.start_controller()
        node.start_data_plane()

    def headline(self):
        status = self.pair.status("a")
        return status["pairs"][0]["headline"] if status and status.get("ok") else ""

    def test_the_key_changes_while_the_program_runs(self):
        before = self.pair.a.process_id("tandem-kv")
        path = self.layout.directory / "kv.key"
        path.unlink()
        self.assertEqual(self.run_tool("keygen", str(path)).returncode, 0)
        self.assertNotIn(self.layout.key, path.read_text())
        self.assertTrue(self.pair.stats().is_pair)
        self.restart(self.pair.b)
        wait.until(
            lambda: " primary alone " in self.headline(), DEADLINE_SECONDS, "the primary to go on alone"
        )
        self.restart(self.pair.a)
        wait.until(
            lambda: self.headline().startswith("PROTECTED"), DEADLINE_SECONDS, "PAIR with the new key"
        )
        self.assertEqual(self.pair.a.process_id("tandem-kv"), before)
        ended = self.run_tool("doctor")
        self.assertEqual(ended.returncode, 0, ended.stdout)


class HandOver(Ground):
    has_primary = True

    def peer_state(self):
        status = self.pair.status("a")
        return status["pairs"][0]["peer"]["state"] if status and status.get("ok") else None

    def test_switchover_ends_when_the_other_node_leads(self):
        wait.until(lambda: self.peer_state() == "SECONDARY", DEADLINE_SECONDS, "node b to say what it is")
        ended = self.run_tool("status", "--exit-code")
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertRegex(
            ended.stdout, r"^PROTECTED: a primary \(generation 2\), b in sync, \d+ ms behind\n"
        )
        ended = self.run_tool("switchover", PAIR)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout, r"\nb leads now \(generation [3-9]\), after \d+ ms\n$")
        peer = self.pair.status("b")["pairs"][0]
        self.assertIn(peer["state"], ("PRIMARY_SOLO", "GATED", "PRIMARY_PAIR"))
        events = json.loads(self.run_tool("events", "--json").stdout)["events"]
        asked = next(event for event in events if "handing over" in event["reason"])
        self.assertEqual((asked["from"], asked["to"]), ("PRIMARY_PAIR", "GATED"))
        self.assertEqual(asked["evidence"]["register"]["mode"], "PAIR")
        self.assertEqual(asked["evidence"]["peer"]["state"], "SECONDARY")
        self.assertEqual(len(asked["evidence"]["links_silent_ms"]), 1)
        ended = self.run_tool("switchover", PAIR)
        self.assertEqual(ended.returncode, 1, "it does not lead any more")


class One(Ground):
    """[P2]: one probe at a time, and not for ever."""

    def start_and_stop(self):
        """A doctor that stands still in the middle of its probe."""
        before = len(re.findall("probed by", self.log()))
        doctor = subprocess.Popen(self.command("doctor"), stdout=subprocess.DEVNULL)
        self.addCleanup(doctor.wait)
        self.addCleanup(doctor.kill)
        wait.until(
            lambda: len(re.findall("probed by", self.log())) > before, DEADLINE_SECONDS, "a probe"
        )
        doctor.send_signal(signal.SIGSTOP)
        return doctor

    def test_a_second_one_is_told_to_wait(self):
        self.start_and_stop()
        ended = self.run_tool("doctor")
        self.assertEqual(ended.returncode, 3, ended.stdout)
        self.assertIn("another probe is under way on this node", ended.stdout)
        wait.until(
            lambda: self.run_tool("doctor").returncode == 0, DEADLINE_SECONDS,
            f"the end of a probe that stands still, after {PROBE_LIFE_SECONDS} s",
        )


class Alone(unittest.TestCase):
    def test_a_peer_that_does_not_run_is_unknown(self):
        layout = lay_out()
        self.addCleanup(layout.remove)
        ended = subprocess.run(
            [str(PROGRAMS / "tandemctl"), "--config", str(layout.configuration_path),
             "--node", "a", "doctor"],
            capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )
        self.assertEqual(ended.returncode, 3, ended.stdout)
        self.assertRegex(ended.stdout, r"unknown +peer +node b at 127\.0\.0\.1: .*refused")
        self.assertIn("note     controller   no controller answers", ended.stdout)
        self.assertIn("start tandemd there", ended.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
