"""One round of a row: the pair, what happens to it, and the judgement."""

import random
import signal
import subprocess
import time
import traceback
from dataclasses import dataclass, field

from kill import image, wait
from kill.network import NetworkError
from matrix.bed import PEER, MatrixPair

FIRST_STEPS = 50
SILENT_SECONDS = 1.5
REACH_SECONDS = 120  # a failpoint of some hundred passages, on a busy computer
ATTEMPTS_MAX = 6


class Unavailable(Exception):
    """This bed, or this fault, cannot be had here."""


class Early(Exception):
    """The failpoint fired before the pair was protected: again, with more passages."""


@dataclass
class Case:
    """A way in which a row's fault strikes."""

    name: str
    play: object  # play(story)
    pair: dict = field(default_factory=dict)  # options of MatrixPair; None: it brings its own pairs


@dataclass
class Result:
    row: str
    case: str
    number: int
    seed: int
    seconds: float = 0
    problems: list = field(default_factory=list)
    notes: dict = field(default_factory=dict)  # {what was measured: values}
    directory: str = ""  # of the logs, when they were kept
    skipped: str = ""  # why it could not be played here


class Story:
    """What a case works with."""

    def __init__(self, pair, rng, attempt=1):
        self.pair = pair
        self.programs = pair.programs if pair else None
        self.random = rng
        self.attempt = attempt
        self.problems = []
        self.notes = {}
        self.may_begin_anew = False  # every copy is killed on purpose
        self.struck_ns = 0
        self.faults = {}  # of each host, for rows that use them

    # ---- begin ----

    def start(self, a=None, b=None, environment=None, only=None):
        """A pair that is protected and works. a, b: {program: failpoint}; environment: {node:
        variables} for all programs, or for only one."""
        pair = self.pair
        for name, failpoints in (("b", b or {}), ("a", a or {})):
            node = pair.nodes[name]
            starts = {"tandem-failoverd": node.start_controller, "tandemd": node.start_data_plane}
            if name == "a":
                starts["ledger"] = node.start_server
            for program, start in starts.items():
                more = (environment or {}).get(name) if only in (None, program) else None
                start({**_armed(failpoints.get(program)), **(more or {})})
        try:
            pair.wait_paired("a")
        except wait.Timeout as error:
            is_early = a and pair.program_id("a") is None or b and pair.nodes["b"].has_ended()
            raise (Early() if is_early else error)
        pair.sink.tell("ask")
        self.struck_ns = time.monotonic_ns()

    def work(self, steps=FIRST_STEPS, name="a"):
        self.pair.wait_output(name, count=steps)

    def passages(self, low=20, high=200):
        return self.random.randint(low, high) * 2 ** (self.attempt - 1)

    # ---- strike ----

    def strike(self):
        """From now on it counts."""
        self.struck_ns = time.monotonic_ns()

    def wait_ended(self, name, what=None):
        node = self.pair.nodes[name]
        wait.until(lambda: not node.is_running(what) if what else node.has_ended(),
                   REACH_SECONDS * self.pair.pace, f"the end of {what or 'every program'} of node {name}")
        self.strike()

    def wait_stopped(self, name, program):
        wait.until(lambda: self.pair.is_program_stopped(name, program),
                   REACH_SECONDS * self.pair.pace, f"{program} of node {name} to be stopped")
        self.strike()

    def end_node(self, name):
        """All of its programs are killed."""
        self.pair.signal_node(name, signal.SIGKILL)
        self.wait_ended(name)

    def pass_time(self, seconds):
        wait.passed(seconds)

    # ---- look ----

    def check(self, is_right, text):
        if not is_right:
            self.problems.append(text)

    def goes_on(self, name, timeout_seconds=20, count=20):
        """Node `name` lets out what it has done since the strike."""
        return self.pair.wait_output(name, self.struck_ns, timeout_seconds, count)

    def is_silent(self, name=None, seconds=SILENT_SECONDS):
        """Nothing new is let out: a step that is made now is not, and no question is answered."""
        before = self._counts(name)
        wait.passed(seconds)
        self.check(self._counts(name) == before,
                   f"{name or 'somebody'} let something out where nobody may")

    def _counts(self, name):
        return [(each["steps"], each["reads"]) for each in self.pair.sink.lives()
                if name in (None, each["node"])]

    def stays_paired(self, seconds, generation, count=20):
        """No role changes, and work goes on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            stats = self.pair.stats("a")
            if not stats.is_pair or stats.generation != generation:
                self.problems.append(f"no PAIR of generation {generation} any more, but"
                                     f" {stats.generation}, {'PAIR' if stats.is_pair else 'SOLO'}")
                return
            wait.passed(0.02)
        self.strike()
        self.goes_on("a", 60, count)

    def is_stuck_with_advice(self):
        """Nobody leads, and somebody says what to type."""
        wait.until(self.advisers, 10, "an advice what to type", 0.02)
        self.is_silent()

    def advisers(self):
        """The nodes that say that an operator must decide; none while a node may lead by itself."""
        return [name for name in "ab" if "force-primary" in (self.pair.says(name).get("unblock") or "")]

    def goes_on_or_advises(self, name, timeout_seconds=20):
        """True when node `name` lets out what it does now, False when an operator must decide."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            life = self.pair.life(name)
            if life and life["last_ns"] > self.struck_ns and self.pair.program_id(name) and (
                    self.pair.says(name).get("state") in ("PRIMARY_PAIR", "PRIMARY_SOLO")):
                self.goes_on(name)
                return True
            if self.advisers():
                return False
            wait.passed(0.02)
        raise wait.Timeout(f"output of node {name}, or an advice what to type")

    def hears(self, names, *words):
        """The log of one of the nodes has one of the words, or is about to."""
        def is_told():
            logs = [self.pair.layout.log_path(name).read_text(errors="replace") for name in names]
            return any(word in log for word in words for log in logs)

        wait.until(is_told, 10 * self.pair.pace, f"'{words[0]}' in the log of {' or '.join(names)}", 0.02)

    def waits_for_arbiter(self, names):
        """And nothing new is let out while they do."""
        def says_so(name):
            words = self.pair.says(name)
            return "arbiter" in f"{words.get('waiting_for')} {words.get('unblock')} {words.get('alarms')}"

        for name in names:
            wait.until(lambda name=name: says_so(name), 10 * self.pair.pace,
                       f"node {name} to say that it waits for the arbiter", 0.02)
        self.is_silent()

    def note(self, name, value):
        """Of something measured, for the results."""
        self.notes.setdefault(name, []).append(round(value, 1))

    def longest_silence_ms(self, since_ns):
        return self.pair.sink.tell(f"silence {since_ns}")["ms"]

    # ---- end ----

    def prove(self, leader="a"):
        """PAIR again, and it is worth something: the leader dies and the other one goes on."""
        self.pair.wait_paired(leader)
        self.work(name=leader)
        self.end_node(leader)
        self.goes_on(PEER[leader])


def _armed(failpoint):
    return {"TANDEM_FAILPOINT": failpoint} if failpoint else {}


def play(row, case, number, seed, programs, keep=False):
    """The Result of a round; never raises for what the programs under test do."""
    result = Result(row, case.name, number, seed)
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            if case.pair is None:
                _play_alone(case, result, programs)
            else:
                _attempt(case, result, programs, attempt, keep)
            break
        except Early:
            continue
    else:
        result.problems.append(f"the failpoint fired too early, {ATTEMPTS_MAX} times")
    result.seconds = time.monotonic() - started
    return result


def _lab_bed():
    from matrix import lab_bed  # needs what only a lab needs

    return lab_bed


def _make_pair(case, programs, rng):
    if case.pair.get("is_lab"):
        bed = _lab_bed()
        try:
            return bed.LabMatrixPair(programs, **{k: v for k, v in case.pair.items() if k != "is_lab"})
        except bed.LabUnavailable as error:
            raise Unavailable(f"no lab on this computer: {error}") from error
    return MatrixPair(programs, seed=rng.getrandbits(32), **case.pair)


def _play_alone(case, result, programs):
    story = Story(None, random.Random(f"{result.seed} {result.row} {result.number}"))
    story.programs = programs
    try:
        case.play(story)
    except (wait.Timeout, OSError, subprocess.TimeoutExpired) as error:
        story.problems.append(f"{type(error).__name__}: {error}")
    result.problems += story.problems


def _attempt(case, result, programs, attempt, keep):
    rng = random.Random(f"{result.seed} {result.row} {result.number}")
    try:
        pair = _make_pair(case, programs, rng)
    except Unavailable as error:
        result.skipped = str(error)
        return
    is_early = False
    try:
        with pair:
            story = Story(pair, rng, attempt)
            try:
                case.play(story)
            except Early:
                is_early = True
                raise
            except (wait.Timeout, OSError, image.ImageError) as error:
                story.problems.append(f"{type(error).__name__}: {error}")
                story.problems += _words(pair)
            finally:
                if not is_early:
                    result.notes = story.notes
                    result.problems += story.problems + pair.faults() + pair.crashes()
                    result.problems += pair.sink.judge(story.may_begin_anew)
    except Unavailable as error:
        result.skipped = str(error)
    except NetworkError as error:
        result.problems.append(f"NetworkError: {error}")
    except Early:
        raise
    except Exception:  # of the harness: a round that was not played is none that was passed
        result.problems.append(traceback.format_exc())
    finally:
        if result.problems and case.pair.get("is_lab"):
            _lab_bed().spoil()
        keep = (keep or bool(result.problems)) and not is_early
        if keep:
            result.directory = str(pair.layout.directory)
            (pair.layout.directory / "problems").write_text("\n".join(result.problems) + "\n")
        pair.layout.remove(keep_files=keep)


def _words(pair):
    """What the controllers say, for whom nothing goes on."""
    return [f"node {name}: {each.get('state')}, waits for {each.get('waiting_for')!r}, unblock"
            f" {each.get('unblock')!r}" for name, each in ((n, pair.says(n)) for n in "ab")]


