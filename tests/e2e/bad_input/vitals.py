"""What the kernel says about a process, and what its log says."""

import os
import re
import time

from kill import wait

_FAULTS = ("Sanitizer", "runtime error:", "ssertion")
# The machine may be busy with other tests: that a controller was not scheduled says nothing here.
_OF_THE_MACHINE = ("not scheduled", "HEARTBEATS_CUT", "LINK_DOWN", "heartbeat link is silent",
                   "heartbeats are silent", "reports have stopped")


def descriptors(process_id):
    return len(os.listdir(f"/proc/{process_id}/fd"))


def resident_kib(process_id):
    with open(f"/proc/{process_id}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def processor_seconds(process_id):
    """What all its threads have used."""
    with open(f"/proc/{process_id}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Log:
    """Lines of one node's programs."""

    def __init__(self, path):
        self.path = path

    def mark(self):
        return self.path.stat().st_size

    def lines(self, mark, program=""):
        """Whole lines since the mark, without those about the machine."""
        with open(self.path, "rb") as file:
            file.seek(mark)
            text = file.read().rpartition(b"\n")[0].decode(errors="replace")
        return [
            line for line in text.splitlines()
            if f" {program}" in line and not any(word in line for word in _OF_THE_MACHINE)
        ]

    def wait_for(self, pattern, mark, seconds=30, count=1):
        """Until that many lines match; all lines since the mark."""
        found = re.compile(pattern)

        def matching():
            return sum(1 for line in self.lines(mark) if found.search(line)) >= count

        wait.until(matching, seconds, f"a line /{pattern}/ in {self.path.name}")
        return self.lines(mark)

    def faults(self):
        return [line for line in self.lines(0) if any(word in line for word in _FAULTS)]


class Growth:
    """Whether descriptors or memory of a process grow over repetitions."""

    def __init__(self, process_id, settle=lambda: None):
        self.process_id = process_id
        self._settle = settle
        self._settle()
        self.descriptors = descriptors(process_id)
        self.resident_kib = resident_kib(process_id)

    def problem(self, allowed_kib, seconds=8):
        """None, or what has grown for good."""
        self._settle()
        deadline = time.monotonic() + seconds
        while True:
            more = descriptors(self.process_id) - self.descriptors
            if more <= 0 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        grown_kib = resident_kib(self.process_id) - self.resident_kib
        if more > 0:
            return f"{more} descriptors more than before"
        if grown_kib > allowed_kib:
            return f"{grown_kib} KiB more than before (at most {allowed_kib})"
        return None
