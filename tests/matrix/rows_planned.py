"""F17: planned hand-over under load, and a program or node that dies at each of its steps."""

import signal

from kill import wait
from matrix.bed import PEER
from matrix.rows_network import TWO_LINKS, leader_of
from matrix.story import Case

TURNS = 4
NEW_STEPS = ("cas", "cas_asked", "cas_won", "fence", "fence_sent", "fenced", "activate",
             "activate_sent", "lead", "lead_sent")
TAKER_STEPS = ("standby_fence", "standby_fenced", "standby_activate")
PAUSE_MS_MAX = 5000
DECIDED_SECONDS = 40
ADVICE_LOOKS = 60  # in a row, some seconds: longer than anything that goes on by itself


def _hand_over(story, name):
    answer = story.pair.ask_admin(name, {"command": "switchover", "pair": "kv"})
    story.check(answer.get("ok"), f"switchover on node {name}: {answer}")


def back_and_forth(story):
    """Nothing is lost, and each hand-over is a pause, not a failure."""
    story.start()
    leader = "a"
    for _ in range(TURNS):
        other = PEER[leader]
        story.work(story.random.randint(20, 200), leader)
        story.strike()
        _hand_over(story, leader)
        life = story.goes_on(other)
        story.check(life["step"] >= 20, "the hand-over began anew")
        pause_ms = story.longest_silence_ms(story.struck_ns)
        story.note("pause_ms", pause_ms)
        story.check(pause_ms <= PAUSE_MS_MAX, f"silent for {pause_ms:.0f} ms")
        story.pair.wait_paired(other)
        leader = other
    story.prove(leader)


def _one_leads_again(story):
    """Whoever it is: it goes on and is paired again; or every copy is gone, with advice."""
    for name in "ab":
        story.pair.restart(name)
    advised = 0

    def leader_or_advice():
        """An advice that is given in passing is none to wait with."""
        nonlocal advised
        advised = advised + 1 if story.advisers() else 0
        return leader_of(story) or (advised >= ADVICE_LOOKS and "advice")

    leader = wait.until(leader_or_advice, DECIDED_SECONDS, "one who goes on, or an advice", 0.05)
    if leader == "advice":
        story.is_stuck_with_advice()
    else:
        story.prove(leader)


def controller_dies_at(step):
    def play(story):
        story.start(b={"tandem-failoverd": f"{step}:kill:1"})
        story.work(story.random.randint(20, 100))
        story.strike()
        _hand_over(story, "a")
        story.wait_ended("b", "tandem-failoverd")
        story.pass_time(story.random.random() * 0.5)
        _one_leads_again(story)

    return Case(f"{step}: controller of the new primary killed", play)


def taker_dies_at(step):
    def play(story):
        story.start(b={"tandemd": f"{step}:kill:1"})
        story.work(story.random.randint(20, 100))
        story.strike()
        _hand_over(story, "a")
        story.wait_ended("b", "tandemd")
        _one_leads_again(story)

    return Case(f"{step}: data plane of the new primary killed", play)


def dies_meanwhile(name, what):
    """At any moment of it."""
    def play(story):
        story.start()
        story.work(story.random.randint(20, 100))
        story.strike()
        _hand_over(story, "a")
        story.pass_time(story.random.random() ** 2 * 0.1)
        if what == "link":
            for link in ("between", "rail"):
                story.pair.network.cut("", link)
            story.pass_time(1.0)
            story.pair.network.heal()
        elif what == "controller":
            story.pair.nodes[name].signal_program("tandem-failoverd", signal.SIGKILL)
            story.wait_ended(name, "tandem-failoverd")
        elif what == "ledger" and story.pair.program_id(name):
            story.pair.signal_program(name, signal.SIGKILL)
        elif what == "node":
            story.end_node(name)
        story.strike()
        _one_leads_again(story)

    return Case(f"random: {what}{f' of {name} killed' if name else ' cut'}", play,
                TWO_LINKS if what == "link" else {})


F17 = [
    Case(f"{TURNS} hand-overs to and fro", back_and_forth),
    *(controller_dies_at(step) for step in NEW_STEPS),
    *(taker_dies_at(step) for step in TAKER_STEPS),
    *(dies_meanwhile(name, what) for what in ("controller", "ledger", "node") for name in "ab"),
    dies_meanwhile("", "link"),
]
