"""One round: a pair works, its program ends at a place of a checkpoint, and what is promoted is
compared byte for byte with the last committed epoch."""

import random
import signal
import time
import traceback
from dataclasses import dataclass, field, replace

from exact import places
from exact.bed import CheckedPair
from kill import wait

STEPS_MIN = 30  # acknowledged before the end, so that there is something to lose
STEPS_AFTER = 20
PASSAGES = (40, 240)
PASSAGES_MACHINE = (40, 80)  # where each takes some ten times as long
PAIR_SECONDS = 60  # these only bound what hangs
PLACE_SECONDS = 60
VERDICT_SECONDS = 60
MACHINE_FACTOR = 4
ATTEMPTS_MAX = 6


@dataclass(frozen=True)
class Plan:
    number: int
    seed: int
    place: places.Place | None  # None: at a random moment
    combination: dict
    has_storm: bool = False
    seeded: tuple = ()  # (program, failpoint) that breaks the protocol
    keep: bool = False
    address: str = "127.0.0.1"  # of the device
    attempt: int = 1


@dataclass
class Result:
    number: int
    seed: int
    place: str
    combination: dict
    step: int = 0  # of the promoted memory
    acked: int = 0
    different_pages: int = 0
    seconds: float = 0
    problems: list = field(default_factory=list)
    directory: str = ""  # of the logs, when they were kept

    @property
    def is_image_wrong(self):
        """And not only the round one that could not be played: on a computer that others keep busy
        a pair changes its roles by itself, or the place is not met in time."""
        return self.different_pages > 0 or self.step < self.acked


class Early(Exception):
    """The place was passed before there was anything to lose, or the primary led alone already."""


def play(plan, programs):
    """The Result of a round; never raises for what the programs under test do."""
    result = Result(plan.number, plan.seed, str(plan.place or "a random moment"), plan.combination)
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            _attempt(replace(plan, attempt=attempt), result, programs)
            break
        except Early:
            continue
    else:
        result.problems.append(f"the place was met too early, {ATTEMPTS_MAX} times")
    result.seconds = time.monotonic() - started
    return result


def _attempt(plan, result, programs):
    pair = CheckedPair(programs, plan.seed % 2**32, plan.combination, plan.has_storm,
                       address=plan.address)
    is_early = False
    try:
        with pair:
            try:
                _Round(plan, result, pair).play()
            except Early:
                is_early = True
                raise
            except (wait.Timeout, OSError) as error:
                result.problems.append(f"{type(error).__name__}: {error}")
                result.problems += [f"node {name}: {pair.state(name)} {pair.advice(name)}"
                                    for name in "ab"]
            finally:
                if not is_early:
                    result.problems += pair.faults() + pair.crashes()
    except Early:
        raise
    except Exception:  # of the harness: a round that was not played is none that was passed
        result.problems.append(traceback.format_exc())
    finally:
        keep = (plan.keep or bool(result.problems)) and not is_early
        if keep:
            result.directory = str(pair.layout.directory)
        pair.layout.remove(keep_files=keep)


class _Round:
    def __init__(self, plan, result, pair):
        self.plan = plan
        self.place = plan.place
        self.result = result
        self.pair = pair
        self.random = random.Random(f"{plan.seed} {plan.number} {plan.attempt}")

    def play(self):
        how = self.place.how if self.place else ""
        {
            "": self._end_at_random,
            places.KILL: self._end_at_place,
            places.PAUSE: self._end_while_standby_pauses,
            places.RECOPY: self._end_after_another_copy,
            places.TAKING: self._pause_in_take_over,
            places.FIRST: self._end_in_first_copy,
        }[how]()

    # ---- how it ends ----

    def _end_at_random(self):
        self._start()
        self._wait_pair()
        self._wait_steps(STEPS_MIN)
        wait.passed(self.random.random() * 0.2)
        self.pair.kill_program()
        self._judge()

    def _end_at_place(self):
        self._start(program=self._failpoint("kill"))
        self._wait_pair()
        self._wait_steps(STEPS_MIN)
        self._break()
        self._wait_ended("a", "checker")
        self._judge()

    def _end_while_standby_pauses(self):
        self._start(standby=self._failpoint("stop"))
        self._wait_pair()
        self._wait_steps(STEPS_MIN)
        self._break()
        self._until(lambda: self.pair.is_stopped("b", "tandemd"), PLACE_SECONDS, str(self.place),
                    0.0005)
        self.pair.kill_program()
        wait.passed(self.random.random() * 0.02)
        self.pair.b.signal_program("tandemd", signal.SIGCONT)
        self._judge()

    def _end_after_another_copy(self):
        self._start(standby=self._failpoint("kill"))
        self._wait_ended("b", "tandemd")
        generation = self.pair.stats().generation
        self.pair.b.start_data_plane()
        self._wait_pair(generation + 1)
        self._wait_steps(STEPS_MIN)
        self.pair.kill_program()
        self._judge()

    def _pause_in_take_over(self):
        self._start(standby=f"{self.place.name}:stop:1")
        self._wait_pair()
        self._wait_steps(STEPS_MIN)
        self.pair.kill_program()
        self._until(lambda: self.pair.is_stopped("b", "tandemd"), PLACE_SECONDS, str(self.place))
        wait.passed(self.random.random() * 0.05)
        self.pair.b.signal_program("tandemd", signal.SIGCONT)
        self._judge()

    def _end_in_first_copy(self):
        self._start(program=f"{self.place.name}:kill:1")
        self._wait_ended("a", "checker")
        self._until(lambda: "force-primary" in self.pair.advice("a") + self.pair.advice("b"),
                    PLACE_SECONDS, "an advice what to type")
        if self.pair.verdict():
            self.result.problems.append("what is no full copy was promoted")

    # ---- what it is made of ----

    def _is_in_machine(self):
        return self.plan.combination["provider"] == "rdma"

    def _passages(self):
        return PASSAGES_MACHINE if self._is_in_machine() else PASSAGES

    def _until(self, condition, seconds, what, interval_seconds=0.005):
        """In an emulated machine, looking often takes the time that others need."""
        if self._is_in_machine():
            seconds, interval_seconds = MACHINE_FACTOR * seconds, max(interval_seconds, 0.02)
        return wait.until(condition, seconds, what, interval_seconds)

    def _failpoint(self, action):
        """A passage when the pair works, most likely; later ones with each attempt."""
        if self.place.is_rare:
            return f"{self.place.name}:{action}:{self.place.passage + self.plan.attempt - 1}"
        passage = self.random.randint(*self._passages()) * self.plan.attempt
        return f"{self.place.name}:{action}:{passage}"

    def _start(self, program="", standby=""):
        seeded = dict(self.plan.seeded)
        program, standby = program or seeded.get("checker"), standby or seeded.get("tandemd")
        self.pair.b.start_controller()
        self.pair.b.start_data_plane({"TANDEM_FAILPOINT": standby} if standby else None)
        self.pair.a.start(True, {"TANDEM_FAILPOINT": program} if program else None)

    def _has_ended(self, name, program):
        return not self.pair.nodes[name].is_running(program)

    def _wait_ended(self, name, program):
        self._until(lambda: self._has_ended(name, program), PLACE_SECONDS, f"the end of {program}")

    def _wait_pair(self, generation_min=0):
        def is_paired():
            if self._is_met():
                raise Early
            stats = self.pair.stats()
            return stats and stats.is_pair and stats.generation >= generation_min

        self._until(is_paired, PAIR_SECONDS, "PAIR")

    def _wait_steps(self, count):
        """Until so many more are acknowledged, or the place is met."""
        first = self.pair.acked()

        self._until(lambda: self.pair.acked() >= first + count or self._is_met(), PLACE_SECONDS,
                    "steps")
        if self.pair.acked() < STEPS_MIN:
            raise Early

    def _is_met(self):
        return self._has_ended("a", "checker") or self.pair.is_stopped("b", "tandemd")

    def _break(self):
        """As often as it takes to get to the place."""
        if self.place.breaks == places.NOTHING:
            return
        if self._is_met():
            raise Early
        for _ in range(self.plan.attempt):
            if self.place.breaks == places.SESSION:
                self.pair.break_session()
            else:
                self.pair.break_channel()
            if self.plan.attempt == 1:
                return
            first = self.pair.acked()
            self._until(lambda acked=first: self.pair.acked() > acked + STEPS_AFTER or
                        self._is_met(), PLACE_SECONDS, "steps after a break")
            if self._is_met():
                return

    def _judge(self):
        acked = self.pair.acked()
        verdict = self._until(self._verdict, VERDICT_SECONDS, "a promoted program")
        result = self.result
        result.step, result.acked = verdict["step"], acked
        result.different_pages = verdict["different_pages"]
        self._check(verdict["is_state_good"], "the state blob is none of the checker's")
        self._check(verdict["seed"] == self.plan.seed % 2**32, "the state blob is of another run")
        self._check(verdict["step"] >= acked,
                    f"step {acked} was acknowledged, {verdict['step']} was promoted")
        self._check(verdict["different_pages"] == 0,
                    f"{verdict['different_pages']} pages differ from step {verdict['step']}, the"
                    f" first one is page {verdict['page']} of region {verdict['region']}, last"
                    f" written in step {verdict['expected_step']}")

    def _verdict(self):
        verdict, record = self.pair.verdict(), self.pair.record()
        if not verdict and record and record.owner == "a" and not record.is_pair:
            raise Early  # it had gone on alone before it was killed: there was no copy to take over
        return verdict

    def _check(self, is_right, text):
        if not is_right:
            self.result.problems.append(text)

