"""The register of a file arbiter, read from beside, and who led when."""

import os
import struct
import threading
import time
from collections import namedtuple

# failover/core/record.c: magic, version, mode, numbers, pair, owner, checksum
_FORMAT = struct.Struct("<IHHQQQQ32s32sI")
_MAGIC = 0x63727474
_MODE_PAIR = 2
_LOOK_SECONDS = 0.002

Record = namedtuple("Record", "generation owner owner_incarnation copy_incarnation is_pair")


def parse(data):
    """The Record of a generation's file, None when it is none."""
    if len(data) != _FORMAT.size:
        return None
    magic, _, mode, generation, owner, copy, _, _, name, _ = _FORMAT.unpack(data)
    if magic != _MAGIC:
        return None
    text = name.split(b"\0")[0].decode(errors="replace")
    return Record(generation, text, owner, copy, mode == _MODE_PAIR)


def newest(directory):
    """The Record of the highest generation, None before the first."""
    names = sorted((path.name for path in directory.glob("gen-*")), reverse=True)
    try:
        return parse((directory / names[0]).read_bytes()) if names else None
    except OSError:
        return None


class Watch(threading.Thread):
    """Looks at the register again and again; history has each record with the monotonic
    nanoseconds at which it was seen, oldest first."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.history = []
        self._directory = directory
        self._folder = None
        self._is_over = threading.Event()

    def run(self):
        while not self._is_over.wait(_LOOK_SECONDS):
            self._look()

    def end(self):
        self._is_over.set()
        self.join()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    @property
    def record(self):
        """The newest; None before the first."""
        return self.history[-1][1] if self.history else None

    def _look(self):
        try:
            names = sorted(name for name in os.listdir(self._open()) if name.startswith("gen-"))
        except OSError:
            return
        seen = f"gen-{self.record.generation if self.record else 0:020}"
        for name in names:
            record = self._read(name) if name > seen else None
            if record:
                self.history.append((time.monotonic_ns(), record))

    def _open(self):
        """The directory itself, wherever a disturbance moves it: a take-over that was won just
        before it went away must be seen."""
        if self._folder is None:
            self._folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        return self._folder

    def _read(self, name):
        try:
            file = os.open(name, os.O_RDONLY, dir_fd=self._folder)
        except OSError:
            return None
        with open(file, "rb") as stream:
            return parse(stream.read())

    def reigns(self):
        """(owner, first instant, last instant) of each change of the owner."""
        found = []
        for at, record in self.history:
            if not found or found[-1][0] != record.owner:
                found.append((record.owner, at))
        ends = [at for _, at in found[1:]] + [time.monotonic_ns()]
        return [(owner, at, end) for (owner, at), end in zip(found, ends)]


def double_answers(reigns, history):
    """Operations that a node answered although they were asked after the other one, which had
    taken over, had answered; a reply that merely left late is none."""
    answered = sorted(
        (each for each in history if each.returned is not None), key=lambda each: each.returned
    )
    found = []
    for owner, start, end in reigns:
        first = next((each.returned for each in answered
                      if each.node == owner and start <= each.returned <= end), None)
        if first is not None:
            found += [each for each in answered
                      if each.node != owner and first < each.invoked and each.returned < end]
    return found
