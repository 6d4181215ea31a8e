#!/usr/bin/env python3
"""The sink: takes what every ledger lets out, asks each of them all the time, and judges.

Commands come as lines on stdin, each is answered by a line of JSON: `ask`, `status`, `judge`,
`judge anew`, `silence NS`. Nothing is asked before `ask`.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True

from matrix.judge import HALTED, READ, START, STEP, Judge, Life, Record  # noqa: E402

_FORMAT = struct.Struct("<I4sQQQQ32s32s")
_ASK_SECONDS = 0.01
_OPEN_QUESTIONS_MAX = 200  # of one life; one that is stopped reads none


class Connection:
    """One run of the program. is_far: its clock is another one than ours, so that moments are those
    at which something was seen."""

    def __init__(self, own, is_far):
        self.socket = own
        self._is_far = is_far
        self.life = None
        self.open_questions = 0
        self._unread = b""

    def take(self):
        """The records that have arrived; None at the end of the connection."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        data = self._unread + data
        whole = len(data) - len(data) % _FORMAT.size
        self._unread = data[whole:]
        now = time.monotonic_ns()
        return [Record(each[0], each[1].rstrip(b"\0").decode(), *each[2:5],
                       now if self._is_far else each[5], *each[6:], now)
                for each in _FORMAT.iter_unpack(data[:whole])]


class Sink:
    def __init__(self, listeners):
        self.lives = []
        self.asked = {}
        self.highest_step = 0
        self.is_asking = False
        self.connections = []
        self.selector = selectors.DefaultSelector()
        for each in listeners:
            self.selector.register(each, selectors.EVENT_READ, self._accept)

    def run(self):
        """Until stdin ends."""
        os.set_blocking(sys.stdin.fileno(), False)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self._command)
        next_question = time.monotonic()
        while True:
            for key, _ in self.selector.select(max(0.0, next_question - time.monotonic())):
                if key.data(key.fileobj) is False:
                    return
            if time.monotonic() >= next_question:
                next_question = time.monotonic() + _ASK_SECONDS
                self._ask_all()

    def _accept(self, listener):
        own, _ = listener.accept()
        own.setblocking(False)
        connection = Connection(own, is_far=own.family != socket.AF_UNIX)
        self.connections.append(connection)
        self.selector.register(own, selectors.EVENT_READ, lambda _: self._receive(connection))

    def _receive(self, connection):
        records = connection.take()
        if records is None:
            self.selector.unregister(connection.socket)
            connection.socket.close()
            self.connections.remove(connection)
            if connection.life:
                connection.life.is_over = True
            return
        for record in records:
            self._take(connection, record)

    def _take(self, connection, record):
        if record.type == START:
            connection.life = Life(record.node, record.generation, record.step, record.number,
                                   record.link, record.digest, record.at_ns)
            self.lives.append(connection.life)
            if record.step == 0:
                self.highest_step = 0  # begun anew; whether it may is judged
        elif record.type == STEP:
            connection.life.steps.append(record)
            self.highest_step = max(self.highest_step, record.step)
        elif record.type == READ:
            connection.open_questions -= 1
            connection.life.reads.append(record)
        elif record.type == HALTED:
            connection.life.is_over = True

    def _ask_all(self):
        for connection in self.connections if self.is_asking else ():
            if not connection.life or connection.open_questions >= _OPEN_QUESTIONS_MAX:
                continue
            number = len(self.asked) + 1
            self.asked[number] = (time.monotonic_ns(), self.highest_step)
            try:
                connection.socket.send(number.to_bytes(8, "little"))
                connection.open_questions += 1
            except OSError:
                pass

    def _command(self, stream):
        line = stream.readline()
        if not line:
            return False
        if line.strip() == "ask":
            self.is_asking = True
            answer = {}
        elif line.startswith("silence"):
            answer = {"ms": self._silence_ns(int(line.split()[1])) / 1e6}
        elif line.strip() == "status":
            answer = {"lives": [self._status(life) for life in self.lives]}
        else:
            judge = Judge(self.lives, self.asked)
            answer = {"problems": judge.judge(may_begin_anew="anew" in line)}
        print(json.dumps(answer), flush=True)
        return True

    def _silence_ns(self, since_ns):
        """The longest time without any output from that moment until now."""
        moments = sorted(each.at_ns for life in self.lives for each in life.steps
                         if each.at_ns > since_ns)
        moments = [since_ns, *moments, time.monotonic_ns()]
        return max(later - earlier for earlier, later in zip(moments, moments[1:]))

    def _status(self, life):
        return {
            "node": life.node, "generation": life.generation, "step": life.step,
            "is_over": life.is_over, "last_step": life.last_step,
            "steps": len(life.steps), "reads": len(life.reads), "began_ns": life.began_ns,
            "first_ns": life.steps[0].at_ns if life.steps else 0,
            "last_ns": life.steps[-1].at_ns if life.steps else 0,
        }


def listen(text):
    """A path, or HOST:PORT."""
    if text.startswith("/"):
        own = socket.socket(socket.AF_UNIX)
        own.bind(text)
    else:
        host, _, port = text.rpartition(":")
        own = socket.create_server((host, int(port)))
    own.listen(64)
    return own


if __name__ == "__main__":
    Sink([listen(text) for text in sys.argv[1:]]).run()
