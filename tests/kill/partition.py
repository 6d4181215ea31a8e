"""Heartbeats and session are cut, both nodes live: exactly one goes on, the arbiter says which."""

import time

from kill import wait
from kill.pair import answers
from kill.scenario import Scenario
from kill.separated import SeparatedPair

DECISION_SECONDS = 20
WATCH_SECONDS = 3
ANSWER_SECONDS = 10
PAIR_AGAIN_SECONDS = 30


class Partition(Scenario):
    name = "partition"

    def make_pair(self):
        return SeparatedPair(self.programs, self.provider)

    def play(self, pair):
        connections = self.connect(pair, "a")
        self.load_for(connections, 1)
        pair.network.cut()
        self.tell("the link between the nodes is cut")
        cut_at = time.monotonic_ns()
        winner = self._wait_winner(pair, connections, cut_at)
        loser = "b" if winner == "a" else "a"
        self.facts.update(winner=winner, decision_ms=(time.monotonic_ns() - cut_at) / 1e6)
        self.tell(f"node {winner} goes on after {self.facts['decision_ms']:.0f} ms")
        if winner == "b":
            self.client.drain(connections, 1)
            connections = self.connect(pair, "b")
        self.read_back(connections)
        self._watch(pair, connections, loser)
        pair.network.heal()
        self.tell("the link is healed")
        self._watch(pair, connections, loser)
        if winner == "a":
            self.load_until(
                connections, lambda: pair.stats().is_pair, PAIR_AGAIN_SECONDS, "PAIR again"
            )
            self.check(True, "PAIR again")
        self.read_back(connections)

    def _wait_winner(self, pair, connections, cut_at):
        """Node a goes on when it answers a request that was asked after the pair was broken."""
        deadline = time.monotonic() + DECISION_SECONDS
        serve_at = {name: pair.layout.nodes[name].serve_at for name in "ab"}
        generation = pair.stats().generation
        while time.monotonic() < deadline:
            self.load_for(connections, 0.05)
            stats = pair.stats()
            if stats.generation > generation and answers(serve_at["a"]):
                return "a"
            if answers(serve_at["b"]):
                return "b"
        raise wait.Timeout(f"a decision: not within {DECISION_SECONDS} s")

    def _watch(self, pair, connections, loser):
        """The loser answers nobody, the winner everybody."""
        address = pair.layout.nodes[loser].serve_at
        asked_count = answered_count = 0
        deadline = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < deadline:
            self.load_for(connections, 0.1)
            asked_count += 1
            answered_count += bool(answers(address))
        self.check(
            answered_count == 0, f"node {loser} was asked {asked_count} times and never answered"
        )
        seen = self.client.tally.replies
        self.load_until(connections, lambda: self.client.tally.replies > seen, ANSWER_SECONDS,
                        "an answer of the other one")
        self.check(True, "the other one answers")
