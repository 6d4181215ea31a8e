"""The command line: which rows, how many rounds, and what came out."""

import argparse
import json
import os
import secrets
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from matrix import documentation
from matrix.rows import LAB, ROWS
from matrix.story import play

CHECKOUT = Path(__file__).resolve().parents[2]
STATUS_SKIPPED = 77
NEEDS = ("bin/tandemd", "bin/tandem-failoverd", "bin/tandemctl", "tests/ledger", "tests/host_faults.so",
         "tests/cable")

EPILOG = """\
The judge is always the same: a sink process that takes what a protected program on either node lets
out. Nothing that was let out may be missing after a take-over, no two nodes may let out in one
generation or one after the other had been superseded, answers must be linearizable, and the memory
that a promoted program finds must be, byte for byte, that of the last committed epoch. What a row
demands besides is in its line of docs/testing.md.

exit status: 0 no failures; 1 failures; 2 wrong use; 77 no network namespaces here. Logs of rounds
that failed are kept.

examples:
  tests/faults
  tests/faults --row F8 --rounds 50 --json /tmp/f8.json
  tests/faults --row F1 --rounds 1000 --write-docs
  tests/faults --list
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="faults", description="Runs the fault matrix against real processes.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )
    parser.add_argument("--row", action="append", choices=ROWS, metavar="ROW",
                        help="F1 to F20, F1-rdma, ...; may be given again (default: every row)")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each row (default: its own)")
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases with this text")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="of everything random (default: a new one)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="rounds at a time (2)")
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", metavar="FOLDER",
                        help="build directory (build)")
    parser.add_argument("--json", metavar="FILE", help="write the results there, too")
    parser.add_argument("--write-docs", action="store_true",
                        help="put the results into the table of docs/testing.md")
    parser.add_argument("--keep", action="store_true", help="keep the logs of good rounds, too")
    parser.add_argument("--list", action="store_true", help="the rows and their cases")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if options.case and options.write_docs:
        parser.error("--write-docs is for whole rows, not with --case")
    return options


class Tally:
    """What came out of one row."""

    def __init__(self, row):
        self.row = row
        self.results = []

    @property
    def failures(self):
        return sum(bool(result.problems) for result in self.results)

    def as_dict(self, seed):
        cases = {}
        for result in self.results:
            counts = cases.setdefault(result.case, {"rounds": 0, "failures": 0})
            counts["rounds"] += 1
            counts["failures"] += bool(result.problems)
        return {
            "row": self.row.name, "rounds": len(self.results), "failures": self.failures,
            "what": f"{self.row.fault}: {self.row.passes}", "bed": self.row.bed, "seed": seed,
            "cases": cases, "measured": self._measured(),
            "problems": [{"case": each.case, "number": each.number, "problems": each.problems,
                          "logs": each.directory} for each in self.results if each.problems],
        }


    def _measured(self):
        """Of everything that rounds have noted."""
        values = {}
        for result in self.results:
            for name, noted in result.notes.items():
                values.setdefault(name, []).extend(noted)
        return {name: {"count": len(each), "p50": _rank(each, 0.5), "p99": _rank(each, 0.99),
                       "max": max(each)} for name, each in values.items()}


def _rank(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Run:
    def __init__(self, options):
        self.options = options
        self.seed = options.seed if options.seed is not None else secrets.randbits(32)
        self.started = time.monotonic()
        self.tallies = []
        self.skipped_count = 0
        self.lacks_device = False

    def tell(self, text):
        print(f"{time.monotonic() - self.started:7.1f} s  {text}", flush=True)

    def run(self):
        """The exit status."""
        self.tell(f"seed {self.seed}")
        rows = [ROWS[name] for name in self.options.row or ROWS]
        for row in (each for each in rows if each.bed != LAB):
            with ProcessPoolExecutor(self.options.jobs) as pool:
                self._run_row(row, pool)
                self._record()
        # One process: its machines serve all of these.
        with ProcessPoolExecutor(1) as pool:
            for row in (each for each in rows if each.bed == LAB):
                self._run_row(row, pool)
                self._record()
        rows = self._results()
        rounds = sum(row["rounds"] for row in rows)
        failures = sum(row["failures"] for row in rows)
        skipped = f", {self.skipped_count} skipped" if self.skipped_count else ""
        self.tell(f"{len(rows)} rows, {rounds} rounds, {failures} failures{skipped}")
        return self._status(rounds, failures)

    def _results(self):
        return [tally.as_dict(self.seed) for tally in self.tallies if tally.results]

    def _record(self):
        """After each row: a run of hours that is ended has not been for nothing."""
        rows = self._results()
        if self.options.json:
            Path(self.options.json).write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        if self.options.write_docs:
            documentation.write(CHECKOUT / "docs" / "testing.md", rows, ROWS)

    def _status(self, rounds, failures):
        if failures or (self.lacks_device and os.environ.get("TANDEM_REQUIRE_DEVICE") == "1"):
            return 1
        return 0 if rounds else STATUS_SKIPPED if self.skipped_count else 1

    def _run_row(self, row, pool):
        cases = [case for case in row.cases if self.options.case in case.name]
        if not cases:
            return
        tally = Tally(row)
        self.tallies.append(tally)
        count = self.options.rounds or min(row.rounds, len(cases) if self.options.case else row.rounds)
        self.tell(f"{row.name}: {row.fault}; {count} rounds, {row.bed}")
        futures = [
            pool.submit(_play, row.name, _pick(cases, count, number), number, self.seed,
                        self.options.build.resolve() / "bin", self.options.keep)
            for number in range(count)
        ]
        for future in as_completed(futures):
            result = future.result()
            if result.skipped:
                self.tell(f"{row.name} {result.case}: skipped, {result.skipped}")
                self.skipped_count += 1
                self.lacks_device |= row.bed == LAB
                continue
            tally.results.append(result)
            state = "FAILED" if result.problems else "ok"
            self.tell(f"{row.name} [{len(tally.results)}/{count}] {result.case}: {state},"
                      f" {result.seconds:.1f} s")
            for problem in result.problems[:8]:
                print("           " + problem.replace("\n", "\n           "), flush=True)
            if result.directory:
                print(f"           logs: {result.directory}", flush=True)


def _pick(cases, count, number):
    """Few rounds are spread over all cases; many take each in turn."""
    index = number * len(cases) // count if count < len(cases) else number % len(cases)
    return cases[index].name


def _play(row_name, case_name, number, seed, programs, keep):
    case = next(each for each in ROWS[row_name].cases if each.name == case_name)
    return play(row_name, case, number, seed, programs, keep)


def list_rows():
    for row in ROWS.values():
        print(f"{row.name}  {row.fault}: {row.passes}; {row.rounds} rounds, {row.bed}")
        for case in row.cases:
            print(f"      {case.name}")


def main():
    options = parse_arguments()
    if options.list:
        list_rows()
        return 0
    for program in NEEDS:
        if not os.access(options.build / program, os.X_OK):
            print(f"faults: {options.build / program} is missing; build first:"
                  f" cmake --build {options.build}")
            return 2
    if os.geteuid() != 0:
        print("faults: network namespaces need root")
        return STATUS_SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return Run(options).run()
