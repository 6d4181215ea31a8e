"""F1, F2, F3, F5: a program or a node ends or stops at each step of what it does."""

import signal

from kill import wait
from kill.stats_file import PHASES
from matrix.story import Case

STANDBY_STEPS = ("standby_seal", "standby_commit", "standby_committed", "standby_apply",
                 "standby_applied")
CONTROLLER_STEPS = ("cas", "cas_asked", "cas_won", "fence", "fence_sent", "fenced", "activate",
                    "activate_sent", "lead", "lead_sent")
TAKER_STEPS = ("standby_fence", "standby_fenced", "standby_activate")
SOLO_MS_MAX = 5000


# ---- F1 ----

def kill_primary_at(step):
    def play(story):
        story.start(a={"ledger": f"{step}:killgroup:{story.passages()}"})
        story.wait_ended("a")
        story.goes_on("b")

    return Case(f"{step}: node killed", play)


def kill_primary_host(story):
    """What its kernel still held for the peer never arrives."""
    story.start()
    story.work(story.random.randint(20, 300))
    story.pass_time(story.random.random() * 0.02)
    story.strike()
    story.pair.end_primary(signal.SIGKILL)
    story.goes_on("b")


def kill_program(story):
    """Controller and data plane of its node live on: the node joins again."""
    story.start()
    story.work(story.random.randint(20, 300))
    story.pass_time(story.random.random() * 0.02)
    story.strike()
    story.pair.signal_program("a", signal.SIGKILL)
    story.goes_on("b")
    story.prove("b")


F1 = [
    *(kill_primary_at(step) for step in PHASES),
    Case("random: node killed, link cut", kill_primary_host),
    Case("random: program killed", kill_program),
]


# ---- F2 ----

def _resume(story):
    """The old primary answers nothing that it reads now, ends, and its node joins again."""
    story.pair.resume_primary()
    wait.until(lambda: not story.pair.a.is_running("ledger"), 10, "the end of the old primary")
    story.check(story.pair.a.exit_statuses()["ledger"] == 3, "it ended otherwise than halted")
    story.prove("b")


def stop_primary_at(step):
    def play(story):
        story.start(a={"ledger": f"{step}:stopgroup:{story.passages()}"})
        story.wait_stopped("a", "ledger")
        story.goes_on("b")
        _resume(story)

    return Case(f"{step}: node stopped, goes on", play)


def stop_primary_host(story):
    story.start()
    story.work(story.random.randint(20, 300))
    story.pass_time(story.random.random() * 0.02)
    story.strike()
    story.pair.end_primary(signal.SIGSTOP)
    story.goes_on("b")
    _resume(story)


def stop_program(story):
    """Only the program: its controller must find out, and gives way or halts it."""
    story.start()
    story.work(story.random.randint(20, 300))
    story.strike()
    story.pair.signal_program("a", signal.SIGSTOP)
    story.goes_on("b")
    _resume(story)


F2 = [
    *(stop_primary_at(step) for step in PHASES),
    Case("random: node stopped, link cut, goes on", stop_primary_host),
    Case("random: program stopped, goes on", stop_program),
]


# ---- F3 ----

def strike_standby_at(step, action):
    is_stop, is_node = action.startswith("stop"), action.endswith("group")

    def play(story):
        story.start(b={"tandemd": f"{step}:{action}:{story.passages()}"})
        if is_stop:
            story.wait_stopped("b", "tandemd")
        else:
            story.wait_ended("b", None if is_node else "tandemd")
        struck_ns, generation = story.struck_ns, story.pair.stats("a").generation
        life = story.goes_on("a")
        story.check(life["generation"] == 1, "another life of the primary")
        wait.until(lambda: not story.pair.stats("a").is_pair, 5, "SOLO on node a")
        story.check(story.pair.stats("a").generation >= generation, "an older generation")
        silence_ms = story.longest_silence_ms(struck_ns)
        story.check(silence_ms <= SOLO_MS_MAX, f"silent for {silence_ms:.0f} ms")
        if is_stop:
            story.pair.signal_node("b", signal.SIGCONT)
        else:
            story.pair.restart("b")
        story.prove("a")

    names = {"kill": "data plane killed", "killgroup": "node killed",
             "stop": "data plane stopped", "stopgroup": "node stopped"}
    return Case(f"{step}: {names[action]}", play)


F3 = [strike_standby_at(step, action)
      for action in ("killgroup", "stop", "kill", "stopgroup") for step in STANDBY_STEPS]


# ---- F5 ----

def _wait_strike(story, program, is_node):
    try:
        story.wait_ended("b", None if is_node else program)
    except wait.Timeout:
        raise wait.Timeout("the take-over never came to this step") from None


def taker_controller_at(step):
    """The controller alone dies, starts again and goes on with its take-over."""
    def play(story):
        story.start(b={"tandem-failoverd": f"{step}:kill:1"})
        story.work(story.random.randint(20, 100))
        story.end_node("a")
        _wait_strike(story, "tandem-failoverd", False)
        story.pass_time(story.random.random() * 0.3)
        story.pair.restart("b")
        story.goes_on("b")

    return Case(f"{step}: controller killed and started again", play)


def taker_node_at(program, step):
    """Both nodes are dead now: no copy is left, so nobody may lead."""
    def play(story):
        story.start(b={program: f"{step}:killgroup:1"})
        story.work(story.random.randint(20, 100))
        story.end_node("a")
        _wait_strike(story, program, True)
        for name in "ab":
            story.pair.restart(name)
        story.is_stuck_with_advice()

    return Case(f"{step}: both nodes killed", play)


def taker_node_while_stopped(program, step):
    """The old primary was only stopped: either it still leads, or it was beaten and says so."""
    def play(story):
        story.start(b={program: f"{step}:killgroup:1"})
        story.work(story.random.randint(20, 100))
        story.pair.signal_node("a", signal.SIGSTOP)
        _wait_strike(story, program, True)
        story.pair.signal_node("a", signal.SIGCONT)
        story.pair.restart("b")
        if story.goes_on_or_advises("a"):
            story.prove("a")
        else:
            story.is_silent()

    return Case(f"{step}: taking node killed, old primary goes on", play)


F5 = [
    *(taker_controller_at(step) for step in CONTROLLER_STEPS),
    *(taker_node_while_stopped("tandem-failoverd", step) for step in CONTROLLER_STEPS),
    *(taker_node_while_stopped("tandemd", step) for step in TAKER_STEPS),
    *(taker_node_at("tandem-failoverd", step) for step in ("cas_won", "fenced", "activate_sent")),
    *(taker_node_at("tandemd", step) for step in TAKER_STEPS),
]

