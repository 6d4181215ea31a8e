"""F20: two failures at once. Safe, perhaps unavailable, and somebody says why and what to type."""

import signal

from kill import wait
from matrix.rows_network import TWO_LINKS, winner_alone
from matrix.story import Case


def primary_and_arbiter(story):
    story.start()
    story.work()
    story.pair.hide_arbiter("b")
    story.end_node("a")
    story.waits_for_arbiter("b")
    story.pair.show_arbiter("b")
    story.goes_on("b")


def secondary_and_arbiter(story):
    story.start()
    story.work()
    story.pair.hide_arbiter("a")
    story.end_node("b")
    story.pass_time(0.5)
    story.waits_for_arbiter("a")
    story.pair.show_arbiter("a")
    story.strike()
    story.goes_on("a")
    story.pair.restart("b")
    story.prove("a")


def link_then_primary(story):
    """Whoever asked first: b leads, or nobody may because a went on alone and died."""
    story.start()
    story.work()
    for link in ("between", "rail"):
        story.pair.network.cut("", link)
    story.pass_time(story.random.random())
    story.end_node("a")
    if story.goes_on_or_advises("b"):
        return
    story.is_silent()


def link_then_secondary(story):
    story.start()
    story.work()
    for link in ("between", "rail"):
        story.pair.network.cut("", link)
    story.pass_time(story.random.random())
    story.end_node("b")
    is_led = story.goes_on_or_advises("a")
    story.pair.network.heal()
    story.pair.restart("b")
    if is_led:
        story.prove("a")


def both_nodes(story):
    """No copy is left. The word that it is lost is obeyed, and the pair begins anew."""
    story.start()
    story.work()
    story.pair.signal_node("b", signal.SIGKILL)
    story.pass_time(story.random.random() * 0.4)
    story.end_node("a")
    for name in "ab":
        story.pair.restart(name)
    story.is_stuck_with_advice()
    name = story.advisers()[0]
    story.may_begin_anew = True
    story.pair.nodes[name].start_server()
    story.pass_time(0.5)
    story.is_silent()
    answer = story.pair.order(name, "force-primary", "kv", "--i-accept-data-loss")
    story.check(answer.returncode == 0, f"force-primary: {answer.stdout}{answer.stderr}")
    story.strike()
    story.goes_on(name)
    story.prove(name)


def secondary_then_primary_alone(story):
    """It went on alone and dies: what the peer has is too old, whatever it says."""
    story.start()
    story.work()
    story.pair.signal_node("b", signal.SIGSTOP)
    wait.until(lambda: story.pair.says("a").get("state") == "PRIMARY_SOLO", 10, "SOLO", 0.02)
    story.strike()
    story.goes_on("a")
    story.end_node("a")
    story.pair.signal_node("b", signal.SIGCONT)
    story.is_stuck_with_advice()


def both_controllers_and_link(story):
    """Cut off from each other and from anybody who decides: output stops, and nothing is lost."""
    story.start()
    story.work()
    for name in "ab":
        story.pair.nodes[name].signal_program("tandem-failoverd", signal.SIGKILL)
    for link in ("between", "rail"):
        story.pair.network.cut("", link)
    story.pass_time(0.5)
    story.is_silent()
    story.strike()
    for name in "ab":
        story.pair.restart(name)
    winner = winner_alone(story)[0]
    story.pair.network.heal()
    story.prove(winner)


F20 = [
    Case("primary's node and the arbiter", primary_and_arbiter),
    Case("secondary's node and the arbiter", secondary_and_arbiter),
    Case("link, then the primary's node", link_then_primary, TWO_LINKS),
    Case("link, then the secondary's node", link_then_secondary, TWO_LINKS),
    Case("both nodes; force-primary", both_nodes),
    Case("secondary stopped, then the primary alone", secondary_then_primary_alone),
    Case("both controllers and the link", both_controllers_and_link, TWO_LINKS),
]
