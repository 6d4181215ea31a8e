#!/usr/bin/env python3
"""The main job on this machine: a program is killed under load and lives on. See tools/quickstart."""

import argparse
import contextlib
import fcntl
import secrets
import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))
sys.dont_write_bytecode = True

from e2e import device, story_report  # noqa: E402
from e2e.shipped_layout import ShippedLayout  # noqa: E402
from e2e.timeline import Timeline  # noqa: E402
from kill.pair import Pair  # noqa: E402
from kill.round import Plan, Round  # noqa: E402

CONFIGURATION = CHECKOUT / "conf" / "quickstart.conf"
LOCK = Path("/tmp/tandem-quickstart.lock")
LOAD_SECONDS = 5
LAB_LOAD_SECONDS = 10
LOG_LINES = 15


class Stage:
    """Where the nodes run: reason says which transport and why, make_pair(plan) gives them."""

    def __init__(self, reason, make_pair, is_one_clock=True, load_seconds=LOAD_SECONDS):
        self.reason = reason
        self.make_pair = make_pair
        self.is_one_clock = is_one_clock
        self.load_seconds = load_seconds


def on_this_machine(reason, programs, found=None):
    def make_pair(plan):
        layout = ShippedLayout(
            CONFIGURATION, found.address if found else "", "rdma" if found else ""
        )
        layout.write()
        return Pair(layout, programs)

    return Stage(reason, make_pair)


def in_two_machines(reason, programs, timeline):
    install = [str(CHECKOUT / "tools" / "install-dependencies"), "--lab"]
    timeline.tell("two virtual machines: installing what they need and is missing")
    subprocess.run(install, check=True)
    from e2e.lab_pair import LabPair  # its library looks for programs that are there only now

    def make_pair(plan):
        timeline.tell("booting two virtual machines, joined by a link with soft-RoCE")
        return LabPair(programs, "rdma", say=lambda text: timeline.tell("  " + text))

    return Stage(reason, make_pair, is_one_clock=False, load_seconds=LAB_LOAD_SECONDS)


@contextlib.contextmanager
def stage(insists_on_rdma, programs, timeline):
    """The best there is here; --rdma takes no TCP."""
    found = device.find()
    if found:
        reason = f"RDMA device {found.name} on {found.link}, {found.address}"
        yield on_this_machine(reason, programs, found)
        return
    if not insists_on_rdma:
        reason = "no active RDMA device here, so TCP on loopback (--rdma insists on RDMA)"
        yield on_this_machine(reason, programs)
        return
    found, why_not = device.make_soft()
    if found:
        try:
            reason = f"no RDMA device here, so soft-RoCE on {found.link}, {found.address}"
            yield on_this_machine(reason, programs, found)
        finally:
            device.remove_soft()
        return
    reason = f"no RDMA device here and {why_not}, so soft-RoCE in two virtual machines"
    yield in_two_machines(reason, programs, timeline)


def tell(options, timeline):
    """The exit status."""
    with stage(options.rdma, options.build / "bin", timeline) as chosen:
        timeline.tell(f"transport: {chosen.reason}")
        plan = Plan(
            number=1, seed=secrets.randbits(32), provider="", with_benchmark=True,
            load_seconds=chosen.load_seconds, load_seconds_max=180, keep=True,
        )
        on_copy = timeline.show_copy if sys.stdout.isatty() else None
        played = Round(plan, chosen.make_pair, timeline.tell, on_copy)
        result = played.run()
    report = story_report.make(played, chosen.reason, chosen.is_one_clock)
    report["seconds"] = round(timeline.seconds, 1)
    timeline.tell("report")
    print("\n".join("            " + line for line in story_report.lines(report)))
    show_failure(result)
    if options.json:
        story_report.write_json(report, options.json)
        timeline.tell(f"written to {options.json}")
    timeline.tell(
        "nothing was lost, nothing was torn" if result.is_good else "THIS MUST NOT HAPPEN: see above"
    )
    return 0 if result.is_good else 1


def show_failure(result):
    if result.is_good:
        return
    for problem in result.problems[:10]:
        print("            " + problem.replace("\n", "\n            "))
    for log in sorted(Path(result.directory).glob("*.log")) if result.directory else []:
        print(f"            --- end of {log}")
        for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
            print(f"            {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rdma", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", metavar="FOLDER")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open(LOCK, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("quickstart: another one runs on this machine; wait for its end")
            return 1
        return tell(options, Timeline())


if __name__ == "__main__":
    sys.exit(main())
