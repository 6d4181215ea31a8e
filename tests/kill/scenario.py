"""What the single stories share: a pair under load, checks that are told as they are made."""

import json
import secrets
import time

from kill import wait
from kill.network import NetworkError
from oracle.client import Client
from oracle.verdict import Verdict


class Scenario:
    """A subclass says what happens in play(); run() tells it, judges it and cleans up."""

    name = ""
    must_read_back = True

    def __init__(self, programs, options):
        self.programs = programs
        self.provider = options.transport
        self.seed = options.seed if options.seed is not None else secrets.randbits(32)
        self.keep = options.keep
        self.json_path = options.json
        self.client = Client(self.seed, connections_count=8, in_flight_max=8)
        self.problems = []
        self.facts = {}
        self.reads = []  # of every read_back()
        self._started = time.monotonic()

    def run(self):
        """True when everything was as it has to be."""
        self.tell(f"{self.name}, seed {self.seed}")
        layout = None
        try:
            with self.make_pair() as pair:
                layout = pair.layout
                try:
                    self._start(pair)
                    self.play(pair)
                finally:
                    self.problems += pair.faults()
        except (wait.Timeout, NetworkError, OSError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
        self._judge()
        self._finish(layout)
        return not self.problems

    def make_pair(self):
        """The nodes: a Pair."""
        raise NotImplementedError

    def play(self, pair):
        raise NotImplementedError

    # ---- for play() ----

    def tell(self, text):
        print(f"{time.monotonic() - self._started:7.2f} s  {text}", flush=True)

    def check(self, is_right, text):
        self.tell(("ok: " if is_right else "WRONG: ") + text)
        if not is_right:
            self.problems.append(text)

    def connect(self, pair, name):
        return self.client.connect(name, pair.layout.nodes[name].serve_at)

    def load_for(self, connections, seconds):
        self.client.load(connections, lambda: False, seconds)

    def load_until(self, connections, condition, timeout_seconds, what):
        """Load until a condition of another process holds; it is looked at every few ms."""
        looked_at = [0.0]

        def is_over():
            if time.monotonic() - looked_at[0] < 0.01:
                return False
            looked_at[0] = time.monotonic()
            return condition()

        if not self.client.load(connections, is_over, timeout_seconds):
            raise wait.Timeout(f"{what}: not within {timeout_seconds:g} s")

    def longest_silence(self, connections, seconds):
        """Load for some seconds; the longest time in nanoseconds without any reply, from now on."""
        tally = self.client.tally
        seen, longest = time.monotonic_ns(), 0

        def is_over():
            nonlocal seen, longest
            if tally.last_reply_at > seen:
                longest = max(longest, tally.last_reply_at - seen)
                seen = tally.last_reply_at
            return False

        self.client.load(connections, is_over, seconds)
        is_over()
        return max(longest, time.monotonic_ns() - seen)

    def read_back(self, connections):
        """Every request has its reply, then everything is read."""
        self.check(self.client.drain(connections, 10), "every request got its reply")
        self.reads.append(self.client.read_back(connections, 60))

    # ---- the frame ----

    def _start(self, pair):
        pair.start()
        stats = pair.wait_pair()
        self.tell(f"PAIR: {stats.transport}, {stats.channel_count} channels, {stats.tracker}")
        pair.wait_serving("a")

    def _judge(self):
        verdict = Verdict(self.client, self.reads, self.must_read_back)
        self.problems += verdict.explain()
        if self.client.tally.errors:
            self.problems.append(f"error replies: {self.client.tally.error_texts}")
        self.facts.update(
            acknowledged_writes=verdict.acknowledged_writes,
            lost_writes=verdict.lost_writes,
            torn_values=verdict.torn_values,
            is_linearizable=verdict.is_linearizable,
        )
        self.tell(
            f"{verdict.acknowledged_writes} acknowledged writes, {verdict.lost_writes} lost,"
            f" {verdict.torn_values} torn,"
            f" {'linearizable' if verdict.is_linearizable else 'NOT linearizable'}"
        )

    def _finish(self, layout):
        self.client.close()
        for problem in self.problems:
            print(f"           {problem}", flush=True)
        if layout:
            keep = self.keep or bool(self.problems)
            layout.remove(keep_files=keep)
            if keep:
                self.tell(f"logs: {layout.directory}")
        if self.json_path:
            facts = {"scenario": self.name, "problems": self.problems, **self.facts}
            with open(self.json_path, "w", encoding="utf-8") as file:
                json.dump(facts, file, indent=1)
                file.write("\n")
        self.tell("FAILED" if self.problems else "passed")
