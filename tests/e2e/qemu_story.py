#!/usr/bin/env python3
"""A virtual machine on this machine is protected, its host is killed, and it goes on. See tools/quickstart --qemu."""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "tools")]
sys.dont_write_bytecode = True

from e2e.timeline import Timeline  # noqa: E402
from guest import Bed, Places, command_line  # noqa: E402
from kill import wait  # noqa: E402
from kill.layout import PAIR, on_loopback  # noqa: E402
from kill.pair import Pair  # noqa: E402
from lab import private_qemu  # noqa: E402
from lab.qemu import escaped  # noqa: E402
from qemu.guests import NodeGuest  # noqa: E402

BOOT_S = 120
PROTECT_S = 120
GOES_ON_S = 60
LOG_LINES = 15
LEASE_MS = 3000  # its network is ungated, so the old guest has ended before the new one runs
GUEST = {"ram_mib": 128, "rate": 1000}


class Machine:
    """The guest of tests/guest; QEMU runs before anything protects it."""

    name = "tandem-qemu"

    def __init__(self, bed, qemu):
        self.bed = bed
        self.qemu = qemu
        self.process = None

    def _words(self, name):
        return command_line(self.bed, self.qemu, Places(self.bed.folder, name), **GUEST)

    def protect_group(self):
        """The variable stays one for whoever splits the line."""
        words = (word.replace("\\", "\\\\").replace('"', '\\"') for word in self._words("$TANDEM_NODE"))
        command = " ".join(f'"{word}"' for word in words)
        escaped_command = command.replace("\\", "\\\\").replace('"', '\\"')
        return ('protect = { type = "qemu"; network = "ungated"; interval_ms = 100;'
                f' command = "{escaped_command}"; }};')

    def start(self, run_directory):
        sockets = [word for kind in ("qmp", "watch") for word in
                   ("-qmp", f"unix:{escaped(run_directory / f'{PAIR}.{kind}')},server=on,wait=off")]
        log = open(self.bed.folder / "a.log", "wb")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self._words("a"), *sockets],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def has_ended(self):
        return self.process.poll() is not None

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Story:
    def __init__(self, bed, programs, timeline):
        self.bed = bed
        self.tell = timeline.tell
        self.machine = Machine(bed, private_qemu.obtain(say=timeline.tell).program)
        self.layout = on_loopback(program=self.machine, pair_options={"lease_ms": LEASE_MS})
        self.pair = Pair(self.layout, programs)
        self.report = {}

    def order(self, node, *words):
        """Of the operator's tool: what it said last."""
        done = subprocess.run(
            [str(self.pair.programs / "tandemctl"), "--config",
             str(self.layout.configuration_path), "--node", node, *words],
            capture_output=True, text=True, timeout=PROTECT_S, check=False)
        if done.returncode != 0:
            raise wait.Timeout(f"tandemctl {' '.join(words)}: {done.stdout}{done.stderr}")
        said = done.stdout.splitlines()[-1]
        self.tell(f"tandemctl {' '.join(words)}: {said}")

    def guest(self, name):
        return NodeGuest(Places(self.bed.folder, name), name, GOES_ON_S)

    def begin(self):
        for node in (self.pair.b, self.pair.a):
            node.start(with_server=False)
        wait.until(lambda: self.standby("a"), GOES_ON_S, "both nodes")
        self.tell("two nodes on loopback, and a QEMU of its own on node a: a Linux guest that writes"
                  " and checks its memory")
        self.machine.start(self.layout.nodes["a"].run_directory)
        guest = self.guest("a")
        guest.wait_tick(BOOT_S, after=0)
        self.tell("the guest has booted")
        self.order("a", "protect", PAIR)
        return guest

    def standby(self, name):
        pairs = (self.pair.status(name) or {}).get("pairs") or [{}]
        return pairs[0].get("data_plane", {}).get("standby_attached")

    def lose_host(self, guest):
        before = guest.wait_tick()
        self.tell("SIGKILL to all programs of node a; the guest has run for "
                  f"{before['uptime_ns'] / 1e9:.1f} s")
        killed_s = time.time()
        self.pair.a.kill()
        wait.until(self.machine.has_ended, GOES_ON_S, "the end of its QEMU")
        guest.close()
        guest = self.guest("b")
        after = guest.wait_tick(GOES_ON_S, after=0)
        self.report["failover_ms"] = round((after["heard_s"] - killed_s) * 1000)
        self.report["same_boot"] = before["boot"] == after["boot"]
        self.tell(f"the guest goes on at node b, heard after {self.report['failover_ms']} ms: it has"
                  f" run for {after['uptime_ns'] / 1e9:.1f} s"
                  + ("" if self.report["same_boot"] else ", AND HAS BOOTED"))
        checked = guest.ask("verify", GOES_ON_S)
        self.report["wrong_pages"] = checked["wrong_count"]
        self.tell(f"it has checked its memory: {checked['verified']} pages, "
                  f"{checked['wrong_count']} wrong")
        return guest

    def come_back(self):
        self.pair.a.start(with_server=False)
        wait.until(lambda: (self.pair.stats("b") or None) and self.pair.stats("b").is_pair,
                   PROTECT_S, "a copy at node a")
        self.tell("node a is back, and the guest is protected again")
        self.order("b", "unprotect", PAIR)

    def play(self):
        guest = self.lose_host(self.begin())
        self.come_back()
        guest.wait_tick(GOES_ON_S)
        guest.qmp.execute("quit")
        guest.close()
        self.tell("the guest went on without protection, and was ended")

    def show_logs(self):
        for name in "ab":
            print(f"            --- end of the log of node {name}")
            lines = self.layout.log_path(name).read_text(errors="replace").splitlines()
            print("\n".join(f"            {line}" for line in lines[-LOG_LINES:]))


def play(options, timeline):
    with Bed(options.build, say=timeline.tell) as bed:
        story = Story(bed, options.build / "bin", timeline)
        try:
            with story.pair:
                story.play()
        except Exception as problem:
            story.report["problem"] = str(problem)
            timeline.tell(f"THIS MUST NOT HAPPEN: {problem}")
            story.show_logs()
        finally:
            story.machine.end()
            story.layout.remove()
    return story.report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", metavar="FOLDER")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    timeline = Timeline()
    report = play(options, timeline)
    report["seconds"] = round(timeline.seconds, 1)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    is_good = "problem" not in report and report["wrong_pages"] == 0 and report["same_boot"]
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
