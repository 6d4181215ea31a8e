"""Rows over RDMA: a host loses its power or stands still, also at each step of a checkpoint, or its
device or address is gone."""

import re
import signal

from kill import wait
from kill.stats_file import PHASES
from matrix.bed import PEER
from matrix.rows_kill import STANDBY_STEPS
from matrix.story import Case

IN_LAB = {"is_lab": True}
STEPS = 60
LINK, DEVICE = "rdma0", "rxe0"
DELETE = f"rdma link delete {DEVICE}"
GONE_SECONDS = 5


def _passages(story):
    return story.passages(70, 160)  # the pair is seen to be one after some dozens


def _start(story):
    story.start()
    story.work(STEPS)
    story.pass_time(story.random.random() * 0.1)
    story.strike()


def _until_halted(story):
    wait.until(lambda: not story.pair.a.is_running("ledger"), 60, "the end of the old primary")
    story.check(story.pair.a.exit_statuses()["ledger"] == 3, "it ended otherwise than halted")


# ---- F1 ----

def primary_off_at(step):
    def play(story):
        story.start(a={"ledger": f"{step}:power:{_passages(story)}"})
        story.wait_ended("a")
        story.goes_on("b")

    return Case(f"{step}: power lost", play, IN_LAB)


F1 = [primary_off_at(step) for step in sorted(PHASES, key=lambda step: step != "push")]


# ---- F2 ----

def primary_frozen_at(step):
    """Its machine stands still, and goes on with all that was posted."""
    def play(story):
        story.start(a={"ledger": f"{step}:stop:{_passages(story)}"})
        story.wait_stopped("a", "ledger")
        story.pair.signal_node("a", signal.SIGSTOP)
        story.strike()
        story.goes_on("b")
        story.pair.signal_node("a", signal.SIGCONT)
        story.pair.a.signal_program("ledger", signal.SIGCONT)
        _until_halted(story)
        story.pair.wait_paired("b")
        story.work(name="b")

    return Case(f"{step}: machine stands still, goes on", play, IN_LAB)


F2 = [primary_frozen_at(step) for step in sorted(PHASES, key=lambda step: step != "wait")]


# ---- F3 ----

def secondary_off_at(step):
    def play(story):
        story.start(b={"tandemd": f"{step}:power:{_passages(story)}"})
        story.wait_ended("b")
        story.goes_on("a")
        story.pair.b.start_again()
        story.prove("a")

    return Case(f"{step}: power lost", play, IN_LAB)


def secondary_frozen_at(step):
    def play(story):
        story.start(b={"tandemd": f"{step}:stop:{_passages(story)}"})
        story.wait_stopped("b", "tandemd")
        story.pair.signal_node("b", signal.SIGSTOP)
        story.strike()
        story.goes_on("a")
        story.pair.signal_node("b", signal.SIGCONT)
        story.pair.b.signal_program("tandemd", signal.SIGCONT)
        story.prove("a")

    return Case(f"{step}: machine stands still, goes on", play, IN_LAB)


F3 = [play(step) for play in (secondary_off_at, secondary_frozen_at) for step in STANDBY_STEPS]


# ---- F15 ----

def _restart_data_plane(node, deletion=None):
    """With a device that is made anew: soft-RoCE lets go of one only when nobody has it open."""
    node.signal_program("tandemd", signal.SIGKILL)
    wait.until(lambda: not node.is_running("tandemd"), 20, f"the end of tandemd of {node.name}")
    deletion = deletion or node.begin(DELETE)
    wait.until(deletion.ended.is_set, 60, "the end of the device")
    node.command(f"rdma link add {DEVICE} type rxe netdev {LINK}")
    node.start_data_plane()


def device_removed(story):
    """The kernel tells who has it open, and waits for them."""
    _start(story)
    deletion = story.pair.b.begin(DELETE)
    story.goes_on("a")
    wait.until(lambda: story.pair.says("a").get("state") == "PRIMARY_SOLO", 60, "SOLO on node a")
    _restart_data_plane(story.pair.b, deletion)
    story.prove("a")


def address_removed(story):
    """The device has another GID for some seconds; heartbeats have an address of their own."""
    node = story.pair.b
    _start(story)
    address = node.layout.address
    node.command(f"ip address delete {address}/24 dev {LINK}")
    story.goes_on("a")
    wait.until(lambda: story.pair.says("a").get("state") == "PRIMARY_SOLO", 60, "SOLO on node a")
    story.pass_time(GONE_SECONDS * story.random.random())
    node.command(f"ip address add {address}/24 dev {LINK}")
    # What soft-RoCE of Linux 6.12 sends without a route breaks its management for good.
    if re.search(r"type GSI state ERR", node.command("rdma resource show qp")):
        _restart_data_plane(node)
    story.prove("a")


F15 = [
    Case("secondary's device removed", device_removed, {**IN_LAB, "has_own_heartbeats": True}),
    Case("secondary's address removed", address_removed, {**IN_LAB, "has_own_heartbeats": True}),
]


# ---- F19 ----

_ROLE = {"a": "primary", "b": "secondary"}


def power_lost(name):
    def play(story):
        _start(story)
        story.pair.signal_node(name, signal.SIGKILL)
        story.goes_on(PEER[name])
        story.pair.nodes[name].start_again()
        story.prove(PEER[name])

    return Case(f"{_ROLE[name]}'s power lost", play, IN_LAB)


def stands_still(name):
    """It goes on with everything that it had posted."""
    def play(story):
        _start(story)
        story.pair.signal_node(name, signal.SIGSTOP)
        story.goes_on(PEER[name])
        story.pair.signal_node(name, signal.SIGCONT)
        if name == "a":
            _until_halted(story)
        story.prove(PEER[name])

    return Case(f"{_ROLE[name]}'s machine stands still, goes on", play, IN_LAB)


F19 = [power_lost("a"), power_lost("b"), stands_still("a"), stands_still("b")]
