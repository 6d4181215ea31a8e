"""One round: load on the primary, its end at a random moment, and the judgement.

A kill round ends all programs of node a with SIGKILL. A stop round stops them with SIGSTOP and
lets them go on after the take-over: none of them may answer anything any more that it reads then.
"""

import random
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, field, replace

from kill import image, wait
from kill.layout import on_loopback
from kill.network import NetworkError
from kill.pair import Pair, answers
from kill.separated import SeparatedPair
from oracle.client import Client
from oracle.verdict import Verdict

WRITES_BEFORE = 2000
RANDOM_MOMENT_SECONDS = 0.2
ON_NEW_PRIMARY_SECONDS = 0.15
AFTER_RESUME_SECONDS = 1.0
SERVER_FIRST_SHARE = 0.5
SERVER_FIRST_SECONDS = 0.05
READ_BACK_SECONDS = 60
END_SECONDS = 10
FAILPOINT_WRITES_MAX = 40000  # then the round is ended from outside

# Passages of the failpoint before it fires; a round that it ended too early is played again with
# more of them.
FAILPOINT_COUNT_MIN = 100
FAILPOINT_COUNT_MAX = 300
ATTEMPTS_MAX = 5


@dataclass
class Plan:
    """What a round does; everything random in it comes from the seed."""

    number: int
    seed: int
    kind: str = "kill"  # or "stop"
    forced_phase: str = ""  # end it by this failpoint instead of at a random moment
    provider: str = "tcp"
    with_cut: bool = False  # the link to the secondary is cut at the same instant
    with_reads_only: bool = False  # at the end the load only reads, so that its turns only read
    with_benchmark: bool = False
    with_image: bool = False
    load_seconds: float = 0  # before the end, at least
    load_seconds_max: float = 60
    keep: bool = False
    attempt: int = 1


@dataclass
class Result:
    number: int
    seed: int
    kind: str
    forced_phase: str
    with_cut: bool = False
    phase: str = ""  # where the primary's engine was when it ended
    writes_before: int = 0
    acknowledged_writes: int = 0
    operations: int = 0
    lost_writes: int = 0
    torn_values: int = 0
    is_linearizable: bool = False
    late_replies: int = 0
    answered_after_resume: int = 0
    failover_ms: float = 0
    epochs_committed: int = 0
    transport: str = ""
    tracker: str = ""
    is_image_checked: bool = False
    is_image_steady: bool = False  # while the old primary went on
    seconds: float = 0
    problems: list = field(default_factory=list)
    directory: str = ""  # of the logs, when they were kept

    @property
    def is_early(self):
        """The failpoint fired before there was enough to lose."""
        return self.writes_before < WRITES_BEFORE

    @property
    def is_good(self):
        return not self.problems and not self.is_early

    def as_dict(self):
        return {**asdict(self), "is_good": self.is_good}


def loopback_pair(plan, programs):
    """Both nodes on this machine, in network namespaces when their link is to be cut."""
    if plan.with_cut:
        return SeparatedPair(programs, plan.provider)
    return Pair(on_loopback(provider=plan.provider), programs)


def play(plan, make_pair):
    """The Result of a round, of its last attempt; make_pair(plan) gives the nodes."""
    result = Round(plan, make_pair).run()
    can_repeat = plan.forced_phase and plan.attempt < ATTEMPTS_MAX
    if can_repeat and result.is_early and not result.problems:
        return play(replace(plan, attempt=plan.attempt + 1), make_pair)
    return result


class Round:
    """tell(text) is called with what happens, for those who watch, and on_copy(stats) again and
    again while the first copy is under way."""

    def __init__(self, plan, make_pair, tell=lambda text: None, on_copy=None):
        self.plan = plan
        self.tell = tell
        self.on_copy = on_copy
        self.random = random.Random(plan.seed)
        self.result = Result(
            plan.number, plan.seed, plan.kind, plan.forced_phase, plan.with_cut
        )
        self.client = Client(plan.seed, connections_count=8, in_flight_max=8)
        self.stats = None  # of the primary when it ended
        self.take_over = None  # how the secondary says that it took over
        self.reads = None  # right after the take-over
        self.last_reads = None
        self.ended_at = 0  # monotonic nanoseconds, as took_over_at: its first reply
        self.took_over_at = 0
        self._make_pair = make_pair
        self._told_at = 0.0

    def run(self):
        """The Result; never raises for what the programs under test do."""
        started = time.monotonic()
        layout = None
        try:
            with self._make_pair(self.plan) as pair:
                layout = pair.layout
                try:
                    self._play(pair)
                    self._check_image(pair)
                finally:
                    self.result.problems += pair.faults()
        except (wait.Timeout, NetworkError, OSError, image.ImageError) as error:
            self.result.problems.append(f"{type(error).__name__}: {error}")
        self._judge()
        self._clean_up(layout)
        self.result.seconds = time.monotonic() - started
        return self.result

    # ---- the story ----

    def _play(self, pair):
        self.tell(f"node b: controller and data plane; node a: the same and tandem-kv on"
                  f" {pair.layout.nodes['a'].listen_at}")
        pair.start(self._server_environment())
        stats = pair.wait_pair(on_copy=self.on_copy)
        self.result.transport, self.result.tracker = stats.transport, stats.tracker
        self.tell(f"PAIR: node b holds a full copy, by {stats.transport}, {stats.channel_count}"
                  f" channels; written pages are found by {stats.tracker}")
        pair.wait_serving("a")
        old = self.client.connect("a", pair.layout.nodes["a"].serve_at)
        benchmark = self._start_benchmark(pair)
        try:
            self.ended_at = self._load_until_end(pair, old)
        finally:
            if benchmark:
                benchmark.kill()
                benchmark.wait()
        self._note_end(pair)
        self.took_over_at = pair.wait_serving("b")
        self.result.failover_ms = (self.took_over_at - self.ended_at) / 1e6
        self.tell(f"node b answers, {self.result.failover_ms:.0f} ms after the end of node a")
        self.take_over = pair.take_over("b")
        self._serve_on(pair, old)

    def _server_environment(self):
        if not self.plan.forced_phase:
            return None
        action = "killgroup" if self.plan.kind == "kill" else "stopgroup"
        count = self.random.randint(FAILPOINT_COUNT_MIN, FAILPOINT_COUNT_MAX)
        count *= 2 ** (self.plan.attempt - 1)
        return {"TANDEM_FAILPOINT": f"{self.plan.forced_phase}:{action}:{count}"}

    def _start_benchmark(self, pair):
        if not self.plan.with_benchmark:
            return None
        self.tell("load: redis-benchmark and the oracle client, which remembers every reply")
        host, port = pair.layout.nodes["a"].serve_at
        return subprocess.Popen(
            ["redis-benchmark", "-h", host, "-p", str(port), "-t", "set,get,incr,mset",
             "-n", "100000000", "-r", "2000", "-d", "64", "-c", "8", "-P", "4", "-q"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def _load_until_end(self, pair, connections):
        """Load until the primary is killed or stopped; the monotonic nanoseconds of that."""
        is_ended = pair.a.has_ended if self.plan.kind == "kill" else pair.a.is_stopped
        writes_max = FAILPOINT_WRITES_MAX if self.plan.forced_phase else WRITES_BEFORE
        load_until = time.monotonic() + self.plan.load_seconds

        def is_time():
            self._tell_progress()
            has_enough = self.client.tally.acknowledged_writes >= writes_max
            return has_enough and time.monotonic() >= load_until

        def is_over():
            return is_time() or (self.plan.forced_phase and is_ended())

        is_reached = self.client.load(connections, is_over, self.plan.load_seconds_max)
        if is_time() and not is_ended():
            return self._end_at_random_moment(pair, connections, is_ended)
        if is_reached or not any(connection.is_open for connection in connections):
            wait.until(is_ended, END_SECONDS, "the end of node a's programs, but not of its server")
            return self.client.tally.last_reply_at
        writes_count = self.client.tally.acknowledged_writes
        raise wait.Timeout(f"only {writes_count} writes in {self.plan.load_seconds_max} s")

    def _tell_progress(self):
        if time.monotonic() - self._told_at >= 1:
            self._told_at = time.monotonic()
            self.tell(f"  {self.client.tally.acknowledged_writes} writes acknowledged")

    def _end_at_random_moment(self, pair, connections, is_ended):
        """The signal comes from a timer, so that it hits the load anywhere."""
        number = signal.SIGKILL if self.plan.kind == "kill" else signal.SIGSTOP
        instants = []

        def strike():
            struck_at = time.monotonic_ns()
            pair.end_primary(number)
            instants.append(struck_at)

        pair.stats()  # the last look that is possible where they die with the host
        if self.plan.with_reads_only:
            self._turn_to_reads(connections)
        timer = threading.Timer(self.random.uniform(0, RANDOM_MOMENT_SECONDS), strike)
        timer.start()
        self.client.load(connections, lambda: bool(instants), END_SECONDS)
        timer.join()
        wait.until(is_ended, END_SECONDS, "the end of node a")
        self.tell(f"{number.name} to {pair.end_words}, in mid-load")
        return instants[0]

    def _turn_to_reads(self, connections):
        """No write is in flight any more when the primary ends."""
        if not self.client.drain(connections, END_SECONDS):
            raise wait.Timeout("a reply to every request")
        self.client.workload.reads_only = True

    def _note_end(self, pair):
        self.stats = pair.stats()
        self.result.writes_before = self.client.tally.acknowledged_writes
        if self.stats is None:
            self.result.problems.append("node a left no statistics")
            return
        self.result.phase = self.stats.phase
        self.result.epochs_committed = self.stats.epochs_committed

    def _serve_on(self, pair, old):
        """Reads everything back, loads the new primary, lets the old one go on if it can."""
        new = self.client.connect("b", pair.layout.nodes["b"].serve_at)
        self.tell("the oracle reads everything back")
        self.reads = self.client.read_back(new, READ_BACK_SECONDS)
        self.client.workload.reads_only = False
        self._load_for(new, old, ON_NEW_PRIMARY_SECONDS)
        if self.plan.kind == "stop":
            self._resume(pair, old, new)
        if not self.client.drain(new, 10):
            self.result.problems.append("the new primary left requests without a reply")
        self.last_reads = self.client.read_back(new, READ_BACK_SECONDS)

    def _load_for(self, new, old, seconds):
        """Load on the new primary; what the old one still sends is taken, too."""
        until = time.monotonic() + seconds

        def is_over():
            self.client.exchange(old, 0)
            return time.monotonic() > until

        self.client.load(new, is_over, seconds + 10)

    def _resume(self, pair, old, new):
        """Requests that wait in the old primary's sockets, and new ones, find no answer."""
        self._ask_old_primary(old)
        resumed_at = time.monotonic_ns()
        if self.plan.number % 2:
            self._resume_quietly(pair, old, new)
        else:
            self._resume_under_load(pair, old, new)
        self._load_for(new, old, AFTER_RESUME_SECONDS / 4)
        self._ask_old_primary(old)
        if answers(pair.layout.nodes["a"].serve_at):
            self.result.answered_after_resume += 1
        self._load_for(new, old, AFTER_RESUME_SECONDS * 3 / 4)
        self._count_late(resumed_at)

    def _resume_under_load(self, pair, old, new):
        if self.random.random() < SERVER_FIRST_SHARE:
            pair.resume_server()
            self._load_for(new, old, SERVER_FIRST_SECONDS)
        pair.resume_primary()

    def _resume_quietly(self, pair, old, new):
        """[T11] Nobody asks the new primary for anything: whatever the old one still sends, no byte
        of the image changes."""
        if not self.client.drain(new, 10):
            self.result.problems.append("the new primary left requests without a reply")
        before = pair.image_digests("b")
        pair.resume_primary()
        until = time.monotonic() + AFTER_RESUME_SECONDS
        while time.monotonic() < until:
            if not self.client.exchange(old, 0.01):
                time.sleep(0.01)
        after = pair.image_digests("b")
        self.result.is_image_steady = bool(before) and before == after
        self.tell("the old primary goes on; no byte of the image changes"
                  if self.result.is_image_steady else "THE IMAGE CHANGED")
        if not self.result.is_image_steady:
            self.result.problems.append(f"the image was {before} and is {after}")

    def _ask_old_primary(self, old):
        targets = sorted({operation.target for operation in self.client.history})
        for connection in old:
            if connection.is_open:
                self.client.read_object(connection, self.random.choice(targets))
                connection.flush()

    def _count_late(self, resumed_at):
        for operation in self.client.history:
            if operation.node != "a" or operation.returned is None:
                continue
            if operation.returned > resumed_at:
                self.result.late_replies += 1
            if operation.invoked > self.took_over_at:
                self.result.answered_after_resume += 1

    # ---- the judgement ----

    def _check_image(self, pair):
        if not self.plan.with_image or not self.last_reads:
            return
        found = image.disagreements(pair.end_and_take_image("b"), self.last_reads)
        self.result.problems += found[:10]
        self.result.is_image_checked = True

    def _judge(self):
        result, tally = self.result, self.client.tally
        verdict = Verdict(self.client, [self.reads, self.last_reads])
        result.acknowledged_writes = verdict.acknowledged_writes
        result.operations = verdict.operations
        result.lost_writes = verdict.lost_writes
        result.torn_values = verdict.torn_values
        result.is_linearizable = verdict.is_linearizable
        result.problems += verdict.explain()
        if tally.errors:
            result.problems.append(f"{tally.errors} error replies: {tally.error_texts}")
        if result.answered_after_resume:
            result.problems.append(
                f"the resumed primary answered {result.answered_after_resume} requests"
            )

    def _clean_up(self, layout):
        self.client.close()
        if layout is None:
            return
        keep = self.plan.keep or bool(self.result.problems)
        if keep:
            (layout.directory / "problems").write_text("\n".join(self.result.problems) + "\n")
            self.result.directory = str(layout.directory)
        layout.remove(keep_files=keep)
