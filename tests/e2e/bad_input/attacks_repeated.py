"""Each kind of attack 200 times: descriptors and memory of the daemons stay what they were."""

import socket
import time

from e2e.bad_input import colo, control, operator, wires
from e2e.bad_input.attacks_controller import attach, socket_of
from e2e.bad_input.field import Wrong, attack
from e2e.bad_input.primary import Joined, Primary
from e2e.bad_input.vitals import Growth

_TIMES = 200
_ALLOWED_KIB = 3072  # a leaked session would be 200 times 100 KiB and more


def _repeat(process_id, once, *arguments):
    """Some times to warm up, then 200 times that leave nothing."""
    for _ in range(40):
        once(*arguments)
    time.sleep(0.3)  # what was refused last has left
    growth = Growth(process_id)
    for _ in range(_TIMES):
        once(*arguments)
    problem = growth.problem(_ALLOWED_KIB)
    if problem:
        raise Wrong(f"{once.__name__}: {problem}")


def _stranger(field):
    with wires.connect(field.healthy.door) as connection:
        wires.send(connection, field.rng.randbytes(32))
        wires.read_until_closed(connection)


def _no_hello(field):
    with Joined(field.healthy.door) as joined:
        joined.send_message(field.rng.randbytes(100))
        joined.was_dropped()


def _wrong_pair(field):
    with Joined(field.healthy.door, channels=1) as joined:
        joined.send_message(colo.hello("other", 1, 1, [colo.Region("map", 1)]))
        joined.read_frame()


@attack("repeated-door")
def repeated_door(field):
    process_id = field.healthy.b.process_id("tandemd")
    for once in (_stranger, _no_hello, _wrong_pair):
        _repeat(process_id, once, field)
    field.b.expect("refused")
    field.b.accept("refused")


def _refused_hello(idle):
    with Joined(idle.door, channels=2) as joined:
        joined.send_message(idle.identity.hello(generation=1))
        joined.read_frame()


def _wrong_seal(idle):
    with idle.primary() as primary:
        primary.seal(idle.committed + 1, 1, 2, [colo.Run(15, 2, colo.DATA)])
        primary.was_dropped()


def _other_shape(idle):
    """Another number of channels and largest blob each time: all of the slots is made anew."""
    idle.shape = getattr(idle, "shape", 0) + 1
    identity = idle.identity
    state_max = 4096 * (1 + idle.shape % 3)
    with Primary(idle.door, identity, identity.hello(state_max=state_max)) as primary:
        primary.data[0].sendall(b"x" * 100)
        primary.was_dropped()


@attack("repeated-session")
def repeated_session(field):
    process_id = field.idle.b.process_id("tandemd")
    for once in (_refused_hello, _wrong_seal, _other_shape):
        _repeat(process_id, once, field.idle)
    field.idle_b.accept_any(r"refused|session lost")


def _wrong_packet(field):
    with wires.connect_unix(socket_of(field.healthy)) as connection:
        wires.send(connection, b"x")
        wires.read_until_closed(connection)


def _second_standby(field):
    with wires.connect_unix(socket_of(field.healthy)) as connection:
        wires.send(connection, attach(control.STANDBY))
        wires.read_until_closed(connection)


def _program_that_leaves(field):
    with wires.connect_unix(socket_of(field.healthy)) as connection:
        wires.send(connection, attach(incarnation=field.rng.getrandbits(63) | 1))
        connection.recv(control.CONTROL_BYTES)


def _wrong_request(field):
    with operator.connect(field.healthy, "b") as connection:
        connection.sendall(b'{"command":[[[[[[\n')
        operator.read_line(connection)


def _wrong_heartbeat(field):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(field.rng.randbytes(control.HEARTBEAT_BYTES),
                        field.healthy.layout.nodes["b"].heartbeats[0])


@attack("repeated-controller")
def repeated_controller(field):
    """A watched process counts by its incarnation, at most 8 of them until it ends."""
    process_id = field.healthy.b.process_id("tandem-failoverd")
    for once in (_wrong_packet, _second_standby, _program_that_leaves, _wrong_request,
                 _wrong_heartbeat):
        _repeat(process_id, once, field)
    field.b.accept_any(r"dropped|refused|says that the other node leads")


def _wrong_command(field):
    with wires.connect(field.healthy.layout.nodes["a"].serve_at) as connection:
        connection.sendall(b"*1\r\n$999999999\r\n")
        wires.read_until_closed(connection)


@attack("repeated-client")
def repeated_client(field):
    _repeat(field.healthy.a.process_id("tandem-kv"), _wrong_command, field)
