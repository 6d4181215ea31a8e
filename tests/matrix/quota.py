"""A share of one processor for a program, by a control group of its own."""

import os
import tempfile
from pathlib import Path

from matrix.story import Unavailable

PERIOD_US = 500_000


class Quota:
    """A context manager. Who is in it is scheduled for that share of each half second, and no longer."""

    def __init__(self, percent):
        self._us = PERIOD_US * percent // 100
        self._folder = None

    def __enter__(self):
        try:
            parent, is_unified = _place()
            self._folder = Path(tempfile.mkdtemp(prefix="tandem-test-", dir=parent))
            if is_unified:
                self._write("cpu.max", f"{self._us} {PERIOD_US}")
            else:
                self._write("cpu.cfs_period_us", PERIOD_US)
                self._write("cpu.cfs_quota_us", self._us)
        except OSError as error:
            self.__exit__()
            raise Unavailable(f"no control group can be made here: {error}") from error
        return self

    def __exit__(self, *_):
        if not self._folder:
            return
        for process in (self._folder / "cgroup.procs").read_text().split():
            (self._folder.parent / "cgroup.procs").write_text(process)
        self._folder.rmdir()

    def launcher(self):
        """A command's first words: it joins the group and becomes what the others say."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._folder / "cgroup.procs")]

    @property
    def used_up_count(self):
        """Periods in which somebody had to wait for the next one."""
        lines = (self._folder / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["nr_throttled"])

    def _write(self, name, value):
        (self._folder / name).write_text(f"{value}\n")


def _place():
    """Where this process's groups with the processor's controller are, and whether by version 2."""
    own = dict(_own_groups())
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(where) / own.get("cpu", ""), False
        if kind == "cgroup2" and "cpu" in Path(where, "cgroup.controllers").read_text().split():
            parent = Path(where) / own.get("", "")
            (parent / "cgroup.subtree_control").write_text("+cpu\n")
            return parent, True
    raise OSError("no control groups for processors are mounted")


def _own_groups():
    """(controller, path below its mount), "" for version 2."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path.lstrip(os.sep)
