#!/usr/bin/env python3
"""tandem-qemu on a node where something listens at the pair's control socket."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = sys.argv[1]


def configuration(folder):
    nodes = ",".join(
        f'{{ name = "{name}"; address = "127.0.0.1"; port = {7400 + i};'
        f' heartbeat = ( {{ address = "127.0.0.1"; port = {7410 + i}; }} );'
        f' run_directory = "{folder}/{name}"; image_directory = "{folder}/{name}/images"; }}'
        for i, name in enumerate("ab")
    )
    return (
        f'cluster = "test"; nodes = ( {nodes} ); pairs = ( {{ name = "vm1"; nodes = ["a", "b"];'
        f' arbiter = {{ type = "file"; path = "{folder}/arbiter"; }}; protect = {{ type = "qemu";'
        f' network = "user:{folder}/net"; command = "{folder}/qemu-system-x86_64 -m 1G"; }}; }} );'
    )


class Beside(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = Path(self.place.name)
        (self.folder / "conf").write_text(configuration(self.folder))
        qemu = self.folder / "qemu-system-x86_64"
        qemu.write_text(f"#!/bin/sh\ntouch {self.folder}/started\n")
        qemu.chmod(0o700)
        (self.folder / "b").mkdir()
        self.path = str(self.folder / "b/vm1.qmp")
        self.guest = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.guest.close)
        self.guest.bind(self.path)
        self.guest.listen(4)

    def run_qemu(self, *words, **variables):
        link, end = socket.socketpair()
        with link, end:
            words = [word.format(link=end.fileno()) for word in words]
            return subprocess.run(
                [PROGRAM, "--config", self.folder / "conf", "--node", "b", "--pair", "vm1", *words],
                capture_output=True, text=True, timeout=30, pass_fds=[end.fileno()],
                env={**os.environ, **variables})

    def expect_untouched(self):
        self.assertFalse((self.folder / "started").exists())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(self.path)

    def listener(self):
        name = Path("/proc/self/comm").read_text().strip()
        return f"process {os.getpid()} ({name}) has to end, it listens at {self.path}"

    def test_none_is_tried(self):
        ended = self.run_qemu("--trial")
        self.assertEqual(json.loads(ended.stdout), {"trial": "busy", "error": self.listener()})
        self.expect_untouched()

    def test_none_is_started_ahead(self):
        ended = self.run_qemu("--ahead", "{link}", TANDEM_IMAGE_DIR=str(self.folder),
                              TANDEM_STATE_FILE=str(self.folder / "state"))
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"none is started beside it: {self.listener()}", ended.stderr)
        self.expect_untouched()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
