"""What every attack gets: both grounds, a seeded random source, and what the logs have to say."""

import re
import time
from datetime import datetime

from e2e.bad_input import wires
from kill import wait

# Sessions of this test's own impostor that are all right, and what follows a flood.
_NORMAL = re.compile(r"session with \S+ up|session lost .*(closed by the peer|takes its place)"
                     r"|data channel \d+ of the session lost: .*closed by the peer"
                     r"|more sessions or connections were refused"
                     r"|the program's session failed: .*(Connection refused|reset by peer)"
                     # Of one pair only a part runs.
                     r"|alarm: the program leads alone")
LINES_PER_SECOND_MAX = 20


class Wrong(Exception):
    """A program did not do what it has to."""


ATTACKS = []  # (name, function) in the order in which they run


def attack(name):
    def register(function):
        ATTACKS.append((name, function))
        return function

    return register


class Watch:
    """The lines of one log during one attack: as many as expected, in that order, no other."""

    def __init__(self, log):
        self.log = log
        self._mark = log.mark()
        self._started = time.monotonic()
        self._taken = 0  # how many lines were expected
        self._again = {}  # {pattern: (seconds between lines that may come again, moment of the last)}

    def seen(self):
        return [line for line in self.log.lines(self._mark) if not _NORMAL.search(line)]

    def expect(self, pattern, seconds=wires.WAIT_SECONDS):
        """The next line, which says what was wrong; it is waited for."""
        while True:
            wait.until(lambda: len(self.seen()) > self._taken, seconds,
                       f"a line /{pattern}/ in {self.log.path.name}")
            line = self.seen()[self._taken]
            self._taken += 1
            if re.search(pattern, line):
                return
            if not self._may_come_again(line):
                raise Wrong(f"the log says: {line}\n  expected was /{pattern}/")

    def allow_again(self, pattern, seconds):
        """The last line may come again, so many seconds later and until the end of the attack: what
        causes it may still be on its way."""
        self._again[pattern] = (seconds, _moment(self.seen()[self._taken - 1]))

    def _may_come_again(self, line):
        for pattern, (seconds, last) in self._again.items():
            if re.search(pattern, line) and _moment(line) >= last + seconds:
                self._again[pattern] = (seconds, _moment(line))
                return True
        return False

    def accept(self, pattern):
        """Lines that may come in any number which the rate of a log allows, from now on, too."""
        count = len(self.seen())
        seconds = time.monotonic() - self._started
        allowed = LINES_PER_SECOND_MAX * (seconds + 2)
        if count > allowed:
            raise Wrong(f"{count} lines in {seconds:.1f} s: the log floods")
        self.accept_any(pattern)

    def accept_any(self, pattern):
        """Lines of this kind, however many: they are about sessions whose identity was right."""
        self._again[pattern] = (0, 0)
        for line in self.seen()[self._taken:]:
            if not self._may_come_again(line):
                raise Wrong(f"the log says: {line}\n  expected was /{pattern}/")
            self._taken += 1

    def settle(self):
        """Problems: lines that nobody expected."""
        return [f"a line too many: {line}" for line in self.seen()[self._taken:]
                if not self._may_come_again(line)]


def _moment(line):
    return datetime.fromisoformat(line.split()[0]).timestamp()


class Field:
    def __init__(self, programs, healthy, idle, victim, rng):
        self.programs = programs  # directory
        self.healthy = healthy
        self.idle = idle
        self.victim = victim
        self.rng = rng
        self.begin()

    def begin(self):
        """Before each attack."""
        self.a = Watch(self.healthy.a.log)
        self.b = Watch(self.healthy.b.log)
        self.idle_b = Watch(self.idle.b.log)
        self.victim_a = Watch(self.victim.a.log)

    def check(self):
        """After each attack: the programs, both pairs, and their logs."""
        problems = self.healthy.check() + self.idle.check() + self.victim.check()
        for watch in (self.a, self.b, self.idle_b, self.victim_a):
            problems += watch.settle()
        return problems

    def pace(self):
        """Between refusals of which each has to have its line: tandemd says 16 in a second."""
        time.sleep(0.09)
