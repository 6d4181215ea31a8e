"""F11 and F15: a busy host, and a network port that comes and goes."""

import os
import signal
import subprocess

from kill import wait
from kill.separated import PORT
from matrix.rows_network import TWO_LINKS
from matrix.quota import Quota
from matrix.story import Case

BUSY_SECONDS = 5
CALM = {"options": {"heartbeat_interval_ms": "50", "heartbeat_misses": "20", "solo_after_ms": "2000",
                    "commit_timeout_ms": "4000"}}
WITH_RAIL = {**TWO_LINKS, "has_rail": True}


# ---- F11 ----

def hogs(name, *arguments):
    """Nobody accuses anybody."""
    def play(story):
        story.start()
        story.work()
        with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "stress-ng", "--quiet",
                               "--timeout", f"{BUSY_SECONDS + 5}", *arguments],
                              stdout=subprocess.DEVNULL, process_group=0) as hog:
            try:
                story.strike()
                story.stays_paired(BUSY_SECONDS, 2)
            finally:
                os.killpg(hog.pid, signal.SIGKILL)
        story.prove("a")

    return Case(name, play, CALM)


def controller_is_late(name):
    """Not scheduled for a second, it does not accuse its peer of its own silence, and says so."""
    def play(story):
        story.start()
        story.work()
        node = story.pair.nodes[name]
        log = story.pair.layout.log_path(name)
        seen = log.stat().st_size
        for _ in range(3):
            node.signal_program("tandem-failoverd", signal.SIGSTOP)
            story.pass_time(0.5 + story.random.random())
            node.signal_program("tandem-failoverd", signal.SIGCONT)
            story.pass_time(story.random.random() * 0.2)
        story.strike()
        story.stays_paired(1.0, 2)
        wait.until(lambda: b"not scheduled" in log.read_bytes()[seen:], 10,
                   f"controller of {name} to say that it was late", 0.02)
        story.prove("a")

    return Case(f"controller of {name} not scheduled for a second", play)


def controller_is_throttled(name):
    """Its control group has 5 % of a processor, and something else is busy in it: it waits for nearly
    half a second again and again, and accuses nobody."""
    def play(story):
        with Quota(5) as quota, subprocess.Popen(
                [*quota.launcher(), "setpriv", "--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"]
        ) as hog:
            try:
                story.pair.nodes[name].use_launcher("tandem-failoverd", quota.launcher())
                story.start()
                story.work()
                used_up_count = quota.used_up_count
                story.strike()
                story.stays_paired(BUSY_SECONDS, 2)
                story.check(quota.used_up_count > used_up_count, "its share was enough for it")
                story.prove("a")
            finally:
                hog.kill()

    return Case(f"controller of {name} has part of 5 % of a processor", play, CALM)


F11 = [
    hogs("stress-ng: cpu", "--cpu", "4"),
    hogs("stress-ng: cpu, memory, disk", "--cpu", "4", "--vm", "2", "--vm-bytes", "10%", "--io", "2"),
    *(controller_is_late(name) for name in "ab"),
    *(controller_is_throttled(name) for name in "ab"),
]


# ---- F15 ----

def channel_breaks(verdict, name):
    """One of several data channels: the others go on, and it comes back."""
    def play(story):
        story.start()
        story.work()
        network = story.pair.network
        port = network.connections("a", network.rail["b"], PORT)[0]
        network.cut(f"tcp sport {port}", link="rail", verdict=verdict)
        wait.until(lambda: _lost_count(story) > 0, 15, "a lost channel", 0.02)
        story.strike()
        story.goes_on("a")
        wait.until(lambda: _all_up(story), 20, "every channel up again", 0.05)
        network.heal()
        story.stays_paired(0.3, 2)
        story.prove("a")

    return Case(f"one channel {name}", play, WITH_RAIL)


def _lost_count(story):
    return sum(channel.lost_count for channel in story.pair.stats("a").channels)


def _all_up(story):
    return all(channel.state == "up" for channel in story.pair.stats("a").channels)


def port_flaps(link, name):
    def play(story):
        story.start()
        story.work()
        for _ in range(6):
            story.pair.network.set_link(name, "down", link)
            story.pass_time(story.random.random() ** 3)
            story.pair.network.set_link(name, "up", link)
            story.pass_time(story.random.random() ** 3 * 2)
        story.strike()
        story.goes_on("a", 30)
        story.prove("a")

    which = "first" if link == "between" else "second"
    return Case(f"port of the {which} link at {name} flaps", play, WITH_RAIL)


def address_removed(name):
    def play(story):
        network = story.pair.network
        story.start()
        story.work()
        network.remove_address(name)
        story.strike()
        story.goes_on("a", 30)
        story.pass_time(1.0)
        network.add_address(name)
        story.prove("a")

    return Case(f"address of {name} removed", play, TWO_LINKS)


F15 = [
    channel_breaks("reject with tcp reset", "reset"), channel_breaks("drop", "silently dropped"),
    *(port_flaps(link, name) for link in ("between", "rail") for name in "ab"),
    *(address_removed(name) for name in "ab"),
]
