"""The table of stalls: what befalls a protected guest, and in which time it has to run again.

A row is what is armed or done; Bed (stalls) plays it. Names of stages are those of the protocol between QEMU and who
protects it: REQUEST, REPLY, SEND, pages, SIZE, state, RECEIVED, LOADED."""

import signal
from dataclasses import dataclass, field

AT = 40  # the checkpoint in which a fault happens: the pair is one by then
PAGES_OF_EACH = 1000  # at least
STAGES = {
    "request": ("before REPLY", AT),
    "send": ("after SEND", AT),
    "page": ("in mid-RAM", AT * PAGES_OF_EACH),
    "size": ("between RAM and device state", AT),
    "state": ("in mid-state", AT),
    "received": ("before RECEIVED", AT),
    "keep": ("after RECEIVED", AT),
    "loaded": ("before LOADED", AT),
}


@dataclass
class Row:
    name: str
    fault: str  # in words, for the table
    failpoints: dict = field(default_factory=dict)  # {program of node a or b: TANDEM_FAILPOINT}
    act: object = None  # what is done to the pair once the guest is protected
    heal: object = None  # what ends it
    ends_guest: bool = False  # on the primary; it goes on at the other node
    is_there_at_once: bool = False  # the fault, and no pair ever
    needs_network: bool = False  # of its own


def _signal(node, program, number):
    def act(pair):
        getattr(pair, node).signal_program(program, number)
    return act


def _cut(pair):
    """The session's way; heartbeats still come through."""
    pair.network.cut("meta l4proto tcp")


def _mend(pair):
    pair.network.heal()


def _go_on(pair):
    _signal("a", "tandem-qemu", signal.SIGCONT)(pair)


def _hung_stages():
    for stage, (where, count) in STAGES.items():
        yield Row(f"hung-{stage}", f"tandem-qemu hangs {where}",
                  {"tandem-qemu": f"qemu_{stage}:stop:{count}"}, heal=_go_on)


def _cut_stages():
    for stage, (where, count) in STAGES.items():
        yield Row(f"cut-{stage}", f"the stream ends {where}",
                  {"tandem-qemu": f"qemu_{stage}:error:{count}"})


def _standby_stages():
    for point, where in (("standby_seal", "when an epoch arrives"),
                         ("standby_commit", "before it commits"),
                         ("standby_acknowledged", "after COMMITTED"),
                         ("standby_apply", "while it applies")):
        yield Row(f"hung-{point.replace('_', '-')}", f"the standby hangs {where}",
                  {"tandemd": f"{point}:stop:{AT}"},
                  heal=_signal("b", "tandemd", signal.SIGCONT))


ROWS = {row.name: row for row in (
    *_hung_stages(), *_cut_stages(), *_standby_stages(),
    Row("hung-first", "tandem-qemu hangs when the first epoch is whole",
        {"tandem-qemu": "qemu_keep:stop"}, heal=_go_on),
    Row("cut-first", "the stream ends when the first epoch is whole",
        {"tandem-qemu": "qemu_keep:error"}),
    Row("hung-anytime", "tandem-qemu is stopped at any moment",
        act=_signal("a", "tandem-qemu", signal.SIGSTOP), heal=_go_on),
    Row("hung-standby-anytime", "the standby is stopped at any moment",
        act=_signal("b", "tandemd", signal.SIGSTOP),
        heal=_signal("b", "tandemd", signal.SIGCONT)),
    Row("network-cut", "the session's packets are lost on their way", act=_cut, heal=_mend,
        needs_network=True),
    Row("standby-killed", "the standby is killed", act=_signal("b", "tandemd", signal.SIGKILL),
        heal=lambda pair: pair.b.start_data_plane()),
    Row("standby-full", "the standby has no room for the image",
        {"tandemd": "standby_room:error:1+"}, is_there_at_once=True),
    Row("killed", "tandem-qemu is killed", act=_signal("a", "tandem-qemu", signal.SIGKILL),
        ends_guest=True),
)}
