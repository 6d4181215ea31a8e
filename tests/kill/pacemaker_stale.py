"""Under Pacemaker an old copy is never promoted, whatever its node believes."""

import time

from kill import wait
from kill.pacemaker import LOAD_SECONDS, ClusterScenario
from kill.pair import answers

WATCH_SECONDS = 10
FENCED_SECONDS = 30


class PacemakerStale(ClusterScenario):
    """The cut link never heals: node a was demoted with the memory of its time, and knows of no
    later generation. Then node b, which went on, dies."""

    name = "pacemaker-stale"

    def play(self, pair):
        connections = self.connect(pair, "a")
        self.load_for(connections, LOAD_SECONDS)
        pair.network.cut()
        self.tell("the link for data and heartbeats is cut, the cluster's is not")
        self.wait_new_leader(pair, connections, "a", "b")
        self.serve_on(pair, "b")
        pair.crash("b")
        wait.until(lambda: "b" in pair.switch.fenced, FENCED_SECONDS, "the fence of node b")
        self.tell("node b is dead and fenced; only node a is left, with an old memory")
        self._watch(pair)

    def _watch(self, pair):
        deadline = time.monotonic() + WATCH_SECONDS
        asked_count = answered_count = promoted_count = 0
        while time.monotonic() < deadline:
            asked_count += 1
            answered_count += bool(answers(pair.layout.nodes["a"].serve_at))
            promoted_count += pair.roles("a").get("a") == "Promoted"
        self.check(answered_count + promoted_count == 0,
                   f"in {asked_count} looks node a was never promoted and never answered")
        score = pair.score("a", seen_from="a")
        self.check(score == "-INFINITY", f"its promotion score is {score}")
