"""QEMU's own pair: COLO between two QEMUs on this computer, over TCP on loopback."""

import socket

from checkpoint.run import Failure
from qemu_bench.stops import wait_until, watch

RELEASE_TIMEOUT_S = 10
CHANNELS = 4
PARAMETERS = {"max-bandwidth": 1 << 33, "downtime-limit": 2000}
MODES = {"plain": (), "multifd": ("multifd",)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def set_capabilities(vm, mode):
    wanted = ("x-colo", "return-path", *MODES[mode])
    everything = ("x-colo", "return-path", "multifd")
    vm.qmp.execute("migrate-set-capabilities", capabilities=[
        {"capability": name, "state": name in wanted} for name in everything])
    if "multifd" in wanted:
        vm.qmp.execute("migrate-set-parameters", **{"multifd-channels": CHANNELS})


def connect(primary, secondary, mode, delay_ms):
    """The port, once the guest on the primary has gone on in the state colo."""
    port = free_port()
    for vm in (secondary, primary):
        set_capabilities(vm, mode)
    secondary.qmp.execute("migrate-incoming", uri=f"tcp:127.0.0.1:{port}")
    primary.qmp.execute("migrate-set-parameters", **{"x-checkpoint-delay": delay_ms, **PARAMETERS})
    primary.qmp.execute("migrate", uri=f"tcp:127.0.0.1:{port}")

    def has_begun():
        state = primary.qmp.execute("query-migrate")
        if state.get("status") in ("failed", "completed", "cancelled"):
            raise Failure(f"COLO, {mode}: the migration {state['status']}: "
                          f"{state.get('error-desc', 'no reason')}")
        return (state.get("status") == "colo"
                and primary.qmp.execute("query-status")["status"] == "running")

    wait_until(has_begun, f"COLO, {mode}: the pair is synchronised")
    return port


def release(primary, secondary):
    """Ends the pair; the guest on the primary goes on alone."""
    secondary.kill()
    primary.qmp.execute_oob("yank", instances=[{"type": "migration"}])
    primary.qmp.execute("x-colo-lost-heartbeat")
    wait_until(lambda: primary.qmp.execute("query-status")["status"] == "running"
               and primary.qmp.execute("query-migrate")["status"] == "completed",
               "COLO: the primary goes on alone", RELEASE_TIMEOUT_S)


def measure(primary, start_secondary, mode, count, delay_ms):
    """Stop times in ms and sent bytes of `count` checkpoints."""
    secondary = start_secondary()
    port = connect(primary, secondary, mode, delay_ms)
    measured = watch(primary, port, count)
    release(primary, secondary)
    return measured
