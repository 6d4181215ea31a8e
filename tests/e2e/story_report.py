"""The report of a story: one dictionary for JSON and some lines for people."""

import json
import time

# What a take-over consists of, in the order in which it happens.
PARTS = (
    ("detect_ms", "from the kill until node b suspected node a"),
    ("decide_ms", "until the arbiter had given it the lead"),
    ("fence_ms", "until node a could change nothing any more"),
    ("drain_ms", "until the last committed epoch was applied"),
    ("activate_ms", "until tandem-kv had attached the image"),
)


def make(played, transport_reason, is_one_clock):
    """played: the Round after run(); is_one_clock: the nodes ran on this machine."""
    result, stats = played.result, played.stats
    pauses = stats.histograms["pause"] if stats else None
    take_over = dict(played.take_over or {})
    if is_one_clock and take_over:
        take_over["detect_ms"] = _detect_ms(played.ended_at, take_over["suspected_wall_ns"])
    return {
        "transport": result.transport,
        "transport_reason": transport_reason,
        "transport_detail": stats.transport_detail if stats else "",
        "channels": stats.channel_count if stats else 0,
        "tracker": result.tracker,
        "acknowledged_writes": result.writes_before,
        "lost_writes": result.lost_writes,
        "torn_values": result.torn_values,
        "linearizable": result.is_linearizable,
        "epochs_committed": result.epochs_committed,
        "pause_us": {
            "p50": _microseconds(pauses.at(500)) if pauses else None,
            "p99": _microseconds(pauses.at(990)) if pauses else None,
            "max": _microseconds(pauses.max) if pauses else None,
        },
        "failover_ms": round(result.failover_ms, 1),
        **{name: take_over.get(name) for name, _ in PARTS},
        "problems": result.problems,
    }


def _detect_ms(ended_at, suspected_wall_ns):
    """The controller counts from the last sign of life; who killed it knows better."""
    ended_wall_ns = time.time_ns() - (time.monotonic_ns() - ended_at)
    return round((suspected_wall_ns - ended_wall_ns) / 1e6, 3)


def _microseconds(nanoseconds):
    return round(nanoseconds / 1000, 1)


def lines(report):
    pause = report["pause_us"]
    told = [
        f"transport            {report['transport']}, {report['channels']} channels:"
        f" {report['transport_reason']}",
        f"acknowledged writes  {report['acknowledged_writes']} before the kill",
        f"lost writes          {report['lost_writes']}",
        f"torn values          {report['torn_values']}",
        f"history              {'linearizable' if report['linearizable'] else 'NOT linearizable'}",
        f"epochs committed     {report['epochs_committed']}",
        f"pause of tandem-kv   p50 {pause['p50']} us, p99 {pause['p99']} us, max {pause['max']} us",
        f"fail-over            {report['failover_ms']} ms from the kill to the first reply",
    ]
    for name, meaning in PARTS:
        told.append(f"  {name:18} {report[name]} {meaning}")
    return told


def write_json(report, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
