"""Pacemaker decides: a host that dies is fenced and followed, and the role moves when asked to."""

import functools
import time

from kill import wait
from kill.cluster import ClusterPair, missing_programs
from kill.pair import answers
from kill.scenario import Scenario

LOAD_SECONDS = 1.0
FAILOVER_SECONDS = 40
IN_SYNC_SECONDS = 60
MOVE_SECONDS = 40


class ClusterScenario(Scenario):
    """What the stories of a cluster share."""

    with_resource = True

    def make_pair(self):
        missing = missing_programs()
        if missing:
            raise OSError("not installed (tools/install-dependencies --cluster): "
                          + " ".join(missing))
        return ClusterPair(self.programs, self.provider, self.with_resource)

    def load_until_in_sync(self, pair, leader, other):
        connections = self.connect(pair, leader)
        self.load_until(
            connections, lambda: pair.stats(leader).is_pair, IN_SYNC_SECONDS, "PAIR again")
        self.client.drain(connections, 10)
        wait.until(lambda: pair.score(other, seen_from=leader) == "1000", IN_SYNC_SECONDS,
                   f"score 1000 of node {other}", 0.2)
        self.check(True, f"node {other} is in sync, and its promotion score says so")

    def serve_on(self, pair, name):
        """Everything is there, under load and after it."""
        connections = self.connect(pair, name)
        self.read_back(connections)
        self.load_for(connections, LOAD_SECONDS)
        self.read_back(connections)

    def check_silence(self, pair, name):
        self.check(not answers(pair.layout.nodes[name].serve_at), f"node {name} answers nobody")

    def wait_new_leader(self, pair, connections, old, new):
        """Load, which may end with its connections, until the other node serves."""
        new_serves = functools.partial(answers, pair.layout.nodes[new].serve_at)
        self.client.load(connections, new_serves, MOVE_SECONDS)
        served_at = pair.wait_serving(new, MOVE_SECONDS)
        pause_ms = (served_at - self.client.tally.last_reply_at) / 1e6
        self.facts[f"pause_{old}_to_{new}_ms"] = pause_ms
        self.tell(f"node {new} answers, {pause_ms:.0f} ms after the last reply of node {old}")
        self.client.drain(connections, 1)
        pair.wait_role(new, "Promoted", seen_from=new)
        self.check_silence(pair, old)


class Pacemaker(ClusterScenario):
    name = "pacemaker"

    def play(self, pair):
        self._crash(pair)
        pair.reboot("a")
        self.load_until_in_sync(pair, leader="b", other="a")
        self._move(pair)
        self._stand_by(pair)

    def _crash(self, pair):
        """Node a dies under load."""
        connections = self.connect(pair, "a")
        self.load_for(connections, LOAD_SECONDS)
        fenced_before = len(pair.switch.fenced)
        pair.crash("a")
        struck_at = time.monotonic_ns()
        self.tell("node a is dead and its link cut, in mid-load")
        self.client.drain(connections, 1)
        served_at = pair.wait_serving("b", FAILOVER_SECONDS)
        self.facts["failover_ms"] = (served_at - struck_at) / 1e6
        self.tell(f"node b answers {self.facts['failover_ms']:.0f} ms after the death of node a")
        self.check(pair.switch.fenced[fenced_before:] == ["a"], "Pacemaker has fenced node a, once")
        pair.wait_role("b", "Promoted", seen_from="b")
        self.serve_on(pair, "b")

    def _move(self, pair):
        """The operator moves the role to node a; node b stays as its secondary."""
        self._hand_over(pair, "b", "a", ("crm_resource", "--resource", "kv-clone", "--move",
                                         "--promoted", "--node", "a"))
        pair.hosts["a"].run("crm_resource", "--resource", "kv-clone", "--clear")
        self.load_until_in_sync(pair, leader="a", other="b")

    def _stand_by(self, pair):
        """The operator takes node a out of service: its program is stopped, too."""
        self._hand_over(pair, "a", "b", ("crm_standby", "--node", "a", "--update", "on"))
        wait.until(lambda: "a" not in pair.roles("b"), MOVE_SECONDS, "the stop on node a", 0.2)
        self.check(not answers(pair.layout.nodes["a"].serve_at), "node a serves nobody any more")

    def _hand_over(self, pair, old, new, command):
        """By a command, under load; the one that led answers nothing after the other one has."""
        connections = self.connect(pair, old)
        self.load_for(connections, LOAD_SECONDS)
        fenced_before = len(pair.switch.fenced)
        ended = pair.hosts[new].run(*command)
        self.check(ended.returncode == 0, f"{' '.join(command)}: {ended.stderr.strip() or 'done'}")
        self.wait_new_leader(pair, connections, old, new)
        self.check(len(pair.switch.fenced) == fenced_before, "nobody was fenced for it")
        self.serve_on(pair, new)
