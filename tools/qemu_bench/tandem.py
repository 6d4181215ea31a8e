"""Tandem: a guest that is a pair of nodes on this computer, over TCP on loopback."""

from checkpoint.run import Failure
from kill.layout import PAIR, on_loopback
from kill.pair import Pair
from qemu_bench.stops import wait_until, watch

BOOT_TIMEOUT_S = 120
STATE_BYTES_MAX = 1 << 20
# In which the guest's memory reaches Tandem, and keys of the pair. What is shared is pushed while
# the guest runs, and the rest holds it until that is copied; what is sent comes in the stop alone.
WAYS = {"stream": {}, "shared": {"capture": '"stage"', "push_interval_us": "20000"}}


class Program:
    """What the layout is for; started by hand, and never to take over."""

    name = "tandem-qemu"

    def promote_command(self, _):
        return "false"


def options(build, layout, way, interval_ms):
    """How the guest is started: see bed.Vm."""
    front = [build / "bin/tandem-qemu", "--pair", PAIR, "--run-dir",
             layout.nodes["a"].run_directory, "--ungated", "--memory", way,
             "--interval", interval_ms, "--"]
    return {"front": front, "memory": layout.images / "ram" if way == "shared" else None}


def check_epochs(pair, before, count):
    """Each stop was an epoch that the other node has, but for the last one's commit."""
    after = pair.stats()
    kept = after.epochs_committed - before.epochs_committed
    if not after.is_pair or after.epochs_aborted or kept < count:
        raise Failure(f"Tandem: {count} stops, {kept} epochs committed, {after.epochs_aborted} "
                      f"aborted, {'a' if after.is_pair else 'no'} pair")


def measure_pair(pair, start, check, count):
    pair.b.start(with_server=False)
    pair.a.start(with_server=False)
    vm = start()
    vm.wait_tick(BOOT_TIMEOUT_S)
    wait_until(lambda: (stats := pair.stats()) and stats.is_pair, "Tandem: the guest is protected")
    before = pair.stats()
    measured = watch(vm, pair.layout.nodes["b"].port, count)
    check_epochs(pair, before, count)
    check(vm)
    vm.kill()
    return measured


def measure(build, start, way, check, count, interval_ms):
    """Stop times in ms and sent bytes of `count` checkpoints of a guest that start() boots with the
    options that it is given; check() looks whether its memory is right."""
    layout = on_loopback(program=Program(), pair_options={
        "state_bytes_max": str(STATE_BYTES_MAX), **WAYS[way]})
    try:
        with Pair(layout, build / "bin") as pair:
            return measure_pair(pair,
                                lambda: start(**options(build, layout, way, interval_ms)), check,
                                count)
    finally:
        layout.remove()
