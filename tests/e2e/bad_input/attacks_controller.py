"""tandem-failoverd: its heartbeat ports and the socket of its data planes."""

import os
import socket
import time

from e2e.bad_input import control, operator, wires
from e2e.bad_input.field import Wrong, attack
from kill import wait
from kill.layout import PAIR

_COMPLAINT_SECONDS = 1.1  # the controller complains once a second
_AGAIN_SECONDS = 0.95  # by the moments in its log
_DROPPED = r"on failoverd.sock was dropped: "


def _complaint(watch, pattern, do):
    """What is done makes the controller complain, once in a second however often it is done."""
    time.sleep(_COMPLAINT_SECONDS)
    do()
    watch.expect(pattern)
    watch.allow_again(pattern, _AGAIN_SECONDS)


# ---- heartbeats ----


class _Datagrams:
    """To the heartbeat port of a node, from no link of the pair."""

    def __init__(self, ground, name="b"):
        self.address = ground.layout.nodes[name].heartbeats[0]
        self.key = ground.layout.heartbeat_key
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, data, times=3):
        for _ in range(times):
            self.socket.sendto(data, self.address)

    def beat(self, **wrong):
        right = dict(key=self.key, pair=PAIR, node="a", instance=77, sequence=1 << 40)
        return control.heartbeat(**{**right, **wrong})


def _refused_count(ground):
    return operator.pair_status(ground, "b")["peer"]["refused_heartbeats"]


@attack("heartbeat-stranger")
def heartbeat_stranger(field):
    """Random, cut, damaged and foreign heartbeats at a healthy node."""
    rng = field.rng
    stranger = _Datagrams(field.healthy)
    right = stranger.beat()

    def random_sizes():
        near = control.HEARTBEAT_BYTES
        for length in (0, 1, 4, 6, near - 1, near, near + 1, 1400, 65507):
            stranger.send(rng.randbytes(length))

    def damaged():
        for at in rng.sample(range(38, len(right)), 60):
            stranger.send(right[:at] + bytes([right[at] ^ 1 << rng.randrange(8)]) + right[at + 1 :], 1)

    no_pair = r"a heartbeat was refused: it is for no pair of this node"
    address = r"an address that is no link of the pair"
    _complaint(field.b, no_pair, random_sizes)
    _complaint(field.b, no_pair, lambda: stranger.send(stranger.beat(pair="other")))
    _complaint(field.b, no_pair, lambda: stranger.send(right[:-1]))
    _complaint(field.b, no_pair, lambda: stranger.send(right + b"\0"))
    before = _refused_count(field.healthy)
    _complaint(field.b, address, lambda: stranger.send(stranger.beat(version=99)))
    _complaint(field.b, address, damaged)
    _complaint(field.b, address, lambda: stranger.send(right))
    wait.until(lambda: _refused_count(field.healthy) - before >= 3 + 60 + 3, wires.WAIT_SECONDS,
               "all refused heartbeats to be counted")
    count = _refused_count(field.healthy) - before
    if count != 3 + 60 + 3:
        raise Wrong(f"{count} refused heartbeats were counted")


@attack("heartbeat-flood")
def heartbeat_flood(field):
    stranger = _Datagrams(field.healthy, "a")
    for _ in range(40):
        for _ in range(50):
            stranger.send(field.rng.randbytes(control.HEARTBEAT_BYTES), 1)
        time.sleep(0.01)
    field.a.expect(r"a heartbeat was refused")
    field.a.accept(r"a heartbeat was refused")


@attack("heartbeat-impostor")
def heartbeat_impostor(field):
    """From the right address, but damaged, with another key, or with fields that make no sense."""
    rng, impostor = field.rng, field.idle.impostor
    peer_at = impostor.peer_at

    def send(**wrong):
        for _ in range(2):
            impostor.socket.sendto(impostor.beat(**wrong), peer_at)

    def damaged():
        for at in rng.sample(range(38, control.HEARTBEAT_BYTES), 60):
            right = impostor.beat()
            flipped = bytes([right[at] ^ 1 << rng.randrange(8)])
            impostor.socket.sendto(right[:at] + flipped + right[at + 1 :], peer_at)

    damage = r"a heartbeat was refused: damaged, or made with another key"
    _complaint(field.idle_b, damage, damaged)
    _complaint(field.idle_b, damage, lambda: send(key=rng.randbytes(16)))
    _complaint(field.idle_b, damage, lambda: send(tag_flip=1))
    for wrong in (dict(program=(3, 1, 1)), dict(standby=(255, 0, 0)), dict(link=4), dict(link=255),
                  dict(instance=0), dict(sequence=0), dict(known_record=b"\xff" * 108),
                  dict(known_record=impostor.record[:-1] + b"\0")):
        _complaint(field.idle_b, damage, lambda wrong=wrong: send(**wrong))
    _complaint(field.idle_b, r"the sender is not the pair's other node", lambda: send(node="b"))
    _complaint(field.idle_b, r"another protocol version", lambda: send(version=0))
    _complaint(field.idle_b, r"another protocol version",
               lambda: send(version=control.HEARTBEAT_VERSION + 1))
    send(state=255, flags=0xFB)
    if operator.pair_status(field.idle, "b")["pair"] != PAIR:
        raise Wrong("no status after a state that does not exist")


@attack("heartbeat-replay")
def heartbeat_replay(field):
    """Old heartbeats said again, and another controller that answers nobody, are no sign of life."""
    idle = field.idle
    impostor = idle.impostor
    old = [impostor.beat() for _ in range(20)]
    for data in old:
        impostor.socket.sendto(data, impostor.peer_at)
    impostor.pause()
    time.sleep(0.3)
    try:
        first = operator.pair_status(idle, "b")["peer"]["heard_ms"]
        for index in range(20):
            impostor.socket.sendto(old[index], impostor.peer_at)
            impostor.socket.sendto(impostor.beat(instance=9, echo=0, sequence=100 + index),
                                   impostor.peer_at)
            time.sleep(0.02)
        heard = operator.pair_status(idle, "b")["peer"]["heard_ms"]
        if heard < first + 350:
            raise Wrong(f"a replayed heartbeat counts: heard {heard} ms ago, before {first} ms ago")
    finally:
        impostor.go_on()


# ---- data planes ----


def socket_of(ground, name="b"):
    return ground.layout.nodes[name].run_directory / "failoverd.sock"


def _drop(field, packets, ground=None):
    """A data plane that says that is dropped."""
    with wires.connect_unix(socket_of(ground or field.healthy)) as connection:
        for packet in packets:
            wires.send(connection, packet)
        wires.read_until_closed(connection)


def attach(plane=control.PROGRAM, **wrong):
    right = dict(plane=plane, pair=PAIR, incarnation=0xABCD, process_id=os.getpid())
    return control.control(control.ATTACH, **{**right, **wrong})


_OTHER_VERSIONS = (0, control.CONTROL_VERSION - 1, control.CONTROL_VERSION + 1, 65535)


def _over(data, at, other):
    return data[:at] + other + data[at + len(other) :]


@attack("plane-packets")
def plane_packets(field):
    """First packets that are no message, or of another direction."""
    right = attach()
    no_message = _DROPPED + "its packet is no message of a data plane"
    cases = [b"\0", right[:-1], right + b"\0", field.rng.randbytes(768), field.rng.randbytes(100000),
             attach(magic=1), attach(plane=0), attach(plane=3), attach(answers=200),
             attach(is_pair=2), attach(has_session=255), attach(status=1),
             attach(status=-1 << 31), _over(right, control.PAIR_AT, b"k" * 32),
             _over(right, control.TEXT_AT, b"t" * 256), right[:-1] + b"\1",
             *(_over(right, control.PEER_BEAT_AT, beat) for beat in (b"\1", b"\3", b"\xff", b"\0\1")),
             *(control.control(kind) for kind in (0, max(control.FROM_PLANE) + 1, 31,
                                                  max(control.FROM_CONTROLLER) + 1, 255))]
    _complaint(field.b, no_message, lambda: [_drop(field, [case]) for case in cases])
    _complaint(field.b, no_message, lambda: [
        _drop(field, [control.control(kind, pair=PAIR)]) for kind in control.FROM_CONTROLLER
    ])
    _complaint(field.b, _DROPPED + "it speaks another version",
               lambda: [_drop(field, [attach(version=version)]) for version in _OTHER_VERSIONS])
    _complaint(field.b, _DROPPED + "its first packet is not ATTACH", lambda: [
        _drop(field, [control.control(kind, plane=control.STANDBY, pair=PAIR, answers=control.FENCE)])
        for kind in control.FROM_PLANE if kind != control.ATTACH
    ])


@attack("plane-attach")
def plane_attach(field):
    """ATTACH in somebody else's name, for another pair, beside the one that is there."""
    healthy = field.healthy
    standby_id = healthy.b.process_id("tandemd")
    _complaint(field.b, _DROPPED + "it named another process than itself", lambda: [
        _drop(field, [attach(control.STANDBY, process_id=number)])
        for number in (0, 1, standby_id, 0xFFFFFFFF)
    ])
    _complaint(field.b, _DROPPED + "it named a pair of no node here",
               lambda: [_drop(field, [attach(pair=name)]) for name in ("", "other", "k" * 31)])
    _complaint(field.b, r"a data plane was refused: another process is attached",
               lambda: _drop(field, [attach(control.STANDBY)]))
    _complaint(field.a, r"a data plane was refused: another process is attached",
               lambda: _drop_at_a(field, [attach(control.PROGRAM)]))
    _complaint(field.b, r"a data plane was refused: an attaching data plane must name",
               lambda: _drop(field, [attach(incarnation=0)]))
    time.sleep(_COMPLAINT_SECONDS)
    _drop(field, [attach(), attach()])
    field.b.expect(r"the register says that the other node leads")
    field.b.expect(_DROPPED + "it attached twice")


def _drop_at_a(field, packets):
    with wires.connect_unix(socket_of(field.healthy, "a")) as connection:
        for packet in packets:
            wires.send(connection, packet)
        wires.read_until_closed(connection)


@attack("plane-flips")
def plane_flips(field):
    """Each byte of an ATTACH, flipped; what is still one is refused, because a standby is there."""
    right = attach(control.STANDBY)
    time.sleep(_COMPLAINT_SECONDS)
    for at in range(len(right)):
        flipped = right[:at] + bytes([right[at] ^ 1 << field.rng.randrange(8)]) + right[at + 1 :]
        _drop(field, [flipped])
    field.b.expect(r"dropped|refused")
    field.b.accept(r"dropped|refused")


@attack("plane-messages")
def plane_messages(field):
    """A program that attached where it may not lead and then says everything, true or not."""
    rng = field.rng
    for ground, watch in ((field.healthy, field.b), (field.idle, field.idle_b)):
        with wires.connect_unix(socket_of(ground)) as connection:
            connection.send(attach(incarnation=rng.getrandbits(64)))
            for _ in range(400):
                kind = rng.choice([each for each in control.FROM_PLANE if each != control.ATTACH])
                answers = rng.choice([control.FENCE, control.ACTIVATE, control.YANK, control.ATTACH])
                data = control.control(
                    kind, plane=control.PROGRAM, pair=PAIR, answers=answers,
                    has_session=rng.randrange(2), has_copy=rng.randrange(2), status=-rng.randrange(16),
                    incarnation=rng.getrandbits(64), peer=rng.choice([0, 1, rng.getrandbits(64)]),
                    generation=rng.choice([0, 1, 2, 3, (1 << 64) - 1]), epoch=rng.getrandbits(64),
                    heard_age_ns=rng.choice([0, 1 << 63, (1 << 64) - 1]), text=b"\xff\x1b[2J\"\\\n" * 20,
                )
                if not wires.send(connection, data):
                    raise Wrong("the controller ended the connection")
            if operator.pair_status(ground, "b")["state"] != "SECONDARY":
                raise Wrong("the node is no secondary any more")
            operator.ask(ground, "b", {"command": "events"})
        watch.expect(r"the register says that the other node leads")
        watch.accept(r"tandem-failoverd")


@attack("plane-flood")
def plane_flood(field):
    """More connections than there are places, silent until they are dropped."""
    time.sleep(_COMPLAINT_SECONDS)
    connections = [wires.connect_unix(socket_of(field.healthy)) for _ in range(400)]
    early = field.healthy.check()
    if early:
        raise Wrong(f"during the flood: {early}")
    for connection in connections:
        wires.read_until_closed(connection)
        connection.close()
    field.b.expect(r"on failoverd.sock was refused: too many are open")
    field.b.accept(r"was dropped: it did not attach in time|too many are open")


@attack("plane-text")
def plane_text(field):
    """What a data plane gives as its reason comes into the log as one line and to the operator as
    JSON, whatever it is."""
    for text in (b"\xff\xfe\x80", b"\x1b[2J\r\n\0", b"\"}],{\\", bytes(range(1, 256)), b"%s%n" * 64,
                 "\u2028\U0001f600".encode()[:5]):
        with wires.connect_unix(socket_of(field.healthy)) as connection:
            connection.send(attach(text=text[:255], incarnation=field.rng.getrandbits(63) | 1))
            connection.recv(control.CONTROL_BYTES)
            connection.recv(control.CONTROL_BYTES)  # WELCOME and HALT
        field.b.expect(r"the register says that the other node leads.* \(generation")
        if operator.ask(field.healthy, "b", {"command": "events"})["ok"] is not True:
            raise Wrong("no events")
