#!/usr/bin/env python3
"""examples/jacobi: the node that solves is killed in mid-run, the other ends with the same plate.

The undisturbed run's digest is what the second node has to reach, from an iteration that is not
before any that the first one had said to be safe on both nodes.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

from kill import wait  # noqa: E402
from kill.layout import PAIR, on_loopback  # noqa: E402
from kill.pair import Pair  # noqa: E402

ITERATIONS = 30000
SIZE = 160  # of the smallest plate
WORK_SECONDS = 2  # at least, of a whole run: it is killed in mid-run, also on a fast computer
KILL_AFTER = 4000  # iterations
END_SECONDS = 120
_SAFE = re.compile(r"iteration (\d+) is safe \(on both nodes")
_RESULT = re.compile(r"result: .*?(\d+) iterations \(resumed at (\d+)\).*digest ([0-9a-f]{16})")


class Jacobi:
    """The protected program, as the harness wants it."""

    name = "jacobi"

    def __init__(self, size):
        self.work = ["--size", str(size), "--iterations", str(ITERATIONS), "--threads", "3",
                     "--interval", "500"]

    def path(self, programs):
        return programs / self.name

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), *self.work]

    def promote_command(self, _):
        return (
            'exec "$TANDEM_BIN_DIR/jacobi" --pair "$TANDEM_PAIR" --run-dir "$TANDEM_RUN_DIR" '
            + " ".join(self.work)
        )


def undisturbed(programs, size=SIZE):
    """(a program with enough work, the digest of a run of it that nothing happens to)"""
    program = Jacobi(size)
    started = time.monotonic()
    ended = subprocess.run(
        [programs / "jacobi", "--standalone", "--json", *program.work],
        capture_output=True, text=True, check=True, timeout=END_SECONDS,
    )
    if time.monotonic() - started < WORK_SECONDS:
        return undisturbed(programs, 2 * size)
    return program, json.loads(ended.stdout)["digest"]


def log_of(pair, name):
    return pair.layout.log_path(name).read_text(errors="replace")


def safe_iterations(pair):
    """What node a has said to be safe."""
    return [int(number) for number in _SAFE.findall(log_of(pair, "a"))]


def play(pair):
    """(last safe iteration of node a, iteration that node b resumed at, its iterations, its digest)"""
    pair.start()
    pair.wait_pair()
    wait.until(
        lambda: safe_iterations(pair) and safe_iterations(pair)[-1] >= KILL_AFTER,
        END_SECONDS, f"iteration {KILL_AFTER} of node a",
    )
    pair.end_primary(signal.SIGKILL)
    wait.until(pair.a.has_ended, 10, "the end of node a")
    safe = safe_iterations(pair)[-1]
    if _RESULT.search(log_of(pair, "a")):
        raise wait.Timeout("node a had finished before it was killed")
    found = wait.until(lambda: _RESULT.search(log_of(pair, "b")), END_SECONDS, "the result of node b")
    iterations, resumed_at, digest = found.groups()
    return safe, int(resumed_at), int(iterations), digest


def judge(wanted, safe, resumed_at, iterations, digest):
    problems = []
    if digest != wanted:
        problems.append(f"the digest is {digest}, and {wanted} of the undisturbed run")
    if resumed_at < safe:
        problems.append(f"resumed at {resumed_at}, though {safe} had been said to be safe")
    if iterations != ITERATIONS:
        problems.append(f"{iterations} iterations")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=Path, help="where tandemd, tandem-failoverd and jacobi are")
    options = parser.parse_args()
    program, wanted = undisturbed(options.programs)
    print(f"undisturbed: {' '.join(program.work)}, digest {wanted}", flush=True)
    layout = on_loopback(program=program)
    problems = []
    try:
        with Pair(layout, options.programs) as pair:
            try:
                story = play(pair)
                print("last safe iteration of node a {}; node b resumed at {}, did {} iterations, "
                      "digest {}".format(*story), flush=True)
                problems += judge(wanted, *story)
            finally:
                problems += pair.faults()
    except (wait.Timeout, OSError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    for problem in problems:
        print(f"WRONG: {problem}; logs: {layout.directory}")
    layout.remove(keep_files=bool(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
