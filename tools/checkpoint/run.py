"""Running the programs that are measured, and what their figures become."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, quantiles

TIMEOUT_S = 900
CHECKOUT = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """A program that failed: nothing was measured."""


class NotThere(Exception):
    """A feature that this build or this machine lacks; the message says which."""


@dataclass
class Setting:
    """How much is measured."""

    build: object  # folder with bin/
    rounds: int
    size: str  # of the region, as tandem-bench reads it
    checkpoints: int  # of a cell, all rounds together
    is_quick: bool = False
    say: object = print

    @property
    def epochs(self):
        """Checkpoints of a cell in one round."""
        return max(2, -(-self.checkpoints // self.rounds))

    def program(self, name):
        return str(self.build / "bin" / name)

    def bench(self, command, *words):
        """The report of a tandem-bench command."""
        return run_json([self.program("tandem-bench"), command, "--provider", "tcp", "--json",
                         *map(str, words)])

    def options_of(self, command):
        """The text of its --help: what this build can do. Empty without the command."""
        ended = subprocess.run([self.program("tandem-bench"), command, "--help"], timeout=TIMEOUT_S,
                               capture_output=True, text=True, check=False)
        return ended.stdout if ended.returncode == 0 else ""


def make_build(folder):
    """The folder of the programs: what was named, or build/, which is built first."""
    if folder:
        return folder.resolve()
    subprocess.run(["tools/install-dependencies"], cwd=CHECKOUT, check=True)
    subprocess.run(["bash", "-c", "set -euo pipefail; TANDEM_TIMELINE_START=$EPOCHREALTIME; "
                    "source tools/lib/build.sh; build_preset default"], cwd=CHECKOUT, check=True)
    return CHECKOUT / "build"


def run(command):
    try:
        result = subprocess.run(command, timeout=TIMEOUT_S, capture_output=True, text=True,
                                check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(command)}: still ran after {TIMEOUT_S} s") from error
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}: status {result.returncode}\n"
                      f"{result.stdout}{result.stderr}")
    return result.stdout


def run_json(command):
    text = run(command)
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{' '.join(command)}: no report:\n{text}") from error


def percentile(samples, per_cent):
    """Nearest rank, as tandem-bench has it."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * per_cent // 100) - 1)]


@dataclass
class Cell:
    """Samples of one kind, of all rounds."""

    samples_us: list = field(default_factory=list)

    def report(self):
        return {"count": len(self.samples_us), "mean_ms": fmean(self.samples_us) / 1e3,
                "p99_ms": percentile(self.samples_us, 99) / 1e3}


@dataclass
class Ratio:
    """A target: one ratio a round, of a pair that was measured in it; what counts is their median."""

    name: str
    what: str
    target: float
    is_at_least: bool = False
    rounds: list = field(default_factory=list)  # (ours, measure, ratio)

    def add(self, ours, measure, ratio=None):
        self.rounds.append((ours, measure, ours / measure if ratio is None else ratio))

    @property
    def value(self):
        return median(ratio for _, _, ratio in self.rounds)

    @property
    def is_met(self):
        return self.value >= self.target if self.is_at_least else self.value <= self.target

    def spread(self):
        ratios = [ratio for _, _, ratio in self.rounds]
        if len(ratios) < 2:
            return ratios * 2
        first, _, third = quantiles(ratios, n=4, method="inclusive")
        return [first, third]

    def line(self):
        low, high = self.spread()
        bound = "at least" if self.is_at_least else "at most"
        digits = 2 if self.target >= 0.1 else 4
        return (f"{self.name:<34}{self.value:7.{digits}f} [{low:.{digits}f} to {high:.{digits}f}]  "
                f"{bound} {self.target:.2f}: {'met' if self.is_met else 'MISSED'}  {self.what}")

    def report(self):
        return {"what": self.what, "value": self.value, "quartiles": self.spread(),
                "ours": [ours for ours, _, _ in self.rounds],
                "measure": [measure for _, measure, _ in self.rounds],
                "target": self.target, "is_at_least": self.is_at_least, "is_met": self.is_met}


def worst(ratios):
    """Of several sizes: the one furthest from its target."""
    return max(ratios, key=lambda ratio: -ratio.value if ratio.is_at_least else ratio.value)
