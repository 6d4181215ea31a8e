"""Under Pacemaker not all is well between the nodes: who goes on, by whose word, and who never."""

import signal
import time

from kill import wait
from kill.layout import PAIR
from kill.pacemaker import IN_SYNC_SECONDS, LOAD_SECONDS, ClusterScenario
from kill.pair import answers

STANDBY_SILENCE_NS = 2_000_000_000
FENCED_SECONDS = 40
WATCH_SECONDS = 8


class PacemakerLinks(ClusterScenario):
    name = "pacemaker-links"

    def play(self, pair):
        self._lose_standby(pair)
        self._lose_secondary(pair)
        pair.reboot("b")
        self.load_until_in_sync(pair, leader="a", other="b")
        self._lose_link(pair)
        self._lose_newest(pair)

    def _lose_standby(self, pair):
        """The copy ends with its process: the primary goes on at once, and gets another copy."""
        connections = self.connect(pair, "a")
        self.load_for(connections, LOAD_SECONDS)
        generation = pair.stats().generation
        status = next(each for each in pair.status("b")["pairs"] if each["pair"] == PAIR)
        standby = str(status["data_plane"]["process_id"])
        ended = pair.b.run("kill", "-s", signal.SIGKILL.name[3:], standby)
        self.check(ended.returncode == 0, f"tandemd of node b, process {standby}, is killed")
        silence_ns = self.longest_silence(connections, LOAD_SECONDS)
        self.check(silence_ns < STANDBY_SILENCE_NS,
                   f"node a was silent for {silence_ns / 1e6:.0f} ms")
        self.load_until(connections, lambda: pair.stats().generation >= generation + 2,
                        IN_SYNC_SECONDS, "another copy on node b")
        self.load_until_in_sync(pair, leader="a", other="b")
        self.check(pair.roles("a") == {"a": "Promoted", "b": "Unpromoted"}, "no role has changed")
        self.check(not pair.switch.fenced, "nobody was fenced for it")

    def _lose_secondary(self, pair):
        """Node b dies: node a is told to go on alone when Pacemaker has fenced it."""
        connections = self.connect(pair, "a")
        self.load_for(connections, LOAD_SECONDS)
        generation = pair.stats().generation
        pair.crash("b")
        died_at = time.monotonic_ns()
        self.load_until(connections, lambda: pair.stats().generation > generation,
                        FENCED_SECONDS, "a decision of node a")
        self.facts["alone_ms"] = (time.monotonic_ns() - died_at) / 1e6
        self.check(pair.switch.fenced == ["b"],
                   f"alone {self.facts['alone_ms']:.0f} ms after the death of node b, fenced once")
        self.serve_on(pair, "a")

    def _lose_link(self, pair):
        """Tandem's link is cut, the cluster's is not: held for a while, then the role moves."""
        connections = self.connect(pair, "a")
        self.load_for(connections, LOAD_SECONDS)
        pair.network.cut()
        self.tell("the link for data and heartbeats is cut, the cluster's is not")
        self.wait_new_leader(pair, connections, "a", "b")
        self.check(pair.switch.fenced == ["b"], "nobody was fenced for it")
        self.serve_on(pair, "b")

    def _lose_newest(self, pair):
        """The link is still cut: node a was demoted with the memory of its time, and knows of no
        later generation. Node b, which went on, dies: nobody may lead."""
        pair.crash("b")
        wait.until(lambda: pair.switch.fenced == ["b", "b"], FENCED_SECONDS, "the fence of node b")
        self.tell("node b is dead and fenced; only node a is left, with an old memory")
        asked_count = wrong_count = 0
        deadline = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < deadline:
            asked_count += 1
            is_promoted = pair.roles("a").get("a") == "Promoted"
            wrong_count += is_promoted or bool(answers(pair.layout.nodes["a"].serve_at))
        self.check(wrong_count == 0,
                   f"in {asked_count} looks node a was never promoted and never answered")
        score = pair.score("a", seen_from="a")
        self.check(score == "-INFINITY", f"its promotion score is {score}")
