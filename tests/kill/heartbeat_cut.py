"""Heartbeats are cut and the session lives: nothing happens but an alarm."""

from kill.separated import HEARTBEAT_PORT, Separated

CUT_SECONDS = 3
ALARM_SECONDS = 10
SILENCE_MAX_MS = 1000


class HeartbeatCut(Separated):
    name = "heartbeat-cut"

    def play(self, pair, network):
        connections = self.connect(pair, "a")
        self.load_for(connections, 1)
        generation = pair.stats().generation
        self.check(not self._alarms(pair), "no alarm before the cut")
        network.cut(f"udp dport {HEARTBEAT_PORT}")
        self.tell("heartbeats cut, both ways")
        silence_ms = self.longest_silence(connections, CUT_SECONDS) / 1e6
        self.check(silence_ms <= SILENCE_MAX_MS, f"longest silence {silence_ms:.0f} ms")
        self.load_until(connections, lambda: self._alarms(pair), ALARM_SECONDS, "an alarm")
        self.check(True, f"alarm: {self._alarms(pair)}")
        stats = pair.stats()
        self.check(stats.is_pair, "still PAIR")
        self.check(stats.generation == generation, f"still generation {generation}")
        self.check(pair.b.is_running("tandemd"), "the secondary's data plane runs")
        network.heal()
        self.tell("heartbeats healed")
        self.load_until(
            connections, lambda: not self._alarms(pair), ALARM_SECONDS, "the end of the alarm"
        )
        self.check(pair.stats().is_pair, "the alarm is over, still PAIR")
        self.read_back(connections)

    @staticmethod
    def _alarms(pair):
        return pair.alarms("a")
