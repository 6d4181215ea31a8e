"""QEMU's own control socket."""

import itertools
import json
import socket
import threading
import time

from .errors import LabError


class Qmp:
    """One conversation; every answer has a deadline, because a stopped QEMU does not answer. Events
    are kept as QEMU sent them, in their order."""

    def __init__(self, path, timeout_s=20):
        self.timeout_s = timeout_s
        self.events = []
        self._answers = {}
        self._has_ended = False
        self._numbers = itertools.count(1)
        self._news = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(timeout_s)
            self.socket.connect(str(path))
            self._lines = self.socket.makefile("rb")
            greeting = json.loads(self._lines.readline() or "{}")
            self.socket.settimeout(None)
        except OSError as error:
            self.socket.close()
            raise LabError(f"QEMU does not answer on its control socket: {error}") from error
        threading.Thread(target=self._read, daemon=True).start()
        has_oob = "oob" in greeting.get("QMP", {}).get("capabilities", ())
        self.execute("qmp_capabilities", **({"enable": ["oob"]} if has_oob else {}))

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # QEMU has ended
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def execute(self, command, **arguments):
        """What the command returns."""
        return self._ask("execute", command, arguments)

    def execute_oob(self, command, **arguments):
        """The same, past a main loop that is blocked; QEMU allows it for some commands."""
        return self._ask("exec-oob", command, arguments)

    def wait_event(self, name, timeout_s=None, after_count=0):
        """The first event of that name behind the first `after_count` events of any name."""
        def find():
            return next((event for event in self.events[after_count:] if event["event"] == name),
                        None)

        return self._wait(find, timeout_s, f"no event {name}")

    def _ask(self, how, command, arguments):
        number = next(self._numbers)
        request = {how: command, "arguments": arguments, "id": number}
        try:
            self.socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LabError(f"QEMU does not take {command}: {error}") from error
        answer = self._wait(lambda: self._answers.pop(number, None), None,
                            f"no answer to {command}; is the machine stopped?")
        if "error" in answer:
            raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")
        return answer["return"]

    def _wait(self, find, timeout_s, what):
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        with self._news:
            while (found := find()) is None:
                left_s = deadline - time.monotonic()
                if self._has_ended:
                    raise LabError(f"QEMU ended: {what}")
                if left_s <= 0:
                    raise LabError(f"QEMU in {timeout_s:g} s: {what}")
                self._news.wait(left_s)
        return found

    def _read(self):
        try:
            for line in self._lines:
                message = json.loads(line)
                with self._news:
                    if "event" in message:
                        self.events.append(message)
                    else:
                        self._answers[message.get("id")] = message
                    self._news.notify_all()
        except (OSError, ValueError):
            pass
        with self._news:
            self._has_ended = True
            self._news.notify_all()
