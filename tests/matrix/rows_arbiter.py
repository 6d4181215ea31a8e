"""F9 and F14: the arbiter is gone, slow or loses answers; fencing fails, hangs or lies."""

import signal
import time

from kill import wait
from matrix.bed import PEER
from matrix.rows_network import TWO_LINKS, winner_alone
from matrix.story import Case

ETCD = {"arbiter": "etcd"}
FENCE = {**TWO_LINKS, "arbiter": "fence"}
ADVICE_LOOKS = 20


# ---- F9 ----

def etcd_away(name, take_away, bring_back):
    """The pair runs; who would have to decide waits, and goes on when it can."""
    def play(story):
        story.start()
        story.work()
        take_away(story.pair)
        story.strike()
        story.stays_paired(1.5, 2)
        story.end_node("a")
        story.waits_for_arbiter("b")
        bring_back(story.pair)
        story.goes_on("b")
        story.pair.restart("a")
        story.prove("b")

    return Case(f"etcd {name}", play, ETCD)


def _relay_mode(mode):
    def set_mode(pair):
        pair.relay.mode = mode

    return set_mode


def lost_answer(side):
    """The decision was made, and who asked for it was not told: it asks again under its number."""
    def play(story):
        story.start()
        story.work()
        story.pair.relay.mode = "lost"
        story.end_node("a" if side == "b" else "b")
        wait.until(lambda: story.pair.relay.lost_count > 0, 10, "an answer that is lost", 0.005)
        story.pass_time(story.random.random() * 0.3)
        story.pair.relay.mode = "pass"
        story.strike()
        story.goes_on(side)
        story.pair.restart("a" if side == "b" else "b")
        story.prove(side)

    what = "a take-over" if side == "b" else "going on alone"
    return Case(f"answer about {what} lost", play, ETCD)


def lossy(story):
    """Every other connection to it breaks: decisions take a little longer."""
    story.start()
    story.work()
    story.pair.relay.mode = "lossy"
    story.strike()
    story.stays_paired(1.5, 2)
    story.end_node("a")
    story.goes_on("b")


F9 = [
    etcd_away("killed", lambda pair: pair.etcd.kill(), lambda pair: pair.etcd.start()),
    etcd_away("paused", lambda pair: pair.etcd.signal(signal.SIGSTOP),
              lambda pair: pair.etcd.signal(signal.SIGCONT)),
    etcd_away("slow by 1 s", _relay_mode("slow"), _relay_mode("pass")),
    etcd_away("does not answer", _relay_mode("deaf"), _relay_mode("pass")),
    lost_answer("b"), lost_answer("a"), Case("etcd lossy", lossy, ETCD),
]


# ---- F14 ----

def _cut(story):
    for link in ("between", "rail"):
        story.pair.network.cut("", link)
    story.strike()


def _fence_works(story, names="ab"):
    for name in names:
        story.pair.set_fencing(name, "works")


def fencing_works(story):
    """Cut off from each other, and both alive: who is switched off first is no second leader."""
    story.start()
    _fence_works(story)
    story.work()
    _cut(story)
    winner, loser = winner_alone(story)
    story.check(story.pair.nodes[loser].has_ended(), f"{winner} leads and {loser} was not fenced")
    story.pair.network.heal()
    story.strike()
    story.pair.restart(loser)
    story.prove(winner)


def primary_dies(story):
    story.start()
    _fence_works(story)
    story.work()
    story.end_node("a")
    story.goes_on("b")


def fencing_fails(mode):
    """No promotion; the operator's word that the node is off counts as its success."""
    def play(story):
        story.start()
        story.pair.set_fencing("a", mode)
        story.work()
        story.end_node("a")
        story.is_silent(seconds=3)
        wait.until(lambda: "fence-ack" in (story.pair.says("b").get("unblock") or ""), 10,
                   "the advice to say that it is off", 0.05)
        story.check(story.pair.ask_admin("b", {"command": "fence-ack", "pair": "kv"}).get("ok"),
                    "fence-ack was refused")
        story.strike()
        story.goes_on("b", 30)

    return Case(f"fencing {mode}; fence-ack", play, FENCE)


def fencing_works_later(mode):
    def play(story):
        story.start()
        story.pair.set_fencing("a", mode)
        story.work()
        story.end_node("a")
        story.is_silent(seconds=3)
        story.pair.set_fencing("a", "works")
        story.strike()
        story.goes_on("b", 30)

    return Case(f"fencing {mode}, then works", play, FENCE)


def fencing_lies(story):
    """The peer is said to be off, and is alive and cut off. What it holds back stays held back, as
    it can have no other node switched off."""
    story.start()
    story.pair.set_fencing("a", "lies")
    story.pair.set_fencing("b", "fails")
    story.work()
    _cut(story)
    story.goes_on("b", 30)
    story.is_silent("a")
    story.pair.network.heal()
    wait.until(lambda: not story.pair.a.is_running("ledger"), 20, "the end of the old primary")
    _fence_works(story)
    story.prove("b")


def _pairs_again(story, leader):
    """To go on alone a node has the other one switched off, also one that has just come back."""
    other = PEER[leader]

    def is_paired():
        if story.pair.nodes[other].has_ended():
            story.pair.restart(other)
        return story.pair.is_paired(leader)

    wait.until(is_paired, 30, f"PAIR led by node {leader}", 0.02)


def both_fire(story):
    """Each has the other one switched off: then nobody leads, and nothing is said twice."""
    story.start()
    _fence_works(story)
    story.work()
    _cut(story)
    wait.until(lambda: any(node.has_ended() for node in story.pair.nodes.values()), 20,
               "a node that is switched off")
    story.pass_time(1.0)
    story.pair.network.heal()
    story.strike()
    for name in "ab":
        story.pair.restart(name)
    deadline = time.monotonic() + 20
    advised = 0
    # An advice that is given in passing is none to wait with.
    while time.monotonic() < deadline and advised < ADVICE_LOOKS:
        life = story.pair.life()
        if life["last_ns"] > story.struck_ns:
            _pairs_again(story, life["node"])
            story.prove(life["node"])
            return
        advised = advised + 1 if story.advisers() else 0
        story.pass_time(0.05)
    story.is_stuck_with_advice()


F14 = [
    Case("primary's node dead, fencing works", primary_dies, FENCE),
    Case("cut off, fencing works", fencing_works, FENCE),
    fencing_fails("fails"), fencing_fails("hangs"),
    fencing_works_later("fails"), fencing_works_later("hangs"),
    Case("cut off, fencing lies to the secondary", fencing_lies, FENCE),
    Case("cut off, both fire at once", both_fire, {**FENCE, "fence_delay_ms": 1}),
]
