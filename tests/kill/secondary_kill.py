"""The secondary dies under load: the primary goes on alone within a second and loses no reply; the
secondary comes back: it is synchronised, and it can take over."""

import signal
import time

from kill.layout import on_loopback
from kill.pair import Pair
from kill.scenario import Scenario

SILENCE_MAX_MS = 1000
WATCH_SECONDS = 3
PAIR_AGAIN_SECONDS = 30


class SecondaryKill(Scenario):
    name = "secondary-kill"

    def make_pair(self):
        return Pair(on_loopback(provider=self.provider), self.programs)

    def play(self, pair):
        connections = self.connect(pair, "a")
        self.load_for(connections, 1)
        generation = pair.stats().generation
        pair.b.kill()
        self.tell("SIGKILL to controller and data plane of the secondary")
        silence_ms = self.longest_silence(connections, WATCH_SECONDS) / 1e6
        self.facts["silence_ms"] = silence_ms
        self.check(silence_ms <= SILENCE_MAX_MS, f"longest silence {silence_ms:.0f} ms")
        stats = pair.stats()
        self.check(not stats.is_pair, "the primary leads alone")
        self.check(stats.generation > generation, f"in generation {stats.generation}")
        self.check(all(each.is_open for each in connections), "no connection was closed")
        self._bring_back(pair, connections)
        self._take_over(pair, connections)

    def _bring_back(self, pair, connections):
        started = time.monotonic()
        pair.b.start(with_server=False)
        self.tell("secondary started again")
        self.load_until(
            connections, lambda: pair.stats().is_pair, PAIR_AGAIN_SECONDS, "PAIR again"
        )
        self.facts["pair_again_ms"] = (time.monotonic() - started) * 1000
        self.check(True, f"PAIR again after {self.facts['pair_again_ms']:.0f} ms")
        stats = pair.stats()
        equal, done = stats.copy_bytes_equal, stats.copy_bytes_done
        self.facts["copy_bytes_equal"], self.facts["copy_bytes_done"] = equal, done
        self.check(
            equal > done // 2,
            f"{equal >> 20} of {done >> 20} MiB were in the image of its old life and did not travel",
        )
        self.load_for(connections, 1)
        self.check(all(each.is_open for each in connections), "no connection was closed")

    def _take_over(self, pair, connections):
        """What it was given must be worth something."""
        pair.a.signal_all(signal.SIGKILL)
        self.tell("SIGKILL to the primary")
        pair.wait_serving("b")
        self.client.drain(connections, 5)
        self.read_back(self.connect(pair, "b"))
