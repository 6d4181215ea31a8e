"""F19: a host loses its power, or stands still, in the middle of RDMA writes."""

import signal

from kill import wait
from matrix.story import Case

PAIRED_SECONDS = 90
OUTPUT_SECONDS = 60
STEPS = 60


def _start(story):
    story.pair.start()
    story.pair.wait_paired("a", PAIRED_SECONDS)
    story.pair.sink.tell("ask")
    _work(story, "a")
    story.pair.wait_paired("a", PAIRED_SECONDS)  # a busy emulator may have lost the session
    story.pass_time(story.random.random() * 0.1)


def _work(story, name):
    story.pair.wait_output(name, 0, OUTPUT_SECONDS, STEPS)


def _power_off(story, name):
    story.strike()
    story.pair.nodes[name].signal_all(signal.SIGKILL)


def _prove(story, leader):
    """PAIR again, then its power is lost, too."""
    story.pair.wait_paired(leader, PAIRED_SECONDS)
    _work(story, leader)
    _power_off(story, leader)
    story.goes_on("b" if leader == "a" else "a", OUTPUT_SECONDS)


def primary_off(story):
    _start(story)
    _power_off(story, "a")
    story.goes_on("b", OUTPUT_SECONDS)
    story.pair.a.start_again()
    _prove(story, "b")


def secondary_off(story):
    _start(story)
    _power_off(story, "b")
    story.goes_on("a", OUTPUT_SECONDS)
    story.pair.b.start_again()
    _prove(story, "a")


def primary_frozen(story):
    """It goes on with everything that it had posted."""
    _start(story)
    story.strike()
    story.pair.a.signal_all(signal.SIGSTOP)
    story.goes_on("b", OUTPUT_SECONDS)
    story.pair.a.signal_all(signal.SIGCONT)
    wait.until(lambda: story.pair.life("a")["is_over"], OUTPUT_SECONDS, "the end of the old one")
    _prove(story, "b")


def secondary_frozen(story):
    _start(story)
    story.strike()
    story.pair.b.signal_all(signal.SIGSTOP)
    story.goes_on("a", OUTPUT_SECONDS)
    story.pair.b.signal_all(signal.SIGCONT)
    _prove(story, "a")


IN_LAB = {"is_lab": True}

F19 = [
    Case("primary's power lost", primary_off, IN_LAB),
    Case("secondary's power lost", secondary_off, IN_LAB),
    Case("primary's machine stands still, goes on", primary_frozen, IN_LAB),
    Case("secondary's machine stands still, goes on", secondary_frozen, IN_LAB),
]
