"""Random faults against any process of both nodes, again and again, under load on whoever leads."""

import os
import signal
import threading
import time

from kill import register, wait
from kill.faults import PROGRAMS, Faults
from kill.layout import PAIR, on_loopback
from kill.pair import Pair
from kill.scenario import Scenario
from kill.separated import SeparatedPair
from oracle.client import Client

HEAL_SECONDS = 40
DEATH_SECONDS = 20
TRIGGER_SECONDS = 3
SILENCE_SECONDS = 3  # nobody answers that long when no copy is left
REFUSED_SECONDS = 30  # until a server that may not lead has ended
CONNECTIONS_EACH = 3
HALTED_STATUS = 3


class Load(threading.Thread):
    """Keeps the client busy on every node that listens."""

    def __init__(self, client, layout):
        super().__init__(daemon=True)
        self._client = client
        self._layout = layout
        self._by_node = {name: [] for name in layout.nodes}
        self._is_over = threading.Event()

    def run(self):
        while not self._is_over.wait(0.01):
            connections = [each for name in self._by_node for each in self._open(name)]
            self._client.load(connections, self._is_over.is_set, 0.1)

    def end(self):
        self._is_over.set()
        self.join()

    def _open(self, name):
        live = [each for each in self._by_node[name] if each.is_open]
        if not live:
            try:
                address = self._layout.nodes[name].serve_at
                live = self._client.connect(name, address, CONNECTIONS_EACH)
            except OSError:
                pass
        self._by_node[name] = live
        return live


class Chaos(Scenario):
    name = "chaos"

    def __init__(self, programs, options):
        super().__init__(programs, options)
        self.client = Client(self.seed, CONNECTIONS_EACH, in_flight_max=2)
        self.seconds = options.seconds
        self.can_cut = self.provider == "tcp" and os.geteuid() == 0 and self.seed % 2 == 0
        self.faults = Faults(self.seed, self.can_cut)
        self.counts = {}
        self.is_lost = False  # every copy was killed: rightly, nobody answers

    def make_pair(self):
        options = {"take_overs_max": "16", "take_over_window_ms": "10000"}
        if self.can_cut:
            return SeparatedPair(self.programs, self.provider, pair_options=options)
        return Pair(on_loopback(provider=self.provider, pair_options=options), self.programs)

    def play(self, pair):
        self.pair = pair
        self.nodes = {"a": pair.a, "b": pair.b}
        self.watch = register.Watch(pair.layout.arbiter / PAIR)
        self.load = Load(self.client, pair.layout)
        self.watch.start()
        self.load.start()
        try:
            self._disturb_for(self.seconds)
            last = self.faults.last()
            if last and not self.problems and not self.is_lost:
                self._disturb(last, may_lose=True)
                self._heal(last)
        finally:
            self.load.end()
            self.watch.end()
        self._settle()

    def _disturb_for(self, seconds):
        until = time.monotonic() + seconds
        self._wait_healthy()
        while time.monotonic() < until and not self.problems and not self.is_lost:
            disturbance = self.faults.next()
            wait.passed(disturbance.pause)
            self._disturb(disturbance)
            self._heal(disturbance)

    def _settle(self):
        """The end of the load; what it left is read back and judged."""
        self.facts.update(disturbances=self.counts, every_copy_lost=self.is_lost)
        self.tell(", ".join(f"{name} {count}" for name, count in sorted(self.counts.items())))
        doubles = register.double_answers(self.watch.reigns(), self.client.history)
        for each in doubles[:5]:
            self.problems.append(f"two nodes answered: {each.describe()}")
        self.check(not doubles, f"one node at a time answered in {len(self.watch.reigns())} reigns")
        if not self.is_lost and not self.problems:
            self.read_back(self.connect(self.pair, self.watch.record.owner))

    @property
    def must_read_back(self):
        return not self.is_lost

    # ---- who is who ----

    def _server(self, name):
        """The process number of the server that a node's engine belongs to, None when it is gone.
        """
        stats = self.pair.stats(name)
        return stats.process_id if stats and _is_alive(stats.process_id) else None

    def _leads_alive(self, record):
        stats = self.pair.stats(record.owner)
        return (stats is not None and stats.incarnation == record.owner_incarnation
                and _is_alive(stats.process_id))

    def _resolve(self, side, leader):
        owner = self.watch.record.owner
        other = "b" if leader == "a" else "a"
        return {"leader": leader, "other": other, "winner": owner}[side]

    def _process(self, name, program):
        """Its number, None when it does not run."""
        if program == "tandem-kv":
            return self._server(name)
        return self.nodes[name].process_id(program)

    # ---- faults ----

    def _disturb(self, disturbance, may_lose=False):
        self.counts[disturbance.name] = self.counts.get(disturbance.name, 0) + 1
        self.tell(str(disturbance))
        self._leader = self.watch.record.owner
        self._may_lose = may_lose
        self._later = []  # (when, what) that ends a strike
        self._seen = self.watch.record.generation
        self._seen_server = {name: self._server(name) for name in self.nodes}
        self._said_before = {name: self._log_path(name).stat().st_size for name in self.nodes}
        for strike in disturbance.strikes:
            if not self._await(strike):
                continue
            self._pass(strike.delay)
            self._strike(strike)
        while self._later:
            self._pass(max(0.0, self._later[0][0] - time.monotonic()))

    def _pass(self, seconds):
        """Time passes; what has to end meanwhile, ends."""
        until = time.monotonic() + seconds
        while self._later and self._later[0][0] <= until:
            at, end = self._later.pop(0)
            wait.passed(at - time.monotonic())
            end()
        wait.passed(until - time.monotonic())

    def _after(self, seconds, end):
        self._later.append((time.monotonic() + seconds, end))
        self._later.sort(key=lambda each: each[0])

    def _await(self, strike):
        """Until the moment of a strike; False when it does not come."""
        conditions = {
            "": lambda: True,
            "record": lambda: self.watch.record.generation > self._seen,
            "pair": lambda: self.watch.record.generation > self._seen and self.watch.record.is_pair,
            "session": lambda: self._has_session(self._resolve("other", self._leader)),
            "started": lambda: self._server(self.watch.record.owner) not in (
                None, self._seen_server[self.watch.record.owner]),
        }
        until = time.monotonic() + TRIGGER_SECONDS
        while not conditions[strike.when]():
            if time.monotonic() > until:
                return False
            self._pass(0.001)
        self._seen = self.watch.record.generation
        return True

    def _has_session(self, name):
        """A new one since the disturbance began. The log says so before the controller may be able
        to."""
        lines = self._said(name, self._said_before[name])
        last = [line for line in lines if "session with" in line or "session lost" in line
                or "standing by" in line][-1:]
        return bool(last) and "session with" in last[0]

    def _log_path(self, name):
        return self.pair.layout.log_path(name)

    def _said(self, name, begin=0):
        """Lines of a node's log behind so many bytes."""
        return self._log_path(name).read_bytes()[begin:].decode(errors="replace").splitlines()

    def _strike(self, strike):
        if strike.action == "away":
            self._take_arbiter_away(strike.seconds)
            return
        if strike.action == "cut":
            self.pair.network.cut()
            self._after(strike.seconds, self.pair.network.heal)
            return
        name = self._resolve(strike.side, self._leader)
        process = self._process(name, strike.program)
        if process is None:
            return
        if strike.action == "stop":
            _signal(process, signal.SIGSTOP)
            self._after(strike.seconds, lambda: _signal(process, signal.SIGCONT))
        elif self._may_lose or not self._holds_last_copy(name, strike.program):
            _signal(process, signal.SIGKILL)
            wait.until(lambda: self._process(name, strike.program) != process, DEATH_SECONDS,
                       "the end of what was killed", 0.001)
            if strike.program != "tandem-kv":
                self._after(strike.seconds, lambda: self._start_again(name, strike.program))

    def _take_arbiter_away(self, seconds):
        path = self.pair.layout.arbiter
        hidden = path.with_name("arbiter-away")
        if hidden.exists():
            return
        path.rename(hidden)

        def bring_back():
            if path.exists():
                self.check(False, "somebody made the arbiter's directory anew")
                return
            hidden.rename(path)

        self._after(seconds, bring_back)

    def _holds_last_copy(self, name, program):
        """To kill it would leave nothing: not the scenario's aim, but see Faults.last()."""
        record = self.watch.record
        if program == "tandem-failoverd":
            return False
        if program == "tandem-kv":
            other = "b" if record.owner == "a" else "a"
            holder = self.nodes[other].process_id("tandemd")
            return name == record.owner and not (record.is_pair and holder is not None)
        return name != record.owner and not self._leads_alive(record)

    def _start_again(self, name, program):
        if self.nodes[name].is_running(program):
            return
        if program == "tandemd":
            self.nodes[name].start_data_plane()
        else:
            self.nodes[name].start_controller()

    # ---- afterwards ----

    def _heal(self, disturbance):
        for name in self.nodes:
            for program in PROGRAMS[1:]:
                self._start_again(name, program)
        if disturbance.tries_server:
            self._try_server()
        try:
            self._wait_healthy()
        except wait.Timeout as timeout:
            self._judge_silence(timeout)

    def _wait_healthy(self):
        wait.until(self._is_healthy, HEAL_SECONDS, "PAIR and answers", 0.02)

    def _is_healthy(self):
        record = self.watch.record
        if not record or not record.is_pair or not self._leads_alive(record):
            return False
        stats = self.pair.stats(record.owner)
        is_led = stats is not None and stats.is_pair and stats.generation == record.generation
        answered_at = self.client.tally.last_reply_at
        if not is_led or time.monotonic_ns() - answered_at > 200_000_000:
            return False
        return all(self._says(name).get("state") in ("PRIMARY_PAIR", "SECONDARY") for name in self.nodes)

    def _says(self, name):
        status = self.pair.status(name) or {}
        return next((each for each in status.get("pairs", []) if each["pair"] == PAIR), {})

    def _every_copy_is_dead(self):
        """The owner is gone, and so is the copy that it left or has not started from yet."""
        record = self.watch.record
        if self._leads_alive(record):
            return False
        if record.is_pair:
            return self._incarnation_is_gone(record.copy_incarnation)
        stats = self.pair.stats(record.owner)
        if stats is not None and stats.incarnation == record.owner_incarnation:
            return True
        before = self.watch.history[-2][1] if len(self.watch.history) > 1 else None
        return not before or self._incarnation_is_gone(before.copy_incarnation)

    def _incarnation_is_gone(self, incarnation):
        """No data plane says that it stands by with that incarnation now."""
        for name in self.nodes:
            last = [line for line in self._said(name) if "standing by, incarnation" in line][-1:]
            if last and f"{incarnation:016x}" in last[0]:
                return False
        return True

    def _judge_silence(self, timeout):
        states = {name: self._says(name) for name in self.nodes}
        words = "; ".join(
            f"{name}: {each.get('state')}, waiting for {each.get('waiting_for')!r},"
            f" {each.get('unblock')!r}" for name, each in states.items()
        )
        if not self._every_copy_is_dead():
            self.check(False, f"{timeout}; {words}")
            return
        self.is_lost = True
        self.tell(f"every copy is dead: {words}")
        owner = self.watch.record.owner
        try:
            wait.until(lambda: "force-primary" in (self._says(owner).get("unblock") or ""),
                       HEAL_SECONDS, "the way out in the owner's status", 0.05)
        except wait.Timeout as late:
            self.check(False, str(late))
        before = self.client.tally.replies
        wait.passed(SILENCE_SECONDS)
        self.check(self.client.tally.replies == before, "nobody answers")

    def _try_server(self):
        """An operator starts the server where it may not lead."""
        wait.until(lambda: self._is_healthy() or self._every_copy_is_dead(), HEAL_SECONDS,
                   "a leader before a server is tried", 0.02)
        if self._every_copy_is_dead():
            return
        name = "b" if self.watch.record.owner == "a" else "a"
        node = self.nodes[name]
        begin = self._log_path(name).stat().st_size
        node.start_server()
        wait.until(lambda: not node.is_running("tandem-kv"), REFUSED_SECONDS,
                   f"the end of node {name}'s server, which may not lead")
        lines = [line for line in self._said(name, begin) if "tandem-kv" in line]
        self.check(bool(lines) and node.exit_status("tandem-kv") == HALTED_STATUS,
                   f"node {name}'s server ended: {lines[-1:]}")


def _is_alive(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
    except OSError:
        return False
    return name == "tandem-kv" and rest.split()[0] not in "ZX"


def _signal(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
