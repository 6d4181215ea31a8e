"""The rounds of a run, counted."""

import json
from collections import Counter

from kill.stats_file import PHASES


class Report:
    def __init__(self, seed, each_phase_min=0):
        self.seed = seed
        self.each_phase_min = each_phase_min
        self.results = []

    def add(self, result):
        self.results.append(result)

    @property
    def is_good(self):
        return (
            bool(self.results)
            and all(result.is_good for result in self.results)
            and not self.rare_phases()
        )

    def rare_phases(self):
        """Those in which the primary ended less often than it had to."""
        return [name for name, count in self.phases().items() if count < self.each_phase_min]

    def phases(self):
        """How many rounds ended the primary in each phase."""
        counted = Counter(result.phase for result in self.results)
        return {phase: counted[phase] for phase in PHASES}

    def sum(self, name):
        return sum(getattr(result, name) for result in self.results)

    def line(self, result, total):
        """One round as one line."""
        state = "ok" if result.is_good else "FAILED"
        if result.is_early:
            state += f" (only {result.writes_before} writes before the end)"
        forced = "forced" if result.forced_phase else "cut" if result.with_cut else "random"
        parts = [
            f"[{len(self.results):3}/{total}] {result.kind} in {result.phase or '?':5} ({forced:6})",
            f"{result.acknowledged_writes:6} writes, {result.lost_writes} lost,"
            f" {result.torn_values} torn,",
            f"{result.late_replies} late," if result.kind == "stop" else "",
            f"fail-over {result.failover_ms:.0f} ms, {result.seconds:.1f} s {state}",
        ]
        return " ".join(part for part in parts if part)

    def summary(self):
        kinds = Counter(result.kind for result in self.results)
        times = sorted(result.failover_ms for result in self.results if result.failover_ms)
        return [
            f"{kinds['kill']} kills, {kinds['stop']} stops, seed {self.seed}",
            f"{self.sum('acknowledged_writes')} acknowledged writes:"
            f" {self.sum('lost_writes')} lost, {self.sum('torn_values')} torn;"
            f" {sum(not result.is_linearizable for result in self.results)} histories not"
            " linearizable",
            f"{self.sum('late_replies')} late replies,"
            f" {self.sum('answered_after_resume')} answers of a resumed primary",
            "phases: " + ", ".join(f"{name} {count}" for name, count in self.phases().items())
            + (f"; TOO RARE: {', '.join(self.rare_phases())}" if self.rare_phases() else ""),
            f"fail-over: median {times[len(times) // 2]:.0f} ms, longest {times[-1]:.0f} ms"
            if times
            else "fail-over: none",
            f"{sum(result.is_image_checked for result in self.results)} images read with mdb_dump,"
            f" {sum(result.is_image_steady for result in self.results)} that a resumed primary left"
            " unchanged",
        ]

    def write_json(self, path):
        data = {
            "seed": self.seed,
            "is_good": self.is_good,
            "rounds": len(self.results),
            "acknowledged_writes": self.sum("acknowledged_writes"),
            "lost_writes": self.sum("lost_writes"),
            "torn_values": self.sum("torn_values"),
            "late_replies": self.sum("late_replies"),
            "answered_after_resume": self.sum("answered_after_resume"),
            "phases": self.phases(),
            "each_phase_min": self.each_phase_min,
            "results": [result.as_dict() for result in self.results],
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
