"""Data channels are lost, one by one and a whole rail, and the session goes on; then the rail with
the control channel is."""

from kill.scenario import Scenario
from kill.separated import PORT, SeparatedPair

LOST_SECONDS = 15
RESTORED_SECONDS = 30
RAIL_CUT_SECONDS = 4
RAILS = ("between", "rail")  # the links, by number
SILENCE_MAX_MS = 5000  # a lost channel is noticed after commit_timeout_ms, then fenced


class RailLoss(Scenario):
    name = "rail-loss"

    def make_pair(self):
        return SeparatedPair(self.programs, self.provider, has_rail=True)

    def play(self, pair):
        connections = self.connect(pair, "a")
        self.load_for(connections, 1)
        generation = pair.stats().generation
        self._check_spread(pair)
        self._find_control(pair.network)
        self._lose_one(pair, connections, "tcp", "reject with tcp reset", "reset")
        self._lose_one(pair, connections, "tcp", "drop", "silently dropped")
        self._lose_rail(pair, connections)
        stats = pair.stats()
        self.check(stats.is_pair, "still PAIR")
        self.check(stats.generation == generation, f"still generation {generation}")
        self._lose_control_rail(pair, connections)
        self.read_back(connections)

    def _check_spread(self, pair):
        rails = sorted({channel.rail for channel in pair.stats().channels})
        self.check(rails == [0, 1], f"channels spread over rails {rails}")

    def _find_control(self, network):
        """The control channel is a further connection of its rail, the first one or the second: a session that is
        refused is tried over the next rail."""
        counts = [len(self._connections(network, link)) for link in RAILS]
        control = counts.index(max(counts))
        self.control_link, self.other_link = RAILS[control], RAILS[1 - control]
        self.tell(f"connections {counts}: the control channel is on rail {control}")

    @staticmethod
    def _connections(network, link):
        return network.connections("a", getattr(network, link)["b"], PORT)

    @staticmethod
    def _count_up(pair):
        return sum(channel.state == "up" for channel in pair.stats().channels)

    @staticmethod
    def _lost_count(pair):
        return sum(channel.lost_count for channel in pair.stats().channels)

    def _wait_restored(self, pair, connections):
        count = len(pair.stats().channels)
        self.load_until(
            connections, lambda: self._count_up(pair) == count, RESTORED_SECONDS,
            "every channel restored",
        )
        self.check(True, f"{count} of {count} channels up again")

    def _lose_one(self, pair, connections, protocol, verdict, how):
        network = pair.network
        port = self._connections(network, self.other_link)[0]
        before = self._lost_count(pair)
        network.cut(f"{protocol} sport {port}", link=self.other_link, verdict=verdict)
        self.tell(f"one data connection {how}")
        self.load_until(
            connections, lambda: self._lost_count(pair) > before, LOST_SECONDS, "a lost channel"
        )
        self._wait_restored(pair, connections)
        network.heal()
        self.check(self._lost_count(pair) == before + 1, "one channel was lost, once")

    def _lose_rail(self, pair, connections):
        pair.network.cut("meta l4proto tcp", link=self.other_link)
        self.tell("the rail without the control channel cut for data")
        silence_ms = self.longest_silence(connections, RAIL_CUT_SECONDS) / 1e6
        self.check(silence_ms <= SILENCE_MAX_MS, f"longest silence {silence_ms:.0f} ms")
        lost = [channel for channel in pair.stats().channels if RAILS[channel.rail] == self.other_link]
        self.check(all(each.state != "up" for each in lost), f"{len(lost)} channels are lost")
        self.check(all(each.first_error for each in lost), f"the cause: {lost[0].first_error}")
        pair.network.heal()
        self.tell("that rail healed")
        self._wait_restored(pair, connections)

    def _lose_control_rail(self, pair, connections):
        network = pair.network
        network.cut(f"tcp dport {PORT}", link=self.control_link)
        self.tell("the other rail cut for data, with the control channel")

        def is_moved():
            """Nothing of the old session is left, and a new one protects."""
            return (
                not self._connections(network, self.control_link)
                and pair.stats().is_pair
                and self._count_up(pair) > 0
            )

        self.load_until(connections, is_moved, RESTORED_SECONDS, "a session on the rail that is left")
        self.check(True, "PAIR over the rail that is left")
        pair.network.heal()
        self._wait_restored(pair, connections)
