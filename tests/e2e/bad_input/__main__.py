"""Attacks every socket of real programs with wrong bytes and looks whether anything changed."""

import argparse
import os
import random
import secrets
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tests"))
sys.dont_write_bytecode = True
# Freed memory that a sanitizer keeps back would look like a leak.
os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:" + os.environ.get("ASAN_OPTIONS", "")

from e2e.bad_input import (  # noqa: E402,F401
    attacks_door, attacks_session, attacks_seal, attacks_controller, attacks_operator, attacks_client,
    attacks_primary, attacks_repeated, attacks_stranger,
)
from e2e.bad_input.field import ATTACKS, Field  # noqa: E402
from e2e.bad_input.grounds import Healthy, Idle  # noqa: E402
from e2e.bad_input.secondary import Victim  # noqa: E402
from kill import wait  # noqa: E402

EPILOG = """\
Two pairs run on loopback. One is healthy and under a light load: it must commit epochs in the same
session and generation from the first attack to the last. Of the other one only the secondary's
node runs, and this program is its primary, with the right identity, so that wrong seals and writes
reach the deepest checks: its image must be, byte for byte, what right epochs made it. After each
attack both are looked at; the programs must live, hold no more descriptors than before and have
said what was wrong in one line each time.

examples:
  tests/e2e/bad_input --build build-asan
  tests/e2e/bad_input --only seal --seed 7
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bad_input", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", metavar="DIR",
                        help="build directory (build)")
    parser.add_argument("--seed", type=int, help="of everything random (default: a new one)")
    parser.add_argument("--only", default="", metavar="NAME", help="attacks with this in their name")
    parser.add_argument("--list", action="store_true", help="names of the attacks")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    return parser.parse_args()


class Run:
    def __init__(self, options):
        self.options = options
        self.seed = options.seed if options.seed is not None else secrets.randbits(32)
        self.started = time.monotonic()
        self.passed = 0
        self.failed = 0

    def tell(self, text):
        print(f"{time.monotonic() - self.started:7.2f} s  {text}", flush=True)

    def count(self, name, problems):
        if problems:
            self.failed += 1
            self.tell(f"FAILED: {name}")
            for problem in problems:
                print(f"           {problem}", flush=True)
        else:
            self.passed += 1
            self.tell(f"passed: {name}")

    def run(self):
        self.tell(f"seed {self.seed}")
        rng = random.Random(self.seed)
        programs = self.options.build.resolve() / "bin"
        healthy = Healthy(programs)
        idle = Idle(programs, rng)
        victim = Victim(programs)
        try:
            idle.start()
            healthy.start()
            victim.start()
            self.tell("all pairs run: " + healthy.pair.stats().transport)
            self._attack_all(Field(programs, healthy, idle, victim, rng))
            healthy.load.end()
            self.count("healthy-values", healthy.read_back())
            self.count("ends-without-leaks", healthy.end() + idle.end() + victim.end())
        except wait.Timeout as error:
            self.count("frame", [str(error)])
        finally:
            healthy.kill()
            idle.kill()
            victim.kill()
            self._clean_up(healthy, idle, victim)
        self.tell(f"{self.passed} passed, {self.failed} failed")
        return self.failed == 0 and self.passed > 0

    def _attack_all(self, field):
        for name, function in ATTACKS:
            if self.options.only not in name:
                continue
            field.begin()
            rng_state = f"{self.seed} {name}"
            field.rng.seed(rng_state)  # so that --only repeats what the whole run did
            try:
                function(field)
                problems = []
            except Exception as error:  # the attack did not go as it has to: the program's fault
                problems = [f"{type(error).__name__}: {error}"]
            self.count(name, problems + field.check())

    def _clean_up(self, *grounds):
        keep = self.options.keep or self.failed > 0
        for ground in grounds:
            ground.layout.remove(keep_files=keep)
            if keep:
                self.tell(f"logs: {ground.layout.directory}")


def main():
    options = parse_arguments()
    if options.list:
        print("\n".join(name for name, _ in ATTACKS))
        return 0
    return 0 if Run(options).run() else 1


if __name__ == "__main__":
    sys.exit(main())
