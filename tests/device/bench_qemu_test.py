"""tools/bench-qemu runs, and says what it measured. Run as `SCRIPT quick BUILD`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main

from lab import LabUnavailable

COUNT = 3
STATUS_UNAVAILABLE = 77


def story_quick():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        command = [CHECKOUT / "tools/bench-qemu", "--quick", "--checkpoints", str(COUNT),
                   "--build", sys.argv[2], "--json", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == STATUS_UNAVAILABLE:
            raise LabUnavailable(done.stderr.strip())
        expect(done.returncode == 0, "it ends well", done.stdout + done.stderr)
        report = json.loads(path.read_text(encoding="utf-8"))
    expect(set(report["stop_ms"]) ==
           {"colo_plain", "colo_multifd", "tandem_stream", "tandem_shared"}, "all ways", report)
    for name, stop in report["stop_ms"].items():
        expect(stop["count"] == COUNT, f"{name}: each checkpoint has one stop", stop)
        expect(0 < stop["mean"] <= stop["p99"] < 10_000, f"{name}: that lasted a while", stop)
        expect(report["bytes_per_checkpoint"][name] > 100_000, f"{name}: and had pages", report)
    expect(report["p99_ratio"] > 0 and report["p99_ratio_stream"] > 0, "and they are compared", report)


main({"quick": story_quick})
