"""stuck_peer, as a process here or in a virtual machine, and what it says."""

import json
import signal
import subprocess
import threading
import time

from .verdict import Failed

ANSWER_S = 20


class Peer:
    """Events are what it printed, with the time at which that came as `at`."""

    def __init__(self, name):
        self.name = name
        self._events = []
        self._rest = b""
        self._changed = threading.Condition()

    # -- what a kind of peer does ---------------------------------------------------------------

    def tell(self, command):
        raise NotImplementedError

    def send_signal(self, number):
        raise NotImplementedError

    def wait(self, timeout_s):
        """The exit status."""
        raise NotImplementedError

    # -- listening to it ------------------------------------------------------------------------

    def take(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        with self._changed:
            for line in lines:
                self._add(line.decode(errors="replace"))
            self._changed.notify_all()

    def _add(self, line):
        try:
            event = json.loads(line)
        except ValueError:
            # A sanitizer's words, a loader's: they belong to the test's own output.
            print(f"  {self.name}: {line}", flush=True)
            return
        event["at"] = time.monotonic()
        self._events.append(event)

    def heard(self, names, since, channel=None):
        return [event for event in list(self._events)
                if event["event"] in names and event["at"] >= since
                and channel in (None, event["channel"])]

    def hear(self, names, timeout_s=ANSWER_S, since=0.0, channel=None):
        """The first such event since then; waits for it."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (found := self.heard(names, since, channel)):
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    raise Failed(f"{self.name} never said {names} within {timeout_s:g} s")
        return found[0]

    def last_words(self):
        return [(event["event"], event["channel"], event.get("code"), event.get("detail"))
                for event in self._events if event["event"] != "count"][-12:]

    # -- asking it ------------------------------------------------------------------------------

    def ask(self, command, answers, timeout_s=ANSWER_S):
        since = time.monotonic()
        self.tell(command)
        return self.hear(answers, timeout_s, since)

    def count(self, channel):
        """Notices that arrived on a channel."""
        return self.ask(f"count {channel}", ("count",))["number"]

    def end(self, timeout_s):
        self.tell("end")
        return self.wait(timeout_s)


class LocalPeer(Peer):
    def __init__(self, name, command):
        super().__init__(name)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while data := self._process.stdout.read1(65536):
            self.take(data)

    def tell(self, command):
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} takes no commands: {error}") from error

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout_s):
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.name} hangs: it did not end within {timeout_s:g} s") from error
        self._reader.join(timeout_s)
        return status

    def close(self):
        """Whatever has happened, nothing is left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait()
        self._reader.join(ANSWER_S)
        self._process.stdin.close()
        self._process.stdout.close()
