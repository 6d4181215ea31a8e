#!/usr/bin/env python3
"""The first process of a cluster node's namespaces: its disk, its daemons, its orphans.

Started in namespaces of its own for mounts, processes and the host name; when it ends, the kernel
ends all others. The argument is a JSON object, cluster.py says which.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

_DAEMON_SECONDS = 20
_RESTART_SECONDS = 1


def run(*command):
    subprocess.run(command, check=True)


def mount_tmpfs(path, *directories):
    run("mount", "-t", "tmpfs", "tmpfs", path)
    for directory in directories:
        Path(path, directory).mkdir(parents=True)


def mount_all(settings):
    """What a host of its own would have; nothing of it is seen outside."""
    mount_tmpfs("/run", "resource-agents", "lock")
    mount_tmpfs("/dev/shm")
    mount_tmpfs("/var/log", "pacemaker", "corosync")
    mount_tmpfs("/var/lib/corosync")
    for source, target in settings["binds"].items():
        Path(target).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", source, target)
    for added, target in settings["overlays"].items():
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={added}:{target}", target)


class Daemons:
    """Started one after another; one that ends is started again, as its unit file says."""

    def __init__(self, settings):
        self._settings = settings
        self._names = {}  # by process

    def start_all(self):
        for name, (_, ready) in self._settings["daemons"].items():
            process = self._start(name)
            if not self._is_up(process, ready):
                sys.exit(f"{name} did not come up; see {self._settings['log']}")

    def reap(self):
        """One process that has ended, also one that lost its parent."""
        process, _ = os.wait()
        name = self._names.pop(process, None)
        if name is not None:
            time.sleep(_RESTART_SECONDS)
            self._start(name)

    def _start(self, name):
        command, _ = self._settings["daemons"][name]
        with open(self._settings["log"], "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._names[process.pid] = name
        return process

    @staticmethod
    def _is_up(process, ready):
        deadline = time.monotonic() + _DAEMON_SECONDS
        while subprocess.run(ready, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             check=False).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def main():
    settings = json.loads(sys.argv[1])
    os.environ.update(settings["environment"])
    run("hostname", settings["name"])
    mount_all(settings)
    daemons = Daemons(settings)
    daemons.start_all()
    print("up", flush=True)
    while True:
        daemons.reap()


if __name__ == "__main__":
    main()
