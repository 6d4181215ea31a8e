"""tools/bench-transport with tiny sizes: it runs, and its file says what the page promises.
Run as `SCRIPT PROVIDER BUILD_FOLDER`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STATUS_SKIPPED = 77
RATIOS = {"tcp": ("tcp_random_ratio", "tcp_runs_ratio", "tcp_iperf_ratio"),
          "rdma": ("rdma_random_ratio", "rdma_runs_ratio", "rdma_commit_ratio")}


def expect(is_true, what, detail=""):
    if not is_true:
        raise SystemExit(f"FAILED: {what}\n{detail}")


def check_row(name, row, ratio, rounds):
    expect(len(row["ours"]) == len(row["yardstick"]) == rounds, f"{name}: {rounds} rounds", row)
    expect(all(figure > 0 for figure in row["ours"] + row["yardstick"]), f"{name}: figures", row)
    expect(abs(ratio * row["yardstick_median"] - row["ours_median"]) < 1e-6 * row["ours_median"],
           f"{name}: the ratio of the medians", row)
    low, high = row["ratio_quartiles"]
    expect(0 < low <= high, f"{name}: quartiles", row)


def main(provider, build):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        result = subprocess.run([CHECKOUT / "tools/bench-transport", "--quick", "--provider", provider,
                                 "--build", build, "--json", path], timeout=400,
                                capture_output=True, text=True, check=False)
        print(result.stdout, result.stderr)
        if result.returncode == STATUS_SKIPPED:
            return STATUS_SKIPPED
        expect(result.returncode == 0, "it measures", result.returncode)
        report = json.loads(path.read_text(encoding="utf-8"))
    expect(report["rounds"] == 2, "two rounds", report)
    for name in RATIOS[provider]:
        check_row(name, report["rows"][name], report[name], 2)
    if provider == "tcp":
        expect(report["tcp_ratio"] == min(report["tcp_random_ratio"], report["tcp_runs_ratio"]),
               "tcp_ratio is the smaller one", report)
    else:
        expect(report["beside"]["ib_write_bw_4096"] > 0, "ib_write_bw beside it", report)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
