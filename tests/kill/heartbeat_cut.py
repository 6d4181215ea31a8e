"""Heartbeats are cut and the session lives: nothing happens but an alarm."""

from kill.scenario import Scenario
from kill.separated import HEARTBEAT_PORT, SeparatedPair

CUT_SECONDS = 3
ALARM_SECONDS = 10
SILENCE_MAX_MS = 1000


class HeartbeatCut(Scenario):
    name = "heartbeat-cut"

    def make_pair(self):
        return SeparatedPair(self.programs, self.provider)

    def play(self, pair):
        connections = self.connect(pair, "a")
        self.load_for(connections, 1)
        generation = pair.stats().generation
        self.check(not pair.alarms("a"), "no alarm before the cut")
        pair.network.cut(f"udp dport {HEARTBEAT_PORT}")
        self.tell("heartbeats cut, both ways")
        silence_ms = self.longest_silence(connections, CUT_SECONDS) / 1e6
        self.check(silence_ms <= SILENCE_MAX_MS, f"longest silence {silence_ms:.0f} ms")
        self.load_until(connections, lambda: pair.alarms("a"), ALARM_SECONDS, "an alarm")
        self.check(True, "alarm: " + "; ".join(pair.alarms("a")))
        stats = pair.stats()
        self.check(stats.is_pair, "still PAIR")
        self.check(stats.generation == generation, f"still generation {generation}")
        self.check(pair.b.is_running("tandemd"), "the secondary's data plane runs")
        pair.network.heal()
        self.tell("heartbeats healed")
        self.load_until(
            connections, lambda: not pair.alarms("a"), ALARM_SECONDS, "the end of the alarm"
        )
        self.check(pair.stats().is_pair, "the alarm is over, still PAIR")
        self.read_back(connections)
