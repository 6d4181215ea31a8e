"""A tandem-kv process under test, and sockets that say exactly what arrived."""

import os
import re
import select
import signal
import socket
import subprocess
import time

DEADLINE_SECONDS = 20


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
        return Client(self.port)


class Client:
    """A raw connection."""

    def __init__(self, port):
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
        """True when nothing arrives, not even the end. A false True costs the test its bite, never
        its truth, so the wait may be short."""
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
