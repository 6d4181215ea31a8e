"""A tandem-kv process under test, and sockets that say exactly what arrived."""

import os
import re
import select
import signal
import socket
import subprocess
import time

DEADLINE_SECONDS = 20
CONNECTED_OR_LISTENING = ("01", "0A")


class Server:
    """Started by the constructor; the kernel ends it when this process ends."""

    def __init__(self, program, *arguments, environment=None, standalone=True, preexec=None):
        command = ["setpriv", "--pdeathsig", "KILL", program, "--listen", "127.0.0.1:0"]
        command += ["--standalone"] if standalone else ["--pair", "kv"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(environment or {})},
            preexec_fn=preexec,
        )
        self.line = self.process.stdout.readline().decode()
        found = re.search(r"on 127\.0\.0\.1:(\d+) ", self.line)
        self.port = int(found.group(1)) if found else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def end(self):
        """Waits for the end; its status and what it said on standard error."""
        errors = self.process.communicate(timeout=DEADLINE_SECONDS)[1].decode()
        if "Sanitizer:" in errors or "runtime error:" in errors:
            raise AssertionError(errors)
        return self.process.returncode, errors

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def connect(self):
        return Client(self.port, self.is_idle)

    def is_idle(self):
        """It has read all that was sent to it, and run it: its one thread waits for more."""
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in list(table)[1:]]
        unread = [row for row in rows if int(row[1].rpartition(":")[2], 16) == self.port
                  and row[3] in CONNECTED_OR_LISTENING and not row[4].endswith(":00000000")]
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            return not unread and stat.read().rpartition(")")[2].split()[0] == "S"


class Client:
    """A raw connection."""

    def __init__(self, port, is_server_idle=lambda: True):
        self._is_server_idle = is_server_idle
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def read(self, length):
        """Exactly so many bytes, or fewer when the peer closes."""
        got = b""
        while len(got) < length:
            piece = self.socket.recv(length - len(got))
            if not piece:
                break
            got += piece
        return got

    def ask(self, text, answer):
        self.send(text)
        got = self.read(len(answer))
        assert got == answer.encode(), (text, got)

    def is_silent(self, seconds=0.15):
        """True when nothing arrives, not even the end, after the server has run all that it was sent."""
        until(self._is_server_idle, "the server has run all that it was sent")
        return self.has_nothing(seconds)

    def has_nothing(self, seconds=0.15):
        """The same where some of it is not to be run. A false True costs the test its bite, never its
        truth, so the wait may be short."""
        return not select.select([self.socket], [], [], seconds)[0]

    def read_to_end(self):
        """All that arrives until the peer closes or resets."""
        got = b""
        try:
            while piece := self.socket.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def until(condition, what):
    """Polls, because the other side is another process; fails after the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        select.select([], [], [], 0.005)
