"""F6, F7, F8: links between the nodes are cut, in part or as a whole."""

from kill import wait
from kill.separated import HEARTBEAT_PORT, PORT
from matrix.bed import PEER
from matrix.story import Case

TWO_LINKS = {"has_second_heartbeat": True}
LINKS = ("between", "rail")
WATCHED_SECONDS = 2.0
_DATA = "meta l4proto tcp"
_BEATS = f"udp dport {HEARTBEAT_PORT}"


# ---- F6 ----

def _lose_data(story, cut, heal):
    story.start()
    story.work()
    cut(story.pair.network)
    story.strike()
    wait.until(lambda: story.pair.says("a").get("state") == "PRIMARY_SOLO", 15, "SOLO", 0.02)
    story.goes_on("a")
    story.check(story.pair.stats("a").generation == 3, "not SOLO in the next generation")
    story.pass_time(1.0)
    story.check(len(story.pair.sink.lives()) == 1, "a fail-over, although node a lives")
    heal(story.pair.network)
    story.pair.wait_paired("a")
    story.check(story.pair.stats("a").generation == 4, "not PAIR in the generation after SOLO")
    story.prove("a")


def data_cut(verdict, name):
    def play(story):
        _lose_data(story, lambda net: net.cut(_DATA, verdict=verdict), lambda net: net.heal())

    return Case(f"data {name}", play, TWO_LINKS)


def data_deaf(name):
    def play(story):
        _lose_data(story, lambda net: net.cut(_DATA, at=name), lambda net: net.heal())

    return Case(f"data dropped on the way to {name}", play, TWO_LINKS)


def data_link_down(name):
    def play(story):
        _lose_data(story, lambda net: net.set_link(name, "down"),
                   lambda net: net.set_link(name, "up"))

    return Case(f"data link down at {name}", play, TWO_LINKS)


F6 = [
    data_cut("drop", "dropped both ways"), data_cut("reject with tcp reset", "reset"),
    *(data_deaf(name) for name in "ab"), *(data_link_down(name) for name in "ab"),
]


# ---- F7 ----

def beats_cut(links, at, is_alarm):
    """The session lives: nothing but an alarm where nothing is heard."""
    def play(story):
        story.start()
        story.work()
        for link in links:
            story.pair.network.cut(_BEATS, link, at=at)
        story.strike()
        story.stays_paired(WATCHED_SECONDS, 2)
        for name in at if is_alarm else ():
            wait.until(lambda name=name: story.pair.says(name).get("alarms"), 10,
                       f"an alarm on node {name}", 0.05)
        story.pair.network.heal()
        for name in "ab":
            wait.until(lambda name=name: not story.pair.says(name).get("alarms"), 10,
                       f"the end of the alarm on node {name}", 0.05)
        story.stays_paired(0.3, 2)
        story.prove("a")

    what = "one link" if len(links) == 1 else "every link"
    way = {"a": ", to a only", "b": ", to b only", "ba": ""}[at]
    return Case(f"heartbeats cut on {what}{way}", play, TWO_LINKS)


def leader_of(story, states=("PRIMARY_SOLO", "PRIMARY_PAIR")):
    """The node that lets out what it makes from now on; None: nobody does."""
    for name in "ab":
        life = story.pair.life(name)
        if life and life["last_ns"] > story.struck_ns and (
                story.pair.says(name).get("state") in states):
            return name
    return None


def winner_of(story, states=("PRIMARY_SOLO", "PRIMARY_PAIR")):
    """(The leader, the other one), when there is one."""
    name = wait.until(lambda: leader_of(story, states), 20, "one who goes on", 0.02)
    return name, PEER[name]


def winner_alone(story):
    """The same of nodes that are cut off: before it is one the old leader may let out what was
    committed before the cut."""
    return winner_of(story, states=("PRIMARY_SOLO",))


def _one_goes_on(story):
    winner, loser = winner_alone(story)
    story.goes_on(winner)
    story.is_silent(loser)
    return winner


def beats_then_session(at):
    """First heartbeats, then all: one wins."""
    def play(story):
        story.start()
        story.work()
        for link in LINKS:
            story.pair.network.cut(_BEATS, link, at=at)
        story.pass_time(story.random.random())
        for link in LINKS:
            story.pair.network.cut("", link, at=at)
        story.strike()
        winner = _one_goes_on(story)
        story.pair.network.heal()
        story.prove(winner)

    return Case("heartbeats, then the session, too, cut"
                + {"a": ", to a only", "b": ", to b only", "ba": ""}[at], play, TWO_LINKS)


F7 = [
    beats_cut(LINKS[:1], "ba", False), beats_cut(LINKS, "ba", True),
    *(beats_cut(LINKS, name, True) for name in "ab"), beats_then_session("ba"),
    *(beats_then_session(name) for name in "ab"),
]


# ---- F8 ----

def _partition(story, without_arbiter):
    story.start()
    story.work()
    for name in without_arbiter:
        story.pair.hide_arbiter(name)
    for link in LINKS:
        story.pair.network.cut("", link)
    story.strike()


def _reunite(story, without_arbiter):
    """In either order."""
    steps = [story.pair.network.heal,
             *(lambda name=name: story.pair.show_arbiter(name) for name in without_arbiter)]
    story.random.shuffle(steps)
    for step in steps:
        step()
        story.pass_time(story.random.random() * 0.5)


def partition(without_arbiter):
    def play(story):
        _partition(story, without_arbiter)
        if without_arbiter == "ab":
            story.pass_time(0.7)
            story.waits_for_arbiter("ab")
        else:
            winner = _one_goes_on(story)
            story.check(winner not in without_arbiter, f"{winner} leads without the arbiter")
        _reunite(story, without_arbiter)
        story.strike()
        story.prove(winner_of(story)[0])

    sides = {"": "both keep", "a": "only b keeps", "b": "only a keeps", "ab": "neither keeps"}
    return Case(f"{sides[without_arbiter]} the arbiter", play, TWO_LINKS)


F8 = [partition(without) for without in ("", "a", "b", "ab")]
