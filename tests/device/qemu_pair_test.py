"""An unmodified QEMU 11.1 under tandem-qemu: while the other node does not answer, the guest runs on. That its host is
killed is in tests/qemu.

Ended by its signal, tandem-qemu ends its QEMU and says that all is well.

Run as `SCRIPT STORY PROGRAMS`, PROGRAMS being where tandem-qemu and tandemd are."""

import signal
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from kill.layout import on_loopback  # noqa: E402 (the path above comes first)
from kill.pair import Pair  # noqa: E402
from qemu.boot_sector import PAIR_OPTIONS, BootSector  # noqa: E402

from lab import private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402
from qemu_bench.stops import windows_ms  # noqa: E402

LOSS_MS = 1000  # a node that is silent for so long is given up


def protect(pair):
    pair.start()
    pair.wait_pair()
    print("ok: the guest is protected", flush=True)


def play_ahead(pair, guest):
    protect(pair)
    until(lambda: b"." in guest.output("a"), "the guest runs")
    with Qmp(guest.socket("a")) as qmp:
        pair.b.signal_program("tandemd", signal.SIGSTOP)
        until(lambda: not pair.stats().is_pair, "the other node is given up")
        qmp.wait_event("RESUME", after_count=len(qmp.events))
        windows = windows_ms(qmp.events)
    expect(windows and max(windows) < LOSS_MS / 2, "and the guest did not stand still until then",
           windows)
    committed = pair.stats().epochs_committed
    pair.b.signal_program("tandemd", signal.SIGCONT)
    until(lambda: pair.stats().is_pair and pair.stats().epochs_committed > committed,
          "it is copied again")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def play_stop(pair, guest):
    protect(pair)
    until(lambda: guest.count("a") > 0, "the guest runs")
    pair.a.signal_program(guest.name, signal.SIGTERM)
    until(lambda: not pair.a.is_running(guest.name), "it ends")
    expect(pair.a.exit_status(guest.name) == 0, "well", pair.a.exit_status(guest.name))
    expect(guest.count("a") == 0, "and so has its QEMU")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def story(play):
    program = private_qemu.obtain().program
    with tempfile.TemporaryDirectory() as name:
        guest = BootSector(program, Path(name))
        layout = on_loopback(program=guest, pair_options=PAIR_OPTIONS)
        is_well = False
        try:
            with Pair(layout, Path(sys.argv[2])) as pair:
                play(pair, guest)
            is_well = True
        finally:
            if not is_well:
                for node in "ab":
                    print(f"--- node {node}\n{layout.log_path(node).read_text(errors='replace')}")
            layout.remove()


main({"ahead": lambda: story(play_ahead), "stop": lambda: story(play_stop)})
