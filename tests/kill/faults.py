"""What the scenario `chaos` does to a pair: disturbances drawn from a seed."""

import random
from dataclasses import dataclass

PROGRAMS = ("tandem-kv", "tandemd", "tandem-failoverd")
SIDES = ("leader", "other")

_STOP_SECONDS = (0.01, 2.0)
_AWAY_SECONDS = (0.05, 2.0)  # of the arbiter, and of the link between the nodes
_RESTART_SECONDS = 1.0
_TOGETHER_SECONDS = 0.3


@dataclass
class Strike:
    """action: kill, stop, away (the arbiter's directory), cut (the link between the nodes); side: as at the disturbance's begin,
    "winner" whom the register names now; when: at once, or what is waited for before."""

    action: str
    program: str = ""
    side: str = ""
    seconds: float = 0.0  # kill: until it is started again; others: how long
    delay: float = 0.0
    when: str = ""  # record, pair: a new record, one of PAIR; session: the other node has one;
    #               started: a program of another incarnation

    def __str__(self):
        text = f"{self.action} {self.side} {self.program}".strip()
        after = f" after {self.when}" if self.when else ""
        return f"{text}{after} +{self.delay * 1000:.0f} ms for {self.seconds * 1000:.0f} ms"


@dataclass
class Disturbance:
    name: str
    strikes: list
    pause: float  # load before it
    tries_server: bool = False  # an operator starts the server of a node that may not lead

    def __str__(self):
        return f"{self.name}: " + "; ".join(str(each) for each in self.strikes)


class Faults:
    def __init__(self, seed, can_cut=False):
        self._random = random.Random(seed)
        self._makers = [
            (6, self._single), (4, self._several), (2, self._host_killed), (2, self._host_stopped),
            (2, self._arbiter), (3, self._renewed), (3, self._synchronising), (5, self._taking_over),
            (3, self._pairing), (2, self._recording), (2, self._arbiter_and_more),
            (3, self._heir_killed),
        ]
        if can_cut:
            self._makers += [(4, self._host_lost), (3, self._cut), (3, self._cut_and_more),
                             (2, self._lost_when_paired)]

    def next(self):
        weights = [weight for weight, _ in self._makers]
        maker = self._random.choices([maker for _, maker in self._makers], weights)[0]
        pause = self._random.random() * 0.5
        tries_server = self._random.random() < 0.3
        return Disturbance(maker.__name__.strip("_"), maker(), pause, tries_server)

    def last(self):
        """What nothing can be left of, or None: every copy dies. Nobody may answer after it."""
        if self._random.random() < 0.5:
            return None
        kill = [self._kill("tandem-kv", "leader"), self._kill("tandemd", "other")]
        makers = (
            lambda: kill,
            lambda: kill[::-1],
            lambda: [kill[0], self._kill("tandemd", "winner", when="record")],
            lambda: [kill[0], self._kill("tandem-kv", "winner", when="started")],
        )
        return Disturbance("last copy", self._random.choice(makers)(), 0.2)

    # ---- strikes ----

    def _length(self, limits):
        """Short ones are as likely as long ones."""
        low, high = limits
        return low * (high / low) ** self._random.random()

    def _delay(self, seconds=_TOGETHER_SECONDS):
        return self._random.random() ** 2 * seconds

    def _kill(self, program, side, delay=None, when=""):
        return Strike("kill", program, side, self._random.random() * _RESTART_SECONDS,
                      self._delay() if delay is None else delay, when)

    def _stop(self, program, side, delay=None, when="", longest=_STOP_SECONDS[1]):
        return Strike("stop", program, side, self._length((_STOP_SECONDS[0], longest)),
                      self._delay() if delay is None else delay, when)

    def _any(self, **options):
        make = self._random.choice((self._kill, self._stop))
        return make(self._random.choice(PROGRAMS), self._random.choice(SIDES), **options)

    # ---- disturbances ----

    def _single(self):
        return [self._any(delay=0)]

    def _several(self):
        return [self._any() for _ in range(self._random.randint(2, 4))]

    def _host_killed(self):
        side = self._random.choice(SIDES)
        return [self._kill(program, side, delay=0) for program in PROGRAMS]

    def _host_stopped(self):
        side, seconds = self._random.choice(SIDES), self._length(_STOP_SECONDS)
        return [Strike("stop", program, side, seconds) for program in PROGRAMS]

    def _host_lost(self):
        """What the leader's kernel still held for the other node is gone, too."""
        cut = Strike("cut", seconds=self._length(_AWAY_SECONDS))
        return [cut, *self._host_killed_leader()]

    def _lost_when_paired(self):
        """R7: what left since the copy must be in the copy."""
        first, cut = Strike("kill", "tandemd", "other", 0.0), self._cut()[0]
        cut.when = "pair"
        return [first, cut, *self._host_killed_leader()]

    def _cut(self):
        return [Strike("cut", seconds=self._length(_AWAY_SECONDS))]

    def _cut_and_more(self):
        return self._cut() + [self._any() for _ in range(self._random.randint(1, 2))]

    def _arbiter(self):
        return [Strike("away", seconds=self._length(_AWAY_SECONDS))]

    def _arbiter_and_more(self):
        return self._arbiter() + [self._any() for _ in range(self._random.randint(1, 2))]

    def _renewed(self):
        """R8: another incarnation of the copy's holder within milliseconds."""
        return [Strike("kill", "tandemd", "other", self._random.random() * 0.05)]

    def _synchronising(self):
        """While a copy travels."""
        first = Strike("kill", "tandemd", "other", self._random.random() * 0.05)
        programs = [("tandemd", "other"), ("tandem-failoverd", "leader"),
                    ("tandem-failoverd", "other")]
        program, side = self._random.choice(programs)
        make = self._random.choice((self._kill, self._stop))
        return [first, make(program, side, delay=self._delay(0.1), when="session")]

    def _taking_over(self):
        """Right after the CAS, before FENCED, before the program is ready, and just after."""
        first = [self._random.choice((self._kill, self._stop))("tandem-kv", "leader", delay=0)]
        if self._random.random() < 0.3:
            first = self._host_killed_leader()
        delay = self._random.choice((0.0, self._delay(0.01), self._delay(0.3)))
        second = self._random.choice((
            lambda: self._kill("tandem-failoverd", "winner", delay, "record"),
            lambda: self._stop("tandem-failoverd", "winner", delay, "record"),
            lambda: self._stop("tandemd", "winner", delay, "record", longest=1.5),
            lambda: self._stop("tandem-kv", "winner", delay, "started"),
            lambda: Strike("away", seconds=self._length(_AWAY_SECONDS)),
        ))
        return [*first, second()]

    def _host_killed_leader(self):
        return [self._kill(program, "leader", delay=0) for program in PROGRAMS]

    def _heir_killed(self):
        """A program that was promoted a moment ago dies, and nobody remembers that it has led."""
        controller = self._kill("tandem-failoverd", "leader", delay=0)
        controller.seconds *= 0.3
        return [controller, self._kill("tandem-kv", "leader", delay=0)]

    def _pairing(self):
        """The controller dies with COPIED unread in its socket."""
        first = Strike("kill", "tandemd", "other", 0.0)
        stop = Strike("stop", "tandem-failoverd", "leader", 0.3, self._delay(0.2), "session")
        kill = self._kill("tandem-failoverd", "leader", delay=self._delay(0.3))
        return [first, stop, kill]

    def _recording(self):
        """The controller dies with the answer to its CAS unread."""
        first = Strike("kill", "tandemd", "other", 0.0)
        when = self._random.choice(("record", "pair"))
        return [first, self._kill("tandem-failoverd", "leader", delay=0, when=when)]
