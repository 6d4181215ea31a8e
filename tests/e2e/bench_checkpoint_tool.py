"""tools/bench-checkpoint with tiny sizes: it runs, and its file says what the page promises. No time
is judged. Run as `SCRIPT BUILD_FOLDER`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parents[2]
# Name: whether it is always measured; the others say why they are left out when this build has no
# such option, or the kernel no PAGEMAP_SCAN.
RATIOS = {"scan_ratio": False, "stop_tcp_ratio": False, "stage_pause_ratio": False,
          "budget_pause_ratio": False, "background_push_p99_ratio": False,
          "free_page_bytes_ratio": False, "free_page_time_ratio": False, "mark_commit_ratio": True,
          "first_sync_ratio": True, "first_sync_overload_ratio": True,
          "memory_primary_ratio": True, "memory_secondary_ratio": True,
          "kv_throughput_ratio": True, "kv_unpipelined_ratio": True}
ROUNDS = 2


def expect(is_true, what, detail=""):
    if not is_true:
        raise SystemExit(f"FAILED: {what}\n{detail}")


def check_ratio(name, report):
    rows = report["rows"][name]
    for row in rows:
        expect(len(row["ours"]) == len(row["measure"]) == ROUNDS, f"{name}: {ROUNDS} rounds", row)
        expect(all(figure > 0 for figure in row["ours"] + row["measure"]), f"{name}: figures", row)
        low, high = row["quartiles"]
        expect(0 < low <= row["value"] <= high, f"{name}: quartiles", row)
        ratios = [ours / measure for ours, measure in zip(row["ours"], row["measure"])]
        expect(abs(row["value"] - median(ratios)) < 1e-6 * row["value"], f"{name}: median", row)
    values = [row["value"] for row in rows]
    worst = min(values) if rows[0]["is_at_least"] else max(values)
    expect(report[name] == worst, f"{name}: the one that is furthest from its target", rows)


def check_table(table):
    for load in ("idle", "load"):
        for channels in ("1", "4"):
            cell = table[load][channels]
            expect(cell["count"] == 6, f"{load}, {channels} channels: checkpoints", cell)
            expect(0 < cell["mean_ms"] and 0 < cell["p99_ms"], f"{load}: figures", cell)


def main(build):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        result = subprocess.run([CHECKOUT / "tools/bench-checkpoint", "--quick", "--build", build, "--json",
                                 path], timeout=400, capture_output=True, text=True, check=False)
        print(result.stdout, result.stderr)
        expect(result.returncode == 0, "it measures", result.returncode)
        report = json.loads(path.read_text(encoding="utf-8"))
    expect(report["rounds"] == ROUNDS, "two rounds", report)
    check_table(report["table"])
    for name, is_always_there in RATIOS.items():
        if is_always_there or name in report:
            check_ratio(name, report)
        else:
            expect(report["left_out"].get(name), f"{name}: a reason", report["left_out"])


if __name__ == "__main__":
    main(*sys.argv[1:])
