"""F4 and F16: controllers end or stop, and a copy is interrupted at each of its steps."""

import signal

from kill import register, wait
from kill.layout import PAIR
from matrix.story import Case

CONTROLLER = "tandem-failoverd"
COPY_STEPS = ("standby_hello", "standby_prepared", "standby_seal", "standby_commit",
              "standby_committed", "standby_apply", "standby_applied")
RECORD_STEPS = ("copied", "cas", "cas_asked", "cas_won", "lead", "lead_sent")
FLAPS = 8
WATCHED_SECONDS = 1.5


# ---- F4 ----

def _signal_controllers(story, names, number):
    for name in names:
        story.pair.nodes[name].signal_program(CONTROLLER, number)
    if number == signal.SIGKILL:
        for name in names:
            story.wait_ended(name, CONTROLLER)


def controllers_away(names, number):
    """A healthy pair needs no controller."""
    def play(story):
        story.start()
        story.work()
        _signal_controllers(story, names, number)
        story.strike()
        story.stays_paired(WATCHED_SECONDS, 2)
        for name in names:
            if number == signal.SIGKILL:
                story.pair.restart(name)
            else:
                story.pair.nodes[name].signal_program(CONTROLLER, signal.SIGCONT)
        story.pair.wait_paired("a")
        story.stays_paired(0.5, 2)
        story.prove("a")

    word = "killed" if number == signal.SIGKILL else "stopped"
    return Case(f"controllers of {names} {word}", play)


def primary_dies_without(names):
    """Who has no controller is not promoted; with it again, it is."""
    def play(story):
        story.start()
        story.work()
        _signal_controllers(story, names, signal.SIGKILL)
        story.strike()
        story.pair.signal_program("a", signal.SIGKILL)
        if "b" in names:
            story.is_silent()
            story.strike()
        for name in names:
            story.pair.restart(name)
        story.goes_on("b")
        story.prove("b")

    return Case(f"controllers of {names} killed, then the program", play)


def late_controller(story):
    """It slept through a take-over, and wakes up as if it still led."""
    story.start()
    story.work()
    story.pair.a.signal_program(CONTROLLER, signal.SIGSTOP)
    story.strike()
    story.pair.signal_program("a", signal.SIGKILL)
    story.goes_on("b")
    story.pair.a.signal_program(CONTROLLER, signal.SIGCONT)
    story.prove("b")


F4 = [
    *(controllers_away(names, number)
      for number in (signal.SIGKILL, signal.SIGSTOP) for names in ("a", "b", "ab")),
    *(primary_dies_without(names) for names in ("a", "b", "ab")),
    Case("controller of a stopped, then the program killed", late_controller),
]


# ---- F16 ----

def copy_interrupted_at(step):
    """Again and again; never is such a copy taken for one."""
    def play(story):
        story.start()
        story.work()
        story.pair.b.signal_program("tandemd", signal.SIGKILL)
        story.wait_ended("b", "tandemd")
        is_once = step in COPY_STEPS[:2]
        for passage in (1, 1, 1 if is_once else story.random.randint(1, 2)):
            story.pair.b.start_data_plane({"TANDEM_FAILPOINT": f"{step}:kill:{passage}"})
            story.wait_ended("b", "tandemd")
            story.goes_on("a")
        story.pair.restart("b")
        story.prove("a")

    return Case(f"{step}: copying node killed", play)


def record_interrupted_at(step):
    """The copy is complete, and the controller that is to record it dies."""
    def play(story):
        story.start()
        story.work()
        story.pair.b.signal_program("tandemd", signal.SIGKILL)
        story.wait_ended("b", "tandemd")
        wait.until(lambda: story.pair.says("a").get("state") == "PRIMARY_SOLO", 10, "SOLO", 0.02)
        story.pair.a.signal_program(CONTROLLER, signal.SIGKILL)
        story.wait_ended("a", CONTROLLER)
        story.pair.a.start_controller({"TANDEM_FAILPOINT": f"{step}:kill:1"})
        story.pair.restart("b")
        story.wait_ended("a", CONTROLLER)
        story.pass_time(story.random.random() * 0.3)
        story.pair.restart("a")
        story.goes_on("a")
        story.prove("a")

    return Case(f"{step}: recording controller killed", play)


def primary_dies_while_copying(step):
    """What the peer holds is no copy yet."""
    def play(story):
        story.start()
        story.work()
        story.pair.b.signal_program("tandemd", signal.SIGKILL)
        story.wait_ended("b", "tandemd")
        story.goes_on("a")
        story.pair.b.start_data_plane({"TANDEM_FAILPOINT": f"{step}:stop:1"})
        wait.until(lambda: story.pair.is_program_stopped("b", "tandemd"), 10, "the copy's middle")
        story.end_node("a")
        story.pair.signal_node("b", signal.SIGCONT)
        story.pair.restart("a")
        story.is_stuck_with_advice()

    return Case(f"{step}: primary killed", play)


def primary_dies_when_paired(story):
    """R7: what left since the copy must be in the copy."""
    story.start()
    story.work()
    watch = register.Watch(story.pair.layout.arbiter / PAIR)
    watch.start()
    try:
        story.pair.b.signal_program("tandemd", signal.SIGKILL)
        story.wait_ended("b", "tandemd")
        wait.until(lambda: watch.record and not watch.record.is_pair, 10, "SOLO", 0.001)
        story.pair.restart("b")
        wait.until(lambda: watch.record.is_pair, 20, "PAIR", 0.0005)
        story.pass_time(story.random.choice((0, story.random.random() * 0.01)))
        story.strike()
        story.pair.end_primary(signal.SIGKILL)
    finally:
        watch.end()
    story.goes_on("b")


def flaps(story):
    story.start()
    story.work()
    for _ in range(FLAPS):
        story.pair.b.signal_program("tandemd", signal.SIGKILL)
        story.wait_ended("b", "tandemd")
        story.pass_time(story.random.random() * 0.1)
        story.pair.restart("b")
        story.pass_time(story.random.random() * 0.3)
    story.goes_on("a")
    story.prove("a")


F16 = [
    *(copy_interrupted_at(step) for step in COPY_STEPS),
    *(record_interrupted_at(step) for step in RECORD_STEPS),
    *(primary_dies_while_copying(step) for step in ("standby_prepared", "standby_applied")),
    Case("primary killed when paired", primary_dies_when_paired),
    Case(f"data plane killed {FLAPS} times in a row", flaps),
]
